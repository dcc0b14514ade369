"""Commands that change a member's sessions by hand: adjust, adjustments, approve, decline, extend."""

import uuid
from datetime import UTC, date, datetime

import click

from console.cli import show
from console.cli.installed import database, opened, operator, reason_option
from console.cli.lookups import named
from console.cli.moments import DAY
from models.catalogue.items import Item
from models.ledger import adjustments
from models.ledger.adjustments import AdjustmentReason
from models.ledger.tables import CreditGrant
from models.members.lookup import the_member
from models.wording import sessions_of

STATES = {None: "waiting", True: "applied", False: "declined"}


@click.command(context_settings={"ignore_unknown_options": True})  # so that -2 is not read as an option
@click.argument("email", metavar="EMAIL|ID")
@click.argument("item")
@click.argument("quantity", type=int)
@click.option("--reason", required=True, type=click.Choice([reason.value for reason in AdjustmentReason]))
@click.option("--note", required=True, help="Why, in a sentence; kept in the action log.")
@click.option("--last-day", type=DAY, help="The last day, at the club, on which given sessions can be used.")
@click.option("--key", help="Idempotency key: repeating it gives no more. Generated if missing.")
@show.json_option
def adjust(
    email: str, item: str, quantity: int, reason: str, note: str, last_day: date | None, key: str | None
) -> None:
    """Give a member sessions (2), or take some (-2), with a reason.

    Given sessions never expire unless --last-day says when. More than SPP_ADJUST_ALONE_UP_TO sessions wait until a
    second person, a manager, approves them, here or in the console.
    """
    key = key or str(uuid.uuid4())
    with opened() as (loaded, make), make.begin() as session:
        person = the_member(session, email)
        made = adjustments.adjust(
            session, member_id=person.id, item_id=named(session, Item, item).id, quantity=quantity,
            last_day=last_day, reason=AdjustmentReason(reason), note=note,
            alone_up_to=loaded.adjust_alone_up_to, key=key, by=operator(), now=datetime.now(UTC),
        )  # fmt: skip
        number, state, decided_by, expires_at = made.id, STATES[made.approved], made.decided_by, made.expires_at
        which = sessions_of(made.item.name, abs(quantity))
    change = f"given to {person.name}" if quantity > 0 else f"taken from {person.name}"
    text = {
        "waiting": f"{which} to be {change}: waits until a second person, a manager, approves it.",
        "applied": f"{which} {change}.{' They never expire.' if quantity > 0 and expires_at is None else ''}",
        "declined": f"{decided_by} declined this adjustment before.",
    }
    show.answer(
        {"adjustment": number, "state": state, "expires_at": expires_at, "idempotency_key": key},
        text[state],
        f"Adjustment {number}, idempotency key {key}",
    )


@click.command("adjustments")
@show.json_option
def waiting() -> None:
    """List the adjustments that wait for a second person."""
    with database() as session:
        rows = [
            {
                "adjustment": one.id, "member": one.member.email, "sessions": one.quantity, "item": one.item.name,
                "asked by": one.asked_by, "asked at": one.asked_at, "why": f"{one.reason}: {one.note}",
            }
            for one in adjustments.waiting(session)
        ]  # fmt: skip
    show.listing(rows, "adjustment", "member", "sessions", "item", "asked by", "asked at", "why")


@click.command()
@click.argument("adjustment", type=click.IntRange(min=1))
@show.json_option
def approve(adjustment: int) -> None:
    """Let an adjustment that waits take effect, as its second person.

    That is somebody else than the one who asked for it.
    """
    _decide(adjustment, True)


@click.command()
@click.argument("adjustment", type=click.IntRange(min=1))
@show.json_option
def decline(adjustment: int) -> None:
    """Decline an adjustment that waits."""
    _decide(adjustment, False)


def _decide(adjustment: int, approve: bool) -> None:
    with database() as session:
        made = adjustments.decide(session, adjustment, approve=approve, by=operator(), now=datetime.now(UTC))
        state, what = STATES[made.approved], f"{made.quantity:+d} {made.item.name} for {made.member.name}"
    show.answer({"adjustment": adjustment, "state": state}, f"Adjustment {adjustment}, {what}: {state}.")


@click.command()
@click.argument("grant", type=click.IntRange(min=1))
@click.argument("day", type=DAY)
@reason_option
@show.json_option
def extend(grant: int, day: date, reason: str) -> None:
    """Let a grant expire later: its sessions can be used until the end of DAY at the club.

    `spp member` lists the grants with their numbers.
    """
    with database() as session:
        adjustments.extend(session, grant, last_day=day, reason=reason, by=operator(), now=datetime.now(UTC))
        expires_at = session.get_one(CreditGrant, grant).expires_at
    show.answer({"grant": grant, "expires_at": expires_at}, f"Grant {grant} can be used until the end of {day}.")
