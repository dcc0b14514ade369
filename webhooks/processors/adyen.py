"""Adyen: dues are payments, told by standard webhooks in JSON, each item signed by itself.

With automatic capture, Adyen's default, AUTHORISATION credits; with the option
`capture=manual` CAPTURE does. Either way the key is the authorisation's pspReference,
which every later event names as its originalReference. A capture can fail days after it
succeeded, and succeed again. All events of one refund have one pspReference, and all of
one dispute another: these are the causes, and the latest word on each counts. What follows
the reversal of a chargeback, a second one or a lost pre-arbitration, is a cause of its own: that reversal does not
undo it, also in the same second.

Signed are pspReference, originalReference, merchantAccountCode, merchantReference,
amount, eventCode and success. Unsigned are eventDate, reason, additionalData and `live`:
whoever got hold of a signed item could send it with others, so an event's id is made of
signed values only, and a redelivery changes nothing. Basic credentials, where set, vouch
for the rest.

Sources: docs.adyen.com, /development-resources/webhooks (webhook-types,
handle-webhook-events, troubleshoot, verify-hmac-signatures, additional-settings),
/online-payments (capture, capture/failure-reasons, cancel, refund), /risk-management
(disputes-api/dispute-notifications, dispute-process-and-flow, ach-chargebacks),
/api-explorer/Webhooks; the events' specification and examples in Adyen/adyen-openapi,
json/Webhooks-v1.json. No escaping in what is signed: Adyen/adyen-python-api-library
issue 117 and pull 193, adyen-php-api-library pull 165. What has no originalReference
unless asked for: Adyen/adyen-magento2 pull 3316.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from models.payments.facts import Fact, Paid, Restored, Reversed
from runtime.settings import Endpoint, SettingsError, secret_variable
from webhooks import signatures
from webhooks.processors import Delivery, Ignored, ParsedEvent, Processor, Unusable, strict
from webhooks.signatures import Headers, Invalid, Verdict

Object = dict[str, Any]
Reading = Callable[[Object, datetime], list[Fact]]

ITEMS, ITEM = "notificationItems", "NotificationRequestItem"
MOST_ITEMS = 100
"""Of one delivery. Adyen sends one in JSON, and up to six in SOAP; each that came once can be repeated by anybody."""
SHOPPER = ("shopperReference", "recurring.shopperReference", "tokenization.shopperReference")
"""Where additionalData has the shopper's reference: which one depends on the webhook's settings."""
_TRIAL = "test_"
"""How the pspReferences begin that the Customer Area makes up to try an endpoint."""


class Adyen(Processor):
    """Adyen, one merchant account or all of a company."""

    dedupe = "merchant account, pspReference, eventCode and success"
    answer_within_s = 10
    accepted = "[accepted]"
    refused = 401
    digits: ClassVar = {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}  # /development-resources/currency-codes
    options = frozenset({"capture"})

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError for secrets that are neither user:password nor hexadecimal, or not enough of them."""
        super().__init__(endpoint)
        name, capture = endpoint.name, endpoint.options.get("capture", "auto")
        if capture not in {"auto", "manual"}:
            raise SettingsError(f"Endpoint {name!r}: capture is {capture!r}; set capture=auto or capture=manual.")
        self._readings = _READINGS_WITH_MANUAL_CAPTURE if capture == "manual" else _READINGS
        self._credentials = [key for key in endpoint.keys if b":" in key]
        if any(b"" in key.split(b":", 1) for key in self._credentials):
            raise SettingsError(f"Endpoint {name!r}: Basic credentials in {secret_variable(name)} are user:password.")
        try:
            self._keys = [binascii.unhexlify(key) for key in endpoint.keys if b":" not in key]
        except ValueError:
            self._keys = []
        # Without any secret nothing is ever authentic; the web process does not start so.
        if endpoint.keys and (not self._keys or not all(self._keys)):
            raise SettingsError(
                f"Endpoint {name!r}: put the webhook's HMAC key, in hexadecimal as the Customer Area shows it, into "
                f"{secret_variable(name)}; what is no user:password there has to be one."
            )

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """`additionalData.hmacSignature` of every item, and the Basic credentials where there are any.

        HMAC-SHA256 in base64 of the signed values with colons between. Nothing is dated.
        Source: "Verify HMAC signatures"; unlike the library this checks every item.
        """
        if self._credentials:
            scheme, _, told = (headers.get("authorization") or "").partition(" ")
            known = [base64.b64encode(credential) for credential in self._credentials]
            if scheme.lower() != "basic" or not signatures.any_match([told.encode("latin-1", "replace")], known):
                return Invalid("Authorization matches no Basic credentials of the endpoint")
        items = _wrapped(_read(body))
        if not items:
            return Invalid("no notificationItems: not a standard webhook in JSON")
        if len(items) > MOST_ITEMS:
            return Invalid(f"{len(items)} items, and no delivery of Adyen's has more than {MOST_ITEMS}", too_many=True)
        for wrapper in items:
            item = _item(wrapper)
            signed, data = _signed(item), item.get("additionalData")
            given = data.get("hmacSignature") if isinstance(data, dict) else None
            if signed is None or not isinstance(given, str):
                return Invalid("an item without hmacSignature, or with something else than what is signed")
            known = [_signature(signed, key) for key in self._keys]
            if not signatures.any_match([given.encode("utf-8", "replace")], known):
                return Invalid("an item's hmacSignature matches no HMAC key of the endpoint")
        return None

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Every item with its hmacSignature; what cannot be signed is delivered as it is. The first of each secret."""
        delivery = _read(body)
        items = _wrapped(delivery)
        for wrapper in items:
            item = _item(wrapper)
            signed, data = _signed(item), item.get("additionalData") or {}
            if signed is not None and isinstance(data, dict):
                item["additionalData"] = {**data, "hmacSignature": _signature(signed, self._keys[0]).decode()}
        headers = {}
        if self._credentials:
            headers["Authorization"] = f"Basic {base64.b64encode(self._credentials[0]).decode()}"
        return Delivery(_written(delivery) or body if items else body, headers)

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """Each item as the delivery of it alone, with nothing but `live` beside it.

        In JSON Adyen sends one item at a time: that body is kept as it came. Out of a batch it
        is written anew. What cannot be read of an item is in quarantine and harms no other.
        """
        delivery = _read(body)
        wrapped = _wrapped(delivery)
        if delivery is None or not wrapped:
            return [strict.unreadable(body, "unparsable: no notificationItems")]
        if len(wrapped) == 1:
            return [_event(wrapped[0], body)]
        live = delivery.get("live")
        live = live if live in ("true", "false") else None
        alone = [(wrapper, _written({"live": live, ITEMS: [wrapper]})) for wrapper in wrapped]
        deep = [strict.unreadable(body, "unparsable: nested too deeply")] if not all(text for _, text in alone) else []
        return [_event(wrapper, text) for wrapper, text in alone if text] + deep

    def same_content(self, first: bytes, second: bytes) -> bool:
        """What is signed must be equal, and `live`: all else may come later, differently or signed with a new key.

        Adyen counts as one what has the same eventCode and pspReference at another eventDate.
        Where the latest word counts, such a repeat says something new, a second failure of the
        same capture: that is a conflict, for somebody to look at. It does not count by itself,
        because the date is unsigned.
        """
        told = _told(first)
        return told is not None and told == _told(second)

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """The facts that the item tells. Raises Ignored or Unusable."""
        delivery = strict.loads(body)
        item = _only_item(delivery)
        if str(item.get("pspReference")).startswith(_TRIAL):
            raise Ignored("made up in the Customer Area to try the endpoint")
        if not item:
            raise Unusable("unparsable: not one item")
        live, mode, account = delivery.get("live"), self.endpoint.mode, self.endpoint.account
        if live != ("true" if mode == "live" else "false"):
            raise Unusable(f"live is {live!r:.60}, but the endpoint is in {mode} mode")
        theirs = item.get("merchantAccountCode")
        if account is not None and theirs != account:
            raise Unusable(f"merchantAccountCode is {theirs!r:.60}, but the endpoint's account is {account!r}")
        reading = self._readings.get(type)
        if reading is None:
            raise Ignored(_WHY_IGNORED.get(type, f"{type} says nothing about dues"))
        success = item.get("success")
        if success == "false" and type in _REQUESTS:
            raise Ignored("a failed attempt: no money moved")
        if success != "true":
            raise Unusable(f"success is {success!r:.60}, which makes no sense of {type}")
        return reading(item, strict.iso_time(item, "eventDate"))


def _read(body: bytes) -> Object | None:
    """The JSON object in `body`, read as leniently as can be.

    What is unsigned may be garbage: the item is authentic, and refusing it would block all behind it.
    """
    try:
        value = json.loads(body.decode(errors="surrogateescape"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _written(value: Object | None) -> bytes | None:
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return None


def _wrapped(delivery: Object | None) -> list[Any]:
    items = delivery.get(ITEMS) if delivery else None
    return items if isinstance(items, list) else []


def _item(wrapper: Any) -> Object:
    item = wrapper.get(ITEM) if isinstance(wrapper, dict) else None
    return item if isinstance(item, dict) else {}


def _only_item(delivery: Object | None) -> Object:
    wrapped = _wrapped(delivery)
    return _item(wrapped[0]) if len(wrapped) == 1 else {}


def _values(item: Object) -> list[Any]:
    """What of an item is signed, in that order."""
    amount = item.get("amount")
    value, currency = (amount.get("value"), amount.get("currency")) if isinstance(amount, dict) else (None, None)
    names = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
    return [*map(item.get, names), value, currency, item.get("eventCode"), item.get("success")]


def _signed(item: Object) -> bytes | None:
    """The text that is signed, a value that is absent or null as an empty one; None where there is no such text."""
    values = ["" if value is None else value for value in _values(item)]
    if not item or not all(type(value) in {str, int} for value in values):
        return None
    try:
        return ":".join(map(str, values)).encode()
    except UnicodeEncodeError:
        return None


def _signature(signed: bytes, key: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256))


def _event(wrapper: Any, body: bytes) -> ParsedEvent:
    """The item under the id that its signed values make: readable, so that it is found by Adyen's pspReference."""
    psp, original, account, _, value, currency, code, success = _values(_item(wrapper))
    if any(isinstance(part, str) and ":" in part for part in (psp, original, account, value, currency, code, success)):
        # In the merchant's own reference colons are usual. In one more place they would leave it open what was signed.
        return strict.unreadable(body, "unparsable: a colon in a signed value makes it ambiguous what was signed")
    event_id = f"{account or ''}:{psp}:{code}:{success}"
    if not all(map(strict.is_name, (psp, code, success, event_id))):
        return strict.unreadable(body, "unparsable: no pspReference, eventCode or success")
    return ParsedEvent(event_id, str(code), body)


