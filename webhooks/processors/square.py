"""Square: dues are the invoices of subscriptions.

Credits on an invoice with a `subscription_id` that is paid in full, keyed by its order.
Only subscription billing has that field, while a payment says neither what it was for
nor whether an invoice asked for it: a towel sold at the desk and a month's dues look
alike, also by `application_details`, since an invoice may be paid at the point of sale.
So a payment alone never credits, whoever paid it. Nor is one needed: an invoice counts
though the word of its payment was missed, and by its own total, in however many parts it
was paid. `invoice.payment_made` tells it, and `invoice.updated` where the money of a bank
debit comes days later. The earliest telling counts, by the invoice's own `updated_at`.

A payment names the order of its invoice. Told once it is COMPLETED, that is the link by
which what names only a payment finds the dues: refunds, disputes, and the failure of the
payment itself. A first attempt that failed was never linked, and so takes nothing from
the second. With each link stands the word that the payment holds, which undoes an
earlier word of its failure. Square documents COMPLETED, CANCELED and FAILED as final, and
calls a bank debit that is returned after it had completed a dispute; should it come as a
payment that is FAILED after all, that is read as well.

A dispute takes the money from its first day: Square withholds it "until the bank issues
a final resolution". Inquiries withhold nothing. Of several words on one refund, dispute
or payment the latest `updated_at` counts, so that an old version told again undoes nothing.

Sources: developer.squareup.com/docs: subscriptions-api/subscription-billing ("track the
payment status of subscriptions" by invoice.payment_made), payments-api/retrieve-payments
("Subscription payment"), invoices-api/pay-refund-invoices, disputes-api/overview,
payments-api/take-payments/ach-payments, webhooks/step2subscribe, webhooks/step3validate,
webhooks/troubleshooting; developer.squareup.com/reference/square: Invoice,
InvoiceStatus, Payment, PaymentRefund, DisputeState, ListPayments, SearchInvoices.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from models.payments.facts import Fact, Linked, Paid, Restored, Reversed
from runtime.settings import Endpoint, SettingsError, api_key_variable
from webhooks import signatures
from webhooks.processors import Delivery, Ignored, ParsedEvent, Processor, Unavailable, Unusable, strict
from webhooks.signatures import Headers, Invalid, Verdict

Object = dict[str, Any]

TIMEOUT_S = 10.0
"""To connect, and between two bytes of the answer."""
BANK_DEBIT = timedelta(days=7)
"""How long one takes to complete: up to five business days."""

_SIGNATURE = "x-square-hmacsha256-signature"
_OTHER_ENVIRONMENT = {"live": "sandbox", "test": "production"}


class Square(Processor):
    """Square, as one webhook subscription of one application hears it."""

    dedupe = "the event's id (event_id)"
    answer_within_s = 10
    options = frozenset({"api", "url"})
    library = "square"
    api_key = "an access token that may read locations, payments, refunds, disputes and invoices"
    horizon = timedelta(days=365)

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError where the notification URL, which is part of what is signed, is not set."""
        super().__init__(endpoint)
        url = endpoint.options.get("url", "")
        if not url.startswith(("https://", "http://")):
            raise SettingsError(
                f"Endpoint {endpoint.name!r}: set its option url to exactly what stands as the notification URL in "
                f"Square's Developer Dashboard: {endpoint.name}=square:{endpoint.mode},url=https://..."
            )
        self._url = url.encode()

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """HMAC-SHA256 of the notification URL and the body, as base64; nothing in it is dated.

        Source: developer.squareup.com/docs/webhooks/step3validate.
        """
        given = headers.get(_SIGNATURE)
        if not given:
            return Invalid(f"no {_SIGNATURE} header")
        expected = [self._signature(body, key) for key in self.endpoint.keys if key]
        if signatures.any_match([given.encode("latin-1", "replace")], expected):
            return None
        return Invalid("the signature matches no secret of the endpoint with the address in its option url")

    def _signature(self, body: bytes, key: bytes) -> bytes:
        return base64.b64encode(hmac.digest(key, self._url + body, hashlib.sha256))

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Signed with the first of the endpoint's secrets."""
        return Delivery(body, {_SIGNATURE: self._signature(body, self.endpoint.keys[0]).decode()})

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """One event at a time. Only the header square-environment tells sandbox from production."""
        event = strict.event(body, event_id="event_id")
        if (headers.get("square-environment") or "").lower() == _OTHER_ENVIRONMENT[self.endpoint.mode]:
            reason = f"sent from Square's {_OTHER_ENVIRONMENT[self.endpoint.mode]} environment"
            event = event._replace(quarantine_reason=f"{reason}, but the endpoint is in {self.endpoint.mode} mode")
        return [event]

    def same_content(self, first: bytes, second: bytes) -> bool:
        """A redelivery repeats the body; spacing and the order of keys do not matter."""
        return strict.same(first, second)

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """The facts that the event tells. Raises Ignored or Unusable."""
        event = strict.loads(body)
        theirs, account = strict.optional_name(event, "merchant_id"), self.endpoint.account
        if account is not None and theirs != account:
            raise Unusable(f"merchant_id is {theirs!r}, but the endpoint's account is {account!r}")
        reading = _READINGS.get(type)
        if reading is None:
            raise Ignored(_WHY_IGNORED.get(type, f"{type} says nothing about dues"))
        kind = type.partition(".")[0]
        return reading(strict.mapping(strict.mapping(strict.mapping(event, "data"), "object"), kind))

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """Payments made or changed in that time, with the invoices they paid, and refunds and disputes that changed.

        Location by location, each as the webhook that would have told it. Where Square limits us or fails, its library
        tries twice more, when Retry-After says, within a minute.
        """
        import httpx
        from square import Square as Client
        from square.environment import SquareEnvironment

        own = SquareEnvironment.PRODUCTION if self.endpoint.mode == "live" else SquareEnvironment.SANDBOX
        start, end = _rfc3339(since), _rfc3339(until)
        made = {"begin_time": start, "end_time": end}
        changed = {"updated_at_begin_time": start, "updated_at_end_time": end, "sort_field": "UPDATED_AT"}
        with httpx.Client(timeout=TIMEOUT_S) as http:
            address = self.endpoint.options.get("api", own.value).rstrip("/")
            api = Client(base_url=address, token=self._token(), httpx_client=http)
            for location in self._pages(api.locations.list, "locations"):
                # Without a location, payments are those of the main one.
                at, merchant = {"location_id": location.get("id")}, location.get("merchant_id")
                payments = {
                    payment.get("id"): payment
                    for window in (made, changed)
                    for payment in self._pages(api.payments.list, "payments", sort_order="ASC", **at, **window)
                }
                for payment in payments.values():
                    yield _split("payment.updated", payment, merchant)
                    if invoice := self._invoice_of(api, payment, since):
                        yield _split("invoice.payment_made", invoice, merchant)
                for refund in self._pages(api.refunds.list, "refunds", sort_order="ASC", **at, **changed):
                    yield _split("refund.updated", refund, merchant)
                for dispute in self._pages(api.disputes.list, "disputes", **at):
                    if since <= strict.iso_time(dispute, "updated_at") < until:
                        yield _split("dispute.state.updated", dispute, merchant)

    def _invoice_of(self, api: Any, payment: Object, since: datetime) -> Object | None:
        """The invoice that the payment paid: one can be searched by its customer, not by its order.

        Not of a payment from before that time: what changed of it since is no reason to credit it now.
        """
        if payment.get("source_type") == "BANK_ACCOUNT":
            since -= BANK_DEBIT
        if payment.get("status") != "COMPLETED" or strict.iso_time(payment, "created_at") < since:
            return None
        order, customer = payment.get("order_id"), payment.get("customer_id")
        if not order or not customer:
            return None
        query = {
            "filter": {"location_ids": [payment.get("location_id")], "customer_ids": [customer]},
            "sort": {"field": "INVOICE_SORT_DATE", "order": "DESC"},
        }
        found = self._pages(api.invoices.search, "invoices", query=query, limit=200)
        return next((invoice for invoice in found if invoice.get("order_id") == order), None)

    def _pages(self, ask: Callable[..., Any], holds: str, **query: Any) -> Iterator[Object]:
        """Every object on every page, as JSON. The library's own paging ends at a page with nothing on it."""
        import httpx
        from square.core.api_error import ApiError

        while True:
            try:
                page = ask(**query)
                answer = getattr(page, "response", page)
                found = [json.loads(item.json()) for item in getattr(answer, holds) or ()]
                query["cursor"] = getattr(answer, "cursor", None)
            except ApiError as error:
                raise self._refused(error.status_code) from None
            except httpx.HTTPError as error:
                raise Unavailable(f"Square's API does not answer ({type(error).__name__})") from None
            except (AttributeError, RecursionError, TypeError, ValueError):
                raise Unavailable(f"Square's API answers something else than a list of {holds}") from None
            yield from found
            if not query["cursor"]:
                return

    def _refused(self, status: int | None) -> Unavailable:
        if status in {401, 403}:
            variable = api_key_variable(self.endpoint.name)
            return Unavailable(
                f"Square refuses the access token (status {status}): put {self.api_key} of the {self.endpoint.mode} "
                f"mode into {variable}"
            )
        return Unavailable(f"Square's API does not answer as it should (status {status})")

    def _token(self) -> str:
        if not self.endpoint.api_key:
            variable = api_key_variable(self.endpoint.name)
            raise Unavailable(f"there is no access token: put {self.api_key} into {variable}")
        return self.endpoint.api_key[0].get_secret_value()


