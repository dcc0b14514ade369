"""Plan changes: of one membership, or of all that are not on the current terms of an offer; with a preview of each."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from console.api.fields import REASON, TIME, Answer, Body, Day, Expected, Id, Why, field, id_of, parameter
from console.api.fields import Query as Parameters
from console.api.gate import act, read
from console.api.memberships import TAG, Membership, named_plan, shown
from console.request import actor, database, utc_now
from console.rows import row
from models.catalogue.items import Item
from models.catalogue.tables import Offer, PaymentTerm
from models.errors import NotFound
from models.members import plan_change
from models.members.memberships import Membership as Bought
from models.members.plan_change import Moves
from models.staff.accounts import Role

_TERM = (
    "The payment term: on sale, of this or another offer. Without it, the current terms of the one that the membership "
    "has now."
)
_PICKS = "The session items that are picked; without it, those that the membership has."
_SINCE = (
    "The first local day on which payments count by it; today: those that were made today, too. Without it: from now "
    "on."
)
_ONLY = "Only memberships of this payment term; without it, all of the offer."


def _each(value: object) -> object:
    """The values of a repeated parameter; one that is given once is a list of one."""
    return value if isinstance(value, list) else [value]


Ids = Annotated[list[Id], Field(max_length=100)]


class PlanChangeQuery(Parameters):
    """The plan change to preview."""

    payment_term_id: Id | None = parameter(_TERM, 1, default=None)
    item_ids: Annotated[Ids, BeforeValidator(_each)] | None = parameter(
        f"{_PICKS} Repeat it for several: `item_ids=1&item_ids=2`.", None, default=None
    )
    since: Day | None = parameter(_SINCE, "2026-12-01", default=None)


class PlanChangeBody(Body):
    """Another payment term or other picks, or the current terms of the same payment term."""

    payment_term_id: Id | None = field(_TERM, 1, default=None)
    item_ids: Ids | None = field(_PICKS, [1, 2], default=None)
    since: Day | None = field(_SINCE, "2026-12-01", default=None)
    reason: Why = field(REASON, "Wants more classes")


class WithdrawalBody(Body):
    """The planned change to withdraw."""

    since: Day = field("The local day on which it would begin.", "2026-12-01")
    reason: Why = field(REASON, "She changed her mind")


class PlannedChange(Answer):
    """What a plan change would do. Nothing is changed yet."""

    membership_id: int = id_of("membership")
    offer_id: int = id_of("offer")
    offer: str = field("The offer's name.", "Gold")
    payment_term_id: int = id_of("payment term")
    payment_term: str = field("The payment term's name.", "Monthly")
    since: datetime = field("The payments from this moment on would count by it.", TIME)
    what: str = field(
        "What it changes, in the words of the console.",
        "From now on, each $89.00 monthly payment gives 10 Spin sessions (30 days) instead of 8.",
    )


class MovesQuery(Parameters):
    """The moves to the current terms to preview."""

    payment_term_id: Id | None = parameter(_ONLY, 1, default=None)
    since: Day | None = parameter(_SINCE, "2026-12-01", default=None)


class MovesBody(Body):
    """The memberships to move to the current terms of their payment terms."""

    payment_term_id: Id | None = field(_ONLY, 1, default=None)
    since: Day | None = field(_SINCE, "2026-12-01", default=None)
    expected: Expected = field("How many will be moved: the `count` of the preview.", 240)
    reason: Why = field(REASON, "New season")


class LeftOut(Answer):
    """A membership that cannot be moved as it is."""

    membership_id: int = id_of("membership")
    member_id: int = id_of("membership's member")
    why: str = field("The reason.", "The payment term 'Monthly' gives no sessions of 'Training'.")


class MovedMemberships(Answer):
    """The memberships of an offer that are moved to its current terms, and those that are left out."""

    offer_id: int = id_of("offer")
    since: date | None = field("The first local day on which payments count by it; null from now on.", "2026-12-01")
    count: int = field("How many are moved.", 240)
    membership_ids: list[int] = field("Those that are moved.", [1, 2])
    left_out: list[LeftOut] = field("Those that cannot be moved as they are. Change the plan of each by itself.", [])


@read("/memberships/<id:membership_id>/plan-changes/preview", TAG)
def preview_plan_change(membership: Bought, query: PlanChangeQuery) -> PlannedChange:
    """Preview a plan change in words: what the console shows before it is done."""
    now = utc_now()
    change = plan_change.preview(membership, **_wish(membership, query, now), now=now)
    plan = named_plan(change.term)
    return PlannedChange.of(membership_id=membership.id, **plan, since=change.start, what=change.words)


@act("/memberships/<id:membership_id>/plan-changes", TAG, "/memberships/{id}", Role.MANAGER)
def change_plan(membership: Bought, body: PlanChangeBody) -> Membership:
    """Change the plan of a membership from a day on: its payment term, its picks, or both.

    Payments made before that day keep their terms. A later change for the same day replaces it.
    """
    now = utc_now()
    wish = _wish(membership, body, now)
    plan_change.change_plan(database(), membership, **wish, reason=body.reason, by=actor(), now=now)
    return shown(membership)


@act("/memberships/<id:membership_id>/plan-changes/withdrawals", TAG, "/memberships/{id}", Role.MANAGER)
def withdraw_plan_change(membership: Bought, body: WithdrawalBody) -> Membership:
    """Withdraw a plan change that is planned for a later day: the terms before it go on."""
    plan_change.withdraw(database(), membership, since=body.since, reason=body.reason, by=actor(), now=utc_now())
    return shown(membership)


def _wish(membership: Bought, asked: PlanChangeQuery | PlanChangeBody, now: datetime) -> dict[str, Any]:
    """The payment term, the first day and the picks that are asked for."""
    term = membership.plan_at(now) if asked.payment_term_id is None else row(PaymentTerm, asked.payment_term_id)
    picks = None if asked.item_ids is None else [row(Item, item_id, field="item_ids") for item_id in asked.item_ids]
    return {"term": term, "since": asked.since, "picks": picks}


@read("/offers/<id:offer_id>/plan-changes/preview", TAG)
def preview_moves(offer: Offer, query: MovesQuery) -> MovedMemberships:
    """Preview the move of an offer's memberships to its current terms: how many, which, and who is left out."""
    found = plan_change.moves(database(), _terms(offer, query.payment_term_id), since=query.since, now=utc_now())
    return _moved(offer, query.since, found)


