"""Braintree: dues are the charges of its subscriptions.

Notices come as signed forms around base64 of XML; what is kept is the XML. Credits on
`subscription_charged_successfully`, keyed by the newest charge in it, which Braintree
lists first. A second charge within one billing period is a proration: not dues.

A dispute's money is gone when it opens and comes back when it is won; a retrieval only
asks. `transaction_settled` and `transaction_settlement_declined` are told of bank
debits, and of their refunds. Of refunds to cards and of voids no notice comes: only
the API tells. What it lists is made into notices of our own type `transaction_listed`.

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
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from time import sleep
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode
from xml.parsers import expat

from models.payments.facts import Fact, Paid, Restored, Reversed
from runtime.settings import Endpoint, SettingsError, api_key_variable, secret_variable
from webhooks import signatures
from webhooks.processors import Delivery, Ignored, ParsedEvent, Processor, Unavailable, Unusable, strict
from webhooks.signatures import Headers, Invalid, Verdict

Object = dict[str, Any]

TAKEN = {"submitted_for_settlement", "settlement_pending", "settling", "settlement_confirmed", "settled"}
"""A transaction's statuses in which its money goes where it should: to us, or for a refund to the member."""
DECLINED = {"settlement_declined", "settlement_failed"}
NEVER = {"failed", "processor_declined", "gateway_rejected", "authorization_expired"}
"""Statuses in which its money does not go anywhere."""

LISTED = "transaction_listed"
"""Our own type, for what the API lists."""
LATE = timedelta(days=60)
"""How long after its creation a charge is looked for that was voided or declined: bank debits come back so late."""
MOST_FOUND = 10_000
"""Braintree finds no more than 20,000 transactions at once, and formerly 10,000: then we ask for half the time."""
MAX_DEPTH = 64
MAX_FIELDS = 16
TRIES = 3
MAX_WAIT_S = 60.0

_SECRET = re.compile(r"([\x21-\x7e]+?):([\x21-\x7e]+)", re.ASCII)
_CHALLENGE = re.compile(rb"[a-f0-9]{20,32}")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n"


