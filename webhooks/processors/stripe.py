"""Stripe: dues are subscription invoices.

Credits on `invoice.paid`, keyed by the invoice. Before API version 2025-03-31
("Basil") an invoice names its payment intent and charge; from then on the link is
told by `invoice_payment.paid`. Refunds and disputes name only a charge and a payment
intent, and may arrive before the link: it is kept and joined whenever it comes.

Sources: docs.stripe.com/api (events/types, invoices, invoice-payment, refunds,
disputes), docs.stripe.com/changelog/basil.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from models.facts import Fact, Linked, Paid, Restored, Reversed
from webhooks import signatures
from webhooks.processors import Delivery, Ignored, Processor, Split, Unusable, strict
from webhooks.signatures import Headers, Verdict

Object = dict[str, Any]

DUES = {"subscription_create", "subscription_cycle"}
"""Billing reasons of invoices that are dues; all others are fees, add-ons and prorations."""


class Stripe(Processor):
    """Stripe, or one connected account of it."""

    dedupe = "the event's id (evt_...)"
    answer_within_s = 20

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """Source: docs.stripe.com/webhooks, "Verify webhook signatures manually"."""
        return signatures.stripe(body, headers, self.endpoint.keys, now)

    def split(self, body: bytes, headers: Headers) -> list[Split]:
        """Stripe delivers one event at a time, under an id of its own."""
        return [strict.event(body, version="api_version")]

    def same_content(self, first: bytes, second: bytes) -> bool:
        """`pending_webhooks` counts down between redeliveries of one event; all else must be equal."""
        return strict.same(first, second, without="pending_webhooks")

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """The facts that the event tells. Raises Ignored or Unusable."""
        event = strict.loads(body)
        live, mode, account = event.get("livemode"), self.endpoint.mode, self.endpoint.account
        if live is not (mode == "live"):
            raise Unusable(f"livemode is {str(live)[:60]}, but the endpoint is in {mode} mode")
        theirs = strict.optional_name(event, "account")
        if theirs != account:
            raise Unusable(f"account is {theirs!r}, but the endpoint's is {account!r}")
        reading = _READINGS.get(type)
        if reading is None:
            raise Ignored(_WHY_IGNORED.get(type, f"{type} says nothing about dues"))
        told_at = strict.unix_time(event, "created")
        return reading(strict.mapping(strict.mapping(event, "data"), "object"), told_at)

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Signed with the first of the endpoint's secrets."""
        return Delivery(body, signatures.sign_stripe(body, self.endpoint.keys[0], timestamp))


def _invoice_paid(invoice: Object, told_at: datetime) -> list[Fact]:
    reason = invoice.get("billing_reason")
    if not isinstance(reason, str) or reason not in DUES:
        raise Ignored(f"billing_reason {str(reason)[:60]} is not dues")
    amount = strict.minor_units(invoice, "amount_paid")
    if amount == 0:
        raise Ignored("zero-amount invoice: nothing was paid")
    reference = strict.name(invoice, "id")
    transitions = strict.mapping(invoice, "status_transitions")
    paid_at = strict.unix_time(transitions, "paid_at") if transitions.get("paid_at") else told_at
    billing = (_subscription(invoice), strict.optional_name(invoice, "customer"))
    paid = Paid(
        reference,
        paid_at,
        amount,
        strict.currency(invoice, "currency"),
        tuple(filter(None, dict.fromkeys(billing))),
    )
    return [paid, *_links(reference, told_at, invoice, "payment_intent", "charge")]


def _subscription(invoice: Object) -> str | None:
    """Where the API's versions put it: Basil's parent, the invoice itself, or one of its lines."""
    details = strict.mapping(strict.mapping(invoice, "parent"), "subscription_details")
    found = strict.optional_name(details, "subscription") or strict.optional_name(invoice, "subscription")
    lines = strict.mapping(invoice, "lines").get("data")
    for line in lines if isinstance(lines, list) and not found else ():
        if isinstance(line, dict):
            item = strict.mapping(strict.mapping(line, "parent"), "subscription_item_details")
            found = found or strict.optional_name(item, "subscription") or strict.optional_name(line, "subscription")
    return found


