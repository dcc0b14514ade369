"""Adyen: dues are payments; the webhooks are JSON, each item signed by itself.

With automatic capture, Adyen's default, AUTHORISATION credits; with the option
`capture=manual` CAPTURE does. Either way the key is the authorisation's pspReference,
which every later event names as its originalReference. A capture can fail days after it
succeeded, and succeed again. All events of one refund share a pspReference, and so do all of
one dispute: these are the causes, and the latest event of a cause counts. What follows
the reversal of a chargeback, a second one or a lost pre-arbitration, is a cause of its own: that reversal does not
undo it, also in the same second.

Signed are pspReference, originalReference, merchantAccountCode, merchantReference,
amount, eventCode and success. Unsigned are eventDate, reason, additionalData and `live`:
anyone who got hold of a signed item could send it with other values, so an event's id is made of
signed values only, and a redelivery changes nothing. Basic credentials, where set, protect
the rest.

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
from datetime import datetime
from secrets import token_hex
from typing import Any, ClassVar

from models.payments.facts import Fact, Restored, Reversed
from runtime.settings import Endpoint, secret_variable
from webhooks import signatures
from webhooks.processors import strict
from webhooks.processors.base import Object, Processor, Reading, Trial, dues
from webhooks.processors.events import Delivery, Ignored, ParsedEvent, Unusable
from webhooks.signatures import Headers, Invalid, Verdict

ITEMS, ITEM = "notificationItems", "NotificationRequestItem"
MOST_ITEMS = 100
"""Of one delivery. Adyen sends one in JSON, and up to six in SOAP; anybody could repeat a signed one many times."""
SHOPPER = ("shopperReference", "recurring.shopperReference", "tokenization.shopperReference")
"""Where additionalData has the shopper's reference: which one depends on the webhook's settings."""
TRIAL = "test_"
"""The beginning of the pspReferences that the Customer Area makes up to test an endpoint."""
DISPUTE, SECOND_STAGE = "dispute:{}", "dispute:{}:second"
"""Causes, with the pspReference filled in. What undid the first stage of a dispute does not undo the second."""

_Change = type[Reversed | Restored]


class Adyen(Processor):
    """Adyen, one merchant account or all of a company."""

    readings: ClassVar = {
        "AUTHORISATION": "authorised",
        "CAPTURE": ("part", Restored, "capture"),
        "CAPTURE_FAILED": ("part", Reversed, "capture"),
        "SETTLED_REVERSED": ("part", Reversed, "settlement"),
        "CANCELLATION TECHNICAL_CANCEL": "cancelled",
        "EXPIRE": "expired",
        "CANCEL_OR_REFUND": "cancelled_or_refunded",
        "REFUND REFUND_WITH_DATA": ("change", Reversed, "refund:{}"),
        "REFUND_FAILED REFUNDED_REVERSED": ("change", Restored, "refund:{}"),
        "CHARGEBACK": ("change", Reversed, DISPUTE),
        "CHARGEBACK_REVERSED": ("change", Restored, DISPUTE),
        "SECOND_CHARGEBACK PREARBITRATION_LOST": ("change", Reversed, SECOND_STAGE),
        "PREARBITRATION_WON": "dispute_won",
    }
    ignored_with_manual_capture: ClassVar = {"AUTHORISATION", "CANCELLATION", "TECHNICAL_CANCEL", "EXPIRE"}
    """Nothing was credited before CAPTURE, so there is nothing to take back."""
    requests: ClassVar = {
        "AUTHORISATION", "CAPTURE", "CANCELLATION", "TECHNICAL_CANCEL", "CANCEL_OR_REFUND", "REFUND",
        "REFUND_WITH_DATA",
    }  # fmt: skip
    """Events of a request, which can fail; of all others `success` is true."""
    ignored: ClassVar = {
        "no money moved: with capture=manual CAPTURE follows when it does": " ".join(ignored_with_manual_capture),
        "no money moved: only what is reserved changed": "AUTHORISATION_ADJUSTMENT",
        "the same money as the AUTHORISATION of the attempt that succeeded": "AUTORESCUE",
        "no money moved: no further attempt will be made": "CANCEL_AUTORESCUE",
        "no money moved: CHARGEBACK, SECOND_CHARGEBACK or CHARGEBACK_REVERSED follows when it does": """
            DISPUTE_DEFENSE_PERIOD_ENDED INFORMATION_SUPPLIED ISSUER_COMMENTS ISSUER_RESPONSE_TIMEFRAME_EXPIRED
            NOTIFICATION_OF_CHARGEBACK NOTIFICATION_OF_FRAUD PREARBITRATION_ACCEPTED PREARBITRATION_DECLINED
            PREARBITRATION_ISSUER_WITHDRAWN PREARBITRATION_OPEN REQUEST_FOR_INFORMATION SCHEME_ARBITRATION
            SCHEME_ARBITRATION_LOST SCHEME_ARBITRATION_WON""",
        "no money moved: a risk review": "MANUAL_REVIEW_ACCEPT",
        "no money moved: a risk review; a cancellation follows where it has an effect": "MANUAL_REVIEW_REJECT",
        "a failed attempt: no money moved": "OFFER_CLOSED",
        "the same money as the AUTHORISATION of each of its parts": "ORDER_CLOSED",
        "no money moved: each of its parts has its own AUTHORISATION": "ORDER_OPENED",
        "a payout, no payment of dues": "PAIDOUT_REVERSED PAYOUT_DECLINE PAYOUT_EXPIRE PAYOUT_THIRDPARTY",
        "no money moved yet: AUTHORISATION follows when it does": "PENDING",
        "no money went back yet: REFUND follows when it does": "POSTPONED_REFUND",
        "a stored card or bank account: nothing was paid": "RECURRING_CONTRACT",
        "the member has the money of the refund: no change": "REFUND_NOT_CLEARED",
        "a report, no payment of dues": "REPORT_AVAILABLE",
        "a refund was called off before it was made: no money moved": "VOID_PENDING_REFUND",
    }
    mode_field = ("live", "true", "false")

    dedupe = "merchant account, pspReference, eventCode and success"
    answer_within_s = 10
    accepted = "[accepted]"
    refused = 401
    digits: ClassVar = {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}  # /development-resources/currency-codes
    options = frozenset({"capture"})
    trial = Trial(lambda: token_hex(32).upper())

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError for secrets that are neither user:password nor hexadecimal, or not enough of them."""
        super().__init__(endpoint)
        self._latest_counts = self.meanings.keys() - {"AUTHORISATION"}
        variable, capture = secret_variable(endpoint.name), endpoint.options.get("capture", "auto")
        if capture not in {"auto", "manual"}:
            raise self.wrong(f"capture is {capture!r}; set capture=auto or capture=manual.")
        if capture == "manual":
            counted = {
                code: each for code, each in self.meanings.items() if code not in self.ignored_with_manual_capture
            }
            self.meanings: dict[str, Reading] = {**counted, "CAPTURE": "captured"}
        self._credentials = [key for key in endpoint.keys if b":" in key]
        if any(b"" in key.split(b":", 1) for key in self._credentials):
            raise self.wrong(f"Basic credentials in {variable} are user:password.")
        try:
            self._keys = [binascii.unhexlify(key) for key in endpoint.keys if b":" not in key]
        except ValueError:
            self._keys = []
        # Without an HMAC key no delivery would ever be authentic; the web process does not start so.
        if endpoint.keys and (not self._keys or not all(self._keys)):
            raise self.wrong(
                f"put the webhook's HMAC key, in hexadecimal as the Customer Area shows it, into {variable}; "
                "every word there without a colon has to be one."
            )

    # Signatures

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """`additionalData.hmacSignature` of every item, and the Basic credentials where there are any.

        HMAC-SHA256 in base64 of the signed values with colons between. Nothing is dated.
        Source: "Verify HMAC signatures"; unlike the library this checks every item.
        """
        if self._credentials:
            scheme, _, given = (headers.get("authorization") or "").partition(" ")
            known = [base64.b64encode(credential) for credential in self._credentials]
            if scheme.lower() != "basic" or not signatures.any_match([given.encode("latin-1", "replace")], known):
                return Invalid("Authorization matches no Basic credentials of the endpoint")
        items = _wrappers(_read(body))
        if not items:
            return Invalid("no notificationItems: not a standard webhook in JSON")
        if len(items) > MOST_ITEMS:
            return Invalid(f"{len(items)} items; Adyen never sends more than {MOST_ITEMS} at once", too_many=True)
        for wrapper in items:
            item = _item(wrapper)
            signed, data = _signed_text(item), item.get("additionalData")
            signature = data.get("hmacSignature") if isinstance(data, dict) else None
            if signed is None or not isinstance(signature, str):
                return Invalid("an item without hmacSignature, or with a signed value that is not text")
            known = [_signature(signed, key) for key in self._keys]
            if not signatures.any_match([signature.encode("utf-8", "replace")], known):
                return Invalid("an item's hmacSignature matches no HMAC key of the endpoint")
        return None

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Every item with its hmacSignature; an item that cannot be signed is delivered as it is."""
        delivery = _read(body)
        items = _wrappers(delivery)
        for wrapper in items:
            item = _item(wrapper)
            signed, data = _signed_text(item), item.get("additionalData") or {}
            if signed is not None and isinstance(data, dict):
                item["additionalData"] = {**data, "hmacSignature": _signature(signed, self._keys[0]).decode()}
        headers = {}
        if self._credentials:
            headers["Authorization"] = f"Basic {base64.b64encode(self._credentials[0]).decode()}"
        return Delivery(_written(delivery) or body if items else body, headers)

    # Events

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """Each item as the delivery of it alone, with nothing but `live` beside it.

        In JSON Adyen sends one item at a time: that body is kept as it came. An item of a batch is written anew. An
        unreadable item is in quarantine, and harms no other.
        """
        delivery = _read(body)
        wrappers = _wrappers(delivery)
        if delivery is None or not wrappers:
            return [strict.unreadable(body, "unparsable: no notificationItems")]
        if len(wrappers) == 1:
            return [_event(wrappers[0], body)]
        live = delivery.get("live")
        live = live if live in ("true", "false") else None
        alone = [(wrapper, _written({"live": live, ITEMS: [wrapper]})) for wrapper in wrappers]
        deep = [strict.unreadable(body, "unparsable: nested too deeply")] if not all(text for _, text in alone) else []
        return [_event(wrapper, text) for wrapper, text in alone if text] + deep

    def same_content(self, first: bytes, second: bytes) -> bool:
        """The signed values and `live` must agree; the rest may come later, differently or signed with a new key.

        Adyen counts two items with the same eventCode and pspReference as one, whatever their eventDate.
        Where the latest event counts, such a repeat may be news, a second failure of the
        same capture: that is a conflict, for somebody to look at. It does not count by itself,
        because the date is unsigned.
        """
        content = self._content(first)
        return content is not None and content == self._content(second)

    def _content(self, body: bytes) -> bytes | None:
        delivery = _read(body)
        item = _only_item(delivery)
        if delivery is None or not item:
            return None
        code = item.get("eventCode")
        latest_counts = isinstance(code, str) and code in self._latest_counts
        at = item.get("eventDate") if latest_counts else None
        return _written({"live": delivery.get("live"), "signed": _signed_values(item), "at": at})

    # Meaning

    def check(self, event: Object) -> None:
        """The Customer Area's test messages are ignored on every endpoint."""
        item = _only_item(event)
        if str(item.get("pspReference")).startswith(TRIAL):
            raise Ignored("made up in the Customer Area to test the endpoint")
        if not item:
            raise Unusable("unparsable: not one item")
        super().check(event)
        if self.endpoint.account is not None:
            self.check_account("merchantAccountCode", item.get("merchantAccountCode"))

    def details(self, type: str, event: Object, resource: bytes | None) -> tuple[Object, datetime]:
        """The item and its date. Raises Ignored for a request that failed."""
        item = _only_item(event)
        success = item.get("success")
        if success == "false" and type in self.requests:
            raise Ignored("a failed attempt: no money moved")
        if success != "true":
            raise Unusable(f"success is {success!r:.60}, which {type} cannot have")
        return item, strict.iso_time(item, "eventDate")

    def authorised(self, item: Object, at: datetime) -> list[Fact]:
        """A payment, with automatic capture."""
        return [self._paid(item, strict.name(item, "pspReference"), at)]

    def captured(self, item: Object, at: datetime) -> list[Fact]:
        """A payment, with manual capture. The same capture after a failure succeeded after all."""
        return [self._paid(item, _payment(item), at), *self.part(Restored, "capture", item, at)]

    def change(self, fact: _Change, cause: str, item: Object, at: datetime) -> list[Fact]:
        """Money that went or came back for a refund or dispute, which the pspReference identifies."""
        return [fact(_payment(item), at, cause.format(strict.name(item, "pspReference")), *self._amount(item))]

    def part(self, fact: _Change, family: str, item: Object, at: datetime) -> list[Fact]:
        """A capture that failed, or succeeded after all, perhaps under another pspReference than before."""
        payment = _payment(item)
        cause = f"{family}:{strict.name(item, 'pspReference')} of {payment}"
        return [fact(payment, at, cause, *self._amount(item))]

    def cancelled(self, item: Object, at: datetime) -> list[Fact]:
        """All of the payment went back."""
        payment = _payment(item)
        return [Reversed(payment, at, f"cancellation:{payment}")]

    def expired(self, item: Object, at: datetime) -> list[Fact]:
        """All of the payment, named as its own pspReference, whatever amount was authorised."""
        payment = strict.optional_name(item, "originalReference") or strict.name(item, "pspReference")
        return [Reversed(payment, at, f"cancellation:{payment}")]

    def cancelled_or_refunded(self, item: Object, at: datetime) -> list[Fact]:
        """All of the payment, whichever of the two it was: only additionalData says, unsigned."""
        return [Reversed(_payment(item), at, f"refund:{strict.name(item, 'pspReference')}")]

    def dispute_won(self, item: Object, at: datetime) -> list[Fact]:
        """All that the dispute took, in whichever stage, came back."""
        return [fact for cause in (DISPUTE, SECOND_STAGE) for fact in self.change(Restored, cause, item, at)]

    def _paid(self, item: Object, payment: str, at: datetime) -> Fact:
        """Billing references are the merchant's own, which is signed, then the shopper's.

        Both are free text: one that could be no billing reference is left out.
        """
        data = strict.mapping(item, "additionalData")
        references = [item.get("merchantReference"), *map(data.get, SHOPPER)]
        if not all(isinstance(reference, str | None) for reference in references):
            raise Unusable("merchantReference or shopperReference is not text")
        return dues(payment, at, *self._amount(item), *filter(strict.is_name, references))

    def _amount(self, item: Object) -> tuple[int, str]:
        return strict.money(strict.mapping(item, "amount"), "value", theirs=self.digits)


