"""Authorize.Net: dues are the payments of a subscription (Automated Recurring Billing) or of a customer profile.

A notification names a transaction and its amount, but neither the member nor, of a refund,
the payment: both are fetched (getTransactionDetails). Credits on `authcapture`, `capture`
and `priorAuthCapture`, and on `fraud.approved` of what was held for review, keyed by the
transaction: capturing, approving and voiding keep its id, a refund has its own and refers to
the payment's. Voiding a payment takes back all of it; voiding a refund restores the payment.
The meaning depends on nothing that changes with time. Only a capture waits while the API still calls its transaction
an authorisation, because the amount that was captured is not known before.

A notification names no currency, since an account has one, and neither mode nor account: each endpoint has a
signature key and an API address of its own.

There is no notification for returned eChecks, chargebacks and batches that fail to settle. What the
API lists of settled batches is made into events of our own type `transaction_listed.STATUS`, in
the shape of a notification: a payment with all that it takes, so that a known one is
recognised; anything else with the details to be fetched. An eCheck's return is a transaction of
its own that refers to the payment's. A failed batch can be reset, and its payments settle with a
later one: so it takes nothing back, and waits in quarantine until somebody looks into it.

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
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from secrets import token_hex
from typing import Any, ClassVar, NamedTuple

from models.currencies import is_known
from models.payments.facts import Fact, Restored, Reversed
from runtime.settings import Endpoint
from webhooks.processors import strict
from webhooks.processors.base import Object, SignedInHeader, Trial, dues
from webhooks.processors.events import Ignored, NotYet, ParsedEvent, Unavailable, Unusable
from webhooks.signatures import Headers, Invalid, Verdict

APPROVED = 1
"""The response code of a transaction that went through."""
LISTED = "transaction_listed"
"""Our own types, for what the API lists: this, a dot, and the transaction's status."""
BATCH_FAILED = "batch_failed"
"""Our own type, for a batch that the processor rejected."""
BATCH_FAILED_REASON = (
    "a day's batch failed to settle: have Authorize.Net reset it, and its payments settle with the next one. "
    "A batch that is not reset within 30 days never pays: then take the sessions of its payments"
)
HELD = "held for review: no money moved until fraud.approved says that it was released"
NOT_APPROVED = {2: "declined: no money moved", 3: "an error: no money moved", 4: HELD}
"""Response code -> why there was no payment."""
NO_ACCESS = {"E00005", "E00006", "E00007", "E00008", "E00009", "E00010", "E00011"}
TRY_LATER = {"E00001", "E00053", "E00104"}
"""Error codes of the API."""

MOST_APART = timedelta(days=30)
"""Batches are listed for no more than 31 days at once."""
PAGE = 1000
"""The most that is listed at once."""
KEPT_OF_LIST = ("submitTimeUTC", "settleAmount", "subscription", "profile")
KEPT_OF_DETAILS = (
    "transId", "transactionType", "transactionStatus", "refTransId", "settleAmount", "subscription", "profile",
)  # fmt: skip
"""The rest of a transaction is names, addresses and cards."""

_SIGNATURE = re.compile("sha512=([0-9A-Fa-f]{128})")


class TransactionEvent(NamedTuple):
    """An event of a transaction, with the transaction's details where they are needed."""

    transaction: str
    at: datetime
    payload: Object
    details: Object


