"""Authorize.Net: payments of a subscription (Automated Recurring Billing), of a customer profile, or of a customer.

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
recognised; anything else with the details to be fetched, and so a payment of neither a subscription nor a profile. An
eCheck's return is a transaction of its own that refers to the payment's. A failed batch can be reset, and its payments
settle with a later one: so it takes nothing back, and waits in quarantine until somebody looks into it.

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
from typing import Any, ClassVar

from models.currencies import is_known
from runtime.settings import Endpoint
from webhooks.processors import strict
from webhooks.processors.authorize_net_meaning import (
    APPROVED,
    BATCH_FAILED,
    BATCH_FAILED_REASON,
    LISTED,
    Meaning,
    items_in,
)
from webhooks.processors.base import Object, SignedInHeader, Trial
from webhooks.processors.claiming import CodeField
from webhooks.processors.events import ParsedEvent, Unavailable, Unusable
from webhooks.signatures import Headers, Invalid, Verdict

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
KEPT_WITHIN = {"customer": ("id", "email"), "order": ("invoiceNumber", "description")}
KEPT_OF_ITEMS = ("itemId", "quantity", "unitPrice")
"""The rest of a transaction is names, addresses and cards."""

_SIGNATURE = re.compile("sha512=([0-9A-Fa-f]{128})")


class AuthorizeNet(Meaning, SignedInHeader):
    """An Authorize.Net account; test mode is its sandbox."""

    dedupe = "the notificationId"
    id_field, type_field = "notificationId", "eventType"
    signature_header = "X-ANET-Signature"
    answer_within_s = 10  # nowhere documented
    options = frozenset({"api", "currency"})
    secret_form = (
        "[0-9A-Fa-f]{128}",
        "the signature key of 128 hexadecimal digits, as the Merchant Interface shows it",
    )
    code_field = CodeField("invoiceNumber of the order", '"invoiceNumber": "{code}"')
    trial = Trial(lambda: token_hex(64).upper(), "login_1 key_1")
    library = "requests"
    api: ClassVar = {"live": "https://api.authorize.net", "test": "https://apitest.authorize.net"}
    api_key = "the API login ID and the transaction key, with a blank between,"
    api_key_words = 2
    fetches = needs_api = True
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
        if not isinstance(payload, dict) or payload.get("responseCode") != APPROVED:
            return [event]
        return [event._replace(thin=self.needs_details(event.type, payload))]

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
        kept = {name: found[name] for name in KEPT_OF_DETAILS if name in found}
        for name, keys in KEPT_WITHIN.items():
            if isinstance(holder := found.get(name), dict):
                kept[name] = {key: holder[key] for key in keys if key in holder}
        if line_items := items_in(found):
            kept["lineItems"] = [{key: item.get(key) for key in KEPT_OF_ITEMS} for item in line_items]
        # default=str: as text, amounts stay what they are.
        return json.dumps(kept, default=str).encode()

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
                    yield self._history_event(transaction, batch)
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

    def _history_event(self, transaction: Object, batch: Object) -> ParsedEvent:
        transaction_id, status = transaction.get("transId"), transaction.get("transactionStatus")
        kind, payload = f"{LISTED}.{status}", {name: transaction.get(name) for name in KEPT_OF_LIST}
        body = _event(kind, batch, {"id": transaction_id} | payload)
        # With the batch in it: after a reset the same transaction is listed with another.
        event_id = f"backfill:{transaction_id}:{status}:{batch.get('batchId')}"
        event = strict.parsed(event_id, kind, body, "the transaction's id or status is not an identifier")
        return event._replace(thin=self.needs_details(event.type, payload))

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
        errors = messages.get("message")
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
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