def _invoice_payment_paid(invoice_payment: Object, told_at: datetime) -> list[Fact]:
    payment = strict.mapping(invoice_payment, "payment")
    links = _links(strict.name(invoice_payment, "invoice"), told_at, payment, "payment_intent", "charge")
    if not links:
        raise Ignored("paid outside Stripe: there is no payment intent to link")
    return links


def _refund(refund: Object, told_at: datetime) -> list[Fact]:
    status = str(refund.get("status"))
    reference, links = _payment(refund, told_at)
    # The charge makes the family: a running total of one charge says nothing of another's refunds.
    cause = f"refund of {strict.optional_name(refund, 'charge') or reference}:{strict.name(refund, 'id')}"
    amount, currency = strict.minor_units(refund, "amount"), strict.currency(refund, "currency")
    if status == "succeeded":
        return [Reversed(reference, strict.unix_time(refund, "created"), cause, amount, currency), *links]
    if status in {"failed", "canceled"}:
        return [Restored(reference, told_at, cause, amount, currency), *links]
    raise Ignored(f"the refund is {status[:60]}: no money went back yet")


def _charge_refunded(charge: Object, told_at: datetime) -> list[Fact]:
    amount = strict.minor_units(charge, "amount_refunded")
    reference = strict.name(charge, "id")
    total = Reversed(
        reference,
        told_at,
        f"refund of {reference}",
        amount,
        strict.currency(charge, "currency"),
        running_total=True,
    )
    return [total, *_links(reference, told_at, charge, "payment_intent", "invoice")]


def _dispute(restores: bool | None) -> Callable[[Object, datetime], list[Fact]]:
    def read(dispute: Object, told_at: datetime) -> list[Fact]:
        status = str(dispute.get("status"))
        if status.startswith("warning_"):
            raise Ignored("an inquiry: no money was withdrawn")
        won = restores if restores is not None else {"won": True, "lost": False}.get(status)
        if won is None:
            raise Ignored(f"the dispute closed as {status[:60]}: no money moved")
        reference, links = _payment(dispute, told_at)
        fact = Restored if won else Reversed
        amount, currency = strict.minor_units(dispute, "amount"), strict.currency(dispute, "currency")
        return [fact(reference, told_at, f"dispute:{strict.name(dispute, 'id')}", amount, currency), *links]

    return read


def _payment(holder: Object, told_at: datetime) -> tuple[str, list[Fact]]:
    """The payment that a refund or dispute is about, with the link between its two names."""
    charge, intent = strict.optional_name(holder, "charge"), strict.optional_name(holder, "payment_intent")
    reference = intent or charge
    if reference is None:
        raise Unusable("names neither a charge nor a payment intent")
    return reference, _links(reference, told_at, holder, "charge") if intent else []


def _links(reference: str, told_at: datetime, holder: Object, *keys: str) -> list[Fact]:
    others = (strict.optional_name(holder, key) for key in keys)
    return [Linked(reference, told_at, other) for other in others if other]


_READINGS: dict[str, Callable[[Object, datetime], list[Fact]]] = {
    "invoice.paid": _invoice_paid,
    "invoice_payment.paid": _invoice_payment_paid,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.refund.updated": _refund,
    "charge.refunded": _charge_refunded,
    "charge.dispute.funds_withdrawn": _dispute(restores=False),
    "charge.dispute.funds_reinstated": _dispute(restores=True),
    "charge.dispute.closed": _dispute(restores=None),
}

_WHY_IGNORED = {
    "invoice.payment_succeeded": "the same money as invoice.paid, which credits",
    "payment_intent.succeeded": "the same money as invoice.paid, which credits",
    "charge.succeeded": "the same money as invoice.paid, which credits",
    "checkout.session.completed": "the same money as invoice.paid, which credits",
    "invoice.payment_failed": "a failed attempt: no money moved",
    "charge.failed": "a failed attempt: no money moved",
    "charge.dispute.created": "no money moved yet: charge.dispute.funds_withdrawn tells when it does",
    "charge.dispute.updated": "no money moved: funds_withdrawn and funds_reinstated tell when it does",
}
