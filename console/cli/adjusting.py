"""Commands that change by hand what members have: adjust, extend."""

import uuid
from datetime import UTC, datetime

import click

from console.cli import show
from console.cli.installed import database, json_option, named, operator, the_member
from models.catalogue.tables import Item
from models.ledger import adjustments
from models.ledger.adjustments import AdjustmentReason
from models.ledger.entries import CreditGrant
from models.wording import sessions_of
from runtime import settings

_DAY = click.DateTime(["%Y-%m-%d"])


# A negative quantity is no option.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("email")
@click.argument("item")
@click.argument("quantity", type=int)
@click.option("--reason", required=True, type=click.Choice([reason.value for reason in AdjustmentReason]))
@click.option("--note", required=True, help="Why, in a sentence; kept in the action log.")
@click.option("--last-day", type=_DAY, help="Of sessions given: the last day, at the club, on which they can be used.")
@click.option("--key", help="Idempotency key: repeating it gives no more. Made up if not given.")
@json_option
def adjust(
    email: str, item: str, quantity: int, reason: str, note: str, last_day: datetime | None, key: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Give a member sessions, as by 2, or take some, as by -2, with a reason.

    Given sessions never expire unless --last-day says when. More than SPP_ADJUST_ALONE_UP_TO wait until a second
    person, a manager, approves them in the console.
    """
    key = key or str(uuid.uuid4())
    with database() as session:
        person = the_member(session, email)
        made = adjustments.adjust(
            session, member_id=person.id, item_id=named(session, Item, "item", item).id, quantity=quantity,
            last_day=last_day.date() if last_day else None, reason=AdjustmentReason(reason), note=note,
            alone_up_to=settings.load().adjust_alone_up_to, key=key, by=operator(), now=datetime.now(UTC),
        )  # fmt: skip
        state = {None: "waiting", True: "applied", False: "declined"}[made.approved]
        told = {"adjustment": made.id, "state": state, "expires_at": made.expires_at, "idempotency_key": key}
        which = sessions_of(made.item.name, abs(quantity))
    if as_json:
        show.as_json(told)
        return
    direction = f"given to {person.name}" if quantity > 0 else f"taken from {person.name}"
    if state == "waiting":
        click.echo(f"{which} to be {direction}: asked for. A second person, a manager, approves it in the console.")
    else:
        click.echo(f"{which} {direction}." if state == "applied" else f"Declined before by {made.decided_by}.")
    click.echo(f"Adjustment {made.id}, idempotency key {key}")


@click.command()
@click.argument("grant", type=click.IntRange(min=1))
@click.argument("last_day", type=_DAY)
@click.option("--reason", required=True, help="Kept in the action log.")
@json_option
def extend(grant: int, last_day: datetime, reason: str, as_json: bool) -> None:
    """Let a grant expire later: its sessions can be used until the end of LAST_DAY at the club.

    `spp member` lists the grants with their numbers.
    """
    with database() as session:
        adjustments.extend(
            session, grant, last_day=last_day.date(), reason=reason, by=operator(), now=datetime.now(UTC)
        )
        expires_at = session.get_one(CreditGrant, grant).expires_at
    if as_json:
        show.as_json({"grant": grant, "expires_at": expires_at})
    else:
        click.echo(f"Grant {grant} can be used until the end of {last_day:%Y-%m-%d}.")