class Braintree(Processor):
    """Braintree, or one merchant account of it."""

    dedupe = "kind, timestamp, and the ids of the subject and its transaction, hashed: notices have no id"
    answer_within_s = 30
    options = frozenset({"api"})
    library = "braintree"
    api_key = "MERCHANT_ID PUBLIC_KEY PRIVATE_KEY"
    # Braintree documents no limit: as far back as events are taken at all (SPP_MAX_EVENT_AGE_DAYS).
    horizon = timedelta(days=550)

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError for a secret that is not PUBLIC_KEY:PRIVATE_KEY."""
        super().__init__(endpoint)
        found = [_SECRET.fullmatch(key.decode()) for key in endpoint.keys]
        self._keys = [(match[1], _digest(match[2].encode())) for match in found if match]
        if len(self._keys) < len(found):
            raise SettingsError(
                f"Endpoint {endpoint.name!r}: a secret is not PUBLIC_KEY:PRIVATE_KEY. Copy both keys from the Control "
                f"Panel (API, Keys) into {secret_variable(endpoint.name)}, with a colon between them."
            )

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """Source: the official library's webhook_notification_gateway.

        Unlike it, this refuses a payload that is a challenge: of those, anyone can have the signature from us.
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
            # The library takes a payload that lost the end of its last line, and so do we.
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
            notice = _read(xml)
        except Unusable as why:
            return [strict.unreadable(xml, str(why))]
        kind = notice.get("kind")
        if not strict.is_name(kind) or not strict.is_name(notice.get("timestamp")):
            return [strict.unreadable(xml, "unparsable: no kind or no timestamp")]
        return [ParsedEvent(_event_id(notice, xml), str(kind), xml)]

    def same_content(self, first: bytes, second: bytes) -> bool:
        """Spacing, and spelling that XML leaves open, do not matter."""
        try:
            return _read(first) == _read(second)
        except Unusable:
            return first == second

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """The facts that the notice tells. Raises Ignored or Unusable."""
        notice = _read(body)
        subject = strict.mapping(notice, "subject")
        for told in subject.values():
            theirs = strict.optional_name(told, "merchant_account_id") if isinstance(told, dict) else None
            if theirs and self.endpoint.account and theirs != self.endpoint.account:
                raise Unusable(f"merchant account is {theirs!r}, but the endpoint's is {self.endpoint.account!r}")
        reading = _READINGS.get(type)
        if reading is None:
            raise Ignored(_WHY_IGNORED.get(type, f"{type} says nothing about dues"))
        return reading(subject, strict.iso_time(notice, "timestamp"))

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Signed with the first of the endpoint's keys."""
        public_key, key = self._keys[0]
        payload = base64.encodebytes(body)
        signature = f"{public_key}|{_signature(key, payload).decode()}"
        form = urlencode({"bt_signature": signature, "bt_payload": payload})
        return Delivery(form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """Charges of subscriptions and refunds that were made, or came to nothing, each once per status.

        The newest first: so the API has it.
        """
        seen = set()
        for transaction in _transactions(self.endpoint, since.astimezone(UTC), until.astimezone(UTC)):
            part = _listed_event(transaction)
            if part.event_id not in seen:
                seen.add(part.event_id)
                yield part


# Signatures


def _form(body: bytes) -> tuple[str, bytes] | None:
    """The signature and the payload in the form; None where it is none, or has one of them not exactly once."""
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


def _digest(private_key: bytes) -> bytes:
    return hashlib.sha1(private_key).digest()  # noqa: S324 -- their scheme


def _signature(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha1").hex().encode()


# XML


def _read(xml: bytes) -> Object:
    """The notice in the XML: elements as keys of objects, with `_` for `-` as the official library has them.

    An element is a text, a list where its type is array, or an object; one that stands twice becomes a list, so that
    nothing that expects a single one takes it. Raises Unusable for what is not well-formed UTF-8, a document
    type declaration (and with it every entity), text beside elements, and nesting beyond reason.
    """
    tree = _Tree()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = tree.refuse
    parser.StartElementHandler, parser.EndElementHandler = tree.start, tree.end
    parser.CharacterDataHandler = tree.text
    try:
        parser.Parse(xml.decode(), True)
    except (expat.ExpatError, ValueError) as error:
        raise Unusable(f"unparsable: {str(error)[:100]}") from None
    notice = tree.found.get("notification")
    if not isinstance(notice, dict):
        raise Unusable("unparsable: not a notification")
    return notice


class _Tree:
    """What the elements come to, made without recursion."""

    def __init__(self) -> None:
        self.found: Object = {}
        self._open: list[tuple[bool, list[tuple[str, Any]], list[str]]] = []

    def refuse(self, *_: object) -> None:
        raise ValueError("a document type declaration")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) == MAX_DEPTH:
            raise ValueError("nested too deeply")
        self._open.append((attributes.get("type") == "array", [], []))

    def text(self, text: str) -> None:
        self._open[-1][2].append(text)

    def end(self, name: str) -> None:
        is_list, children, texts = self._open.pop()
        text = "".join(texts)
        value: Any = text if text.strip() else None
        if children or is_list:
            if value is not None:
                raise ValueError("text beside elements")
            value = [child for _, child in children] if is_list else _grouped(children)
        key = name.replace("-", "_")
        if self._open:
            self._open[-1][1].append((key, value))
        else:
            self.found = {key: value}


def _grouped(children: list[tuple[str, Any]]) -> Object:
    groups: dict[str, list[Any]] = {}
    for key, value in children:
        groups.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in groups.items()}


def _event_id(notice: Object, xml: bytes) -> str:
    subject = notice.get("subject")
    for told in subject.values() if isinstance(subject, dict) else ():
        if isinstance(told, dict) and isinstance(told.get("id"), str):
            listed = told.get("transactions")
            transaction = listed[0] if isinstance(listed, list) and listed else told.get("transaction")
            of = transaction.get("id") if isinstance(transaction, dict) else None
            named = (notice["kind"], notice["timestamp"], told["id"], of)
            return f"sha256:{hashlib.sha256(repr(named).encode()).hexdigest()}"
    return strict.unreadable(xml, "").event_id


# Meaning


def _charged(subject: Object, told_at: datetime) -> list[Fact]:
    subscription = strict.mapping(subject, "subscription")
    transactions = subscription.get("transactions") or []
    if not isinstance(transactions, list) or not all(isinstance(each, dict) for each in transactions):
        raise Unusable("transactions is not a list of transactions")
    charges = [each for each in transactions if each.get("type") != "credit" and _status(each) in TAKEN]
    if not charges:
        raise Ignored("it has no charge that went through: nothing was paid")
    newest = max(charges, key=lambda charge: _created(charge, told_at))
    _refuse_proration(_paid_before(newest, charges))
    return _paid(newest, told_at, strict.optional_name(subscription, "id"))


