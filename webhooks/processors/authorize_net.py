"""Authorize.Net: dues are the payments of a subscription (Automated Recurring Billing) or of a customer profile.

A notification names a transaction and its amount, but neither the member nor, of a refund,
the payment: both are fetched (getTransactionDetails). Credits on `authcapture`, `capture`
and `priorAuthCapture`, and on `fraud.approved` of what was held for review, keyed by the
transaction: capturing, approving and voiding keep its id, a refund has its own and refers to
the payment's. Voiding a payment takes back all of it; voiding a refund restores the payment.
The meaning depends on nothing that changes with time; only a capture waits while the API still calls its transaction
an authorisation, since it tells how much was captured.

There is no currency in it, since an account has one, and neither mode nor account: an endpoint
knows its own by its signature key and by the API it asks.

No notification tells of returned eChecks, chargebacks and batches that fail to settle. What the
API lists of settled batches is made into events of our own type `transaction_listed.STATUS`, in
the shape of a notification: a payment with all that it takes, so that one that is known is
recognised; anything else with the details to be fetched. An eCheck's return is a transaction of
its own that refers to the payment's. A failed batch can be reset, and its payments settle with a
later one: so it takes nothing back, and waits in quarantine for someone who knows.

Sources: developer.authorize.net/api/reference/features/webhooks.html (event types, payloads),
developer.authorize.net/api/reference (getTransactionDetails; the samples of capturing, voiding
and refunding show which ids are kept), AnetApiSchema.xsd (transactionDetailsType). The notices
in the open tests of stymiee/authnetjson and AuthNet.WebHooks show real ids, times and amounts.
Of the lists: AnetApiSchema.xsd (transactionSummaryType, batchDetailsType, Paging), the answers in
stymiee/authnetjson (lists in JSON), Authorize.Net's own answers in its developer community
("Getting transaction details", message 16374: statuses; "What happens to a batch having a
settlementState of settlementError", 59026), its .NET library's test
Reporting_GetTransactionDetailsTest_WithReturnedItems (a return's id), and two open programs that
read the payment of a return from its refTransId. Not found: what a chargeback's transaction refers to
(message 16374 calls the status legacy), and whether a page's offset counts pages or transactions.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, NamedTuple

from models.currencies import is_known
from models.payments.facts import Fact, Paid, Restored, Reversed
from runtime.settings import Endpoint, SettingsError, api_key_variable
from webhooks import signatures
from webhooks.processors import Delivery, Ignored, NotYet, ParsedEvent, Processor, Unavailable, Unusable, strict
from webhooks.signatures import Headers, Invalid, Verdict

Object = dict[str, Any]

API = {"live": "https://api.authorize.net", "test": "https://apitest.authorize.net"}
HEADER = "X-ANET-Signature"
APPROVED = 1
"""The response code of a transaction that went through."""

LISTED = "transaction_listed"
"""Our own types, for what the API lists: this, a dot, and the transaction's status."""
BATCH_FAILED = "batch_failed"
"""Our own type, for a batch that the processor rejected."""
MOST_APART = timedelta(days=30)
"""Batches are listed for no more than 31 days at once."""
PAGE = 1000
"""The most that is listed at once."""

_KEY = re.compile(rb"[0-9A-Fa-f]{128}")
_SIGNATURE = re.compile("sha512=([0-9A-Fa-f]{128})")
_LISTED_KEPT = ("submitTimeUTC", "settleAmount", "subscription", "profile")
_KEPT = (
    "transId", "transactionType", "transactionStatus", "refTransId", "settleAmount", "subscription", "profile",
)  # fmt: skip
"""What is kept of a transaction's details; the rest is names, addresses and cards."""


