"""GoCardless: dues are bank debits; events come in batches, and name objects but no amounts.

A payment (PM...) credits when it is confirmed; `paid_out` means the same money.
Either can be followed by a failure days later, and a failed payment can be tried again
under its own id: each confirmation restores what an earlier failure took. `*_settled` events
only report payout accounting, perhaps after the payment was confirmed again; ignore them. The amount,
currency and membership are fetched with the payment, the amount of a refund with the
refund, which counts from when it was made: its failure counts after it, whatever the
order of the events.

A payment names its subscription or instalment schedule and its mandate; any of them can be a membership's
reference. Its customer is fetched with the mandate, and is the payer. A mandate that a bank replaced
stands for the new one (`mandates.replaced`). A first payment by instant bank transfer is made by a billing
request, and may be of no mandate itself. The request then says which mandate, subscription and customer it
was for: so a fulfilled request counts as its payment once that is confirmed, from when the payment was
made, which is before any event of it.

What an event says of a subscription or mandate (its end, a pause) is announced as it stands there: it is signed.

Events do not say whether they are of the sandbox. The secret does, and an object of the other
environment cannot be fetched.

Sources: developer.gocardless.com/api-reference (webhooks, event types, pagination); the
official client libraries' documentation of events (filters, `links.organisation`),
refunds (statuses), mandates and billing requests (links) and scenario simulators (late failures, settling);
developer.gocardless.com/introduction/success-plus (retries); support.gocardless.com,
"Webhook retries / failures" (10 seconds, 8 retries).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from time import sleep
from typing import Any, ClassVar, cast

import orjson

from models.payments.facts import Announced, Change, DuesFailed, Fact, Paid, Replaced, Restored, Reversed
from webhooks.processors import announcing, gocardless_codes, payers, strict
from webhooks.processors.base import Object, Trial, dues
from webhooks.processors.claiming import CodeField
from webhooks.processors.events import Ignored, NotYet, ParsedEvent, Payer, TooMany, Unavailable, Unusable
from webhooks.processors.gocardless_codes import MADE
from webhooks.signatures import Headers

MOST_EVENTS = 250
"""Of one delivery, as documented."""
PAGE = 500
FETCH_AGAIN_AFTER_S: Sequence[float] = (0.5,)
LIST_AGAIN_AFTER_S: Sequence[float] = (2, 10, 50)
"""The rate limit is per minute, and over by then."""

NO_EVENTS = "no_events"
TEST_EVENT = "EVTEST"
"""The beginning of the ids that the dashboard makes up to test an endpoint."""
COMPARED = ("id", "created_at", "resource_type", "action", "links")
"""What two versions of an event must agree in; the API's list has more or less beside it than the webhook."""
_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

REFERENCES = ("subscription", "instalment_schedule", "mandate")
"""What a payment's links name it by, the closest first."""
COLLECTED = {"confirmed", "paid_out", "charged_back"}
NEVER = {"failed", "cancelled", "customer_approval_denied"}
"""Statuses of a payment that was collected once, and of one that was not."""


