"""GoCardless: dues are bank debits, told in batches of events that name things and no amounts.

A payment (PM...) credits when it is confirmed; `paid_out` tells the same once more.
Either can be followed by a failure days later, and a failed payment can be tried again
under its own id: each confirmation restores what an earlier failure took. That a late
failure or a chargeback was settled in a payout is the books of what was told before,
perhaps written when the payment is confirmed again: it says nothing new. The amount,
currency and membership are fetched with the payment, the amount of a refund with the
refund, which counts from when it was made: its failure has the last word, whatever is
told in between.

Sandbox or live: no event says. The secret tells, and nothing of the other environment
is there to be fetched.

Sources: developer.gocardless.com/api-reference (webhooks, event types, pagination); the
official client libraries' documentation of events (filters, `links.organisation`),
refunds (statuses) and scenario simulators (late failures, settling);
developer.gocardless.com/introduction/success-plus (retries); support.gocardless.com,
"Webhook retries / failures" (10 seconds, 8 retries).
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import sleep
from typing import Any

import orjson

from models.payments.facts import Fact, Paid, Restored, Reversed
from runtime.settings import api_key_variable
from webhooks import signatures
from webhooks.processors import Delivery, Ignored, ParsedEvent, Processor, TooMany, Unavailable, Unusable, strict
from webhooks.signatures import Headers, Invalid, Verdict

Object = dict[str, Any]
Reading = Callable[[Object, datetime, bytes | None], list[Fact]]

API = {"live": "https://api.gocardless.com", "test": "https://api-sandbox.gocardless.com"}
MOST_EVENTS = 250
"""Of one delivery, as documented."""
PAGE = 500
FETCH_AGAIN_AFTER_S: Sequence[float] = (0.5,)
LIST_AGAIN_AFTER_S: Sequence[float] = (2, 10, 50)
"""The rate limit is per minute: after these it is another one."""

NO_EVENTS = "no_events"
_TEST_EVENT = "EVTEST"
"""How the ids of those begin that the dashboard makes up to try an endpoint."""
_TELLING = ("id", "created_at", "resource_type", "action", "links")
_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class GoCardless(Processor):
    """GoCardless: one organisation, by its own access token or through a partner's app."""

    dedupe = "each event's id (EV...)"
    answer_within_s = 10
    refused = 498
    options = frozenset({"api"})
    library = "gocardless_pro"
    api_key = "a read-only access token"
    fetches = True
    horizon = timedelta(days=540)

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """`Webhook-Signature: HEX`: HMAC-SHA256 of the body, keyed with the endpoint's secret.

        Nothing is dated. Source: api-reference, "Signing webhooks"; unlike the library this refuses an empty secret.
        """
        given = headers.get("webhook-signature")
        if not given:
            return Invalid("no Webhook-Signature header")
        expected = [_signature(body, key).encode() for key in self.endpoint.keys if key]
        if signatures.any_match([given.encode("latin-1", "replace")], expected):
            return None
        return Invalid("Webhook-Signature matches no secret of the endpoint")

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Signed with the first of the endpoint's secrets."""
        return Delivery(body, {"Webhook-Signature": _signature(body, self.endpoint.keys[0])})

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """Each event of the batch for itself; what cannot be read of it is in quarantine and harms no other."""
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
        """What an event tells must be equal; the API's list has more or less beside it than the webhook."""
        one = _told(first)
        return one is not None and one == _told(second)

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """The facts that the event tells. Raises Ignored or Unusable."""
        event = strict.loads(body)
        if type == NO_EVENTS:
            raise Ignored("a delivery without events: GoCardless was trying the endpoint")
        if strict.name(event, "id").startswith(_TEST_EVENT):
            raise Ignored("an event made up in the dashboard to try the endpoint")
        self._check_account(event)
        reading = _READINGS.get(type)
        if reading is None:
            raise Ignored(_WHY_IGNORED.get(type, f"{type} says nothing about dues"))
        return reading(event, strict.iso_time(event, "created_at"), resource)

    def fetch(self, type: str, body: bytes) -> bytes:
        """The payment or refund that the event names."""
        from webhooks.processors import http

        event = strict.loads(body)
        self._check_account(event)
        kind = type.partition(".")[0]
        named = _named(event, kind)
        found = self._ask(f"{kind}/{named}", {}, FETCH_AGAIN_AFTER_S).get(kind)
        http.check_same(named, found.get("id") if isinstance(found, dict) else None, "GoCardless")
        return _written(found)

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """All events of that time, the newest first: so the API has it. Page by page, as they are asked for."""
        account = self.endpoint.account
        wanted = {"created_at[gte]": _iso(since), "created_at[lt]": _iso(until), "limit": str(PAGE)}
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
                # Webhooks of an app name the organisation; what is listed for its token does not.
                if account and isinstance(event, dict) and isinstance(event.get("links"), dict):
                    event["links"].setdefault("organisation", account)
                yield _event(event)
            if after is None or after == wanted.get("after"):
                return
            wanted["after"] = after

    def _check_account(self, event: Object) -> None:
        ours = self.endpoint.account
        if ours is not None:
            theirs = strict.optional_name(strict.mapping(event, "links"), "organisation")
            if theirs != ours:
                raise Unusable(f"links.organisation is {theirs!r}, but the endpoint's account is {ours!r}")

    def _ask(self, path: str, query: Mapping[str, str], again_after_s: Sequence[float]) -> Object:
        """The API's answer, read strictly; what may be over in a moment is tried again."""
        # Its client's lowest layer: the services above it sleep, try again and read numbers as floats.
        from gocardless_pro.api_client import ApiClient

        from webhooks.processors.http import TIMEOUT_S

        name, mode = self.endpoint.name, self.endpoint.mode
        if len(self.endpoint.api_key) != 1:
            raise Unavailable(f"put {self.api_key}, one word, into {api_key_variable(name)}")
        token = self.endpoint.api_key[0].get_secret_value()
        client = ApiClient(self.endpoint.options.get("api", API[mode]), token, timeout=TIMEOUT_S)
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
        except (errors.AuthenticationError, errors.PermissionsError):
            variable = api_key_variable(self.endpoint.name)
            environment = "live" if self.endpoint.mode == "live" else "sandbox"
            raise Unavailable(
                f"GoCardless refuses the access token: put one of the {environment} environment into {variable}"
            ) from None
        except errors.RateLimitError:
            raise _Passing("GoCardless answers 429: too many requests in a minute") from None
        except errors.GoCardlessInternalError:
            raise _Passing("GoCardless answers with an error of its own") from None
        except errors.MalformedResponseError as error:
            raise _Passing(f"GoCardless answers {error.status_code} and no JSON") from None
        except errors.GoCardlessProError as error:
            why, code = str(getattr(error, "message", None) or error), getattr(error, "code", None)
            if type(code) is int and code >= 500:
                raise _Passing(f"something before GoCardless answers {code}") from None
            raise LookupError(f"GoCardless has no answer to GET /{path}: {why[:200]}") from None
        try:
            return http.read(content, "GoCardless")
        except Unavailable as why:
            raise _Passing(str(why)) from None


