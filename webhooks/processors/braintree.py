"""Braintree: dues are the charges of its subscriptions.

Notices come as signed forms around base64 of XML; what is kept is the XML. Credits on
`subscription_charged_successfully`, keyed by the newest charge in it, which Braintree
lists first. A second charge within one billing period is a proration: not dues.

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
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import ClassVar
from urllib.parse import unquote_to_bytes, urlencode

from models.payments.facts import Fact, Restored, Reversed
from runtime.settings import Endpoint
from webhooks import signatures
from webhooks.processors import braintree_xml, strict
from webhooks.processors.base import Object, Processor, Trial, dues
from webhooks.processors.events import Delivery, Ignored, ParsedEvent, Unusable
from webhooks.signatures import Headers, Invalid, Verdict

TAKEN = {"submitted_for_settlement", "settlement_pending", "settling", "settlement_confirmed", "settled"}
"""Statuses of a transaction that moves its money: to us, or for a refund to the member."""
DECLINED = {"settlement_declined", "settlement_failed"}
NEVER = {"failed", "processor_declined", "gateway_rejected", "authorization_expired"}
"""Statuses of a transaction that never moved money."""
LISTED = "transaction_listed"
"""Our own type, for a transaction that the API lists."""
MAX_FIELDS = 16
"""Of a form. Braintree sends two."""

_CHALLENGE = re.compile(rb"[a-f0-9]{20,32}")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n"


class Braintree(Processor):
    """Braintree, or one merchant account of it."""

    readings: ClassVar = {
        "subscription_charged_successfully": "charged",
        "transaction_settled": "settled",
        "transaction_settlement_declined": "settlement_declined",
        "refund_failed": "refund_failed",
        "dispute_opened dispute_lost dispute_accepted dispute_auto_accepted dispute_expired": "dispute_lost",
        "dispute_won": "dispute_won",
        LISTED: "listed",
    }
    ignored: ClassVar = {
        "Braintree's own test of the endpoint": "check",
        "a failed attempt: no money moved": "subscription_charged_unsuccessfully subscription_went_past_due",
        "covered by the subscription's balance: nothing was paid": "subscription_billing_skipped",
        "subscription_charged_successfully follows where the new attempt succeeds": "transaction_retried",
        "no money moved: it is withdrawn since the dispute opened": "dispute_disputed",
        "no money moved: dispute_won or dispute_lost follows when it does": "dispute_under_review",
        "a payout to the bank: no money of the member's moved": """
            transaction_disbursed disbursement disbursement_exception""",
    }

    dedupe = "kind, timestamp, and the ids of the subject and its transaction, hashed: notices have no id"
    answer_within_s = 30
    options = frozenset({"api"})
    secret_form = (
        r"[\x21-\x39\x3b-\x7e]+:[\x21-\x7e]+",
        "PUBLIC_KEY:PRIVATE_KEY. Copy both keys from the Control Panel (API, Keys), with a colon between them",
    )
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
        """Spacing, and spelling that XML leaves open, do not matter."""
        try:
            return braintree_xml.read(first) == braintree_xml.read(second)
        except Unusable:
            return first == second

    def load(self, body: bytes) -> Object:
        """The notice."""
        return braintree_xml.read(body)

    def check(self, event: Object) -> None:
        """Compare the merchant account, where both the notice and the endpoint have one."""
        for subject in strict.mapping(event, "subject").values():
            theirs = strict.optional_name(subject, "merchant_account_id") if isinstance(subject, dict) else None
            if theirs and self.endpoint.account:
                self.check_account("merchant account", theirs)

    def details(self, type: str, event: Object, resource: bytes | None) -> tuple[Object, datetime]:
        """The subject, and when the notice was made."""
        return strict.mapping(event, "subject"), strict.iso_time(event, "timestamp")

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """Charges of subscriptions and refunds that were made, or came to nothing, each once per status.

        The newest first, as the API has them.
        """
        from webhooks.processors.braintree_api import transactions

        seen = set()
        for transaction in transactions(self, since.astimezone(UTC), until.astimezone(UTC)):
            event = _listed_event(transaction)
            if event.event_id not in seen:
                seen.add(event.event_id)
                yield event

    # Meaning

    def charged(self, subject: Object, at: datetime) -> list[Fact]:
        """The newest charge of a subscription, which is the dues."""
        subscription = strict.mapping(subject, "subscription")
        transactions = strict.objects(subscription, "transactions")
        charges = [each for each in transactions if each.get("type") != "credit" and _status(each) in TAKEN]
        if not charges:
            raise Ignored("it has no charge that went through: nothing was paid")
        newest = max(charges, key=lambda charge: _created(charge, at))
        _refuse_proration(paid_before(newest, charges))
        return _paid(newest, at, strict.optional_name(subscription, "id"))

    def settled(self, subject: Object, at: datetime) -> list[Fact]:
        """A refund to a bank account that went through."""
        transaction = strict.mapping(subject, "transaction")
        if transaction.get("type") == "credit":
            return _refunded(transaction, at)
        raise Ignored("the same money as subscription_charged_successfully, which credits")

    def settlement_declined(self, subject: Object, at: datetime) -> list[Fact]:
        """A bank debit, or the refund of one, that did not go through."""
        transaction = strict.mapping(subject, "transaction")
        if transaction.get("type") == "credit":
            return self.refund_failed(subject, at)
        if "subscription_id" in transaction:
            _subscription(transaction)
        return _taken_back(transaction, at, "settlement")

    def refund_failed(self, subject: Object, at: datetime) -> list[Fact]:
        """A refund that came to nothing."""
        return [Restored(*_refund(strict.mapping(subject, "transaction"), at))]

    def dispute_lost(self, subject: Object, at: datetime) -> list[Fact]:
        """The disputed amount is withdrawn."""
        payment, cause, amount, currency = _dispute(subject)
        return [Reversed(payment, at, cause, amount, currency)]

    def dispute_won(self, subject: Object, at: datetime) -> list[Fact]:
        """The money came back, or a part of it: this is the dispute's last event, so the rest stays withdrawn."""
        payment, cause, amount, currency = _dispute(subject)
        dispute = strict.mapping(subject, "dispute")
        won = amount if dispute.get("amount_won") is None else strict.decimal_amount(dispute, "amount_won", currency)
        if 0 < won < amount:
            return [Reversed(payment, at, cause, amount - won, currency)]
        return [Restored(payment, at, cause, amount, currency)]

    def listed(self, subject: Object, at: datetime) -> list[Fact]:
        """What a transaction means by its status, as the API lists it."""
        transaction = strict.mapping(subject, "transaction")
        status = _status(transaction)
        if transaction.get("type") == "credit":
            if status in TAKEN:
                return _refunded(transaction, at)
            if status in NEVER | DECLINED | {"voided"}:
                return self.refund_failed(subject, at)
            raise Ignored(f"the refund is {status[:60]}: no money went back yet")
        subscription = _subscription(transaction)
        if status in TAKEN:
            _refuse_proration(strict.optional_name(transaction, "paid_before"))
            return _paid(transaction, at, subscription)
        if status == "voided":
            return _taken_back(transaction, at, "void")
        if status in DECLINED:
            return _taken_back(transaction, at, "settlement")
        raise Ignored(f"the charge is {status[:60]}: no money was taken")


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


