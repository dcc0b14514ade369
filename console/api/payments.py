"""Payments: the facts about each, its state, and the sessions it gave."""

from datetime import datetime
from typing import Any, Literal

from flask_openapi3 import Tag

from console.api import paging
from console.api.fields import TIME, Answer, Sought, field, id_of, parameter
from console.api.gate import read
from console.api.paging import Listing, PageQuery
from console.bounds import club_ids
from console.request import database
from models.catalogue.days import Period
from models.errors import NotFound
from models.members.memberships import Member, Membership
from models.payments.facts import Fact, KnownFact, Paid
from models.payments.recorded import FACTS_PER_EVENT, KIND_OF, FactKind
from models.payments.references import Payment as Row
from models.payments.references import PaymentState
from models.staff import theirs
from models.statements import paid_for, payment_story
from models.statements.payment_story import Condition, PaymentStory

TAG = Tag(name="Payments", description="Members' dues as their processors report them, and the sessions each gave.")


class PaymentQuery(PageQuery):
    """The payments to list."""

    endpoint: Sought | None = parameter("Payments received by this endpoint.", "stripe", default=None)
    reference: Sought | None = parameter("The payment with this id of the processor's.", "in_1Qx7", default=None)
    state: Literal["unmatched", "settled", "not_dues", "freeze_fee", "before_cut_over", "held"] | None = parameter(
        "Payments in this state. `heard_of` cannot be asked for: find such a payment by its reference.",
        "unmatched",
        default=None,
    )


class GivenSessions(Answer):
    """Sessions of an item that a payment gave."""

    item_id: int = id_of("item")
    item: str = field("The item's name.", "Spin")
    membership_id: int = id_of("membership that got them")
    quantity: int = field("Sessions given.", 8)
    reversed: int = field("Those of them that were reversed because the payment was.", 0)
    tranches: int = field("In how many parts, each usable from a day of its own: see the member's grants.", 1)


class CoveredPeriod(Answer):
    """The period that a payment or a line pays for."""

    start: datetime = field("Its beginning.", TIME)
    end: datetime = field("The moment before which it ends.", "2026-04-01T15:04:05Z")


class PaymentLine(Answer):
    """One line of what was billed."""

    id: str | None = field("The id by which a refund names it.", "il_1")
    references: list[str] = field("The subscription, item, price and product that it is for.", ["sub_8Hx2"])
    amount_minor: int = field("Before discounts, in minor units; negative where unused time is given back.", 8900)
    quantity: int = field("How many of it.", 1)
    proration: bool = field("Whether it is for a part of the period that its price is for.", False)
    covers: CoveredPeriod | None = field("The period that it pays for.", None)


class PaidFor(Answer):
    """A membership that a payment is for."""

    membership_id: int = id_of("membership")
    member_id: int = id_of("membership's member")


class Payment(Answer):
    """A payment of dues."""

    id: int = id_of("payment")
    endpoint: str = field("The endpoint that received it.", "stripe")
    reference: str = field("The processor's id.", "in_1Qx7")
    references: list[str] = field("All its ids at the processor.", ["in_1Qx7", "pi_3Mt"])
    state: PaymentState = field(
        "Its sessions are credited (`settled`), no membership has its billing reference yet (`unmatched`), it "
        "contradicts its membership (`held`: `problem` says how), all of it is marked as not dues (`not_dues`), it is "
        "the fee of a freeze (`freeze_fee`), it was paid before the cut-over of its membership (`before_cut_over`), or "
        "no event says yet that it was paid (`heard_of`). `GET /reviews` lists those that staff must look at.",
        "settled",
    )
    problem: str | None = field("The reason why it is held.", None)
    amount_minor: int | None = field(
        "The amount paid, in minor units; null until an event says that it was paid.", 8900
    )
    currency: str | None = field("ISO 4217.", "USD")
    paid_at: datetime | None = field("When it was paid, by the processor's clock.", TIME)
    settled_minor: int | None = field("The amount paid and what was taken from the payer's own balance.", 8900)
    due_minor: int | None = field("The dues before discounts, where the processor tells them apart; or null.", None)
    covers: CoveredPeriod | None = field("The period it pays for, where the processor says it.", None)
    lines: list[PaymentLine] = field("What was billed, line by line, where the processor says it.", [])
    reversed_minor: int = field("The part of it that was refunded, disputed or failed after all.", 0)
    membership_id: int | None = field("The membership it pays for; the first of several.", 1)
    member_id: int | None = field("That membership's member.", 1)
    memberships: list[PaidFor] = field("Every membership it pays for.", [])
    billing_references: list[str] = field("The billing references that an unmatched payment carries.", [])
    sessions: list[GivenSessions] = field("The sessions it gave.", [])
    recorded_at: datetime = field("When its first event was recorded.", TIME)


