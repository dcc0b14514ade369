"""Commands for moving in from an earlier system: cut-over, moving-in."""

from datetime import UTC, date, datetime
from typing import Any

import click

from console.cli import show
from console.cli.installed import database, opened, operator
from console.cli.life import as_json_row, expected_option, moved_lines
from console.cli.moments import DAY
from models.members.cut_over import CutOver, beginning_of, set_cut_over, words
from models.members.lookup import the_membership
from models.payments import living
from models.statements import moving_in as left
from models.wording import counted


@click.command("cut-over")
@click.argument("email", metavar="EMAIL|ID")
@click.argument("day", type=DAY, required=False)
@click.option("--none", "is_none", is_flag=True, help="Instead of DAY: every payment counts.")
@click.option("--membership", "membership_id", type=int, help="Which one, if the member has several.")
@click.option("--dry-run", is_flag=True, help="Only say what it would move; needs no --reason.")
@expected_option
@click.option("--reason", help="Kept in the action log.")
@show.json_option
def cut_over(
    email: str, day: date | None, is_none: bool, membership_id: int | None, dry_run: bool, expected: int | None,
    reason: str | None,
) -> None:  # fmt: skip
    """Say from which day on the payments of a membership count; those before it give nothing.

    The day begins at its club. It does not matter when a payment arrives: an earlier system has given its sessions.
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

        outcome = how(session, act, now=now, late_credit=loaded.late_credit)
        if not dry_run:
            back, alone = outcome.brought_back, loaded.adjust_alone_up_to
            living.check_brought_back(back, alone_up_to=alone, expected=expected)
        answer: dict[str, Any] = {
            "membership": membership.id, "credits_from": moment, "changed": not dry_run,
            "brought_back": outcome.brought_back, "waiting": outcome.waiting,
            "moves": [as_json_row(one) for one in outcome.moved],
        }  # fmt: skip
        sentence = words(moment, membership.club.time_zone)
    show.answer(answer, f"{sentence}{' Nothing is changed yet.' if dry_run else ''}", *moved_lines(outcome))


@click.command("moving-in")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Memberships in each list.")
@show.json_option
def moving_in(limit: int) -> None:
    """List what is left after an import: references never heard of, memberships without a reference.

    Memberships that have ended and test members are left out.
    """
    now = datetime.now(UTC)
    with database() as session:
        counts, anybody = left.counts(session, now), left.anybody(session)
        unheard = left.unheard(session, now, limit=limit)
        unbilled = left.unbilled(session, now, limit=limit)
    answer = {
        **counts._asdict(),
        "unheard": [{**one._asdict(), "references": [named._asdict() for named in one.references]} for one in unheard],
        "without_reference": [one._asdict() for one in unbilled],
    }
    if not show.as_json(answer):
        if not anybody:
            click.echo("Nobody is here yet: `spp import people FILE` brings members and their memberships along.")
        click.echo(
            f"{counted(counts.references, 'billing reference')} never heard of, "
            f"{counted(counts.unmatched, 'payment')} unmatched (`spp review` lists them), "
            f"{counted(counts.memberships, 'membership')} without a billing reference."
        )
        if unheard:
            click.echo("\nNever heard of")
            show.table(["membership", "member", "offer", "club", "ENDPOINT:REFERENCE", "since"], [
                [one.membership_id, one.member, one.offer, one.club, f"{named.endpoint}:{named.reference}",
                 named.known_since]
                for one in unheard for named in one.references
            ])  # fmt: skip
        if unbilled:
            click.echo("\nWithout a billing reference")
            show.table(["membership", "member", "offer", "club", "recorded"], [
                [one.membership_id, one.member, one.offer, one.club, one.joined_at] for one in unbilled
            ])  # fmt: skip