def _told(body: bytes) -> bytes | None:
    delivery = _read(body)
    item = _only_item(delivery)
    if delivery is None or not item:
        return None
    code = item.get("eventCode")
    at = item.get("eventDate") if isinstance(code, str) and code in _LATEST_COUNTS else None
    return _written({"live": delivery.get("live"), "signed": _values(item), "at": at})


def _authorised(item: Object, at: datetime) -> list[Fact]:
    return [_paid(item, strict.name(item, "pspReference"), at)]


def _captured(item: Object, at: datetime) -> list[Fact]:
    """Pays, where the capture is manual; told again after a failure, it succeeded after all."""
    return [_paid(item, _payment(item), at), *_part(Restored, "capture")(item, at)]


def _paid(item: Object, payment: str, at: datetime) -> Paid:
    amount, currency = _amount(item)
    if amount == 0:
        raise Ignored("zero amount: a card was checked or stored, nothing was paid")
    return Paid(payment, at, amount, currency, _billing_references(item))


def _billing_references(item: Object) -> tuple[str, ...]:
    """The merchant's own reference of the payment, which is signed, then the shopper's.

    Both are free text: what could be no billing reference is none.
    """
    data = strict.mapping(item, "additionalData")
    told = [item.get("merchantReference"), *map(data.get, SHOPPER)]
    if not all(isinstance(reference, str | None) for reference in told):
        raise Unusable("merchantReference or shopperReference is not text")
    return tuple(str(reference) for reference in dict.fromkeys(told) if strict.is_name(reference))