def _split(type: str, found: Object, merchant: object) -> ParsedEvent:
    """The event that would have told of an object's present version."""
    kind = type.partition(".")[0]
    event = {
        "merchant_id": merchant,
        "type": type,
        "event_id": f"backfill:{kind}:{found.get('id')}:{found.get('updated_at')}",
        "created_at": found.get("updated_at"),
        "data": {"type": kind, "id": found.get("id"), "object": {kind: found}},
    }
    return strict.event(json.dumps(event).encode(), event_id="event_id")


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _invoice(*paid: str) -> Callable[[Object], list[Fact]]:
    def read(invoice: Object) -> list[Fact]:
        subscription = strict.optional_name(invoice, "subscription_id")
        if subscription is None:
            raise Ignored("not a subscription's invoice: no dues")
        status = str(invoice.get("status"))
        if status not in paid:
            raise Ignored(f"the invoice is {status[:60]}: it counts when it is paid in full")
        amount, currency = _total(invoice, "total_completed_amount_money")
        if status != "PAID" and amount < _total(invoice, "computed_amount_money")[0]:
            raise Ignored(f"the invoice is {status} and was never paid in full")
        if amount == 0:
            raise Ignored("zero-amount invoice: nothing was paid")
        customer = strict.optional_name(strict.mapping(invoice, "primary_recipient"), "customer_id")
        references = tuple(filter(None, dict.fromkeys((subscription, customer))))
        at = strict.iso_time(invoice, "updated_at")
        return [Paid(strict.name(invoice, "order_id"), at, amount, currency, references)]

    return read