class _Passing(Unavailable):
    """What may be over in a moment."""


def _signature(body: bytes, key: bytes) -> str:
    return hmac.digest(key, body, hashlib.sha256).hex()


def _event(event: object) -> ParsedEvent:
    body = _written(event)
    if not isinstance(event, dict):
        return strict.unreadable(body, "unparsable: an event that is no object")
    event_id, *what = (event.get(key) for key in ("id", "resource_type", "action"))
    kind = ".".join(map(str, what))
    if not all(map(strict.is_name, (event_id, *what, kind))):
        return strict.unreadable(body, "unparsable: an event without an id, a resource_type or an action")
    return ParsedEvent(str(event_id), kind, body, thin=kind in _THIN and not str(event_id).startswith(_TEST_EVENT))


def _written(value: object) -> bytes:
    """What `strict` read, as JSON again, digit for digit."""
    # json writes no Decimal: each goes in as a text that begins with NUL, which no text that `strict` read has.
    text = json.dumps(value, default=lambda number: f"\0{number}", ensure_ascii=False, separators=(",", ":"))
    return _NUMBER.sub(r"\1", text).encode()


_NUMBER = re.compile(r'"\\u0000([^"]*)"')


def _told(body: bytes) -> bytes | None:
    event = strict.peek(body)
    if event is None or not strict.is_name(event.get("id")):
        return strict.canonical(body)
    try:
        return orjson.dumps([event.get(key) for key in _TELLING], option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # nested too deeply
        return None


def _named(event: Object, kind: str) -> str:
    """The payment or refund that the event is about."""
    link = kind.removesuffix("s")
    named = strict.name(strict.mapping(event, "links"), link)
    if _ID.fullmatch(named) is None:
        raise Unusable(f"{link} is not an identifier")
    return named


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fetched(event: Object, kind: str, resource: bytes | None) -> Object:
    """What was fetched of it; the id is that of the event's link."""
    if resource is None:
        raise Unusable(f"its {kind} were not fetched")
    found, named = strict.loads(resource), _named(event, kind)
    if strict.name(found, "id") != named:
        raise Unusable(f"links name {named[:60]}, but another of the {kind} was fetched")
    return found


def _paid(event: Object, told_at: datetime, resource: bytes | None) -> list[Fact]:
    payment = _fetched(event, "payments", resource)
    reference, amount = strict.name(payment, "id"), strict.minor_units(payment, "amount")
    if amount == 0:
        raise Ignored("zero amount: nothing was paid")
    links = strict.mapping(payment, "links")
    billing = (strict.optional_name(links, key) for key in ("subscription", "instalment_schedule", "mandate"))
    return [
        Paid(
            reference,
            told_at,
            amount,
            strict.currency(payment, "currency"),
            tuple(filter(None, dict.fromkeys(billing))),
        ),
        Restored(reference, told_at, f"failure:{reference}"),
    ]


def _whole(fact: type[Reversed | Restored], family: str) -> Reading:
    """All of a payment goes or comes back: of a kind that it can have once at a time."""

    def read(event: Object, told_at: datetime, _: bytes | None) -> list[Fact]:
        reference = _named(event, "payments")
        return [fact(reference, told_at, f"{family}:{reference}")]

    return read


def _refund(fact: type[Reversed | Restored]) -> Reading:
    def read(event: Object, told_at: datetime, resource: bytes | None) -> list[Fact]:
        refund = _fetched(event, "refunds", resource)
        reference = strict.optional_name(strict.mapping(refund, "links"), "payment")
        if reference is None:
            raise Ignored("a refund on a mandate, of no payment in particular: take sessions back by hand")
        cause = f"refund:{strict.name(refund, 'id')}"
        at = strict.iso_time(refund, "created_at") if fact is Reversed else told_at
        amount, currency = strict.minor_units(refund, "amount"), strict.currency(refund, "currency")
        return [fact(reference, at, cause, amount, currency)]

    return read


_READINGS: dict[str, Reading] = {
    "payments.confirmed": _paid,
    "payments.paid_out": _paid,
    "payments.failed": _whole(Reversed, "failure"),
    "payments.charged_back": _whole(Reversed, "chargeback"),
    "payments.chargeback_cancelled": _whole(Restored, "chargeback"),
    "refunds.paid": _refund(Reversed),
    "refunds.refund_settled": _refund(Reversed),
    "refunds.failed": _refund(Restored),
    "refunds.bounced": _refund(Restored),
    "refunds.funds_returned": _refund(Restored),
}

_THIN = {"payments.confirmed", "payments.paid_out"} | {kind for kind in _READINGS if kind.startswith("refunds.")}

_WHY_IGNORED = {
    "payments.created": "nothing was collected yet: payments.confirmed tells when it is",
    "payments.customer_approval_granted": "nothing was collected yet: payments.confirmed tells when it is",
    "payments.customer_approval_denied": "the member did not approve: no money moved",
    "payments.submitted": "nothing was collected yet: payments.confirmed tells when it is",
    "payments.cancelled": "cancelled before it was collected: no money moved",
    "payments.resubmission_requested": "a new attempt, of which nothing was collected yet",
    "payments.late_failure_settled": "the books of a failure that payments.failed told of; it may be paid again by now",
    "payments.chargeback_settled": "the books of a chargeback that payments.charged_back told of",
    "payments.surcharge_fee_debited": "a fee of GoCardless's: no dues",
    "payments.surcharge_fee_credited": "a fee of GoCardless's: no dues",
    "refunds.created": "no money went back yet: refunds.paid tells when it does",
}
