"""Reviews: the payments that staff must look at, how they are answered, and what is marked as not dues."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime

from flask import current_app
from flask_openapi3 import Tag

from console import payers
from console.api.fields import REASON, TIME, Answer, Body, Expected, Id, Sought, Text, Why, field, id_of, parameter
from console.api.fields import Query as Parameters
from console.api.gate import act, read, remove
from console.api.life import Moves
from console.api.memberships import EndpointName
from console.api.paging import Listing, PageQuery, wrong_cursor
from console.api.payments import PaidFor
from console.bounds import club_ids
from console.request import actor, database, late_credit
from models.errors import NotFound
from models.payments import not_dues, reviewing
from models.payments.reviewing import InReview, Place
from models.payments.reviews import ReviewReason
from models.staff.accounts import Role
from models.staff.actions import Action

TAG = Tag(name="Review", description="Payments that staff must look at, and what is not dues.")


class CountsQuery(Parameters):
    """The payments in review to count."""

    endpoint: Sought | None = parameter("Payments received by this endpoint.", "stripe", default=None)
    member_id: Id | None = parameter("Payments for this member's memberships.", 1, default=None)


class ReviewQuery(PageQuery, CountsQuery):
    """The payments in review to list."""

    reason: ReviewReason | None = parameter("Payments that are there for this reason.", "unmatched", default=None)

    def after(self) -> Place | None:
        """The place in the cursor. Raises InvalidRequest for another list's cursor."""
        if self.cursor is None:
            return None
        try:
            kind, _, text = urlsafe_b64decode(self.cursor + "==").decode("ascii").partition(" ")
        except ValueError:
            raise wrong_cursor() from None
        place = Place.read(text) if kind == "reviews" else None
        if place is None:
            raise wrong_cursor()
        return place


class Reason(Answer):
    """Why a payment is in review."""

    reason: ReviewReason = field("The kind of reason.", "part")
    what: str = field("The reason in one sentence.", "$9.00 for 10% of what dues of $90.00 pay for")


class Credited(Answer):
    """Sessions of an item that a payment gave, without those taken back."""

    membership_id: int = id_of("membership that got them")
    item_id: int = id_of("item")
    item: str = field("The item's name.", "Spin")
    quantity: int = field("Sessions.", 1)


class Payer(Answer):
    """Who paid, as the processor says it. Card numbers are masked."""

    name: str | None = field("The name.", "Ada Lovelace")
    email: str | None = field("The e-mail address.", "ada@example.com")
    description: str | None = field("What the payment was for.", "Gold, monthly")


class Review(Answer):
    """A payment in review."""

    payment_id: int = id_of("payment")
    endpoint: str = field("The endpoint that received it.", "stripe")
    reference: str = field("The processor's id.", "in_1Qx7")
    amount_minor: int = field("The amount paid, in minor units.", 900)
    currency: str = field("ISO 4217.", "USD")
    paid_at: datetime = field("When it was paid, by the processor's clock.", TIME)
    since: datetime = field("Since when it has been in review.", TIME)
    reasons: list[Reason] = field("Every reason that nobody has answered.", [])
    billing_references: list[str] = field("The references by which what is unmatched of it finds its membership.", [])
    membership_id: int | None = field("The membership it pays for, the first of several; null while it is nobody's.", 1)
    member_id: int | None = field("That membership's member.", 1)
    memberships: list[PaidFor] = field("Every membership it pays for.", [])
    credited: list[Credited] = field("The sessions that it gave.", [])
    payer: Payer = field("Who paid.", {"name": "Ada Lovelace", "email": None, "description": None})


class Reviews(Listing[Review]):
    """Payments in review, the longest waiting first."""


class ReasonCount(Answer):
    """How many payments are in review for one reason."""

    reason: ReviewReason = field("The kind of reason.", "part")
    payments: int = field("The payments that have it; a payment can have several reasons.", 12)