def _read(body: bytes) -> Object | None:
    """The JSON object in `body`, read leniently.

    Unsigned values may be garbage: the item is authentic, and refusing it would block all behind it.
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


def _wrappers(delivery: Object | None) -> list[Any]:
    items = delivery.get(ITEMS) if delivery else None
    return items if isinstance(items, list) else []


def _item(wrapper: Any) -> Object:
    item = wrapper.get(ITEM) if isinstance(wrapper, dict) else None
    return item if isinstance(item, dict) else {}


def _only_item(delivery: Object | None) -> Object:
    wrappers = _wrappers(delivery)
    return _item(wrappers[0]) if len(wrappers) == 1 else {}


def _signed_values(item: Object) -> list[Any]:
    amount = item.get("amount")
    value, currency = (amount.get("value"), amount.get("currency")) if isinstance(amount, dict) else (None, None)
    names = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
    return [*map(item.get, names), value, currency, item.get("eventCode"), item.get("success")]


def _signed_text(item: Object) -> bytes | None:
    """The signed values with colons between, an absent one as an empty text; None where one is not text or number."""
    values = ["" if value is None else value for value in _signed_values(item)]
    if not item or not all(type(value) in {str, int} for value in values):
        return None
    try:
        return ":".join(map(str, values)).encode()
    except UnicodeEncodeError:
        return None


def _signature(signed: bytes, key: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256))


def _event(wrapper: Any, body: bytes) -> ParsedEvent:
    """The item under an id made of its signed values: readable, so that a search for Adyen's pspReference finds it."""
    psp, original, account, _, value, currency, code, success = _signed_values(_item(wrapper))
    if any(isinstance(part, str) and ":" in part for part in (psp, original, account, value, currency, code, success)):
        # Colons are usual in the merchant's own reference. With one in another value, two items could sign the same.
        return strict.unreadable(body, "unparsable: a colon in a signed value makes it ambiguous what was signed")
    known = strict.is_name(psp) and strict.is_name(success)
    event_id = f"{account or ''}:{psp}:{code}:{success}" if known else None
    return strict.parsed(event_id, code, body, "no pspReference, eventCode or success")


def _payment(item: Object) -> str:
    payment = strict.optional_name(item, "originalReference")
    if payment is None:
        raise Unusable(
            "originalReference is missing, so it is not known of which payment; for disputes turn on 'Include the "
            "originalReference for CHARGEBACK_REVERSED events' in the webhook's additional settings, under Risk"
        )
    return payment
