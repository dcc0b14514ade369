"""Commands at the desk: redeem, give-back, redemption, why-not."""

import uuid
from datetime import UTC, datetime

import click
from sqlalchemy import select

from console.cli import show
from console.cli.installed import database, operator
from console.cli.lookups import named
from console.cli.moments import MOMENT
from models.catalogue.clubs import Club
from models.catalogue.items import Item
from models.errors import NotFound
from models.ledger import redemptions
from models.ledger.occasions import MANAGER_BACK, Occasion
from models.ledger.redemptions import Redemption
from models.members.lookup import the_member
from models.members.memberships import Member
from models.statements import left as statement_left
from models.statements import why_not
from models.wording import sessions_of

key_option = click.option("--key", help="Idempotency key: repeating it repeats the answer. Generated if missing.")


@click.command()
@click.argument("email")
@click.argument("item")
@click.argument("quantity", type=click.IntRange(min=1), default=1)
@click.option("--at", "occurred_at", type=MOMENT, help="When it was, if that was earlier.")
@click.option("--club", help="The club where it was; only sessions that are good there are taken.")
@click.option("--class", "class_name", help="The class in words.")
@click.option("--class-reference", help="The class as the scheduler calls it.")
@click.option("--trainer", help="Who taught it.")
@click.option("--note", help="Anything else; kept in the action log.")
@key_option
@click.option("--override-reason", help="Why, although dues are overdue, where the club asks for a reason.")
@show.json_option
def redeem(
    email: str, item: str, quantity: int, key: str | None, occurred_at: datetime | None, club: str | None,
    class_name: str | None, class_reference: str | None, trainer: str | None, note: str | None,
    override_reason: str | None,
) -> None:  # fmt: skip
    """Take sessions of an item from a member, soonest to expire first.

    With --at, they must have been usable then, and not have expired since.
    """
    key = key or str(uuid.uuid4())
    with database() as session:
        person, wanted, now = the_member(session, email), named(session, Item, item), datetime.now(UTC)
        club_id = named(session, Club, club).id if club else None
        occasion = Occasion(occurred_at, club_id, class_reference, class_name, trainer, note)
        asked = {"member_id": person.id, "item_id": wanted.id}
        with why_not.explained(session, **asked, now=now, at=occurred_at, club_id=club_id):
            answer = redemptions.redeem(
                session, **asked, quantity=quantity, key=key, by=operator(), now=now,
                occasion=occasion, back=MANAGER_BACK, override_reason=override_reason,
            )  # fmt: skip
        left = statement_left.left(session, person, wanted, datetime.now(UTC))
    _show_answer(answer, key, "taken from", left)


@click.command("give-back")
@click.argument("redemption_id", metavar="REDEMPTION", type=click.IntRange(min=1))
@click.option("--quantity", type=click.IntRange(min=1), help="By default all that is left of it.")
@key_option
@show.json_option
def give_back(redemption_id: int, quantity: int | None, key: str | None) -> None:
    """Return sessions of a redemption to the grants they came from."""
    key = key or str(uuid.uuid4())
    with database() as session:
        answer = redemptions.give_back(
            session, redemption_id=redemption_id, key=key, by=operator(), now=datetime.now(UTC), quantity=quantity
        )
        returned = session.get_one(Redemption, answer.redemption_id)
        person, item = the_member(session, str(returned.member_id)), session.get_one(Item, returned.item_id)
        left = statement_left.left(session, person, item, datetime.now(UTC))
    _show_answer(answer, key, "returned to", left)


def _show_answer(answer: redemptions.Answer, key: str, verb: str, left: str) -> None:
    draws = [draw._asdict() for draw in answer.draws]
    show.answer(
        {"redemption": answer.redemption_id, "idempotency_key": key, "draws": draws, "left": left},
        left,
        *(f"{draw.quantity} {verb} grant {draw.grant_id}" for draw in answer.draws),
        f"Redemption {answer.redemption_id}, idempotency key {key}",
    )


@click.command()
@click.argument("key")
@show.json_option
def redemption(key: str) -> None:
    """Show the redemption that was made with an idempotency key, or whose return was."""
    with database() as session:
        found = session.scalar(select(Redemption).where(Redemption.id == redemptions.id_made_with(key)))
        if found is None:
            raise NotFound(what="redemption with the key", name=key)
        person, item = session.get_one(Member, found.member_id), session.get_one(Item, found.item_id)
        club = session.get_one(Club, found.club_id).name if found.club_id else None
        left = redemptions.returnable(session, [found.id]).get(found.id, 0)
        row = {
            "redemption": found.id, "member": person.email, "item": item.name, "quantity": found.quantity,
            "returned": found.quantity - left, "occurred_at": found.occurred_at, "recorded_at": found.recorded_at,
            "club": club, "class_reference": found.class_reference, "class_name": found.class_name,
            "trainer": found.trainer, "note": found.note, "idempotency_key": found.idempotency_key,
        }  # fmt: skip
        what = sessions_of(item.name, found.quantity)
    lines = [f"{name.replace('_', ' ')}: {show.cell(value)}" for name, value in row.items() if value is not None]
    show.answer(row, f"{what} of {person.name}", *(f"  {line}" for line in lines))


@click.command("why-not")
@click.argument("email")
@click.argument("item")
@click.option("--at", type=MOMENT, help="A moment that is over; by default now.")
@click.option("--club", help="The club where they are to be used.")
@show.json_option
def why_not_command(email: str, item: str, at: datetime | None, club: str | None) -> None:
    """Say why a member can use no session of an item, and the way out."""
    with database() as session:
        person, wanted = the_member(session, email), named(session, Item, item)
        there, now = named(session, Club, club).id if club else None, datetime.now(UTC)
        why = why_not.why_not(session, member_id=person.id, item_id=wanted.id, now=now, at=at, club_id=there)
    lines = [why.sentence, why.way_out] if why else [f"{person.name} can use {sessions_of(item, 1)}."]
    show.answer({"usable": why is None, "why_not": why and why._asdict()}, *lines)
