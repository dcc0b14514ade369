"""Commands about what the payment provider says of subscriptions: announcements, and how they are answered."""

from datetime import UTC, datetime

import click
from sqlalchemy.orm import Session

from console import announcing
from console.cli import show
from console.cli.installed import Failed, opened, operator
from models.payments import announcements
from models.payments.announcements import Announcement
from models.wording import counted
from runtime.settings import Settings

_number = click.argument("number", metavar="ANNOUNCEMENT", type=click.IntRange(min=1))
_membership = click.option("--membership", "membership_id", type=int, help="Which one, if it concerns several.")
_reason = click.option("--reason", default="", help="Kept in the action log. Default: what was said.")


@click.command("announcements")
@show.json_option
def announcements_command() -> None:
    """List what the payment provider said of subscriptions, and memberships do not say yet."""
    now = datetime.now(UTC)
    with opened() as (loaded, make), make() as session:
        rows = announcements.every(session, announcing.processors(loaded.endpoints))
    if show.as_json([
        {"announcement": one.proposal.fact_id, "membership": one.membership_id, "member": one.member,
         "endpoint": one.endpoint, "reference": one.reference, "said_at": one.proposal.announced_at,
         "what": one.words(now), "does": one.proposal.does.value, "first_day": one.proposal.first_day,
         "last_day": one.proposal.last_day}
        for one in rows
    ]):  # fmt: skip
        return
    show.table(
        ["announcement", "membership", "member", "ENDPOINT:REFERENCE", "what"],
        [
            [one.proposal.fact_id, one.membership_id, one.member, f"{one.endpoint}:{one.reference}", one.words(now)]
            for one in rows
        ],
    )
    if rows:
        click.echo(
            f"\n{counted(len(rows), 'announcement')}."
            "\n`spp apply-announcement ANNOUNCEMENT` does it to the membership, `--dry-run` says first what it moves."
            "\n`spp dismiss-announcement ANNOUNCEMENT` leaves the membership as it is."
        )


@click.command("apply-announcement")
@_number
@_membership
@click.option("--dry-run", is_flag=True, help="Only say what it would do and move.")
@_reason
@show.json_option
def apply_announcement(number: int, membership_id: int | None, dry_run: bool, reason: str) -> None:
    """Do to a membership what was announced: end, reopen or freeze it, or end a freeze."""
    now = datetime.now(UTC)
    with opened() as (loaded, make), make.begin() as session:
        one, late_credit = _the_one(session, loaded, number, membership_id), loaded.late_credit
        moved = announcing.apply(
            session, one, reason=reason, by=operator(), now=now, late_credit=late_credit, preview=dry_run
        )
    sentences = [f"Would do: {one.proposal.button}." if dry_run else f"{one.proposal.done} ({one.member})."]
    values = {"membership": one.membership_id, "does": one.proposal.does.value, "applied": not dry_run}
    moves = [grant.words for grant in moved]
    show.answer({**values, "moved": moves}, *sentences, *(f"{words}." for words in moves))


@click.command("dismiss-announcement")
@_number
@_membership
@_reason
@show.json_option
def dismiss_announcement(number: int, membership_id: int | None, reason: str) -> None:
    """Leave a membership as it is, whatever was announced."""
    with opened() as (loaded, make), make.begin() as session:
        one = _the_one(session, loaded, number, membership_id)
        announcements.dismiss(session, one, reason=reason, by=operator(), now=datetime.now(UTC))
    answer = {"membership": one.membership_id, "dismissed": True}
    show.answer(answer, f"Dismissed: the membership of {one.member} stays as it is.")


def _the_one(session: Session, loaded: Settings, number: int, membership_id: int | None) -> Announcement:
    """The announcement of that number. Raises AnnouncementOver; Failed where it concerns several memberships."""
    processors = announcing.processors(loaded.endpoints)
    if membership_id:
        return announcements.find(session, membership_id, number, processors)
    found = [one for one in announcements.every(session, processors) if number in one.proposal.facts]
    if len(found) > 1:
        known = ", ".join(f"{one.membership_id} ({one.member})" for one in found)
        raise Failed(f"It concerns several memberships, say which one with --membership: {known}.")
    return found[0] if found else announcements.find(session, 0, number, processors)