class ReviewCounts(Answer):
    """How many payments are in review."""

    payments: int = field("All of them.", 15)
    reasons: list[ReasonCount] = field("By reason, the most frequent first.", [])


class AcceptanceBody(Body):
    """Why a payment is right as it is."""

    reason: Why = field("The reason, kept in the action log.", "A trial of ten days.")


class Acceptance(Answer):
    """A payment that was taken off the review as it is."""

    payment_id: int = id_of("payment")
    reason: str = field("The reason.", "A trial of ten days.")


class KindAcceptanceBody(Body):
    """Why all payments in review for one reason are right as they are."""

    kind: ReviewReason = field("The kind of reason for which they are in review.", "part")
    endpoint: EndpointName | None = field("Only those of this endpoint.", "stripe", default=None)
    expected: Expected = field("How many there are: the number in `GET /reviews/counts`.", 12)
    reason: Why = field(REASON, "Trial months.")


class KindAcceptance(Answer):
    """One reason that was accepted for all payments that had it."""

    kind: ReviewReason = field("The kind of reason.", "part")
    accepted: int = field("How many payments.", 12)
    reason: str = field("Why.", "Trial months.")


class NotDuesQuery(Parameters):
    """What would be marked."""

    endpoint: Sought = parameter("The webhook endpoint.", "stripe")
    reference: Sought = parameter("The processor's id of an item, price, product or subscription.", "prod_x1")


class NotDuesBody(Body):
    """What is not dues."""

    endpoint: EndpointName
    reference: Text = field("The processor's id of an item, price, product or subscription.", "prod_x1", max_length=255)
    reason: Why = field("The reason, kept in the action log.", "Rent of a locker.")


class NotDues(Answer):
    """A mark: payments and lines that name the reference give no sessions, and need no review."""

    id: int = id_of("mark")
    endpoint: str = field("The webhook endpoint.", "stripe")
    reference: str = field("The processor's id of an item, price, product or subscription.", "prod_x1")
    marked_by: str = field("Who marked it.", "manager@example.com")
    reason: str | None = field("The reason.", "Rent of a locker.")
    recorded_at: datetime = field("When it was marked.", TIME)


class NotDuesPreview(Answer):
    """What a mark would do to payments that were made. Nothing is changed yet."""

    payments: int = field("Payments that name the reference; 0: nobody was ever billed by it.", 12)
    members: int = field("Members who have sessions of them.", 3)
    waiting: int = field("Payments that workers would settle after it, because they are too many for one request.", 0)
    moves: list[Moves] = field("The grants that it would move.", [], validation_alias="moved")
    what: str = field(
        "The same in the words of the console.",
        "12 payments of 3 members are judged again: 36 sessions are taken back.",
        validation_alias="words",
    )


class EveryNotDues(Listing[NotDues]):
    """All marks, by endpoint and reference, on one page."""


class UnmarkQuery(Parameters):
    """Why a mark is taken back."""

    reason: Why = parameter("The reason, kept in the action log.", "It was dues after all.")


@read("/reviews", TAG)
def list_reviews(query: ReviewQuery) -> Reviews:
    """List the payments in review."""
    found = reviewing.page(
        database(),
        limit=query.limit + 1,
        reason=query.reason,
        endpoint=query.endpoint,
        member_id=query.member_id,
        after=query.after(),
        club_ids=club_ids(),
    )
    page = found[: query.limit]
    who = payers.of_payments(database(), current_app.config["SPP"].endpoints, [one.payment_id for one in page])
    cursor = urlsafe_b64encode(f"reviews {page[-1].place}".encode()).decode() if len(found) > query.limit else None
    rows = [_shown(one, who.get(one.payment_id, payers.NOBODY)) for one in page]
    return Reviews(data=rows, next_cursor=cursor and cursor.rstrip("="))