def _change(
    fact: type[Reversed | Restored], family: str, *, by: str = "pspReference", whole: bool = False, stage: str = ""
) -> Reading:
    """Money that went or came back, `by` what identifies the refund, dispute or capture it went for.

    A later `stage` of one dispute is a cause of its own: what undid the first does not undo it.
    """

    def read(item: Object, at: datetime) -> list[Fact]:
        cause = f"{family}:{strict.name(item, by)}{stage}"
        return [fact(_payment(item), at, cause, *(() if whole else _amount(item)))]

    return read


def _dispute_won(item: Object, at: datetime) -> list[Fact]:
    """All that the dispute took, in whichever stage, came back."""
    stages = _change(Restored, "dispute"), _change(Restored, "dispute", stage=_SECOND)
    return [fact for stage in stages for fact in stage(item, at)]


def _part(fact: type[Reversed | Restored], family: str) -> Reading:
    """A capture of the payment that failed or succeeded after all, perhaps under another pspReference than before."""

    def read(item: Object, at: datetime) -> list[Fact]:
        payment = _payment(item)
        return [fact(payment, at, f"{family}:{strict.name(item, 'pspReference')} of {payment}", *_amount(item))]

    return read


def _expired(item: Object, at: datetime) -> list[Fact]:
    """Names the payment as its own pspReference, and the amount that was authorised, whatever is left of it."""
    payment = strict.optional_name(item, "originalReference") or strict.name(item, "pspReference")
    return [Reversed(payment, at, f"cancellation:{payment}")]


