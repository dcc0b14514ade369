"""Commands for moving in from an earlier system: cut-over, moving-in."""

from datetime import UTC, date, datetime
from typing import Any

import click

from console.cli import show
from console.cli.installed import opened, operator
from console.cli.moments import DAY
from models.members.cut_over import CutOver, beginning_of, set_cut_over, words
from models.members.memberships import the_membership
from models.payments import living
from models.wording import counted


@click.command("cut-over")
@click.argument("email", metavar="EMAIL|ID")
@click.argument("day", type=DAY, required=False)
@click.option("--none", "is_none", is_flag=True, help="Instead of DAY: every payment counts.")
@click.option("--membership", "membership_id", type=int, help="Which one, if the member has several.")
@click.option("--dry-run", is_flag=True, help="Only say what it would move; needs no --reason.")
@click.option("--reason", help="Kept in the action log.")
@show.json_option
def cut_over(
    email: str, day: date | None, is_none: bool, membership_id: int | None, dry_run: bool, reason: str | None
) -> None:
    """Say from which day on, at its club, the payments of a membership count.

    What was paid before it gives no sessions, whenever it is told of: an earlier system has given them.
    """
    if bool(day) == is_none:
        raise click.UsageError("Give DAY, or --none.")
    if reason is None and not dry_run:
        raise click.UsageError("Missing option '--reason'.")
    now, how = datetime.now(UTC), living.preview if dry_run else living.apply
    with opened() as (loaded, make), make.begin() as session:
        membership = the_membership(session, email, membership_id, now=now)
        moment = beginning_of(membership, day) if day else None

        def act() -> CutOver:
            why = reason if reason is not None else "dry run"
            return set_cut_over(session, membership, moment, reason=why, by=operator(), now=now)

        _, moved, waiting = how(session, act, now=now, late_credit=loaded.late_credit)
        answer: dict[str, Any] = {
            "membership": membership.id, "credits_from": moment, "changed": not dry_run, "waiting": waiting,
            "moves": [{**one._asdict(), "what": one.words} for one in moved],
        }  # fmt: skip
        said = words(moment, membership.club.time_zone)
    left = [f"Workers have yet to settle {counted(waiting, 'payment')}."] if waiting else []
    show.answer(
        answer,
        f"{said}{' Nothing is changed yet.' if dry_run else ''}",
        *(f"  {one.words}" for one in moved or ()),
        *([] if moved or waiting else ["  No sessions move."]),
        *left,
    )
