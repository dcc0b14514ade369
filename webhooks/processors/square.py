"""Square: dues are paid invoices.

An invoice counts when it is paid in full, keyed by its order. One of a subscription names it (`subscription_id`), and
that alone decides whose dues they are; any other names its customer as payer. A payment says neither what it was for
nor whether an invoice asked for it: a towel sold at the desk and a month's dues look alike, also by
`application_details`, since an invoice may be paid at the point of sale. So a payment with an order never counts by
itself, unless a code came with it (`square_codes.py`). Nor need it: an invoice counts even if the event of its
payment was missed, and by its own total, however many parts it was paid in. Only a payment without an order is surely
no invoice's: it counts for the customer that it names. `invoice.payment_made` credits, and so does `invoice.updated`,
where the money of a bank debit comes days later. The earliest of them counts, by the invoice's own `updated_at`.

An invoice does not say what it is for. Its order does: of one without a subscription the order is fetched,
so that its items are lines of the payment. Where there is no access token, or it may not read orders, the
invoice counts as a whole.

A COMPLETED payment names the order of its invoice. That is the link by which refunds,
disputes, and the failure of the payment itself find the dues; they name only the payment.
A first attempt that failed was never linked, and so takes nothing from the second. Each
link comes with a restoration, which undoes an earlier failure of the same payment. Square
documents COMPLETED, CANCELED and FAILED as final, and reports a bank debit that is
returned after it had completed as a dispute; a payment that becomes FAILED after all is
read as well.

A dispute takes the money from its first day: Square withholds it "until the bank issues
a final resolution". Inquiries withhold nothing. Of several events of one refund, dispute
or payment the latest `updated_at` counts, so that an old version sent again undoes nothing.

Sources: developer.squareup.com/docs: subscriptions-api/subscription-billing ("track the
payment status of subscriptions" by invoice.payment_made), payments-api/retrieve-payments
("Subscription payment"), invoices-api/pay-refund-invoices, disputes-api/overview,
payments-api/take-payments/ach-payments, webhooks/step2subscribe, webhooks/step3validate,
webhooks/troubleshooting; developer.squareup.com/reference/square: Invoice,
InvoiceStatus, Payment, PaymentRefund, DisputeState, ListPayments, SearchInvoices, RetrieveOrder, OrderLineItem.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, ClassVar

from models.payments.facts import Announced, Change, DuesFailed, Fact, Linked, Paid, Restored, Reversed
from runtime.settings import Endpoint
from webhooks.processors import announcing, items, payers, square_codes, strict
from webhooks.processors.base import Object, Trial
from webhooks.processors.claiming import CodeField
from webhooks.processors.events import Ignored, ParsedEvent, Payer, Unavailable, Unusable
from webhooks.processors.items import Item
from webhooks.signatures import Headers

TIMEOUT_S = 10.0
"""To connect, and between two bytes of the answer."""
BANK_DEBIT = timedelta(days=7)
"""How long one takes to complete: up to five business days."""
OTHER_ENVIRONMENT = {"live": "sandbox", "test": "production"}
WITHHELD = {"EVIDENCE_REQUIRED", "PROCESSING", "LOST", "ACCEPTED"}
"""States of a dispute in which the money is gone."""
KEPT_OF_ITEMS = ("catalog_object_id", "quantity", "total_money")
NO_ORDER = b"{}"
"""What stands for an order that cannot be read."""


class Square(square_codes.Codes):
    """Square, as one webhook subscription of one application hears it."""

    readings: ClassVar = {
        # It may have been refunded since, where it was listed later.
        "invoice.payment_made": ("invoice", {"PAID", "PARTIALLY_REFUNDED", "REFUNDED"}),
        # An update is no payment: it may be of an invoice that was paid long ago, and refunded now.
        "invoice.updated": ("invoice", {"PAID"}),
        "invoice.scheduled_charge_failed": ("unpaid", False),
        "invoice.canceled": ("unpaid", True),
        "payment.created payment.updated": "payment",
        "refund.created refund.updated": "refund",
        "dispute.created dispute.state.updated dispute.state.changed": "dispute",
        "subscription.updated": "subscription",
    }
    ignored: ClassVar = {
        "nothing was paid yet": "invoice.created",
        "no money moved: a draft was deleted": "invoice.deleted",
        "nothing was paid yet: invoice.payment_made follows when it is": "invoice.published",
        "the same money as refund.updated, which comes for each payment": "invoice.refunded",
        "the same money as invoice.payment_made, which credits": "order.updated",
        "no money moved: dispute.state.updated follows when it does": """
            dispute.evidence.added dispute.evidence.created dispute.evidence.deleted dispute.evidence.removed""",
        "the club's own money on its way to its bank": "payout.paid",
    }
    about_money = ("invoice.", "payment.", "refund.", "dispute.")
    account_field = "merchant_id"

    dedupe = "the event's id (event_id)"
    id_field = "event_id"
    signature_header = "x-square-hmacsha256-signature"
    kept_headers = (
        "Square-Environment", "Square-Initial-Delivery-Timestamp", "Square-Retry-Number", "Square-Retry-Reason",
    )  # fmt: skip
    answer_within_s = 10
    options = frozenset({"api", "url"})
    trial = Trial(api_key="sandbox_1", options={"url": "https://gym.example/webhooks/square"})
    code_field = CodeField("payment_note of a payment link, or reference_id of an order", '"payment_note": "{code}"')
    library = "square"
    api_key = "an access token that may read locations, payments, refunds, disputes, invoices and orders"
    fetches = True
    horizon = timedelta(days=365)

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError where the notification URL, which is part of what is signed, is not set."""
        super().__init__(endpoint)
        url = endpoint.options.get("url", "")
        if not url.startswith(("https://", "http://")):
            raise self.wrong(
                "set its option url to exactly what stands as the notification URL in Square's Developer Dashboard: "
                f"{endpoint.name}=square:{endpoint.mode},url=https://..."
            )
        self._url = url.encode()

    def signature(self, body: bytes, key: bytes) -> str:
        """HMAC-SHA256 of the notification URL and the body, as base64.

        Source: developer.squareup.com/docs/webhooks/step3validate.
        """
        return base64.b64encode(hmac.digest(key, self._url + body, hashlib.sha256)).decode()

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """One event at a time. Only the header square-environment tells sandbox from production."""
        event, other = self.event(body), OTHER_ENVIRONMENT[self.endpoint.mode]
        if (headers.get("square-environment") or "").lower() == other:
            reason = f"sent from Square's {other} environment, but the endpoint is in {self.endpoint.mode} mode"
            return [event._replace(quarantine_reason=reason)]
        return [event._replace(thin=self._asks_order(event))]

    def _asks_order(self, event: ParsedEvent) -> bool:
        """Whether it is of an invoice that counts, of whose items nothing is known."""
        reading = self.meanings.get(event.type)
        if not isinstance(reading, tuple) or reading[0] != "invoice":
            return False
        invoice = payers.inside(strict.peek(event.body), "data", "object", "invoice")
        status, subscription, order = (payers.inside(invoice, key) for key in ("status", "subscription_id", "order_id"))
        return isinstance(status, str) and status in reading[1] and not subscription and strict.is_name(order)

    def details(self, type: str, event: Object, resource: bytes | None) -> tuple[Object]:
        """The object; an invoice with its order, where that was fetched."""
        found = strict.mapping(strict.mapping(strict.mapping(event, "data"), "object"), type.partition(".")[0])
        if type.startswith("subscription."):
            found = found | {announcing.REPORTED_AT: event.get("created_at")}
        return (found if resource is None else found | {"order": strict.loads(resource)},)

    def named_payment(self, found: Object) -> tuple[str | None, datetime]:
        """The payment that a refund or dispute names, or the order that an invoice or payment is of."""
        disputed = strict.mapping(found, "disputed_payment")
        named = (
            strict.optional_name(found, "payment_id"),
            strict.optional_name(disputed, "payment_id"),
            strict.optional_name(found, "order_id"),
        )
        return next(filter(None, named), None), strict.iso_time(found, "updated_at")

    def invoice(self, statuses: set[str], invoice: Object) -> list[Fact]:
        """What was paid, where the invoice is paid in full and has one of the statuses."""
        status = str(invoice.get("status"))
        if status not in statuses:
            raise Ignored(f"the invoice is {status[:60]}: it counts when it is paid in full")
        amount, currency = _total(invoice, "total_completed_amount_money")
        if status != "PAID" and amount < _total(invoice, "computed_amount_money")[0]:
            raise Ignored(f"the invoice is {status} and was never paid in full")
        reference, at = strict.name(invoice, "order_id"), strict.iso_time(invoice, "updated_at")
        billing = _named(invoice, "subscription_id")
        payer = _named(strict.mapping(invoice, "primary_recipient"), "customer_id")
        paid = payers.known(Paid(reference, at, amount, currency, billing, payer))
        order = strict.mapping(invoice, "order")
        order_items = strict.objects(order, "line_items") if order.get("id") == reference else ()
        return [items.with_items(paid, map(_item, order_items))]

    def unpaid(self, closed: bool, invoice: Object) -> list[Fact]:
        """A charge of an invoice that failed; one that was cancelled is owed no more (`closed`)."""
        amount, currency = _total(invoice, "computed_amount_money")
        reference, at = strict.name(invoice, "order_id"), strict.iso_time(invoice, "updated_at")
        billing = _named(invoice, "subscription_id")
        payer = _named(strict.mapping(invoice, "primary_recipient"), "customer_id")
        failed = DuesFailed(reference, at, billing, payer, amount, currency, closed=closed)
        return [failed if closed else payers.owing(failed)]

    def payment(self, payment: Object) -> list[Fact]:
        """The link to the order, or the payment's failure; of a payment without an order, what was paid."""
        status = str(payment.get("status"))
        if status not in {"COMPLETED", "CANCELED", "FAILED"}:
            raise Ignored(f"the payment is {status[:60]}: no money moved yet")
        reference, at = strict.name(payment, "id"), strict.iso_time(payment, "updated_at")
        cause, (amount, currency) = f"failure:{reference}", _money(payment, "amount_money")
        if status != "COMPLETED":
            back = Reversed(reference, at, cause, amount, currency)
            payer = () if payment.get("order_id") or status != "FAILED" else _named(payment, "customer_id")
            owed = DuesFailed(reference, at, (), payer, amount, currency, is_one_try=True)
            return [back, owed] if payer and amount else [back]
        order, held = strict.optional_name(payment, "order_id"), Restored(reference, at, cause, amount, currency)
        paid = Paid(order or reference, at, amount, currency, payer=square_codes.payer_of(payment))
        if order is None:
            return [payers.known(paid), held]
        by_code = [paid] if amount and square_codes.code_of(payment) else []
        return [Linked(reference, at, order), held, *by_code]

    def refund(self, refund: Object) -> list[Fact]:
        """A refund that went through, or failed."""
        status, reference = str(refund.get("status")), strict.optional_name(refund, "payment_id")
        fact = {"COMPLETED": Reversed, "FAILED": Restored, "REJECTED": Restored}.get(status)
        if fact is None:
            raise Ignored(f"the refund is {status[:60]}: no money went back yet")
        if reference is None:
            raise Ignored("a refund that is linked to no payment")
        cause = f"refund:{strict.name(refund, 'id')}"
        return [fact(reference, strict.iso_time(refund, "updated_at"), cause, *_money(refund, "amount_money"))]

    def dispute(self, dispute: Object) -> list[Fact]:
        """Money that a dispute withholds, or gave back."""
        state = str(dispute.get("state"))
        if state.startswith("INQUIRY_"):
            raise Ignored("an inquiry: no money is withheld")
        if state not in WITHHELD | {"WON"}:
            raise Ignored(f"the dispute is {state[:60]}: no money moved")
        reference = strict.name(strict.mapping(dispute, "disputed_payment"), "payment_id")
        # Older versions of the API have it as dispute_id.
        cause = f"dispute:{strict.optional_name(dispute, 'id') or strict.name(dispute, 'dispute_id')}"
        fact = Reversed if state in WITHHELD else Restored
        return [fact(reference, strict.iso_time(dispute, "updated_at"), cause, *_money(dispute, "amount_money"))]

    def subscription(self, subscription: Object) -> list[Fact]:
        """How a subscription stands: each event says all of it."""
        reference, at = strict.name(subscription, "id"), strict.iso_time(subscription, announcing.REPORTED_AT)
        status, last = str(subscription.get("status")), announcing.noon(subscription, "canceled_date", "timezone")
        if status in {"CANCELED", "COMPLETED", "DEACTIVATED"}:
            return [announcing.ends(reference, at, last or at)]
        if status not in {"ACTIVE", "PAUSED"}:
            raise Ignored(f"the subscription is {status[:60]}")
        end = announcing.ends(reference, at, last) if last else Announced(reference, at, Change.GOES_ON)
        return [end, Announced(reference, at, Change.PAUSED if status == "PAUSED" else Change.RESUMED)]

    def payer_details(self, type: str, body: bytes, resource: bytes | None = None) -> Payer | None:
        """Of an invoice its recipient and title; of a payment the buyer's e-mail address and the note."""
        found = payers.inside(payers.loaded(body), "data", "object", type.partition(".")[0])
        recipient = payers.inside(found, "primary_recipient")
        return payers.details(
            payers.full_name(payers.inside(recipient, "given_name"), payers.inside(recipient, "family_name")),
            payers.inside(recipient, "email_address") or payers.inside(found, "buyer_email_address"),
            payers.inside(found, "title") or payers.inside(found, "note"),
        )

    # The API

    def fetch(self, type: str, body: bytes) -> bytes:
        """The order of an invoice, as far as it is needed; an empty one where it may not be read."""
        event = strict.loads(body)
        self.check(event)
        (invoice,) = self.details(type, event, None)
        asked = strict.name(invoice, "order_id")
        if not self.endpoint.api_key:
            return NO_ORDER
        from webhooks.processors import http

        try:
            with self._client() as api, self._answers("an order"):
                found = json.loads(api.orders.get(order_id=asked).order.json())
        except _NotForUs:
            return NO_ORDER
        http.check_same(asked, found.get("id"), "Square's API")
        order_items = found.get("line_items") or ()
        kept = [{key: item.get(key) for key in KEPT_OF_ITEMS} for item in order_items if isinstance(item, dict)]
        code = {"reference_id": code} if (code := square_codes.code_of({"order": found})) else {}
        return json.dumps({"id": asked, "line_items": kept, **code}).encode()

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """Payments made or changed in that time, with the invoices they paid, and refunds and disputes that changed.

        Location by location, each as the webhook event it would have been. After an error or a limit, Square's library
        tries twice more, when Retry-After says, within a minute.
        """
        start, end = (strict.rfc3339(moment, "milliseconds") for moment in (since, until))
        made = {"begin_time": start, "end_time": end}
        changed = {"updated_at_begin_time": start, "updated_at_end_time": end, "sort_field": "UPDATED_AT"}
        with self._client() as api:
            for location in self._pages(api.locations.list, "locations"):
                # Without a location, payments are those of the main one.
                at, merchant = {"location_id": location.get("id")}, location.get("merchant_id")
                payments = {
                    payment.get("id"): payment
                    for window in (made, changed)
                    for payment in self._pages(api.payments.list, "payments", sort_order="ASC", **at, **window)
                }
                for payment in payments.values():
                    yield self._event("payment.updated", payment, merchant)
                    if invoice := self._invoice_of(api, payment, since):
                        yield self._event("invoice.payment_made", invoice, merchant)
                for refund in self._pages(api.refunds.list, "refunds", sort_order="ASC", **at, **changed):
                    yield self._event("refund.updated", refund, merchant)
                for dispute in self._pages(api.disputes.list, "disputes", **at):
                    if since <= strict.iso_time(dispute, "updated_at") < until:
                        yield self._event("dispute.state.updated", dispute, merchant)

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """The client of Square's library."""
        import httpx
        from square import Square as Client
        from square.environment import SquareEnvironment

        own = SquareEnvironment.PRODUCTION if self.endpoint.mode == "live" else SquareEnvironment.SANDBOX
        with httpx.Client(timeout=TIMEOUT_S) as http:
            (token,) = self.api_credentials()
            yield Client(base_url=self.api_address or own.value, token=token, httpx_client=http)

    def _invoice_of(self, api: Any, payment: Object, since: datetime) -> Object | None:
        """The invoice that the payment paid. Invoices are searched by customer: the API has no search by order.

        None for a payment made before that time: a change of it since is no reason to credit it now.
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

    def _pages(self, ask: Callable[..., Any], key: str, **query: Any) -> Iterator[Object]:
        """Every object on every page, as JSON. The library's own paging ends at the first empty page."""
        while True:
            with self._answers(f"a list of {key}"):
                page = ask(**query)
                answer = getattr(page, "response", page)
                found = [json.loads(item.json()) for item in getattr(answer, key) or ()]
                query["cursor"] = getattr(answer, "cursor", None)
            yield from found
            if not query["cursor"]:
                return

    @contextmanager
    def _answers(self, what: str) -> Iterator[None]:
        """Raises Unavailable for whatever is asked within that is not answered so."""
        import httpx
        from square.core.api_error import ApiError

        try:
            yield
        except ApiError as error:
            if error.status_code in {401, 403}:
                raise _NotForUs(str(self.key_refused("Square", error.status_code))) from None
            kind = _NotForUs if error.status_code == 404 else Unavailable
            raise kind(f"Square's API does not answer as it should (status {error.status_code})") from None
        except httpx.HTTPError as error:
            raise Unavailable(f"Square's API does not answer ({type(error).__name__})") from None
        except (AttributeError, RecursionError, TypeError, ValueError):
            raise Unavailable(f"Square's API answers something else than {what}") from None

    def _event(self, type: str, found: Object, merchant: object) -> ParsedEvent:
        """The event that Square would have sent of the present version of an object."""
        kind = type.partition(".")[0]
        event = {
            "merchant_id": merchant,
            "type": type,
            "event_id": f"backfill:{kind}:{found.get('id')}:{found.get('updated_at')}",
            "created_at": found.get("updated_at"),
            "data": {"type": kind, "id": found.get("id"), "object": {kind: found}},
        }
        return self.event(json.dumps(event).encode())


class _NotForUs(Unavailable):
    """There is nothing there that the access token may read."""


def _item(item: Object) -> Item:
    cost = items.number(payers.inside(item, "total_money", "amount"))
    return Item(item.get("catalog_object_id"), cost, items.number(item.get("quantity")))


def _named(holder: Object, key: str) -> tuple[str, ...]:
    """The reference under `key`, where there is one."""
    reference = strict.optional_name(holder, key)
    return (reference,) if reference else ()


def _total(invoice: Object, key: str) -> tuple[int, str]:
    """The money under `key` of all parts in which an invoice is to be paid."""
    parts = [_money(request, key) for request in strict.objects(invoice, "payment_requests")]
    currencies = {currency for _, currency in parts}
    if len(currencies) != 1:
        raise Unusable("payment_requests are not in one currency")
    return sum(amount for amount, _ in parts), currencies.pop()


def _money(holder: Object, key: str) -> tuple[int, str]:
    return strict.money(strict.mapping(holder, key), "amount")