def _transaction_settled(subject: Object, told_at: datetime) -> list[Fact]:
    transaction = strict.mapping(subject, "transaction")
    if transaction.get("type") == "credit":
        return _refunded(transaction, told_at)
    raise Ignored("the same money as subscription_charged_successfully, which credits")


def _settlement_declined(subject: Object, told_at: datetime) -> list[Fact]:
    transaction = strict.mapping(subject, "transaction")
    if transaction.get("type") == "credit":
        return _refund_failed(subject, told_at)
    if "subscription_id" in transaction:
        _subscription(transaction)
    return _taken_back(transaction, told_at, "settlement")


def _refund_failed(subject: Object, told_at: datetime) -> list[Fact]:
    refund = strict.mapping(subject, "transaction")
    reference, cause, amount, currency = _refund(refund)
    return [Restored(reference, told_at, cause, amount, currency)]


def _dispute(won: bool) -> Callable[[Object, datetime], list[Fact]]:
    def read(subject: Object, told_at: datetime) -> list[Fact]:
        dispute = strict.mapping(subject, "dispute")
        if dispute.get("kind") == "retrieval":
            raise Ignored("a retrieval: the bank asks, no money was withdrawn")
        reference = strict.name(strict.mapping(dispute, "transaction"), "id")
        cause, currency = f"dispute:{strict.name(dispute, 'id')}", strict.currency(dispute, "currency_iso_code")
        disputed = "amount" if dispute.get("amount_disputed") is None else "amount_disputed"
        amount = strict.decimal_amount(dispute, disputed, currency)
        if not won:
            return [Reversed(reference, told_at, cause, amount, currency)]
        back = amount if dispute.get("amount_won") is None else strict.decimal_amount(dispute, "amount_won", currency)
        if 0 < back < amount:
            # The last word on this dispute: what did not come back stays withdrawn.
            return [Reversed(reference, told_at, cause, amount - back, currency)]
        return [Restored(reference, told_at, cause, amount, currency)]

    return read


def _listed(subject: Object, told_at: datetime) -> list[Fact]:
    transaction = strict.mapping(subject, "transaction")
    status = _status(transaction)
    if transaction.get("type") == "credit":
        if status in TAKEN:
            return _refunded(transaction, told_at)
        if status in NEVER | DECLINED | {"voided"}:
            return _refund_failed(subject, told_at)
        raise Ignored(f"the refund is {status[:60]}: no money went back yet")
    subscription = _subscription(transaction)
    if status in TAKEN:
        _refuse_proration(strict.optional_name(transaction, "paid_before"))
        return _paid(transaction, told_at, subscription)
    if status == "voided":
        return _taken_back(transaction, told_at, "void")
    if status in DECLINED:
        return _taken_back(transaction, told_at, "settlement")
    raise Ignored(f"the charge is {status[:60]}: no money was taken")


def _paid(charge: Object, told_at: datetime, subscription: str | None) -> list[Fact]:
    currency = strict.currency(charge, "currency_iso_code")
    amount = strict.decimal_amount(charge, "amount", currency)
    if amount == 0:
        raise Ignored("zero amount: nothing was paid")
    billing = subscription, strict.optional_name(strict.mapping(charge, "customer"), "id")
    references = tuple(filter(None, dict.fromkeys(billing)))
    return [Paid(strict.name(charge, "id"), _created(charge, told_at), amount, currency, references)]


def _refunded(refund: Object, told_at: datetime) -> list[Fact]:
    reference, cause, amount, currency = _refund(refund)
    return [Reversed(reference, _created(refund, told_at), cause, amount, currency)]


def _refund(refund: Object) -> tuple[str, str, int, str]:
    if "refunded_transaction_id" in refund and refund["refunded_transaction_id"] is None:
        raise Ignored("a credit that refunds no charge")
    reference = strict.name(refund, "refunded_transaction_id")
    currency = strict.currency(refund, "currency_iso_code")
    return reference, f"refund:{strict.name(refund, 'id')}", strict.decimal_amount(refund, "amount", currency), currency


def _taken_back(charge: Object, told_at: datetime, family: str) -> list[Fact]:
    reference = strict.name(charge, "id")
    return [Reversed(reference, told_at, f"{family}:{reference}")]