class AuthorizeNet(Processor):
    """An Authorize.Net account; test mode is its sandbox."""

    dedupe = "the notificationId"
    answer_within_s = 10  # nowhere documented
    options = frozenset({"api", "currency"})
    library = "requests"
    api_key = "the API login ID and the transaction key"
    fetches = True
    # The current year and the two before it are kept: support.authorize.net, KA-05371.
    horizon = timedelta(days=730)

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError also for an account: no notification names one."""
        super().__init__(endpoint)
        self._currency = endpoint.options.get("currency", "USD")
        self._api = endpoint.options.get("api", API[endpoint.mode]).rstrip("/")
        wrong = None
        if not all(map(_KEY.fullmatch, endpoint.keys)):
            wrong = "its secret is the signature key, 128 hexadecimal digits; one of its secrets is not."
        elif endpoint.account is not None:
            wrong = "Authorize.Net's notifications name no account; leave out account=."
        elif not is_known(self._currency):
            wrong = f"currency={self._currency} is no ISO 4217 code like USD."
        elif re.fullmatch("https?://.+", self._api) is None:
            wrong = f"api={self._api} is no address like {API['test']}."
        if wrong:
            raise SettingsError(f"Endpoint {endpoint.name!r}: {wrong}")

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """`X-ANET-Signature: sha512=HEX`: HMAC-SHA512 of the body, keyed with the signature key as it is written.

        Not with the bytes that its digits stand for: the documentation leaves that open, and what
        Authorize.Net really signed (the published vector) is of the text. No timestamp is signed.
        """
        given = _SIGNATURE.fullmatch(headers.get(HEADER.lower()) or "")
        if given is None:
            return Invalid(f"no {HEADER} header of the form sha512= and 128 hexadecimal digits")
        if signatures.any_match([given[1].upper().encode()], [_signature(key, body) for key in self.endpoint.keys]):
            return None
        return Invalid("the signature matches no secret of the endpoint")

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Signed with the first of the endpoint's secrets; the time does not go in."""
        return Delivery(body, {HEADER: f"sha512={_signature(self.endpoint.keys[0], body).decode()}"})

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """One event per delivery, under its notificationId; thin where its meaning needs the transaction's details."""
        event = strict.event(body, event_id="notificationId", type="eventType")
        payload = (strict.peek(body) or {}).get("payload")
        approved = isinstance(payload, dict) and payload.get("responseCode") == APPROVED
        return [event._replace(thin=approved and event.type in _OF_DETAILS)]

    def same_content(self, first: bytes, second: bytes) -> bool:
        """A redelivery repeats the body; spacing and the order of keys do not matter."""
        return strict.same(first, second)

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """The fact that the event tells; `resource` is the transaction's details. Raises Ignored or Unusable."""
        event = strict.loads(body)
        reading = _READINGS.get(type)
        if reading is None:
            raise Ignored(_WHY_IGNORED.get(type, f"{type} says nothing about dues"))
        payload = strict.mapping(event, "payload")
        if type in _OF_DETAILS and not type.startswith(LISTED):
            _check_approved(payload)
        transaction = strict.name(payload, "id")
        if transaction == "0":
            raise Unusable("the transaction has no id: the account was in test mode")
        details = _details(transaction, resource) if type in _OF_DETAILS else {}
        return [
            reading(
                TransactionEvent(transaction, strict.iso_time(event, "eventDate"), payload, details, self._currency)
            )
        ]

    def fetch(self, type: str, body: bytes) -> bytes:
        """The details of the event's transaction, as far as they are needed.

        Errors come with status 200, and every answer begins with a byte order mark.
        Source: the reference's getTransactionDetails and its list of response codes.
        """
        from webhooks.processors import http

        transaction = strict.name(strict.mapping(strict.loads(body), "payload"), "id")
        answer = self._ask("getTransactionDetailsRequest", transId=transaction).get("transaction")
        found = answer if isinstance(answer, dict) else {}
        http.check_same(transaction, found.get("transId"), "Authorize.Net's API")
        # As text, amounts stay what they are.
        return json.dumps({name: found[name] for name in _KEPT if name in found}, default=str).encode()

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """The transactions of each batch that settled or failed in that time.

        What was paid today is listed when it has settled.
        """
        while since < until:
            end = min(since + MOST_APART, until)
            first, last = (f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for moment in (since, end))
            batches = self._list(
                "batchList", "getSettledBatchListRequest", firstSettlementDate=first, lastSettlementDate=last
            )
            for batch in sorted(batches, key=lambda batch: str(batch.get("settlementTimeUTC"))):
                if batch.get("settlementState") == "settlementError":
                    yield _failed_batch(batch)
                for transaction in self._transactions(strict.name(batch, "batchId")):
                    yield _listed_event(transaction, batch)
            since = end

    def _transactions(self, batch_id: str) -> Iterator[Object]:
        seen: set[str] = set()
        sorting = {"orderBy": "id", "orderDescending": "false"}
        for offset in count(1):
            paging = {"limit": str(PAGE), "offset": str(offset)}
            page = self._list(
                "transactions", "getTransactionListRequest", batchId=batch_id, sorting=sorting, paging=paging
            )
            new = [transaction for transaction in page if str(transaction.get("transId")) not in seen]
            yield from new
            seen.update(str(transaction.get("transId")) for transaction in new)
            if len(page) < PAGE or not new:
                return

    def _list(self, name: str, request: str, **asked: Any) -> list[Object]:
        found = self._ask(request, **asked).get(name) or []
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise Unavailable(f"the API's answer cannot be read: {name} is not a list of objects")
        return found

    def _ask(self, request: str, **asked: Any) -> Object:
        from webhooks.processors import http

        place = api_key_variable(self.endpoint.name)
        if len(self.endpoint.api_key) != 2:
            raise Unavailable(f"put the API login ID and the transaction key, with a blank between, into {place}")
        login, key = (word.get_secret_value() for word in self.endpoint.api_key)
        # The order of the keys matters to their API.
        body = {request: {"merchantAuthentication": {"name": login, "transactionKey": key}, **asked}}
        answer = http.ask("POST", f"{self._api}/xml/v1/request.api", api_key_at=place, json=body)
        _check_ok(answer, place)
        return answer