class GoCardless(gocardless_codes.Codes):
    """GoCardless: one organisation, by its own access token or through a partner's app."""

    readings: ClassVar = {
        "payments.confirmed payments.paid_out": "paid",
        "payments.failed": "failed",
        "payments.charged_back": ("whole_payment", Reversed, "chargeback"),
        "payments.chargeback_cancelled": ("whole_payment", Restored, "chargeback"),
        "refunds.paid refunds.refund_settled": ("refund", Reversed),
        "refunds.failed refunds.bounced refunds.funds_returned": ("refund", Restored),
        "mandates.replaced": "replaced",
        "subscriptions.cancelled subscriptions.finished": ("announced", "subscriptions", Change.ENDS),
        "subscriptions.paused": ("announced", "subscriptions", Change.PAUSED),
        "subscriptions.resumed": ("announced", "subscriptions", Change.RESUMED),
        "mandates.cancelled mandates.failed mandates.expired": ("announced", "mandates", Change.ENDS),
        "mandates.reinstated": ("announced", "mandates", Change.GOES_ON),
        "billing_requests.fulfilled": "fulfilled",
        "subscriptions.created mandates.created mandates.active": "made",
    }
    ignored: ClassVar = {
        "nothing was collected yet: payments.confirmed follows when it is": """
            payments.created payments.customer_approval_granted payments.submitted""",
        "the member did not approve: no money moved": "payments.customer_approval_denied",
        "cancelled before it was collected: no money moved": "payments.cancelled",
        "a new attempt, of which nothing was collected yet": "payments.resubmission_requested",
        "payout accounting of an earlier payments.failed; it may be paid again by now": "payments.late_failure_settled",
        "payout accounting of an earlier payments.charged_back": "payments.chargeback_settled",
        "a fee of GoCardless's: no dues": "payments.surcharge_fee_debited payments.surcharge_fee_credited",
        "no money went back yet: refunds.paid follows when it does": "refunds.created",
    }
    about_money = ("payments.", "refunds.")
    account_field = "links.organisation"

    dedupe = "each event's id (EV...)"
    signature_header = "Webhook-Signature"
    answer_within_s = 10
    refused = 498
    options = frozenset({"api"})
    trial = Trial(api_key="sandbox_1")
    code_field = CodeField(
        "metadata of the subscription, mandate or billing request", '"metadata": {{"membership_code": "{code}"}}'
    )
    library = "gocardless_pro"
    api: ClassVar = {"live": "https://api.gocardless.com", "test": "https://api-sandbox.gocardless.com"}
    api_key = "a read-only access token"
    fetches = needs_api = True
    horizon = timedelta(days=540)

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """Each event of the batch by itself; an unreadable one is in quarantine and harms no other."""
        try:
            events = strict.loads(body).get("events")
        except Unusable as why:
            return [strict.unreadable(body, str(why))]
        if not isinstance(events, list):
            return [strict.unreadable(body, "unparsable: no list of events")]
        if len(events) > MOST_EVENTS:
            raise TooMany(f"{len(events)} events, and GoCardless delivers {MOST_EVENTS} at most")
        if not events:
            return [strict.unreadable(body, "")._replace(type=NO_EVENTS, quarantine_reason=None)]
        return [_event(event) for event in events]

    def same_content(self, first: bytes, second: bytes) -> bool:
        """Compares the values in `COMPARED` only."""
        content = _content(first)
        return content is not None and content == _content(second)

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """A delivery without events is ignored on every endpoint: it names no organisation."""
        if type == NO_EVENTS:
            raise Ignored("a delivery without events: GoCardless was testing the endpoint")
        return super().interpret(type, body, resource)

    def check(self, event: Object) -> None:
        """The dashboard's test events are ignored on every endpoint."""
        if strict.name(event, "id").startswith(TEST_EVENT):
            raise Ignored("an event made up in the dashboard to test the endpoint")
        super().check(event)

    def details(self, type: str, event: Object, resource: bytes | None) -> tuple[Object, datetime, bytes | None]:
        """The event, when it was made, and what was fetched for it."""
        return event, strict.iso_time(event, "created_at"), resource

    def named_payment(self, event: Object, at: datetime, resource: bytes | None) -> tuple[str | None, datetime]:
        """The payment that the event links to."""
        return strict.optional_name(strict.mapping(event, "links"), "payment"), at

    def paid(self, event: Object, at: datetime, resource: bytes | None) -> list[Fact]:
        """The dues; a payment that had failed is paid after all."""
        payment = _fetched(event, "payments", resource)
        paid = _paid(payment, at, strict.mapping(payment, "links"))
        return [paid, Restored(paid.payment, at, f"failure:{paid.payment}")]

    def fulfilled(self, event: Object, at: datetime, resource: bytes | None) -> list[Fact]:
        """The payment of a billing request, where it does not itself name what the request was for.

        Dated from when the payment was made, so that this counts and not its confirmation, which may name nobody.
        """
        request = _fetched(event, "billing_requests", resource)
        payment, links = strict.mapping(request, "payment"), strict.mapping(request, "links")
        if not payment:
            raise Ignored("a billing request for no payment: nothing was collected")
        own, made = strict.mapping(payment, "links"), {link: links.get(theirs) for link, theirs in MADE.items()}
        if any(own.get(link) and own[link] == made[link] for link in REFERENCES):
            raise Ignored("the same money as payments.confirmed, which names what it is for")
        status = str(payment.get("status"))[:60]
        if status in NEVER:
            raise Ignored(f"the payment is {status}: nothing was collected")
        if status not in COLLECTED:
            raise NotYet(f"GoCardless says that the payment is {status}")
        return [_paid(payment, strict.iso_time(payment, "created_at"), made, own)]

    def replaced(self, event: Object, at: datetime, resource: bytes | None) -> list[Fact]:
        """A mandate in the place of another, as when a bank takes over the accounts of another bank."""
        links = strict.mapping(event, "links")
        return [Replaced(strict.name(links, "mandate"), at, strict.name(links, "new_mandate"))]

    def announced(self, kind: str, what: Change, event: Object, at: datetime, resource: bytes | None) -> list[Fact]:
        """What became of a subscription or mandate: an end is at once."""
        named = _linked_id(event, kind)
        return [announcing.ends(named, at, at) if what == Change.ENDS else Announced(named, at, what)]

    def failed(self, event: Object, at: datetime, resource: bytes | None) -> list[Fact]:
        """A debit that failed: what it had credited goes back, and the dues that it was for are owed."""
        facts = self.whole_payment(Reversed, "failure", event, at, resource)
        if resource is None:  # an event of before payments were fetched for it
            return facts
        payment = _fetched(event, "payments", resource)
        amount, currency = strict.money(payment, "amount")
        billing, payer = _named(strict.mapping(payment, "links"))
        owed = DuesFailed(strict.name(payment, "id"), at, billing, payer, amount, currency)
        return [*facts, owed] if billing or payer else facts

    def whole_payment(
        self, fact: type[Reversed | Restored], family: str, event: Object, at: datetime, resource: bytes | None
    ) -> list[Fact]:
        """All of a payment went or came back: a failure or chargeback, of which it has one at a time."""
        reference = _linked_id(event, "payments")
        return [fact(reference, at, f"{family}:{reference}")]

    def refund(
        self, fact: type[Reversed | Restored], event: Object, at: datetime, resource: bytes | None
    ) -> list[Fact]:
        """A refund that went through, or came to nothing."""
        refund = _fetched(event, "refunds", resource)
        reference = strict.optional_name(strict.mapping(refund, "links"), "payment")
        if reference is None:
            raise Ignored("a refund on a mandate, of no payment in particular: take sessions back by hand")
        cause = f"refund:{strict.name(refund, 'id')}"
        happened_at = strict.iso_time(refund, "created_at") if fact is Reversed else at
        return [fact(reference, happened_at, cause, *strict.money(refund, "amount"))]

    def payer_details(self, type: str, body: bytes, resource: bytes | None = None) -> Payer | None:
        """The description of the payment; GoCardless keeps names with the customer, which is not fetched."""
        found = payers.loaded(resource)
        own, made = payers.inside(found, "description"), payers.inside(found, "payment", "description")
        return payers.details(None, None, own or made)

    # The API

    def fetch(self, type: str, body: bytes) -> bytes:
        """The payment or refund that the event names; of a billing request its payment, and what else it made.

        The customer of a payment's mandate is added to the payment's links.
        """
        event = strict.loads(body)
        super().check(event)
        kind = type.partition(".")[0]
        found = self._get(kind, _linked_id(event, kind))
        if kind == "payments":
            self._add_customer(found)
        if kind == "billing_requests":
            links = strict.mapping(found, "links")
            made = strict.optional_name(links, "payment_request_payment")
            # The rest of a billing request is the customer's own data.
            metadata = gocardless_codes.kept(found.get("metadata"))
            found = {"id": found["id"], "links": links} | ({"metadata": metadata} if metadata else {})
            if made and _ID.fullmatch(made):
                found["payment"] = self._get("payments", made)
        return strict.written(found)

    def _add_customer(self, payment: Object) -> None:
        """Add the customer of the payment's mandate to the payment's links, where there is one; and its code."""
        links = payment.get("links")
        mandate = links.get("mandate") if isinstance(links, dict) else None
        if isinstance(links, dict) and isinstance(mandate, str) and _ID.fullmatch(mandate):
            with suppress(LookupError, Unusable):
                found = self._get("mandates", mandate)
                links.setdefault("customer", strict.optional_name(strict.mapping(found, "links"), "customer"))
                if metadata := gocardless_codes.kept(found.get("metadata")):
                    payment["mandate"] = {"metadata": metadata}

    def _get(self, kind: str, asked: str) -> Object:
        """The object of that id."""
        from webhooks.processors import http

        found = self._ask(f"{kind}/{asked}", {}, FETCH_AGAIN_AFTER_S).get(kind)
        http.check_same(asked, found.get("id") if isinstance(found, dict) else None, "GoCardless")
        return cast("Object", found)

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """All events of that time, the newest first, as the API has them. Page by page, as they are asked for."""
        account = self.endpoint.account
        start, end = (strict.rfc3339(moment, "milliseconds") for moment in (since, until))
        wanted = {"created_at[gte]": start, "created_at[lt]": end, "limit": str(PAGE)}
        while True:
            page = self._ask("events", wanted, LIST_AGAIN_AFTER_S)
            events = page.get("events")
            try:
                after = strict.optional_name(strict.mapping(strict.mapping(page, "meta"), "cursors"), "after")
            except Unusable:
                events = None
            if not isinstance(events, list):
                raise Unavailable("GoCardless's API answers something else than a list of events")
            for event in events:
                # An app's webhooks name the organisation; the list for its token does not.
                if account and isinstance(event, dict) and isinstance(event.get("links"), dict):
                    event["links"].setdefault("organisation", account)
                yield _event(event)
            if after is None or after == wanted.get("after"):
                return
            wanted["after"] = after

    def _ask(self, path: str, query: Mapping[str, str], again_after_s: Sequence[float]) -> Object:
        """The API's answer, read strictly; tried again after an error that may pass in a moment."""
        # The lowest layer of its client: the services above it sleep, try again and read numbers as floats.
        from gocardless_pro.api_client import ApiClient

        from webhooks.processors.http import TIMEOUT_S

        (token,) = self.api_credentials()
        client = ApiClient(self.api_address, token, timeout=TIMEOUT_S)
        for wait_s in again_after_s:
            try:
                return self._answer(client, path, query)
            except _Passing:
                sleep(wait_s)
        return self._answer(client, path, query)

    def _answer(self, client: Any, path: str, query: Mapping[str, str]) -> Object:
        from gocardless_pro import errors
        from requests import RequestException

        from webhooks.processors import http

        try:
            content = client.get(f"/{path}", params=query).content
        except RequestException as error:
            raise _Passing(f"its API does not answer ({type(error).__name__})") from None
        except (errors.AuthenticationError, errors.PermissionsError) as error:
            raise self.key_refused("GoCardless", getattr(error, "code", None)) from None
        except errors.RateLimitError:
            raise _Passing("GoCardless answers 429: too many requests in a minute") from None
        except errors.GoCardlessInternalError:
            raise _Passing("GoCardless answers with an error of its own") from None
        except errors.MalformedResponseError as error:
            raise _Passing(f"GoCardless answers {error.status_code} and no JSON") from None
        except errors.GoCardlessProError as error:
            why, code = str(getattr(error, "message", None) or error), getattr(error, "code", None)
            if type(code) is int and code >= 500:
                raise _Passing(f"a proxy before GoCardless answers {code}") from None
            raise LookupError(f"GoCardless has no answer to GET /{path}: {why[:200]}") from None
        try:
            return http.read(content, "GoCardless")
        except Unavailable as why:
            raise _Passing(str(why)) from None


