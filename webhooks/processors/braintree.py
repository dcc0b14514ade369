"""Braintree: dues are the charges of its subscriptions.

Notices come as signed forms around base64 of XML; what is kept is the XML. Credits on
`subscription_charged_successfully`, keyed by the newest charge in it, which Braintree
lists first. A second charge within one billing period is a proration, a payment of its own.
A period that the subscription's balance covers has no charge: `subscription_billing_skipped` credits it, by the
subscription and the period. A sale without a subscription is its customer's; notices of it come only for bank debits
(`transaction_settled`) and of its payout (`transaction_disbursed`).

A dispute's money is gone when it opens and comes back when it is won; a retrieval only
asks. `transaction_settled` and `transaction_settlement_declined` come for bank
debits, and for their refunds. For refunds to cards and for voids there is no notice: only
the API lists them. What it lists is made into notices of our own type `transaction_listed`.

Neither a notice nor the API says whether it is of the sandbox or of production: each
has keys of its own.

Sources: developer.paypal.com/braintree/docs (guides/webhooks/parse, reference/general/
webhooks for subscription, transaction and dispute, reference/general/statuses, reference/
request/transaction/search, /refund and /void), developers.braintreepayments.com/reference/
general/webhooks/dispute ("open": debited; "won": credited) and /searching/search-results
(how many are found), articles.braintreepayments.com/reference/security/chargebacks-retrievals
(a retrieval takes nothing), Braintree's GraphQL reference (RecurringBillingSubscription.
transactionIds: the most recent first), and the official library's source: signatures,
challenges, and how XML is read.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode

from runtime.settings import Endpoint
from webhooks import signatures
from webhooks.processors import braintree_xml, strict
from webhooks.processors.base import Object, Trial
from webhooks.processors.braintree_meaning import LISTED, Meaning
from webhooks.processors.claiming import CodeField
from webhooks.processors.events import Delivery, ParsedEvent, Unusable
from webhooks.signatures import Headers, Invalid, Verdict

MAX_FIELDS = 16
"""Of a form. Braintree sends two."""
LISTED_SINCE = {"plan_id", "add_ons", "discounts", "billing_period_end_date"}
"""What of a transaction was not listed at first."""

_CHALLENGE = re.compile(rb"[a-f0-9]{20,32}")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n"


class Braintree(Meaning):
    """Braintree, or one merchant account of it."""

    dedupe = "kind, timestamp, and the ids of the subject and its transaction, hashed: notices have no id"
    answer_within_s = 30
    options = frozenset({"api"})
    secret_form = (
        r"[\x21-\x39\x3b-\x7e]+:[\x21-\x7e]+",
        "PUBLIC_KEY:PRIVATE_KEY. Copy both keys from the Control Panel (API, Keys), with a colon between them",
    )
    code_field = CodeField("id of the subscription, or a transaction's custom field membership_code", '"id": "{code}"')
    trial = Trial(lambda: f"public_1:{token_hex(16)}", "merchant_1 public_1 private_1")
    library = "braintree"
    api_key = "MERCHANT_ID PUBLIC_KEY PRIVATE_KEY"
    api_key_words = 3
    # Braintree documents no limit: as far back as events are taken at all (SPP_MAX_EVENT_AGE_DAYS).
    horizon = timedelta(days=550)

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError for a secret that is not PUBLIC_KEY:PRIVATE_KEY."""
        super().__init__(endpoint)
        pairs = [key.partition(b":") for key in endpoint.keys]
        # Their scheme: the HMAC's key is the SHA-1 of the private key.
        self._keys = [(public.decode(), hashlib.sha1(private).digest()) for public, _, private in pairs]  # noqa: S324

    # Signatures

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """Source: the official library's webhook_notification_gateway.

        Unlike it, this refuses a payload that is a challenge: we sign challenges for anybody.
        """
        form = _form(body)
        if form is None:
            return Invalid("not a form with one bt_signature and one bt_payload")
        signature, payload = form
        if payload.translate(None, _BASE64) or _CHALLENGE.fullmatch(payload):
            return Invalid("bt_payload is not base64 of a notice")
        given: dict[str, str] = {}
        for pair in signature.split("&"):
            public_key, bar, value = pair.partition("|")
            if bar:
                given.setdefault(public_key, value)
        for public_key, key in self._keys:
            signed = [given.get(public_key, "").encode("ascii", "replace")]
            # As the library does, take a payload that lost the end of its last line.
            for text in (payload, payload + b"\n"):
                if signatures.any_match(signed, [_signature(key, text)]):
                    return None
        return Invalid("no signature in bt_signature matches any key of the endpoint")

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """The answer to `bt_challenge`. Source: the official library's webhook_notification_gateway."""
        asked = query.get("bt_challenge", "").encode("ascii", "replace")
        if not self._keys or _CHALLENGE.fullmatch(asked) is None:
            return None
        public_key, key = self._keys[0]
        return f"{public_key}|{_signature(key, asked).decode()}"

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Nothing is dated: `timestamp` is not used."""
        public_key, key = self._keys[0]
        payload = base64.encodebytes(body)
        signature = f"{public_key}|{_signature(key, payload).decode()}"
        form = urlencode({"bt_signature": signature, "bt_payload": payload})
        return Delivery(form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})

    # Events

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """One notice per delivery, its XML being the event's body."""
        form = _form(body)
        if form is None:
            return [strict.unreadable(body, "unparsable: not Braintree's form")]
        payload = form[1]
        try:
            xml = base64.b64decode(payload.replace(b"\n", b""), validate=True)
        except binascii.Error:
            return [strict.unreadable(payload, "unparsable: not base64")]
        try:
            notice = braintree_xml.read(xml)
        except Unusable as why:
            return [strict.unreadable(xml, str(why))]
        kind = notice.get("kind")
        if not strict.is_name(kind) or not strict.is_name(notice.get("timestamp")):
            return [strict.unreadable(xml, "unparsable: no kind or no timestamp")]
        return [ParsedEvent(_event_id(notice, xml), str(kind), xml)]

    def same_content(self, first: bytes, second: bytes) -> bool:
        """Spacing, and spelling that XML leaves open, do not matter.

        What we list ourselves says more than it did in earlier versions.
        """
        try:
            one, other = braintree_xml.read(first), braintree_xml.read(second)
        except Unusable:
            return first == second
        return _agree(one, other) if one.get("kind") == other.get("kind") == LISTED else one == other

    def load(self, body: bytes) -> Object:
        """The notice."""
        return braintree_xml.read(body)

    def check(self, event: Object) -> None:
        """Compare the merchant account, where both the notice and the endpoint have one."""
        for subject in strict.mapping(event, "subject").values():
            theirs = strict.optional_name(subject, "merchant_account_id") if isinstance(subject, dict) else None
            if theirs and self.endpoint.account:
                self.check_account("merchant account", theirs)

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """Charges of subscriptions and refunds that were made, or came to nothing, each once per status.

        The newest first, as the API has them.
        """
        from webhooks.processors.braintree_api import transactions

        seen = set()
        for transaction in transactions(self, since.astimezone(UTC), until.astimezone(UTC)):
            event = _history_event(transaction)
            if event.event_id not in seen:
                seen.add(event.event_id)
                yield event