class FactFields(Answer):
    """The fields of a fact, in a payment and in an event."""

    kind: FactKind = field("The kind of fact.", "paid")
    cause: str | None = field("The id of the refund or dispute; of a fact of the kind `claimed`, the code.", None)
    amount_minor: int | None = field("In minor units; null for the whole amount, or if there is none.", 8900)
    currency: str | None = field("ISO 4217.", "USD")
    occurred_at: datetime = field("When it happened, by the processor's clock.", TIME)
    what: str | None = field("What staff should look at, of a fact of the kind `noted`.", None)


class PaymentFact(FactFields):
    """One fact about a payment, from an event."""

    event_id: int = id_of("event")
    reference: str = field("The payment's id in that event.", "in_1Qx7")


class PaymentWithFacts(Payment):
    """A payment of dues with all facts about it."""

    facts: list[PaymentFact] = field("The facts in the order in which they arrived.", [])


class Payments(Listing[Payment]):
    """Payments, the newest first."""


@read("/payments", TAG)
def list_payments(query: PaymentQuery) -> Payments:
    """List payments, or find one by the processor's id."""
    wanted: list[Condition] = [
        column == value for column, value in ((Row.state, query.state), (Row.endpoint, query.endpoint)) if value
    ]
    if query.reference is not None:
        wanted.append(payment_story.named(query.reference))
    if (clubs := club_ids()) is not None:
        wanted.append(theirs.only(theirs.payment("payments.id"), clubs))
    return _page(query, *wanted)


@read("/members/<id:member_id>/payments", TAG)
def list_payments_of_member(member: Member, query: PageQuery) -> Payments:
    """List the payments for a member's memberships, the newest first."""
    return _page(query, paid_for.of_member(database(), member.id))


@read("/memberships/<id:membership_id>/payments", TAG)
def list_payments_of_membership(membership: Membership, query: PageQuery) -> Payments:
    """List the payments for a membership, the newest first."""
    return _page(query, paid_for.is_for(database(), [membership.id]))


@read("/payments/<id:payment_id>", TAG)
def get_payment(payment_id: int) -> PaymentWithFacts:
    """Get a payment and all facts about it."""
    story = payment_story.story(database(), payment_id)
    if story is None:
        raise NotFound(what="payment", name=payment_id)
    return PaymentWithFacts(**dict(_shown(story)), facts=[_fact(known) for known in story.facts])


def _page(query: PageQuery, *wanted: Condition) -> Payments:
    found = payment_story.page(database(), *wanted, limit=query.limit, before=query.last_seen("payments"))
    rows = [_shown(story) for story in found.payments]
    return Payments(data=rows, next_cursor=paging.cursor("payments", found.older))


def _shown(story: PaymentStory) -> Payment:
    root, paid = story.root, story.paid
    reference, paid_at = (paid.payment, paid.occurred_at) if paid else (root.reference, None)
    waits_for = root.billing_references or []
    more = {"reference": reference, "paid_at": paid_at, "billing_references": waits_for, "sessions": story.gave}
    shape = _shape(paid) if paid else {"lines": []}
    return Payment.of(root, story, paid, **more, **shape)


def _shape(paid: Paid) -> dict[str, Any]:
    lines = [PaymentLine.of(line, id=line.id or None, covers=_period(line.covers)) for line in paid.lines]
    return {"settled_minor": paid.settled, "covers": _period(paid.covers), "lines": lines}


def _period(covers: Period | None) -> CoveredPeriod | None:
    return CoveredPeriod(start=covers[0], end=covers[1]) if covers else None


def _fact(known: KnownFact[Fact]) -> PaymentFact:
    event_id, fact = known.id // FACTS_PER_EVENT, known.fact
    return PaymentFact.of(fact, event_id=event_id, kind=KIND_OF[type(fact)], reference=fact.payment)
