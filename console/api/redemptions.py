"""Redemptions: members spend sessions and get them back."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from flask_openapi3 import Tag
from sqlalchemy import Select, func, select

from console.api import paging
from console.api.fields import TIME, Answer, Body, Id, Key, KeyHeader, Path, Quantity, field, id_of, parameter
from console.api.gate import PREFIX, Made, read, write
from console.api.members import MemberPath
from console.api.paging import Listing, PageQuery
from console.api.problems import beside
from console.api.rows import row
from console.web.access import actor, database
from models.catalogue.tables import Item
from models.errors import NotFound, NothingToReturn, TooFewSessions
from models.ledger import redemptions as redemption
from models.ledger.entries import LedgerEntry
from models.ledger.kinds import EntryKind
from models.ledger.redemptions import Redemption as Spent
from models.members.memberships import Member as Person

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


class RedemptionQuery(PageQuery):
    """Which redemptions."""

    idempotency_key: Key | None = parameter(
        "The redemption that was made with that key, or of which a return was.", "booking-77", default=None
    )


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
    draws: list[Draw] = field("Which grants they came from, the soonest to expire first.", [])
    occurred_at: datetime = field("When.", TIME)
    idempotency_key: str = field("The key that it was made with.", "booking-77")


class Return(Answer):
    """Sessions of a redemption that went back to the grants they came from."""

    id: int = id_of("return")
    redemption_id: int = id_of("redemption that it undoes")
    quantity: int = field("Sessions returned.", 1)
    draws: list[Draw] = field("Which grants they went back to.", [])
    occurred_at: datetime = field("When.", TIME)
    idempotency_key: str = field("The key that it was made with.", "booking-77-cancelled")


class RedemptionWithReturns(Redemption):
    """Sessions that a member has spent, and what of them was returned since."""

    item: str = field("The item's name.", "Spin")
    returned: int = field("Sessions that were returned since.", 0)
    returns: list[Return] = field("How, the oldest first.", [])


class Redemptions(Listing[RedemptionWithReturns]):
    """Redemptions, the newest first."""


@write("/redemptions", Redemption, TAG)
def redeem(header: KeyHeader, body: RedemptionBody) -> Made:
    """Redeem sessions of a member, the soonest to expire first."""
    now = datetime.now(UTC)
    with beside({NotFound: "member_id"}):
        row(Person, "member", body.member_id)
    with beside({NotFound: "item_id", TooFewSessions: "quantity"}):
        done = redemption.redeem(
            database(), member_id=body.member_id, item_id=body.item_id, quantity=body.quantity, key=header.key,
            by=actor(), now=now,
        )  # fmt: skip
    spent = database().get_one(Spent, done.redemption_id)
    answer = _redemption(spent, [Draw.model_validate(draw) for draw in done.draws])
    # What an earlier request has done has that request's time.
    return Made(answer, f"{PREFIX}/redemptions/{spent.id}", replayed=spent.occurred_at != now)


@read("/redemptions", Redemptions, TAG)
def list_redemptions(query: RedemptionQuery) -> Redemptions:
    """List redemptions, or find one by its idempotency key."""
    rows = select(Spent)
    if query.idempotency_key is not None:
        made = select(func.coalesce(Spent.undoes, Spent.id)).where(Spent.idempotency_key == query.idempotency_key)
        rows = rows.where(Spent.id == made.scalar_subquery())
    return _page(rows, query)


@read("/members/<id:member_id>/redemptions", Redemptions, TAG)
def list_redemptions_of_member(path: MemberPath, query: PageQuery) -> Redemptions:
    """List what a member has redeemed, the newest first."""
    return _page(select(Spent).where(Spent.member_id == path.person().id), query)


@read("/redemptions/<id:redemption_id>", RedemptionWithReturns, TAG)
def get_redemption(path: RedemptionPath) -> RedemptionWithReturns:
    """Get a redemption and its returns."""
    spent = row(Spent, "redemption", path.redemption_id)
    if spent.undoes is not None:
        raise NotFound(what="redemption", name=spent.id)
    return _with_returns([spent])[0]


@write("/redemptions/<id:redemption_id>/returns", Return, TAG)
def give_back(path: RedemptionPath, header: KeyHeader, body: ReturnBody) -> Made:
    """Return sessions of a redemption to the grants they came from."""
    now, wanted = datetime.now(UTC), path.redemption_id
    with beside({NothingToReturn: "quantity"}):
        done = redemption.give_back(
            database(), redemption_id=wanted, key=header.key, by=actor(), now=now, quantity=body.quantity
        )
    back = database().get_one(Spent, done.redemption_id)
    answer = _return(back, wanted, [Draw.model_validate(draw) for draw in done.draws])
    return Made(answer, f"{PREFIX}/redemptions/{wanted}", replayed=back.occurred_at != now)


def _page(rows: Select[Spent], query: PageQuery) -> Redemptions:
    found, following = paging.newest(rows.where(Spent.undoes.is_(None)), Spent.id, query)
    return Redemptions(data=_with_returns(found), next_cursor=following)


def _with_returns(redemptions: Sequence[Spent]) -> list[RedemptionWithReturns]:
    """The redemptions as they are answered; a fixed number of statements for all."""
    ids = [one.id for one in redemptions]
    undone = select(Spent).where(Spent.undoes.in_(ids)).order_by(Spent.id)
    returns: dict[int | None, list[Spent]] = defaultdict(list)
    for one in database().scalars(undone):
        returns[one.undoes].append(one)
    draws = _draws([*ids, *(one.id for back in returns.values() for one in back)])
    items = dict(
        database().execute(select(Item.id, Item.name).where(Item.id.in_({one.item_id for one in redemptions}))).all()
    )
    return [
        RedemptionWithReturns(
            **dict(_redemption(one, draws[one.id])), item=items[one.item_id],
            returned=sum(back.quantity for back in returns[one.id]),
            returns=[_return(back, one.id, draws[back.id]) for back in returns[one.id]],
        )
        for one in redemptions
    ]  # fmt: skip


def _draws(ids: list[int]) -> dict[int, list[Draw]]:
    """What each of these redemptions and returns moved."""
    moved = select(LedgerEntry.redemption_id, LedgerEntry.grant_id, func.abs(LedgerEntry.quantity))
    kinds = (EntryKind.REDEMPTION.value, EntryKind.RETURN.value)
    moved = moved.where(LedgerEntry.redemption_id.in_(ids), LedgerEntry.kind.in_(kinds)).order_by(LedgerEntry.id)
    draws: dict[int, list[Draw]] = defaultdict(list)
    for of, grant_id, quantity in database().execute(moved):
        draws[of].append(Draw(grant_id=grant_id, quantity=quantity))
    return draws


def _redemption(one: Spent, draws: list[Draw]) -> Redemption:
    return Redemption(
        id=one.id, member_id=one.member_id, item_id=one.item_id, quantity=one.quantity, draws=draws,
        occurred_at=one.occurred_at, idempotency_key=one.idempotency_key,
    )  # fmt: skip


def _return(one: Spent, of: int, draws: list[Draw]) -> Return:
    return Return(
        id=one.id, redemption_id=of, quantity=one.quantity, draws=draws, occurred_at=one.occurred_at,
        idempotency_key=one.idempotency_key,
    )  # fmt: skip