class TransactionEvent(NamedTuple):
    """What an event tells of a transaction, with its details where they are needed."""

    transaction: str
    at: datetime
    payload: Object
    details: Object
    currency: str


def _signature(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, hashlib.sha512).hex().upper().encode()


def _check_ok(answer: Object, api_key_at: str) -> None:
    messages = answer.get("messages")
    if not isinstance(messages, dict) or messages.get("resultCode") not in {"Ok", "Error"}:
        raise Unavailable("the API's answer cannot be read: it does not say whether all went well")
    if messages["resultCode"] == "Ok":
        return
    told = messages.get("message")
    first = told[0] if isinstance(told, list) and told and isinstance(told[0], dict) else {}
    code, why = first.get("code"), f"{first.get('code')}: {first.get('text')}"[:200]
    if not isinstance(code, str):
        raise Unavailable("the API's answer cannot be read: an error without a code")
    if code in _NO_ACCESS:
        raise Unavailable(
            f"the API gives no access ({why}): put a valid API login ID and transaction key into {api_key_at}, "
            "and see that the account's Transaction Details API is enabled"
        )
    if code in _LATER:
        raise Unavailable(f"the API answers {why}")
    raise LookupError(f"the API answers {why}")


_NO_ACCESS = {"E00005", "E00006", "E00007", "E00008", "E00009", "E00010", "E00011"}
_LATER = {"E00001", "E00053", "E00104"}


def _listed_event(transaction: Object, batch: Object) -> ParsedEvent:
    kind = f"{LISTED}.{transaction.get('transactionStatus')}"
    payload = {"id": transaction.get("transId")} | {name: transaction.get(name) for name in _LISTED_KEPT}
    body = _event(kind, batch, payload)
    # With the batch in it: after a reset the same transaction is listed with another.
    event_id = f"backfill:{transaction.get('transId')}:{transaction.get('transactionStatus')}:{batch.get('batchId')}"
    if not strict.is_name(event_id):
        return strict.unreadable(body, "unparsable: the transaction's id or status is none")
    return ParsedEvent(event_id, kind, body, thin=kind in _OF_DETAILS)


def _failed_batch(batch: Object) -> ParsedEvent:
    body = _event(BATCH_FAILED, batch, {"id": batch.get("batchId")})
    return ParsedEvent(f"backfill:batch:{batch.get('batchId')}", BATCH_FAILED, body, quarantine_reason=_FAILED)


def _event(kind: str, batch: Object, payload: Object) -> bytes:
    told = {"eventType": kind, "eventDate": batch.get("settlementTimeUTC"), "payload": payload}
    return json.dumps(told, default=str).encode()


_FAILED = (
    "a day's batch failed to settle: have Authorize.Net reset it, and its payments settle with the next one. "
    "A batch that is not reset within 30 days never pays: then take the sessions of its payments"
)


def _check_approved(payload: Object) -> None:
    code = payload.get("responseCode")
    if type(code) is not int:
        raise Unusable("responseCode is not a number")
    if code != APPROVED:
        raise Ignored(_WHY_NOT.get(code, f"response code {str(code)[:60]} is no approval"))


_HELD = "held for review: no money moved until fraud.approved tells that it was released"
_WHY_NOT = {2: "declined: no money moved", 3: "an error: no money moved", 4: _HELD}


def _details(transaction: str, resource: bytes | None) -> Object:
    details = strict.loads(resource) if resource is not None else {}
    if details.get("transId") != transaction:
        raise Unusable("what was fetched are not this transaction's details")
    return details


def _paid(told: TransactionEvent) -> Fact:
    return _payment(told, strict.decimal_amount(told.payload, "authAmount", told.currency))


def _captured(told: TransactionEvent) -> Fact:
    if told.details.get("transactionStatus") == "authorizedPendingCapture":
        raise NotYet("Authorize.Net's API says that the authorisation is still to be captured")
    # Less can be captured than was authorised. What was voided since settles nothing: the void takes it all back.
    return _payment(told, _settled(told) or strict.decimal_amount(told.payload, "authAmount", told.currency))