def _payment(item: Object) -> str:
    payment = strict.optional_name(item, "originalReference")
    if payment is None:
        raise Unusable(
            "originalReference is missing, so it is not known of which payment; for disputes turn on 'Include the "
            "originalReference for CHARGEBACK_REVERSED events' in the webhook's additional settings, under Risk"
        )
    return payment


def _amount(item: Object) -> tuple[int, str]:
    amount = strict.mapping(item, "amount")
    return strict.money(amount, "value", theirs=Adyen.digits)


_SECOND = ":second"

_READINGS: dict[str, Reading] = {
    "AUTHORISATION": _authorised,
    "CAPTURE": _part(Restored, "capture"),
    "CAPTURE_FAILED": _part(Reversed, "capture"),
    "SETTLED_REVERSED": _part(Reversed, "settlement"),
    "CANCELLATION": _change(Reversed, "cancellation", by="originalReference", whole=True),
    "TECHNICAL_CANCEL": _change(Reversed, "cancellation", by="originalReference", whole=True),
    "EXPIRE": _expired,
    # All of it, whichever of the two it was: that stands in additionalData, unsigned.
    "CANCEL_OR_REFUND": _change(Reversed, "refund", whole=True),
    "REFUND": _change(Reversed, "refund"),
    "REFUND_WITH_DATA": _change(Reversed, "refund"),
    "REFUND_FAILED": _change(Restored, "refund"),
    "REFUNDED_REVERSED": _change(Restored, "refund"),
    "CHARGEBACK": _change(Reversed, "dispute"),
    "SECOND_CHARGEBACK": _change(Reversed, "dispute", stage=_SECOND),
    "CHARGEBACK_REVERSED": _change(Restored, "dispute"),
    "PREARBITRATION_LOST": _change(Reversed, "dispute", stage=_SECOND),
    "PREARBITRATION_WON": _dispute_won,
}