@read("/reviews/counts", TAG)
def count_reviews(query: CountsQuery) -> ReviewCounts:
    """Count the payments in review, all of them and by reason."""
    counts = reviewing.counts(database(), query.endpoint, query.member_id, club_ids())
    reasons = [ReasonCount(reason=reason, payments=number) for reason, number in counts.by_reason.items()]
    return ReviewCounts(payments=counts.payments, reasons=reasons)


def _shown(one: InReview, payer: tuple[str | None, ...]) -> Review:
    return Review.of(
        one,
        *one.memberships[:1],
        reference=one.payment,
        billing_references=one.waits_for,
        reasons=[Reason(reason=reason, what=what) for reason, what in one.reasons],
        payer=payer,
    )


@act("/payments/<id:payment_id>/acceptances", TAG, "/payments/{payment_id}", Role.MANAGER, Role.OPERATOR)
def accept_payment(payment_id: int, body: AcceptanceBody) -> Acceptance:
    """Accept a payment in review as it is.

    It leaves the review, and comes back if anything about it changes. An unmatched payment still settles when a
    membership gets its billing reference.
    """
    reviewing.accept(database(), payment_id, reason=body.reason, by=actor())
    return Acceptance(payment_id=payment_id, reason=body.reason)


@act("/reviews/acceptances", TAG, "/reviews?reason={kind}", Role.MANAGER, Role.OPERATOR)
def accept_payments(body: KindAcceptanceBody) -> KindAcceptance:
    """Accept one reason for all payments that are in review for it.

    They leave the review unless they have other reasons too. If they are not as many as `expected`, nothing changes.
    """
    accepted = reviewing.accept_all(
        database(), body.kind, expected=body.expected, reason=body.reason, by=actor(), endpoint=body.endpoint,
        club_ids=club_ids(),
    )  # fmt: skip
    return KindAcceptance(kind=body.kind, accepted=accepted, reason=body.reason)


@read("/not-dues", TAG)
def list_not_dues() -> EveryNotDues:
    """List what is marked as not dues."""
    return EveryNotDues(data=[_mark(one) for one in not_dues.every(database())], next_cursor=None)


@read("/not-dues/<id:mark_id>", TAG)
def get_not_dues(mark_id: int) -> NotDues:
    """Get a mark."""
    return _mark(not_dues.find(database(), mark_id))


@read("/not-dues/preview", TAG)
def preview_not_dues(query: NotDuesQuery) -> NotDuesPreview:
    """Preview a mark: how many payments name the reference, and the sessions that it would take back."""

    def mark() -> list[int]:
        return not_dues.mark(database(), query.endpoint, query.reference, reason="preview", by=actor())

    now = datetime.now(UTC)
    found = not_dues.effect(database(), mark, preview=True, now=now, late_credit=late_credit())
    return NotDuesPreview.model_validate(found)


@act("/not-dues", TAG, "/not-dues/{id}", Role.MANAGER)
def mark_not_dues(body: NotDuesBody) -> NotDues:
    """Mark an item, price, product or subscription as not dues.

    What was paid before is judged again soon after: sessions that were given for it are taken back.
    """
    if current_app.config["SPP"].endpoint(body.endpoint) is None:
        raise NotFound(field="endpoint", what="endpoint", name=body.endpoint)
    not_dues.mark(database(), body.endpoint, body.reference, reason=body.reason, by=actor())
    return _mark(not_dues.marked(database(), body.endpoint, body.reference))


@remove("/not-dues/<id:mark_id>", TAG, Role.MANAGER)
def unmark_not_dues(mark_id: int, query: UnmarkQuery) -> None:
    """Take a mark back: payments with the reference are dues again."""
    mark = not_dues.find(database(), mark_id)
    not_dues.unmark(database(), mark.endpoint, mark.reference, reason=query.reason, by=actor())


def _mark(one: not_dues.NotDues) -> NotDues:
    marked = database().get_one(Action, one.action_id)
    return NotDues.of(one, id=one.action_id, marked_by=marked.actor, reason=marked.reason)