def _form(body: bytes) -> tuple[str, bytes] | None:
    """The signature and the payload in the form; None for another body, or one with either of them not exactly once."""
    pairs = [field.partition(b"=") for field in body.split(b"&", MAX_FIELDS)]
    given = [[value for name, _, value in pairs if name == wanted] for wanted in (b"bt_signature", b"bt_payload")]
    well_formed = body.isascii() and len(pairs) <= MAX_FIELDS and all(equals for _, equals, _ in pairs)
    if not well_formed or [len(values) for values in given] != [1, 1]:
        return None
    try:
        signature, payload = (unquote_to_bytes(value.replace(b"+", b" ")) for (value,) in given)
        return signature.decode("ascii"), payload
    except ValueError:
        return None


def _agree(one: Any, other: Any) -> bool:
    """Whether two values are equal but for what an earlier version of ours did not list."""
    if isinstance(one, dict) and isinstance(other, dict):
        unequal = one.keys() ^ other.keys()
        return unequal <= LISTED_SINCE and all(_agree(one[key], other[key]) for key in one.keys() & other.keys())
    return bool(one == other)


def _signature(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha1").hex().encode()


def _event_id(notice: Object, xml: bytes) -> str:
    subject = notice.get("subject")
    for holder in subject.values() if isinstance(subject, dict) else ():
        if isinstance(holder, dict) and isinstance(holder.get("id"), str):
            transactions = holder.get("transactions")
            found = transactions[0] if isinstance(transactions, list) and transactions else holder.get("transaction")
            transaction_id = found.get("id") if isinstance(found, dict) else None
            names = (notice["kind"], notice["timestamp"], holder["id"], transaction_id)
            return f"sha256:{hashlib.sha256(repr(names).encode()).hexdigest()}"
    return strict.unreadable(xml, "").event_id


def _history_event(transaction: Object) -> ParsedEvent:
    notice = {"timestamp": transaction["status_since"], "kind": LISTED, "subject": {"transaction": transaction}}
    body = braintree_xml.written(notice)
    event_id = f"backfill:{transaction['id']}:{transaction['status']}"
    return strict.parsed(event_id, LISTED, body, "the transaction's id or status is not an identifier")