def _listed_event(transaction: Object) -> ParsedEvent:
    notice = {"timestamp": transaction["status_since"], "kind": LISTED, "subject": {"transaction": transaction}}
    body = braintree_xml.written(notice)
    event_id = f"backfill:{transaction['id']}:{transaction['status']}"
    return strict.parsed(event_id, LISTED, body, "the transaction's id or status is not an identifier")


def _paid(charge: Object, at: datetime, subscription: str | None) -> list[Fact]:
    currency = strict.currency(charge, "currency_iso_code")
    amount, customer = strict.decimal_amount(charge, "amount", currency), strict.mapping(charge, "customer")
    references = subscription, strict.optional_name(customer, "id")
    return [dues(strict.name(charge, "id"), _created(charge, at), amount, currency, *references)]


def _refunded(refund: Object, at: datetime) -> list[Fact]:
    return [Reversed(*_refund(refund, _created(refund, at)))]


def _refund(refund: Object, at: datetime) -> tuple[str, datetime, str, int, str]:
    """The payment, the time, the cause and the amount."""
    if "refunded_transaction_id" in refund and refund["refunded_transaction_id"] is None:
        raise Ignored("a credit that refunds no charge")
    payment, cause = strict.name(refund, "refunded_transaction_id"), f"refund:{strict.name(refund, 'id')}"
    currency = strict.currency(refund, "currency_iso_code")
    return payment, at, cause, strict.decimal_amount(refund, "amount", currency), currency


def _dispute(subject: Object) -> tuple[str, str, int, str]:
    """The payment, the cause and the disputed amount."""
    dispute = strict.mapping(subject, "dispute")
    if dispute.get("kind") == "retrieval":
        raise Ignored("a retrieval: the bank asks, no money was withdrawn")
    payment = strict.name(strict.mapping(dispute, "transaction"), "id")
    cause, currency = f"dispute:{strict.name(dispute, 'id')}", strict.currency(dispute, "currency_iso_code")
    disputed = "amount" if dispute.get("amount_disputed") is None else "amount_disputed"
    return payment, cause, strict.decimal_amount(dispute, disputed, currency), currency


def _taken_back(charge: Object, at: datetime, family: str) -> list[Fact]:
    payment = strict.name(charge, "id")
    return [Reversed(payment, at, f"{family}:{payment}")]


def _subscription(charge: Object) -> str:
    subscription = strict.optional_name(charge, "subscription_id")
    if subscription is None:
        raise Ignored("a charge without a subscription is not dues")
    return subscription


def paid_before(charge: Object, charges: Iterable[Object]) -> str | None:
    """The charge that had paid the same billing period already."""
    period = billing_period(charge)
    for other in charges if period else ():
        is_another = other.get("id") != charge.get("id") and other.get("type") != "credit"
        if is_another and _status(other) in TAKEN and billing_period(other) == period:
            first, second = strict.iso_time(other, "created_at"), strict.iso_time(charge, "created_at")
            if first < second:
                return strict.name(other, "id")
    return None


def billing_period(charge: Object) -> str | None:
    """The first day of the period that a charge is for."""
    return strict.optional_name(strict.mapping(charge, "subscription"), "billing_period_start_date")


def _refuse_proration(earlier: str | None) -> None:
    if earlier:
        raise Ignored(f"a proration: {earlier} had paid the dues of this billing period")


def _created(transaction: Object, at: datetime) -> datetime:
    return at if transaction.get("created_at") is None else strict.iso_time(transaction, "created_at")


def _status(transaction: Object) -> str:
    return str(transaction.get("status"))