def _settled(told: TransactionEvent) -> int:
    known = "settleAmount" in told.details
    return strict.decimal_amount(told.details, "settleAmount", told.currency) if known else 0


def _paid_as_listed(told: TransactionEvent) -> Fact:
    told = told._replace(at=strict.iso_time(told.payload, "submitTimeUTC"), details=told.payload)
    return _payment(told, strict.decimal_amount(told.payload, "settleAmount", told.currency))


def _approved(told: TransactionEvent) -> Fact:
    if told.details.get("transactionType") == "authOnlyTransaction":
        raise Ignored("authorised only: no money moved until it is captured")
    return _paid(told)


def _payment(told: TransactionEvent, amount_minor: int) -> Paid:
    if amount_minor == 0:
        raise Ignored("zero amount: nothing was paid")
    references = (
        _reference(strict.mapping(told.details, "subscription"), "id"),
        _reference(strict.mapping(told.details, "profile"), "customerProfileId"),
    )
    if not any(references):
        raise Ignored("neither a subscription's nor a customer profile's: a sale to nobody who is known")
    known = tuple(dict.fromkeys(filter(None, references)))
    return Paid(told.transaction, told.at, amount_minor, told.currency, known)


def _reference(holder: Object, key: str) -> str | None:
    value = holder.get(key)
    return strict.optional_name({key: str(value)} if type(value) is int else holder, key)


def _refunded(told: TransactionEvent) -> Fact:
    amount = strict.decimal_amount(told.payload, "authAmount", told.currency)
    return Reversed(_refunded_payment(told), told.at, f"refund:{told.transaction}", amount, told.currency)


def _voided(told: TransactionEvent) -> Fact:
    if told.details.get("transactionType") == "refundTransaction":
        return Restored(_refunded_payment(told), told.at, f"refund:{told.transaction}")
    return _undone(told)


def _undone(told: TransactionEvent) -> Fact:
    return Reversed(told.transaction, told.at, f"void:{told.transaction}")


def _refunded_payment(told: TransactionEvent) -> str:
    payment = _referred(told)
    if payment is None:
        raise Unusable("a refund or return that names no payment: there is nothing to take back for it")
    return payment


def _referred(told: TransactionEvent) -> str | None:
    payment = strict.optional_name(told.details, "refTransId")
    return None if payment == "0" else payment


def _taken_back(family: str) -> Callable[[TransactionEvent], Fact]:
    def read(told: TransactionEvent) -> Fact:
        cause, amount = f"{family}:{told.transaction}", _settled(told) or None
        return Reversed(_refunded_payment(told), told.at, cause, amount, told.currency)

    return read


def _chargeback(fact: type[Reversed | Restored]) -> Callable[[TransactionEvent], Fact]:
    """A chargeback and its reversal are transactions of their own: only the payment connects them."""

    def read(told: TransactionEvent) -> Fact:
        payment = _referred(told) or told.transaction
        cause, amount = f"chargeback:{told.transaction} of {payment}", _settled(told) or None
        return fact(payment, told.at, cause, amount, told.currency)

    return read


_READINGS: dict[str, Callable[[TransactionEvent], Fact]] = {
    "net.authorize.payment.authcapture.created": _paid,
    "net.authorize.payment.capture.created": _paid,
    "net.authorize.payment.priorAuthCapture.created": _captured,
    "net.authorize.payment.fraud.approved": _approved,
    "net.authorize.payment.fraud.declined": _undone,
    "net.authorize.payment.refund.created": _refunded,
    "net.authorize.payment.void.created": _voided,
    f"{LISTED}.settledSuccessfully": _paid_as_listed,
    f"{LISTED}.failedReview": _undone,
    f"{LISTED}.voided": _voided,
    f"{LISTED}.refundSettledSuccessfully": _taken_back("refund"),
    f"{LISTED}.returnedItem": _taken_back("return"),
    f"{LISTED}.chargeback": _chargeback(Reversed),
    f"{LISTED}.chargebackReversal": _chargeback(Restored),
}

_OF_DETAILS = _READINGS.keys() - {
    "net.authorize.payment.fraud.declined",
    f"{LISTED}.settledSuccessfully",
    f"{LISTED}.failedReview",
}

_WHY_IGNORED = {
    "net.authorize.payment.authorization.created": "authorised only: no money moved until it is captured",
    "net.authorize.payment.fraud.held": _HELD,
    "net.authorize.customer.subscription.failed": "a failed attempt: no money moved",
    BATCH_FAILED: _FAILED,
}
