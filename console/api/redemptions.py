"""Redemptions: members spend sessions and get them back."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from flask_openapi3 import Tag
from pydantic import Field
from sqlalchemy import Select, func, select

from console.api import paging
from console.api.fields import TIME, Answer, Body, Id, Key, KeyHeader, Moment, Quantity, Text, field, id_of, parameter
from console.api.gate import act, is_manager, mark_replayed, read
from console.api.paging import Listing, PageQuery
from console.bounds import club_ids
from console.request import actor, database
from models.catalogue.items import Item
from models.errors import NotFound
from models.ledger import redemptions as ledger
from models.ledger.occasions import DESK_BACK, LENGTHS, MANAGER_BACK, Occasion, may_go_back
from models.ledger.redemptions import Redemption as Spent
from models.ledger.tables import LedgerEntry
from models.members.memberships import Member, with_merged
from models.staff import theirs
from models.staff.accounts import Role
from models.staff.actions import MAX_REASON_LENGTH
from models.statements import why_not

TAG = Tag(name="Redemptions", description="Members spend sessions and get them back.")


_Reference = Annotated[Text, Field(max_length=LENGTHS["class_reference"])]
_Name = Annotated[Text, Field(max_length=LENGTHS["class_name"])]
_Trainer = Annotated[Text, Field(max_length=LENGTHS["trainer"])]
_Note = Annotated[Text, Field(max_length=LENGTHS["note"])]


class RedemptionBody(Body):
    """Sessions that a member spends, and the occasion, as far as it is known."""

    member_id: Id = field("The member who spends them.", 1)
    item_id: Id = field("The session item.", 1)
    quantity: Quantity = field("Sessions to spend.", 1)
    occurred_at: Moment | None = field(
        "When it happened, if that was earlier. The sessions must have been usable then and not have expired since. "
        f"Up to {DESK_BACK.days} day ago; up to {MANAGER_BACK.days} days if the token's owner is a manager.",
        None,
        default=None,
    )
    club_id: Id | None = field(
        "The club where it was: only sessions that are good there are taken. Left out, all that the member has count.",
        1,
        default=None,
    )
    class_reference: _Reference | None = field("The class as your scheduler calls it.", "class-88", default=None)
    class_name: _Name | None = field("The class in words.", "Pilates", default=None)
    trainer: _Trainer | None = field("Who taught it.", "Kim", default=None)
    note: _Note | None = field("Anything else.", None, default=None)
    override_reason: Annotated[Text, Field(max_length=MAX_REASON_LENGTH)] | None = field(
        "Why sessions may be used although the dues of their membership are overdue, where their club asks for a "
        "reason. Kept in the action log.",
        None,
        default=None,
    )

    @property
    def occasion(self) -> Occasion:
        """The part about the occasion."""
        return Occasion(**{name: getattr(self, name) for name in Occasion._fields})


class ReturnBody(Body):
    """Sessions of a redemption to return."""

    quantity: Quantity | None = field(
        "Sessions to return; null or left out: all that the redemption still has.", 1, default=None
    )


class RedemptionQuery(PageQuery):
    """The redemptions to list."""

    idempotency_key: Key | None = parameter(
        "The redemption made with this key, or whose return was made with it.", "booking-77", default=None
    )

    class_reference: _Reference | None = parameter("Those for this class.", "class-88", default=None)


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
    draws: list[Draw] = field("The grants they came from, the soonest to expire first.", [])
    occurred_at: datetime = field("When it happened.", TIME)
    recorded_at: datetime = field("When it was recorded.", TIME)
    club_id: int | None = field("The club where it was.", 1)
    class_reference: str | None = field("The class as the scheduler calls it.", "class-88")
    class_name: str | None = field("The class in words.", "Pilates")
    trainer: str | None = field("Who taught it.", "Kim")
    note: str | None = field("Anything else.", None)
    idempotency_key: str = field("The key that it was made with.", "booking-77")


class Return(Answer):
    """Sessions of a redemption that went back to the grants they came from."""

    id: int = id_of("return")
    redemption_id: int = id_of("redemption that it undoes")
    quantity: int = field("Sessions returned.", 1)
    draws: list[Draw] = field("The grants they went back to.", [])
    occurred_at: datetime = field("When it happened.", TIME)
    idempotency_key: str = field("The key that it was made with.", "booking-77-cancelled")


class RedemptionWithReturns(Redemption):
    """Sessions that a member has spent, with their returns since."""

    item: str = field("The item's name.", "Spin")
    returned: int = field("Sessions that were returned since.", 0)
    returns: list[Return] = field("The returns, the oldest first.", [])


class Redemptions(Listing[RedemptionWithReturns]):
    """Redemptions, the newest first."""


@act("/redemptions", TAG, "/redemptions/{id}", Role.DESK)
def redeem(header: KeyHeader, body: RedemptionBody) -> Redemption:
    """Redeem sessions of a member, the soonest to expire first."""
    now = datetime.now(UTC)
    asked = {"member_id": body.member_id, "item_id": body.item_id}
    with why_not.explained(database(), **asked, now=now, at=body.occurred_at, club_id=body.club_id):
        done = ledger.redeem(
            database(), **asked, quantity=body.quantity, key=header.key, by=actor(), now=now,
            occasion=body.occasion, back=may_go_back(is_manager=is_manager()),
            override_reason=body.override_reason,
        )  # fmt: skip
    return Redemption.of(_spent(done), draws=done.draws)


@read("/redemptions", TAG)
def list_redemptions(query: RedemptionQuery) -> Redemptions:
    """List redemptions, or find one by its idempotency key."""
    rows = select(Spent).where(theirs.only(theirs.redemption("redemptions.id"), club_ids()))
    if query.idempotency_key is not None:
        rows = rows.where(Spent.id == ledger.id_made_with(query.idempotency_key))
    if query.class_reference is not None:
        rows = rows.where(Spent.class_reference == query.class_reference)
    return _page(rows, query)


@read("/members/<id:member_id>/redemptions", TAG)
def list_redemptions_of_member(member: Member, query: PageQuery) -> Redemptions:
    """List a member's redemptions, the newest first."""
    return _page(select(Spent).where(Spent.member_id.in_(with_merged(database(), member.id))), query)