class AuthorizeNet(SignedInHeader):
    """An Authorize.Net account; test mode is its sandbox."""

    readings: ClassVar = {
        "net.authorize.payment.authcapture.created net.authorize.payment.capture.created": "paid",
        "net.authorize.payment.priorAuthCapture.created": "captured",
        "net.authorize.payment.fraud.approved": "released",
        "net.authorize.payment.fraud.declined": "undone",
        "net.authorize.payment.refund.created": "refunded",
        "net.authorize.payment.void.created": "voided",
        f"{LISTED}.settledSuccessfully": "listed_as_paid",
        f"{LISTED}.failedReview": "undone",
        f"{LISTED}.voided": "voided",
        f"{LISTED}.refundSettledSuccessfully": ("listed_as_taken_back", "refund"),
        f"{LISTED}.returnedItem": ("listed_as_taken_back", "return"),
        f"{LISTED}.chargeback": ("chargeback", Reversed),
        f"{LISTED}.chargebackReversal": ("chargeback", Restored),
    }
    without_details: ClassVar = {
        "net.authorize.payment.fraud.declined", f"{LISTED}.settledSuccessfully", f"{LISTED}.failedReview",
    }  # fmt: skip
    """The types of `readings` that need no details of the transaction."""
    ignored: ClassVar = {
        "authorised only: no money moved until it is captured": "net.authorize.payment.authorization.created",
        HELD: "net.authorize.payment.fraud.held",
        "a failed attempt: no money moved": "net.authorize.customer.subscription.failed",
        BATCH_FAILED_REASON: BATCH_FAILED,
    }

    dedupe = "the notificationId"
    id_field, type_field = "notificationId", "eventType"
    signature_header = "X-ANET-Signature"
    answer_within_s = 10  # nowhere documented
    options = frozenset({"api", "currency"})
    secret_form = (
        "[0-9A-Fa-f]{128}",
        "the signature key of 128 hexadecimal digits, as the Merchant Interface shows it",
    )
    trial = Trial(lambda: token_hex(64).upper(), "login_1 key_1")
    library = "requests"
    api: ClassVar = {"live": "https://api.authorize.net", "test": "https://apitest.authorize.net"}
    api_key = "the API login ID and the transaction key, with a blank between,"
    api_key_words = 2
    fetches = True
    # The current year and the two before it are kept: support.authorize.net, KA-05371.
    horizon = timedelta(days=730)

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError also for an account: no notification names one."""
        super().__init__(endpoint)
        self._currency = endpoint.options.get("currency", "USD")
        if endpoint.account is not None:
            raise self.wrong("Authorize.Net's notifications name no account; leave out account=.")
        if not is_known(self._currency):
            raise self.wrong(f"currency={self._currency} is not an ISO 4217 code like USD.")
        if re.fullmatch("https?://.+", self.api_address) is None:
            raise self.wrong(f"api={self.api_address} is not an address like {self.api['test']}.")

    # Receiving

    def signature(self, body: bytes, key: bytes) -> str:
        """`sha512=HEX`: HMAC-SHA512 of the body, keyed with the signature key as it is written.

        Not with the bytes that its digits stand for: the documentation leaves that open, and the
        published vector, which Authorize.Net signed, is of the text. No timestamp is signed.
        """
        return f"sha512={hmac.digest(key, body, hashlib.sha512).hex().upper()}"

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """The digits may be in lower case."""
        given = _SIGNATURE.fullmatch(headers.get(self.signature_header.lower()) or "")
        if given is None:
            return Invalid(f"no {self.signature_header} header of the form sha512= and 128 hexadecimal digits")
        return self.matches(f"sha512={given[1].upper()}", body)

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """One event per delivery, under its notificationId; thin where its meaning needs the transaction's details."""
        event = self.event(body)
        payload = (strict.peek(body) or {}).get("payload")
        approved = isinstance(payload, dict) and payload.get("responseCode") == APPROVED
        return [event._replace(thin=approved and self._needs_details(event.type))]

    def _needs_details(self, type: str) -> bool:
        return type in self.meanings and type not in self.without_details

    # Meaning

    def details(self, type: str, event: Object, resource: bytes | None) -> tuple[TransactionEvent]:
        """The transaction. Raises Ignored for one that was not approved."""
        payload, needs_details = strict.mapping(event, "payload"), self._needs_details(type)
        if needs_details and not type.startswith(LISTED):
            _check_approved(payload)
        transaction = strict.name(payload, "id")
        if transaction == "0":
            raise Unusable("the transaction has no id: the account was in test mode")
        details = strict.loads(resource) if needs_details and resource is not None else {}
        if needs_details and details.get("transId") != transaction:
            raise Unusable("what was fetched are not this transaction's details")
        return (TransactionEvent(transaction, strict.iso_time(event, "eventDate"), payload, details),)

    def paid(self, event: TransactionEvent) -> list[Fact]:
        """A payment of the authorised amount."""
        return self._paid(event, strict.decimal_amount(event.payload, "authAmount", self._currency))

    def captured(self, event: TransactionEvent) -> list[Fact]:
        """A payment of the captured amount, which can be less than was authorised."""
        if event.details.get("transactionStatus") == "authorizedPendingCapture":
            raise NotYet("Authorize.Net's API says that the authorisation is still to be captured")
        settled = self._settled(event)
        # A transaction voided since settles nothing: the void takes all of it back.
        return self._paid(event, settled) if settled else self.paid(event)

    def released(self, event: TransactionEvent) -> list[Fact]:
        """A payment that had been held for review."""
        if event.details.get("transactionType") == "authOnlyTransaction":
            raise Ignored("authorised only: no money moved until it is captured")
        return self.paid(event)

    def listed_as_paid(self, event: TransactionEvent) -> list[Fact]:
        """A payment in a settled batch."""
        event = event._replace(at=strict.iso_time(event.payload, "submitTimeUTC"), details=event.payload)
        return self._paid(event, strict.decimal_amount(event.payload, "settleAmount", self._currency))

    def refunded(self, event: TransactionEvent) -> list[Fact]:
        """A refund of the notification's amount."""
        amount = strict.decimal_amount(event.payload, "authAmount", self._currency)
        return [Reversed(_payment_of(event), event.at, f"refund:{event.transaction}", amount, self._currency)]

    def voided(self, event: TransactionEvent) -> list[Fact]:
        """A payment that is taken back whole, or a refund that came to nothing."""
        if event.details.get("transactionType") == "refundTransaction":
            return [Restored(_payment_of(event), event.at, f"refund:{event.transaction}")]
        return self.undone(event)

    def undone(self, event: TransactionEvent) -> list[Fact]:
        """A payment that is taken back whole."""
        return [Reversed(event.transaction, event.at, f"void:{event.transaction}")]

    def listed_as_taken_back(self, family: str, event: TransactionEvent) -> list[Fact]:
        """A refund or return in a settled batch."""
        cause, amount = f"{family}:{event.transaction}", self._settled(event) or None
        return [Reversed(_payment_of(event), event.at, cause, amount, self._currency)]

    def chargeback(self, fact: type[Reversed | Restored], event: TransactionEvent) -> list[Fact]:
        """A chargeback and its reversal are transactions of their own: only the payment connects them."""
        payment = _referred(event) or event.transaction
        cause, amount = f"chargeback:{event.transaction} of {payment}", self._settled(event) or None
        return [fact(payment, event.at, cause, amount, self._currency)]

    def _paid(self, event: TransactionEvent, amount_minor: int) -> list[Fact]:
        references = (
            _reference(strict.mapping(event.details, "subscription"), "id"),
            _reference(strict.mapping(event.details, "profile"), "customerProfileId"),
        )
        paid = dues(event.transaction, event.at, amount_minor, self._currency, *references)
        if not paid.billing_references:
            raise Ignored("neither a subscription's nor a customer profile's: a sale to nobody who is known")
        return [paid]

    def _settled(self, event: TransactionEvent) -> int:
        known = "settleAmount" in event.details
        return strict.decimal_amount(event.details, "settleAmount", self._currency) if known else 0

    # The API

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
        # default=str: as text, amounts stay what they are.
        return json.dumps({name: found[name] for name in KEPT_OF_DETAILS if name in found}, default=str).encode()

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """The transactions of each batch that settled or failed in that time.

        Today's payments are listed when they have settled.
        """
        while since < until:
            end = min(since + MOST_APART, until)
            dates = {"firstSettlementDate": strict.rfc3339(since), "lastSettlementDate": strict.rfc3339(end)}
            batches = self._list("batchList", "getSettledBatchListRequest", **dates)
            for batch in sorted(batches, key=lambda batch: str(batch.get("settlementTimeUTC"))):
                if batch.get("settlementState") == "settlementError":
                    yield _failed_batch(batch)
                for transaction in self._transactions(strict.name(batch, "batchId")):
                    yield self._listed_event(transaction, batch)
            since = end

    def _transactions(self, batch_id: str) -> Iterator[Object]:
        seen: set[str] = set()
        sorting = {"orderBy": "id", "orderDescending": "false"}
        for offset in count(1):
            paging = {"limit": str(PAGE), "offset": str(offset)}
            asked = {"batchId": batch_id, "sorting": sorting, "paging": paging}
            page = self._list("transactions", "getTransactionListRequest", **asked)
            new = [transaction for transaction in page if str(transaction.get("transId")) not in seen]
            yield from new
            seen.update(str(transaction.get("transId")) for transaction in new)
            if len(page) < PAGE or not new:
                return

    def _listed_event(self, transaction: Object, batch: Object) -> ParsedEvent:
        transaction_id, status = transaction.get("transId"), transaction.get("transactionStatus")
        kind, payload = f"{LISTED}.{status}", {name: transaction.get(name) for name in KEPT_OF_LIST}
        body = _event(kind, batch, {"id": transaction_id} | payload)
        # With the batch in it: after a reset the same transaction is listed with another.
        event_id = f"backfill:{transaction_id}:{status}:{batch.get('batchId')}"
        event = strict.parsed(event_id, kind, body, "the transaction's id or status is not an identifier")
        return event._replace(thin=self._needs_details(event.type))

    def _list(self, name: str, request: str, **asked: Any) -> list[Object]:
        try:
            return strict.objects(self._ask(request, **asked), name)
        except Unusable as why:
            raise Unavailable(f"the API's answer cannot be read: {why}") from None

    def _ask(self, request: str, **asked: Any) -> Object:
        from webhooks.processors import http

        login, key = self.api_credentials()
        # The order of the keys matters to their API.
        body = {request: {"merchantAuthentication": {"name": login, "transactionKey": key}, **asked}}
        answer = http.ask(self, "POST", "/xml/v1/request.api", json=body)
        self._check_ok(answer)
        return answer

    def _check_ok(self, answer: Object) -> None:
        messages = answer.get("messages")
        if not isinstance(messages, dict) or messages.get("resultCode") not in {"Ok", "Error"}:
            raise Unavailable("the API's answer cannot be read: it does not say whether all went well")
        if messages["resultCode"] == "Ok":
            return
        listed = messages.get("message")
        first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
        code, why = first.get("code"), f"{first.get('code')}: {first.get('text')}"[:200]
        if not isinstance(code, str):
            raise Unavailable("the API's answer cannot be read: an error without a code")
        if code in NO_ACCESS:
            raise Unavailable(
                f"the API gives no access ({why}): put a valid API login ID and transaction key into "
                f"{self.api_key_at}, and see that the account's Transaction Details API is enabled"
            )
        raise (Unavailable if code in TRY_LATER else LookupError)(f"the API answers {why}")