def _subscription(charge: Object) -> str:
    subscription = strict.optional_name(charge, "subscription_id")
    if subscription is None:
        raise Ignored("a charge without a subscription is not dues")
    return subscription


def _paid_before(charge: Object, charges: Iterable[Object]) -> str | None:
    """The charge that had paid the same billing period already."""
    period = _period(charge)
    for other in charges if period else ():
        is_another = other.get("id") != charge.get("id") and other.get("type") != "credit"
        if is_another and _status(other) in TAKEN and _period(other) == period:
            first, second = strict.iso_time(other, "created_at"), strict.iso_time(charge, "created_at")
            if first < second:
                return strict.name(other, "id")
    return None


def _refuse_proration(paid_before: str | None) -> None:
    if paid_before:
        raise Ignored(f"a proration: {paid_before} had paid the dues of this billing period")


def _period(charge: Object) -> str | None:
    return strict.optional_name(strict.mapping(charge, "subscription"), "billing_period_start_date")


def _created(transaction: Object, told_at: datetime) -> datetime:
    return told_at if transaction.get("created_at") is None else strict.iso_time(transaction, "created_at")


def _status(transaction: Object) -> str:
    return str(transaction.get("status"))


_READINGS: dict[str, Callable[[Object, datetime], list[Fact]]] = {
    "subscription_charged_successfully": _charged,
    "transaction_settled": _transaction_settled,
    "transaction_settlement_declined": _settlement_declined,
    "refund_failed": _refund_failed,
    "dispute_opened": _dispute(won=False),
    "dispute_lost": _dispute(won=False),
    "dispute_accepted": _dispute(won=False),
    "dispute_auto_accepted": _dispute(won=False),
    "dispute_expired": _dispute(won=False),
    "dispute_won": _dispute(won=True),
    LISTED: _listed,
}

_WHY_IGNORED = {
    "check": "Braintree's own test of the endpoint",
    "subscription_charged_unsuccessfully": "a failed attempt: no money moved",
    "subscription_went_past_due": "a failed attempt: no money moved",
    "subscription_billing_skipped": "covered by the subscription's balance: nothing was paid",
    "transaction_retried": "what the charge tried again came to is told by subscription_charged_successfully",
    "dispute_disputed": "no money moved: it is withdrawn since the dispute opened",
    "dispute_under_review": "no money moved: dispute_won and dispute_lost tell when it does",
    "transaction_disbursed": "a payout to the bank: no money of the member's moved",
    "disbursement": "a payout to the bank: no money of the member's moved",
    "disbursement_exception": "a payout to the bank: no money of the member's moved",
}


# The API


def _transactions(endpoint: Endpoint, since: datetime, until: datetime) -> Iterator[Object]:
    """Every transaction that may matter, some of them twice. Raises Unavailable."""
    import braintree
    import requests

    search = braintree.TransactionSearch
    ours = [search.merchant_account_id.in_list([endpoint.account])] if endpoint.account else []
    undone = search.status.in_list(["voided", *DECLINED])
    failed_refunds = search.status.in_list(list(NEVER)), search.type.in_list(["credit"])
    with requests.Session() as session:
        gateway = braintree.BraintreeGateway(_configuration(endpoint, session))
        try:
            for field, start, criteria in (
                (search.created_at, since, ours),
                (search.submitted_for_settlement_at, since, ours),
                (search.created_at, since - LATE, [*ours, undone]),
                (search.created_at, since - LATE, [*ours, *failed_refunds]),
            ):
                for found in _search(gateway, field, start, until, criteria):
                    transaction = _told(found)
                    yield transaction | {"paid_before": _listed_before(gateway, transaction)}
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 -- the library raises whatever there is on an answer that is none
            raise Unavailable(f"Braintree's API answers something else ({type(error).__name__})") from None


def _search(gateway: Any, field: Any, since: datetime, until: datetime, criteria: list[Any]) -> Iterator[Any]:
    found = gateway.transaction.search(field.between(since, until), *criteria)
    if not isinstance(found.ids, list):
        raise TypeError("ids")
    if found.maximum_size < MOST_FOUND or until - since <= timedelta(seconds=1):
        yield from found.items
        return
    middle = since + (until - since) / 2
    yield from _search(gateway, field, middle, until, criteria)
    yield from _search(gateway, field, since, middle, criteria)