@act("/offers/<id:offer_id>/plan-changes", TAG, "/offers/{offer_id}", Role.MANAGER)
def move_memberships(offer: Offer, body: MovesBody) -> MovedMemberships:
    """Move all memberships whose terms differ from those that the offer has now, with the items that they picked.

    If they are not as many as `expected`, nothing changes. Payments made before the day keep their terms.
    """
    found = plan_change.move_all(
        database(),
        _terms(offer, body.payment_term_id),
        since=body.since,
        expected=body.expected,
        reason=body.reason,
        by=actor(),
        now=utc_now(),
    )
    return _moved(offer, body.since, found)


def _terms(offer: Offer, wanted: int | None) -> list[PaymentTerm]:
    """The offer's payment terms, or the one with that id. Raises NotFound."""
    found = [term for term in offer.terms if wanted in (None, term.id)]
    if wanted is not None and not found:
        raise NotFound(field="payment_term_id", what="payment term", name=wanted)
    return found


def _moved(offer: Offer, since: date | None, found: Moves) -> MovedMemberships:
    ids = [change.membership.id for change in found.changes]
    left = [LeftOut(membership_id=one.id, member_id=one.member_id, why=str(why)) for one, why in found.left_out]
    return MovedMemberships(offer_id=offer.id, since=since, count=len(ids), membership_ids=ids, left_out=left)