def _failed_batch(batch: Object) -> ParsedEvent:
    body = _event(BATCH_FAILED, batch, {"id": batch.get("batchId")})
    event_id = f"backfill:batch:{batch.get('batchId')}"
    return ParsedEvent(event_id, BATCH_FAILED, body, quarantine_reason=BATCH_FAILED_REASON)


def _event(kind: str, batch: Object, payload: Object) -> bytes:
    event = {"eventType": kind, "eventDate": batch.get("settlementTimeUTC"), "payload": payload}
    return json.dumps(event, default=str).encode()


def _check_approved(payload: Object) -> None:
    code = payload.get("responseCode")
    if type(code) is not int:
        raise Unusable("responseCode is not a number")
    if code != APPROVED:
        raise Ignored(NOT_APPROVED.get(code, f"response code {str(code)[:60]} is no approval"))


def _reference(holder: Object, key: str) -> str | None:
    value = holder.get(key)
    return strict.optional_name({key: str(value)} if type(value) is int else holder, key)


def _payment_of(event: TransactionEvent) -> str:
    """The payment that a refund or return refers to."""
    payment = _referred(event)
    if payment is None:
        raise Unusable("a refund or return that names no payment: there is nothing to take back for it")
    return payment


def _referred(event: TransactionEvent) -> str | None:
    payment = strict.optional_name(event.details, "refTransId")
    return None if payment == "0" else payment