@read("/redemptions/<id:redemption_id>", TAG)
def get_redemption(redemption: Spent) -> RedemptionWithReturns:
    """Get a redemption and its returns."""
    if redemption.undoes is not None:
        raise NotFound(what="redemption", name=redemption.id)
    return _with_returns([redemption])[0]


@act("/redemptions/<id:redemption_id>/returns", TAG, "/redemptions/{redemption_id}", Role.DESK)
def give_back(redemption_id: int, header: KeyHeader, body: ReturnBody) -> Return:
    """Return sessions of a redemption to the grants they came from."""
    now = datetime.now(UTC)
    done = ledger.give_back(
        database(), redemption_id=redemption_id, key=header.key, by=actor(), now=now, quantity=body.quantity
    )
    return Return.of(_spent(done), redemption_id=redemption_id, draws=done.draws)


def _spent(done: ledger.Answer) -> Spent:
    """The redemption or return; one that an earlier request made has that request's time."""
    mark_replayed(done.repeated)
    return database().get_one(Spent, done.redemption_id)


def _page(rows: Select[Spent], query: PageQuery) -> Redemptions:
    found, following = paging.page(rows.where(Spent.undoes.is_(None)), Spent.id, query, newest=True)
    return Redemptions(data=_with_returns(found), next_cursor=following)


def _with_returns(redemptions: Sequence[Spent]) -> list[RedemptionWithReturns]:
    """The redemptions as answers; a fixed number of statements for all."""
    ids = [one.id for one in redemptions]
    undone = select(Spent).where(Spent.undoes.in_(ids)).order_by(Spent.id)
    returns: dict[int | None, list[Spent]] = defaultdict(list)
    for one in database().scalars(undone):
        returns[one.undoes].append(one)
        ids.append(one.id)
    draws = _draws(ids)
    items = dict(
        database().execute(select(Item.id, Item.name).where(Item.id.in_({one.item_id for one in redemptions}))).all()
    )
    shown = []
    for one in redemptions:
        back = [Return.of(undo, redemption_id=one.id, draws=draws[undo.id]) for undo in returns[one.id]]
        more = {"item": items[one.item_id], "returned": sum(undo.quantity for undo in back), "returns": back}
        shown.append(RedemptionWithReturns.of(one, draws=draws[one.id], **more))
    return shown


def _draws(ids: list[int]) -> dict[int, list[Draw]]:
    """The movements of each of these redemptions and returns."""
    moved = select(LedgerEntry.redemption_id, LedgerEntry.grant_id, func.abs(LedgerEntry.quantity))
    moved = moved.where(LedgerEntry.redemption_id.in_(ids)).order_by(LedgerEntry.id)
    draws: dict[int, list[Draw]] = defaultdict(list)
    for of, grant_id, quantity in database().execute(moved):
        draws[of].append(Draw(grant_id=grant_id, quantity=quantity))
    return draws