class _Passing(Unavailable):
    """An error that may pass in a moment."""


THIN = {"payments.confirmed", "payments.paid_out", "payments.failed", "billing_requests.fulfilled"} | {
    kind for kind in GoCardless.meanings if kind.startswith("refunds.")
}


def _paid(payment: Object, at: datetime, *links: Object) -> Paid:
    """The payment, of what these links name."""
    amount, currency = strict.money(payment, "amount")
    billing, payer = _named(*links)
    return replace(dues(strict.name(payment, "id"), at, amount, currency, *billing), payer=payer)


def _named(*links: Object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the links name a payment by, the closest first, and the customers."""
    billing = (strict.optional_name(each, key) for key in REFERENCES for each in links)
    customers = (strict.optional_name(each, "customer") for each in links)
    return tuple(filter(None, dict.fromkeys(billing))), tuple(filter(None, dict.fromkeys(customers)))


def _event(event: object) -> ParsedEvent:
    body = strict.written(event)
    if not isinstance(event, dict):
        return strict.unreadable(body, "unparsable: an event that is no object")
    what = event.get("resource_type"), event.get("action")
    kind = ".".join(map(str, what)) if all(map(strict.is_name, what)) else None
    found = strict.parsed(event.get("id"), kind, body, "an event without an id, a resource_type or an action")
    return found._replace(thin=found.type in THIN and not found.event_id.startswith(TEST_EVENT))


def _content(body: bytes) -> bytes | None:
    event = strict.peek(body)
    if event is None or not strict.is_name(event.get("id")):
        return strict.canonical(body)
    try:
        return orjson.dumps([event.get(key) for key in COMPARED], option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # nested too deeply
        return None


def _linked_id(event: Object, kind: str) -> str:
    """The id of the payment or refund that the event links to."""
    link = kind.removesuffix("s")
    found = strict.name(strict.mapping(event, "links"), link)
    if _ID.fullmatch(found) is None:
        raise Unusable(f"{link} is not an identifier")
    return found


def _fetched(event: Object, kind: str, resource: bytes | None) -> Object:
    """The payment or refund that was fetched. Raises Unusable for another one than the event links to."""
    if resource is None:
        raise Unusable(f"its {kind} were not fetched")
    found, asked = strict.loads(resource), _linked_id(event, kind)
    if strict.name(found, "id") != asked:
        raise Unusable(f"links name {asked[:60]}, but another of the {kind} was fetched")
    return found
