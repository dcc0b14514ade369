"""Stripe: dues are subscription invoices.

Credits on `invoice.paid`, keyed by the invoice. Before API version 2025-03-31
("Basil") an invoice names its payment intent and charge; from then on
`invoice_payment.paid` links them. Refunds and disputes name only a charge and a payment
intent, and may arrive before the link: it is kept and joined whenever it comes.

A bank debit that fails after it had succeeded (an ACH return) comes as a dispute.

The API lists events for 30 days, rendered in the account's version of the API, which
need not be the webhook endpoint's: two versions of one event are compared by their meaning.

Sources: docs.stripe.com/api (events, events/list, events/types, invoices,
invoice-payment, refunds, disputes), docs.stripe.com/changelog/basil,
docs.stripe.com/payments/ach-direct-debit, docs.stripe.com/webhooks/versioning.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Any, ClassVar

from models.payments.facts import Fact, Linked, Restored, Reversed
from webhooks import signatures
from webhooks.processors import strict
from webhooks.processors.base import Object, Processor, Trial, dues
from webhooks.processors.events import Delivery, Ignored, ParsedEvent, Unavailable, Unusable
from webhooks.signatures import Headers, Verdict

DUES = {"subscription_create", "subscription_cycle"}
"""Billing reasons of invoices that are dues; all others are fees, add-ons and prorations."""


class Stripe(Processor):
    """Stripe, or one connected account of it."""

    readings: ClassVar = {
        "invoice.paid": "invoice_paid",
        "invoice_payment.paid": "invoice_payment_paid",
        "refund.created refund.updated refund.failed charge.refund.updated": "refund",
        "charge.refunded": "charge_refunded",
        "charge.dispute.funds_withdrawn": ("dispute", Reversed),
        "charge.dispute.funds_reinstated": ("dispute", Restored),
        "charge.dispute.closed": ("dispute", None),
    }
    ignored: ClassVar = {
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
        "no money moved yet: charge.dispute.funds_withdrawn follows when it does": "charge.dispute.created",
        "no money moved: funds_withdrawn or funds_reinstated follows when it does": "charge.dispute.updated",
        "no money moved: refunds and disputes have events of their own": "charge.updated",
    }
    mode_field = ("livemode", True, False)

    dedupe = "the event's id (evt_...)"
    version_field = "api_version"
    varies = "pending_webhooks"
    answer_within_s = 20
    digits: ClassVar = {"ISK": 2, "MGA": 0, "UGX": 2}  # docs.stripe.com/currencies: zero-decimal, special cases
    options = frozenset({"api"})
    trial = Trial(lambda: f"whsec_{token_urlsafe(24)}", "sk_test_1")
    library = "stripe"
    api_key = "a secret or restricted key that may read events"
    horizon = timedelta(days=30)

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """Source: docs.stripe.com/webhooks, "Verify webhook signatures manually"."""
        return signatures.stripe(body, headers, self.endpoint.keys, now)

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """As Stripe's own library does."""
        return Delivery(body, signatures.sign_stripe(body, self.endpoint.keys[0], timestamp))

    def same_content(self, first: bytes, second: bytes) -> bool:
        """Two versions of one event, rendered by different API versions, have to agree in their meaning."""
        if super().same_content(first, second):
            return True
        one, other = self.event(first), self.event(second)
        if one.api_version == other.api_version or (one.event_id, one.type) != (other.event_id, other.type):
            return False
        try:
            facts, others = self._facts(one.type, first), self._facts(one.type, second)
        except Unusable:
            return False
        # A link that only one version has comes in an event of its own, too.
        return bool(facts) == bool(others) and (facts <= others or others <= facts)

    def _facts(self, type: str, body: bytes) -> set[Fact]:
        try:
            return set(self.interpret(type, body))
        except Ignored:
            return set()

    def check(self, event: Object) -> None:
        """An endpoint without an account takes no connected account's events."""
        super().check(event)
        self.check_account("account", strict.optional_name(event, "account"))

    def details(self, type: str, event: Object, resource: bytes | None) -> tuple[Object, datetime]:
        """The object, and when the event was made."""
        return strict.mapping(strict.mapping(event, "data"), "object"), strict.unix_time(event, "created")

    def invoice_paid(self, invoice: Object, at: datetime) -> list[Fact]:
        """The dues, and which charge paid them where the invoice names it."""
        reason = invoice.get("billing_reason")
        if not isinstance(reason, str) or reason not in DUES:
            raise Ignored(f"billing_reason {str(reason)[:60]} is not dues")
        reference, (amount, currency) = strict.name(invoice, "id"), self._money(invoice, "amount_paid")
        transitions = strict.mapping(invoice, "status_transitions")
        paid_at = strict.unix_time(transitions, "paid_at") if transitions.get("paid_at") else at
        customer = strict.optional_name(invoice, "customer")
        paid = dues(reference, paid_at, amount, currency, _subscription(invoice), customer)
        return [paid, *_links(reference, at, invoice, "payment_intent", "charge")]

    def invoice_payment_paid(self, invoice_payment: Object, at: datetime) -> list[Fact]:
        """The link between an invoice and what paid it."""
        payment = strict.mapping(invoice_payment, "payment")
        links = _links(strict.name(invoice_payment, "invoice"), at, payment, "payment_intent", "charge")
        if not links:
            raise Ignored("paid outside Stripe: there is no payment intent to link")
        return links

    def refund(self, refund: Object, at: datetime) -> list[Fact]:
        """A refund that went through, or failed."""
        status = str(refund.get("status"))
        reference, links = _payment(refund, at)
        # Grouped by charge: a running total of one charge is compared with that charge's refunds only.
        cause = f"refund of {strict.optional_name(refund, 'charge') or reference}:{strict.name(refund, 'id')}"
        amount, currency = self._money(refund, "amount")
        if status == "succeeded":
            return [Reversed(reference, strict.unix_time(refund, "created"), cause, amount, currency), *links]
        if status in {"failed", "canceled"}:
            return [Restored(reference, at, cause, amount, currency), *links]
        raise Ignored(f"the refund is {status[:60]}: no money went back yet")

    def charge_refunded(self, charge: Object, at: datetime) -> list[Fact]:
        """All that was refunded of a charge so far."""
        amount, currency = self._money(charge, "amount_refunded")
        reference = strict.name(charge, "id")
        total = Reversed(reference, at, f"refund of {reference}", amount, currency, running_total=True)
        return [total, *_links(reference, at, charge, "payment_intent", "invoice")]

    def dispute(self, fact: type[Reversed | Restored] | None, dispute: Object, at: datetime) -> list[Fact]:
        """Money that a dispute took or gave back; without a fact, its status decides."""
        status = str(dispute.get("status"))
        if status.startswith("warning_"):
            raise Ignored("an inquiry: no money was withdrawn")
        fact = fact or {"won": Restored, "lost": Reversed}.get(status)
        if fact is None:
            raise Ignored(f"the dispute closed as {status[:60]}: no money moved")
        reference, links = _payment(dispute, at)
        return [fact(reference, at, f"dispute:{strict.name(dispute, 'id')}", *self._money(dispute, "amount")), *links]

    def _money(self, holder: Object, key: str) -> tuple[int, str]:
        return strict.money(holder, key, theirs=self.digits)

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """The events of the types that matter, the newest first, as the API has them.

        Page by page, as they are asked for. Stripe's library tries twice more after a time-out or a server error.
        """
        import stripe

        from webhooks.processors.http import TIMEOUT_S

        api, account = self.api_address, self.endpoint.account
        with closing(stripe.RequestsClient(timeout=TIMEOUT_S)) as http:
            client = stripe.StripeClient(
                self._key_of_this_mode(),
                stripe_account=account,
                base_addresses={"api": api} if api else {},
                max_network_retries=2,
                http_client=http,
            )
            created = {"gte": int(since.timestamp()), "lt": int(until.timestamp())}
            wanted = {"created": created, "types": list(self.meanings), "limit": 100}
            while True:
                try:
                    page = client.raw_request("get", "/v1/events", **wanted).data
                except (stripe.AuthenticationError, stripe.PermissionError) as error:
                    raise self.key_refused("Stripe", error.http_status) from None
                except (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError, ValueError) as error:
                    what = f"{type(error).__name__}, status {getattr(error, 'http_status', None)}"
                    raise Unavailable(f"Stripe's API does not answer as it should ({what})") from None
                events = _events(page)
                for event in events:
                    # Connect's webhooks name the account; the list for that account does not.
                    named = event if account is None or event.get("account") else {**event, "account": account}
                    yield self.event(json.dumps(named).encode())
                if not page.get("has_more") or not events:
                    return
                wanted["starting_after"] = events[-1]["id"]

    def _key_of_this_mode(self) -> str:
        (key,), mode = self.api_credentials(), self.endpoint.mode
        if ("_test_" if mode == "live" else "_live_") in key:
            raise self.wrong(f"{self.api_key_at} is not a {mode}-mode key, but the endpoint is {mode}.")
        return key


