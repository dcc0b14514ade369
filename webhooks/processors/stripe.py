"""Stripe: dues are subscription invoices.

Credits on `invoice.paid`, keyed by the invoice. Before API version 2025-03-31
("Basil") an invoice names its payment intent and charge; from then on the link is
told by `invoice_payment.paid`. Refunds and disputes name only a charge and a payment
intent, and may arrive before the link: it is kept and joined whenever it comes.

A bank debit that fails after it had succeeded (an ACH return) comes as a dispute.

The API lists events for 30 days, rendered in the account's version of the API, which
need not be the webhook endpoint's: one event told in two versions is held against
itself by what it means.

Sources: docs.stripe.com/api (events, events/list, events/types, invoices,
invoice-payment, refunds, disputes), docs.stripe.com/changelog/basil,
docs.stripe.com/payments/ach-direct-debit, docs.stripe.com/webhooks/versioning.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, ClassVar

from models.payments.facts import Fact, Linked, Paid, Restored, Reversed
from runtime.settings import SettingsError, api_key_variable
from webhooks import signatures
from webhooks.processors import Delivery, Ignored, ParsedEvent, Processor, Unavailable, Unusable, strict
from webhooks.signatures import Headers, Verdict

Object = dict[str, Any]

DUES = {"subscription_create", "subscription_cycle"}
"""Billing reasons of invoices that are dues; all others are fees, add-ons and prorations."""


class Stripe(Processor):
    """Stripe, or one connected account of it."""

    dedupe = "the event's id (evt_...)"
    answer_within_s = 20
    digits: ClassVar = {"ISK": 2, "MGA": 0, "UGX": 2}  # docs.stripe.com/currencies: zero-decimal, special cases
    options = frozenset({"api"})
    library = "stripe"
    api_key = "a secret or restricted key that may read events"
    horizon = timedelta(days=30)

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """Source: docs.stripe.com/webhooks, "Verify webhook signatures manually"."""
        return signatures.stripe(body, headers, self.endpoint.keys, now)

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """Stripe delivers one event at a time, under an id of its own."""
        return [strict.event(body, version="api_version")]

    def same_content(self, first: bytes, second: bytes) -> bool:
        """`pending_webhooks` counts down between redeliveries of one event; all else must be equal.

        Told in another version of the API, it must mean the same.
        """
        if strict.same(first, second, without="pending_webhooks"):
            return True
        one, other = (strict.event(body, version="api_version") for body in (first, second))
        if one.api_version == other.api_version or (one.event_id, one.type) != (other.event_id, other.type):
            return False
        try:
            return _agree(*(self._facts(one.type, body) for body in (first, second)))
        except Unusable:
            return False

    def _facts(self, type: str, body: bytes) -> set[Fact]:
        try:
            return set(self.interpret(type, body))
        except Ignored:
            return set()

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

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """The events of the types that say something about dues, the newest first: so the API has it.

        Page by page, as they are asked for. A time-out or an error of Stripe's is tried twice more by its library.
        """
        import stripe

        from webhooks.processors.http import TIMEOUT_S

        api, account = self.endpoint.options.get("api"), self.endpoint.account
        with closing(stripe.RequestsClient(timeout=TIMEOUT_S)) as http:
            client = stripe.StripeClient(
                self._api_key(),
                stripe_account=account,
                base_addresses={"api": api.rstrip("/")} if api else {},
                max_network_retries=2,
                http_client=http,
            )
            created = {"gte": int(since.timestamp()), "lt": int(until.timestamp())}
            wanted = {"created": created, "types": list(_READINGS), "limit": 100}
            while True:
                try:
                    page = client.raw_request("get", "/v1/events", **wanted).data
                except (stripe.AuthenticationError, stripe.PermissionError) as error:
                    variable = api_key_variable(self.endpoint.name)
                    raise Unavailable(
                        f"Stripe refuses the API key (status {error.http_status}): put a valid one into {variable}"
                    ) from None
                except (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError, ValueError) as error:
                    what = f"{type(error).__name__}, status {getattr(error, 'http_status', None)}"
                    raise Unavailable(f"Stripe's API does not answer as it should ({what})") from None
                events = _events(page)
                for event in events:
                    # Webhooks of Connect name the account; what is listed for it does not.
                    told = event if account is None or event.get("account") else {**event, "account": account}
                    yield strict.event(json.dumps(told).encode(), version="api_version")
                if not page.get("has_more") or not events:
                    return
                wanted["starting_after"] = events[-1]["id"]

    def _api_key(self) -> str:
        name, mode = self.endpoint.name, self.endpoint.mode
        if not self.endpoint.api_key:
            raise Unavailable(f"there is no API key: put {self.api_key} into {api_key_variable(name)}")
        key = self.endpoint.api_key[0].get_secret_value()
        if ("_test_" if mode == "live" else "_live_") in key:
            raise SettingsError(f"{api_key_variable(name)} is not a {mode}-mode key, but endpoint {name!r} is {mode}.")
        return key


def _events(page: Any) -> list[Object]:
    events = page.get("data") if isinstance(page, dict) else None
    if not isinstance(events, list) or not all(isinstance(event, dict) and event.get("id") for event in events):
        raise Unavailable("Stripe's API answers something else than a list of events")
    return events


def _agree(one: set[Fact], other: set[Fact]) -> bool:
    """Whether two versions of an event tell the same; what only one of them links, other events link too."""
    return bool(one) == bool(other) and (one <= other or other <= one)


def _invoice_paid(invoice: Object, told_at: datetime) -> list[Fact]:
    reason = invoice.get("billing_reason")
    if not isinstance(reason, str) or reason not in DUES:
        raise Ignored(f"billing_reason {str(reason)[:60]} is not dues")
    amount, currency = strict.money(invoice, "amount_paid", theirs=Stripe.digits)
    if amount == 0:
        raise Ignored("zero-amount invoice: nothing was paid")
    reference = strict.name(invoice, "id")
    transitions = strict.mapping(invoice, "status_transitions")
    paid_at = strict.unix_time(transitions, "paid_at") if transitions.get("paid_at") else told_at
    billing = (_subscription(invoice), strict.optional_name(invoice, "customer"))
    paid = Paid(reference, paid_at, amount, currency, tuple(filter(None, dict.fromkeys(billing))))
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
    amount, currency = strict.money(refund, "amount", theirs=Stripe.digits)
    if status == "succeeded":
        return [Reversed(reference, strict.unix_time(refund, "created"), cause, amount, currency), *links]
    if status in {"failed", "canceled"}:
        return [Restored(reference, told_at, cause, amount, currency), *links]
    raise Ignored(f"the refund is {status[:60]}: no money went back yet")


def _charge_refunded(charge: Object, told_at: datetime) -> list[Fact]:
    amount, currency = strict.money(charge, "amount_refunded", theirs=Stripe.digits)
    reference = strict.name(charge, "id")
    total = Reversed(reference, told_at, f"refund of {reference}", amount, currency, running_total=True)
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
        amount, currency = strict.money(dispute, "amount", theirs=Stripe.digits)
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
    event: why
    for why, events in {
        "the same money as invoice.paid, which credits": """
            invoice.payment_succeeded invoice.overpaid payment_intent.succeeded charge.succeeded charge.captured
            checkout.session.completed checkout.session.async_payment_succeeded""",
        "a failed attempt: no money moved": """
            invoice.payment_failed payment_intent.payment_failed payment_intent.canceled charge.failed charge.expired
            checkout.session.async_payment_failed""",
        "no money moved yet": """
            invoice.payment_action_required invoice.payment_attempt_required charge.pending payment_intent.created
            payment_intent.processing payment_intent.requires_action payment_intent.partially_funded
            payment_intent.amount_capturable_updated""",
        "no money moved yet: charge.dispute.funds_withdrawn tells when it does": "charge.dispute.created",
        "no money moved: funds_withdrawn and funds_reinstated tell when it does": "charge.dispute.updated",
        "no money moved: refunds and disputes have events of their own": "charge.updated",
    }.items()
    for event in events.split()
}