def _total(invoice: Object, key: str) -> tuple[int, str]:
    """The money under `key` of all parts in which an invoice is to be paid."""
    requests = invoice.get("payment_requests")
    if not isinstance(requests, list) or not all(isinstance(request, dict) for request in requests):
        raise Unusable("payment_requests is not a list of objects")
    parts = [_money(request, key) for request in requests]
    currencies = {currency for _, currency in parts}
    if len(currencies) != 1:
        raise Unusable("payment_requests are not in one currency")
    return sum(amount for amount, _ in parts), currencies.pop()


def _money(holder: Mapping[str, Any], key: str) -> tuple[int, str]:
    money = strict.mapping(holder, key)
    return strict.minor_units(money, "amount"), strict.currency(money, "currency")


def _payment(payment: Object) -> list[Fact]:
    status = str(payment.get("status"))
    if status not in {"COMPLETED", "CANCELED", "FAILED"}:
        raise Ignored(f"the payment is {status[:60]}: no money moved yet")
    reference, at = strict.name(payment, "id"), strict.iso_time(payment, "updated_at")
    cause, (amount, currency) = f"failure:{reference}", _money(payment, "amount_money")
    if status != "COMPLETED":
        return [Reversed(reference, at, cause, amount, currency)]
    order = strict.optional_name(payment, "order_id")
    if order is None:
        raise Ignored("a payment without an order: no invoice's, no dues")
    return [Linked(reference, at, order), Restored(reference, at, cause, amount, currency)]


def _refund(refund: Object) -> list[Fact]:
    status, reference = str(refund.get("status")), strict.optional_name(refund, "payment_id")
    fact = {"COMPLETED": Reversed, "FAILED": Restored, "REJECTED": Restored}.get(status)
    if fact is None:
        raise Ignored(f"the refund is {status[:60]}: no money went back yet")
    if reference is None:
        raise Ignored("a refund that is linked to no payment")
    cause = f"refund:{strict.name(refund, 'id')}"
    return [fact(reference, strict.iso_time(refund, "updated_at"), cause, *_money(refund, "amount_money"))]


def _dispute(dispute: Object) -> list[Fact]:
    state = str(dispute.get("state"))
    if state.startswith("INQUIRY_"):
        raise Ignored("an inquiry: no money is withheld")
    withheld = {"EVIDENCE_REQUIRED", "PROCESSING", "LOST", "ACCEPTED"}
    if state not in withheld | {"WON"}:
        raise Ignored(f"the dispute is {state[:60]}: no money moved")
    reference = strict.name(strict.mapping(dispute, "disputed_payment"), "payment_id")
    # Older versions of the API have it as dispute_id.
    cause = f"dispute:{strict.optional_name(dispute, 'id') or strict.name(dispute, 'dispute_id')}"
    fact = Reversed if state in withheld else Restored
    return [fact(reference, strict.iso_time(dispute, "updated_at"), cause, *_money(dispute, "amount_money"))]


_READINGS: dict[str, Callable[[Object], list[Fact]]] = {
    # Refunded since, where it was listed later. An update is no payment: it may be of an invoice paid long ago.
    "invoice.payment_made": _invoice("PAID", "PARTIALLY_REFUNDED", "REFUNDED"),
    "invoice.updated": _invoice("PAID"),
    "payment.created": _payment,
    "payment.updated": _payment,
    "refund.created": _refund,
    "refund.updated": _refund,
    "dispute.created": _dispute,
    "dispute.state.updated": _dispute,
    "dispute.state.changed": _dispute,
}

_WHY_IGNORED = {
    "invoice.created": "nothing was paid yet",
    "invoice.published": "nothing was paid yet: invoice.payment_made tells when it is",
    "invoice.scheduled_charge_failed": "a failed attempt: no money moved",
    "invoice.refunded": "the same money as refund.updated, which tells it payment by payment",
    "invoice.canceled": "no money moved",
    "order.updated": "the same money as invoice.payment_made, which credits",
    "dispute.evidence.created": "no money moved: dispute.state.updated tells when it does",
    "dispute.evidence.deleted": "no money moved: dispute.state.updated tells when it does",
    "payout.paid": "the club's own money on its way to its bank",
}