def _events(page: Any) -> list[Object]:
    events = page.get("data") if isinstance(page, dict) else None
    if not isinstance(events, list) or not all(isinstance(event, dict) and event.get("id") for event in events):
        raise Unavailable("Stripe's API answers something else than a list of events")
    return events


def _subscription(invoice: Object) -> str | None:
    """Where the API's versions have it: in Basil's parent, the invoice itself, or one of its lines."""
    details = strict.mapping(strict.mapping(invoice, "parent"), "subscription_details")
    found = strict.optional_name(details, "subscription") or strict.optional_name(invoice, "subscription")
    lines = strict.mapping(invoice, "lines").get("data")
    for line in lines if isinstance(lines, list) and not found else ():
        if isinstance(line, dict):
            item = strict.mapping(strict.mapping(line, "parent"), "subscription_item_details")
            found = found or strict.optional_name(item, "subscription") or strict.optional_name(line, "subscription")
    return found


def _payment(holder: Object, at: datetime) -> tuple[str, list[Fact]]:
    """The payment that was refunded or disputed, with the link between its two names."""
    charge, intent = strict.optional_name(holder, "charge"), strict.optional_name(holder, "payment_intent")
    reference = intent or charge
    if reference is None:
        raise Unusable("names neither a charge nor a payment intent")
    return reference, _links(reference, at, holder, "charge") if intent else []


def _links(reference: str, at: datetime, holder: Object, *keys: str) -> list[Fact]:
    others = (strict.optional_name(holder, key) for key in keys)
    return [Linked(reference, at, other) for other in others if other]