def _listed_before(gateway: Any, charge: Object) -> str | None:
    """As `_paid_before`; asks for the subscription where the charge was not made on its billing day."""
    from braintree.exceptions.not_found_error import NotFoundError

    period, subscription = _period(charge), charge["subscription_id"]
    if not period or not subscription or _status(charge) not in TAKEN or charge["created_at"][:10] <= period:
        return None
    try:
        others = gateway.subscription.find(subscription).transactions
    except NotFoundError:
        return None
    return _paid_before(charge, map(_told, others))


def _told(transaction: Any) -> Object:
    """What matters of the library's transaction, in the words of a notice. The same as long as its status is."""
    history = getattr(transaction, "status_history", None) or []
    reached = [event.timestamp for event in history if event.status == transaction.status]
    period = getattr(getattr(transaction, "subscription_details", None), "billing_period_start_date", None)
    return {name: _text(getattr(transaction, name, None)) for name in _TOLD} | {
        "status_since": _text(reached[0] if reached else transaction.created_at),
        "customer": {"id": _text(getattr(getattr(transaction, "customer_details", None), "id", None))},
        "subscription": {"billing_period_start_date": None if period is None else f"{period:%Y-%m-%d}"},
    }


_TOLD = (
    "id", "type", "status", "amount", "currency_iso_code", "created_at", "merchant_account_id", "subscription_id",
    "refunded_transaction_id",
)  # fmt: skip


def _text(value: Any) -> str | None:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, date) else None if value is None else str(value)


def _listed_event(transaction: Object) -> ParsedEvent:
    from braintree.util.xml_util import XmlUtil

    notice = {"timestamp": transaction["status_since"], "kind": LISTED, "subject": {"transaction": transaction}}
    body = XmlUtil.xml_from_dict(_dashed({"notification": notice})).encode()
    event_id = f"backfill:{transaction['id']}:{transaction['status']}"
    if not strict.is_name(event_id):
        return strict.unreadable(body, "unparsable: the transaction's id or status is none")
    return ParsedEvent(event_id, LISTED, body)


def _dashed(value: Any) -> Any:
    return {key.replace("_", "-"): _dashed(each) for key, each in value.items()} if isinstance(value, dict) else value


def _configuration(endpoint: Endpoint, session: Any) -> Any:
    import braintree

    if len(endpoint.api_key) != len(Braintree.api_key.split()):
        raise Unavailable(f"there is no API key: put {Braintree.api_key} into {api_key_variable(endpoint.name)}")
    merchant_id, public_key, private_key = (word.get_secret_value() for word in endpoint.api_key)
    return braintree.Configuration(
        braintree.Environment.Production if endpoint.mode == "live" else braintree.Environment.Sandbox,
        merchant_id=merchant_id,
        public_key=public_key,
        private_key=private_key,
        http_strategy=lambda _, environment: _Http(endpoint, environment, session),
    )


class _Http:
    """How the library asks: bounded in time, waiting as long as a rate limit says, plain about what went wrong."""

    def __init__(self, endpoint: Endpoint, environment: Any, session: Any) -> None:
        self._endpoint, self._environment, self._session = endpoint, environment, session

    def http_do(self, method: str, url: str, headers: dict[str, Any], body: Any) -> list[Any]:
        """The status and the body of the answer. Raises Unavailable."""
        import requests

        from webhooks.processors.http import TIMEOUT_S

        certificates = self._environment.ssl_certificate
        if api := self._endpoint.options.get("api"):
            url = api.rstrip("/") + url.removeprefix(self._environment.base_url)
            certificates = True
        for left in reversed(range(TRIES)):
            try:
                answer = self._session.request(
                    method, url, headers=headers, data=body, timeout=TIMEOUT_S, verify=certificates,
                    allow_redirects=False,
                )  # fmt: skip
            except requests.RequestException as error:
                raise Unavailable(f"Braintree's API does not answer ({type(error).__name__})") from None
            status = answer.status_code
            if not left or not (status == 429 or status >= 500):
                break
            sleep(_wait_s(answer.headers.get("Retry-After", "")))
        if status in {401, 403}:
            variable = api_key_variable(self._endpoint.name)
            raise Unavailable(f"Braintree refuses the API key (status {status}): put a valid one into {variable}")
        if status == 429 or status >= 500:
            raise Unavailable(f"Braintree's API answers {status}")
        return [status, answer.content]


def _wait_s(retry_after: str) -> float:
    return min(float(retry_after), MAX_WAIT_S) if re.fullmatch("[0-9]{1,9}", retry_after, re.ASCII) else 0.5
