"""Redemptions: members spend sessions and get them back."""

from collections import defaultdict
from datetime import UTC, datetime

from flask_openapi3 import Tag
from sqlalchemy import func, or_, select

from console.api.fields import TIME, Answer, Body, Id, KeyHeader, Path, Quantity, field, id_of, parameter
from console.api.gate import PREFIX, Made, caller, read, write
from console.web.access import database
from models import redemption
from models.errors import NotFound
from models.ledger import EntryKind, LedgerEntry
from models.redemption import Redemption as Spent

TAG = Tag(name="Redemptions", description="Members spend sessions and get them back.")


class RedemptionPath(Path):
    """Which redemption."""

    redemption_id: Id = parameter("The redemption's id.", 1)


class RedemptionBody(Body):
    """Sessions that a member spends."""

    member_id: Id = field("Who spends them.", 1)
    item_id: Id = field("The session item.", 1)
    quantity: Quantity = field("How many sessions.", 1)


class ReturnBody(Body):
    """Sessions of a redemption that go back."""

    quantity: Quantity | None = field("How many; null or left out, all that the redemption still has.", 1, default=None)


class Draw(Answer):
    """Sessions moved on one credit grant."""

    grant_id: int = id_of("credit grant")
    quantity: int = field("Sessions taken from it, or given back to it.", 1)


class Redemption(Answer):
    """Sessions that a member has spent."""

    id: int = id_of("redemption")
    member_id: int = id_of("member")
    item_id: int = id_of("item")
    quantity: int = field("Sessions spent.", 1)
    draws: list[Draw] = field("Which grants they came from, the soonest to lapse first.", [])
    occurred_at: datetime = field("When.", TIME)


class Return(Answer):
    """Sessions of a redemption that went back to the grants they came from."""

    id: int = id_of("return")
    redemption_id: int = id_of("redemption that it undoes")
    quantity: int = field("Sessions returned.", 1)
    draws: list[Draw] = field("Which grants they went back to.", [])
    occurred_at: datetime = field("When.", TIME)


class RedemptionWithReturns(Redemption):
    """Sessions that a member has spent, and what of them was returned since."""

    returns: list[Return] = field("The oldest first.", [])


@write("/redemptions", Redemption, TAG)
def redeem(header: KeyHeader, body: RedemptionBody) -> Made:
    """Redeem sessions of a member, the soonest to lapse first."""
    now = datetime.now(UTC)
    done = redemption.redeem(
        database(), member_id=body.member_id, item_id=body.item_id, quantity=body.quantity, key=header.key,
        by=caller(), now=now,
    )  # fmt: skip
    row = database().get_one(Spent, done.redemption_id)
    answer = _redemption(row, [Draw.model_validate(draw) for draw in done.draws])
    # What an earlier request has done has that request's time.
    return Made(answer, f"{PREFIX}/redemptions/{row.id}", replayed=row.occurred_at != now)


@read("/redemptions/<id:redemption_id>", RedemptionWithReturns, TAG)
def get_redemption(path: RedemptionPath) -> RedemptionWithReturns:
    """Get a redemption and its returns."""
    wanted = path.redemption_id
    rows = database().scalars(select(Spent).where(or_(Spent.id == wanted, Spent.undoes == wanted)).order_by(Spent.id))
    by_id = {row.id: row for row in rows}
    spent = by_id.pop(wanted, None)
    if spent is None or spent.undoes is not None:
        raise NotFound(what="redemption", name=wanted)
    draws = _draws([wanted, *by_id])
    returns = [_return(row, wanted, draws[row.id]) for row in by_id.values()]
    return RedemptionWithReturns(**dict(_redemption(spent, draws[wanted])), returns=returns)


@write("/redemptions/<id:redemption_id>/returns", Return, TAG)
def give_back(path: RedemptionPath, header: KeyHeader, body: ReturnBody) -> Made:
    """Return sessions of a redemption to the grants they came from."""
    now, wanted = datetime.now(UTC), path.redemption_id
    done = redemption.give_back(
        database(), redemption_id=wanted, key=header.key, by=caller(), now=now, quantity=body.quantity
    )
    row = database().get_one(Spent, done.redemption_id)
    answer = _return(row, wanted, [Draw.model_validate(draw) for draw in done.draws])
    return Made(answer, f"{PREFIX}/redemptions/{wanted}", replayed=row.occurred_at != now)


def _draws(ids: list[int]) -> dict[int, list[Draw]]:
    """What each of these redemptions and returns moved."""
    moved = select(LedgerEntry.redemption_id, LedgerEntry.grant_id, func.abs(LedgerEntry.quantity))
    kinds = (EntryKind.REDEMPTION.value, EntryKind.RETURN.value)
    moved = moved.where(LedgerEntry.redemption_id.in_(ids), LedgerEntry.kind.in_(kinds)).order_by(LedgerEntry.id)
    draws: dict[int, list[Draw]] = defaultdict(list)
    for of, grant_id, quantity in database().execute(moved):
        draws[of].append(Draw(grant_id=grant_id, quantity=quantity))
    return draws


def _redemption(row: Spent, draws: list[Draw]) -> Redemption:
    return Redemption(
        id=row.id, member_id=row.member_id, item_id=row.item_id, quantity=row.quantity, draws=draws,
        occurred_at=row.occurred_at,
    )  # fmt: skip


def _return(row: Spent, of: int, draws: list[Draw]) -> Return:
    return Return(id=row.id, redemption_id=of, quantity=row.quantity, draws=draws, occurred_at=row.occurred_at)
