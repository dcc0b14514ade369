"""Payments: what was told of each, where it stands, and what it gave."""

from datetime import datetime
from typing import Literal

from flask_openapi3 import Tag
from sqlalchemy import ColumnElement

from console.api import paging
from console.api.fields import TIME, Answer, Sought, field, id_of, parameter
from console.api.gate import read
from console.api.paging import Listing, PageQuery
from console.request import database
from models.errors import NotFound
from models.members.memberships import Member, Membership
from models.payments.facts import FACTS_PER_EVENT, KIND_OF, Fact, FactKind, KnownFact
from models.payments.references import Payment as Row
from models.payments.references import PaymentState
from models.statements import payment_story
from models.statements.payment_story import PaymentStory

TAG = Tag(name="Payments", description="Members' dues as their processors told of them, and what each gave.")


class PaymentQuery(PageQuery):
    """Which payments."""

    endpoint: Sought | None = parameter("That the endpoint told of.", "stripe", default=None)
    reference: Sought | None = parameter("That the processor calls so.", "in_1Qx7", default=None)
    state: Literal["unmatched", "settled", "held"] | None = parameter("Only those.", "unmatched", default=None)


class GivenSessions(Answer):
    """Sessions of an item that a payment gave."""

    item_id: int = id_of("item")
    item: str = field("The item's name.", "Spin")
    quantity: int = field("Sessions given.", 8)
    reversed: int = field("Those of them that were reversed, because money went back.", 0)


class Payment(Answer):
    """A payment of dues."""

    id: int = id_of("payment")
    endpoint: str = field("The endpoint that told of it.", "stripe")
    reference: str = field("The processor's id.", "in_1Qx7")
    references: list[str] = field("All that the processor calls it.", ["in_1Qx7", "pi_3Mt"])
    state: PaymentState = field(
        "Whether its sessions are credited as it says (`settled`), no membership has its billing reference yet "
        "(`unmatched`), what was told contradicts itself or the membership (`held`: `problem` says how), or it was "
        "not told to be paid yet (`heard_of`).",
        "settled",
    )
    problem: str | None = field("What is wrong with it.", None)
    amount_minor: int | None = field("What was paid, in minor units; null while it was not told to be.", 8900)
    currency: str | None = field("ISO 4217.", "USD")
    paid_at: datetime | None = field("When it was paid, by the processor's clock.", TIME)
    reversed_minor: int = field("How much of that went back, as told: refunded, disputed or failed after all.", 0)
    membership_id: int | None = field("The membership that it is for.", 1)
    member_id: int | None = field("That membership's member.", 1)
    billing_references: list[str] = field("By which an unmatched payment would be found.", [])
    sessions: list[GivenSessions] = field("What it gave.", [])
    recorded_at: datetime = field("When it was first heard of.", TIME)


class PaymentFact(Answer):
    """One thing that an event told of a payment."""

    event_id: int = id_of("event")
    kind: FactKind = field("What it means.", "paid")
    reference: str = field("By which of its names.", "in_1Qx7")
    occurred_at: datetime = field("When it happened, by the processor's clock.", TIME)
    cause: str | None = field("The refund or dispute that it is about.", None)
    amount_minor: int | None = field("In minor units; null is the whole amount, or none.", 8900)
    currency: str | None = field("ISO 4217.", "USD")


class PaymentWithFacts(Payment):
    """A payment of dues, and all that was told of it."""

    facts: list[PaymentFact] = field("In the order in which they came.", [])


class Payments(Listing[Payment]):
    """Payments, the last heard of first."""


@read("/payments", TAG)
def list_payments(query: PaymentQuery) -> Payments:
    """List payments, or find one by the processor's id."""
    wanted = [column == value for column, value in ((Row.state, query.state), (Row.endpoint, query.endpoint)) if value]
    if query.reference is not None:
        wanted.append(payment_story.named(query.reference))
    return _page(query, *wanted)


@read("/members/<id:member_id>/payments", TAG)
def list_payments_of_member(member: Member, query: PageQuery) -> Payments:
    """List the payments for a member's memberships, the newest first."""
    return _page(query, payment_story.of_member(database(), member.id))


@read("/memberships/<id:membership_id>/payments", TAG)
def list_payments_of_membership(membership: Membership, query: PageQuery) -> Payments:
    """List the payments for a membership, the newest first."""
    return _page(query, Row.membership_id == membership.id)


@read("/payments/<id:payment_id>", TAG)
def get_payment(payment_id: int) -> PaymentWithFacts:
    """Get a payment and all facts about it."""
    story = payment_story.story(database(), payment_id)
    if story is None:
        raise NotFound(what="payment", name=payment_id)
    return PaymentWithFacts(**dict(_shown(story)), facts=[_fact(known) for known in story.facts])


def _page(query: PageQuery, *wanted: ColumnElement[bool]) -> Payments:
    found = payment_story.page(database(), *wanted, limit=query.limit, before=query.last_seen("payments"))
    rows = [_shown(story) for story in found.payments]
    return Payments(data=rows, next_cursor=paging.cursor("payments", found.older))


def _shown(story: PaymentStory) -> Payment:
    root, paid = story.root, story.paid
    reference, paid_at = (paid.payment, paid.occurred_at) if paid else (root.reference, None)
    waits_for = root.billing_references or []
    more = {"reference": reference, "paid_at": paid_at, "billing_references": waits_for, "sessions": story.gave}
    return Payment.of(root, story, paid, **more)


def _fact(known: KnownFact[Fact]) -> PaymentFact:
    event_id, fact = known.id // FACTS_PER_EVENT, known.fact
    return PaymentFact.of(fact, event_id=event_id, kind=KIND_OF[type(fact)], reference=fact.payment)