_NOT_CAPTURED = {"AUTHORISATION", "CANCELLATION", "TECHNICAL_CANCEL", "EXPIRE"}
"""What says nothing of money where capture is manual: of what was not captured nothing was credited."""

_READINGS_WITH_MANUAL_CAPTURE: dict[str, Reading] = {
    **{code: reading for code, reading in _READINGS.items() if code not in _NOT_CAPTURED},
    "CAPTURE": _captured,
}

_LATEST_COUNTS = _READINGS.keys() - {"AUTHORISATION"}

_REQUESTS = {
    "AUTHORISATION", "CAPTURE", "CANCELLATION", "TECHNICAL_CANCEL", "CANCEL_OR_REFUND", "REFUND", "REFUND_WITH_DATA",
}  # fmt: skip
"""What somebody asked for, so that it can fail; of all others `success` is true."""

_NO_MONEY_YET = "no money moved: CHARGEBACK, SECOND_CHARGEBACK and CHARGEBACK_REVERSED tell when it does"
_PAYOUT = "a payout, no payment of dues"

_WHY_IGNORED = {
    **dict.fromkeys(_NOT_CAPTURED, "no money moved: with capture=manual CAPTURE tells when it does"),
    "AUTHORISATION_ADJUSTMENT": "no money moved: only what is reserved changed",
    "AUTORESCUE": "the same money as the AUTHORISATION of the attempt that succeeded",
    "CANCEL_AUTORESCUE": "no money moved: no further attempt will be made",
    "DISPUTE_DEFENSE_PERIOD_ENDED": _NO_MONEY_YET,
    "INFORMATION_SUPPLIED": _NO_MONEY_YET,
    "ISSUER_COMMENTS": _NO_MONEY_YET,
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": _NO_MONEY_YET,
    "MANUAL_REVIEW_ACCEPT": "no money moved: a risk review",
    "MANUAL_REVIEW_REJECT": "no money moved: a risk review, and what follows from it is told as a cancellation",
    "NOTIFICATION_OF_CHARGEBACK": _NO_MONEY_YET,
    "NOTIFICATION_OF_FRAUD": _NO_MONEY_YET,
    "OFFER_CLOSED": "a failed attempt: no money moved",
    "ORDER_CLOSED": "the same money as the AUTHORISATION of each of its parts",
    "ORDER_OPENED": "no money moved: each of its parts has its own AUTHORISATION",
    "PAIDOUT_REVERSED": _PAYOUT,
    "PAYOUT_DECLINE": _PAYOUT,
    "PAYOUT_EXPIRE": _PAYOUT,
    "PAYOUT_THIRDPARTY": _PAYOUT,
    "PENDING": "no money moved yet: AUTHORISATION tells when it does",
    "POSTPONED_REFUND": "no money went back yet: REFUND tells when it does",
    "PREARBITRATION_ACCEPTED": _NO_MONEY_YET,
    "PREARBITRATION_DECLINED": _NO_MONEY_YET,
    "PREARBITRATION_ISSUER_WITHDRAWN": _NO_MONEY_YET,
    "PREARBITRATION_OPEN": _NO_MONEY_YET,
    "RECURRING_CONTRACT": "a stored card or bank account: nothing was paid",
    "REFUND_NOT_CLEARED": "the member has the money of the refund: no change",
    "REPORT_AVAILABLE": "a report, no payment of dues",
    "REQUEST_FOR_INFORMATION": _NO_MONEY_YET,
    "SCHEME_ARBITRATION": _NO_MONEY_YET,
    "SCHEME_ARBITRATION_LOST": _NO_MONEY_YET,
    "SCHEME_ARBITRATION_WON": _NO_MONEY_YET,
    "VOID_PENDING_REFUND": "a refund was called off before it was made: no money moved",
}
