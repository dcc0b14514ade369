"""Adyen: dues are payments; the webhooks are JSON, each item signed by itself.

With automatic capture, Adyen's default, AUTHORISATION credits; with the option
`capture=manual` each CAPTURE credits its part. Either way the key is the authorisation's pspReference,
which every later event names as its originalReference; the payments of one order are one. A capture can fail days
after it succeeded, and succeed again. All events of one refund share a pspReference, and so do all of
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
unless asked for: Adyen/adyen-magento2 pull 3316. Orders: /online-payments/partial-payments; their events and
additionalData: Adyen/adyen-magento2 pull 1772, Adyen/adyen-commercetools issue 1150,
Adyen/adyen-salesforce-commerce-cloud issues 439 and 440.
"""

import base64
import binascii
import hashlib
import hmac
from secrets import token_hex
from typing import Any, ClassVar

from runtime.settings import Endpoint, secret_variable
from webhooks import signatures
from webhooks.processors import strict
from webhooks.processors.adyen_items import (
    ITEMS,
    item_of,
    only_item,
    read,
    signed_text,
    signed_values,
    wrappers,
    written,
)
from webhooks.processors.adyen_meaning import Meaning
from webhooks.processors.base import Object, Reading, Trial
from webhooks.processors.claiming import CodeField
from webhooks.processors.events import Delivery, Ignored, ParsedEvent, Unusable
from webhooks.signatures import Headers, Invalid, Verdict

MOST_ITEMS = 100
"""Of one delivery. Adyen sends one in JSON, and up to six in SOAP; anybody could repeat a signed one many times."""
TRIAL = "test_"
"""The beginning of the pspReferences that the Customer Area makes up to test an endpoint."""


class Adyen(Meaning):
    """Adyen, one merchant account or all of a company."""

    mode_field = ("live", "true", "false")

    dedupe = "merchant account, pspReference, eventCode and success"
    answer_within_s = 10
    accepted = "[accepted]"
    refused = 401
    digits: ClassVar = {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}  # /development-resources/currency-codes
    options = frozenset({"capture"})
    trial = Trial(lambda: token_hex(32).upper())
    code_field = CodeField("shopperReference of each payment", '"shopperReference": "{code}"')

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError for secrets that are neither user:password nor hexadecimal, or not enough of them."""
        super().__init__(endpoint)
        self._latest_counts = self.meanings.keys() - {"AUTHORISATION", "ORDER_CLOSED"}
        variable, capture = secret_variable(endpoint.name), endpoint.options.get("capture", "auto")
        if capture not in {"auto", "manual"}:
            raise self.wrong(f"capture is {capture!r}; set capture=auto or capture=manual.")
        if capture == "manual":
            counted = {
                code: each for code, each in self.meanings.items() if code not in self.ignored_with_manual_capture
            }
            self.meanings: dict[str, Reading] = {**counted, "AUTHORISATION": "reserved", "CAPTURE": "captured"}
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
        items = wrappers(read(body))
        if not items:
            return Invalid("no notificationItems: not a standard webhook in JSON")
        if len(items) > MOST_ITEMS:
            return Invalid(f"{len(items)} items; Adyen never sends more than {MOST_ITEMS} at once", too_many=True)
        for wrapper in items:
            item = item_of(wrapper)
            signed, data = signed_text(item), item.get("additionalData")
            signature = data.get("hmacSignature") if isinstance(data, dict) else None
            if signed is None or not isinstance(signature, str):
                return Invalid("an item without hmacSignature, or with a signed value that is not text")
            known = [_signature(signed, key) for key in self._keys]
            if not signatures.any_match([signature.encode("utf-8", "replace")], known):
                return Invalid("an item's hmacSignature matches no HMAC key of the endpoint")
        return None

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Every item with its hmacSignature; an item that cannot be signed is delivered as it is."""
        delivery = read(body)
        items = wrappers(delivery)
        for wrapper in items:
            item = item_of(wrapper)
            signed, data = signed_text(item), item.get("additionalData") or {}
            if signed is not None and isinstance(data, dict):
                item["additionalData"] = {**data, "hmacSignature": _signature(signed, self._keys[0]).decode()}
        headers = {}
        if self._credentials:
            headers["Authorization"] = f"Basic {base64.b64encode(self._credentials[0]).decode()}"
        return Delivery(written(delivery) or body if items else body, headers)

    # Events

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """Each item as the delivery of it alone, with nothing but `live` beside it.

        In JSON Adyen sends one item at a time: that body is kept as it came. An item of a batch is written anew. An
        unreadable item is in quarantine, and harms no other.
        """
        delivery = read(body)
        found = wrappers(delivery)
        if delivery is None or not found:
            return [strict.unreadable(body, "unparsable: no notificationItems")]
        if len(found) == 1:
            return [_event(found[0], body)]
        live = delivery.get("live")
        live = live if live in ("true", "false") else None
        alone = [(wrapper, written({"live": live, ITEMS: [wrapper]})) for wrapper in found]
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
        delivery = read(body)
        item = only_item(delivery)
        if delivery is None or not item:
            return None
        code = item.get("eventCode")
        latest_counts = isinstance(code, str) and code in self._latest_counts
        at = item.get("eventDate") if latest_counts else None
        return written({"live": delivery.get("live"), "signed": signed_values(item), "at": at})

    def check(self, event: Object) -> None:
        """The Customer Area's test messages are ignored on every endpoint."""
        item = only_item(event)
        if str(item.get("pspReference")).startswith(TRIAL):
            raise Ignored("made up in the Customer Area to test the endpoint")
        if not item:
            raise Unusable("unparsable: not one item")
        super().check(event)
        if self.endpoint.account is not None:
            self.check_account("merchantAccountCode", item.get("merchantAccountCode"))


def _signature(signed: bytes, key: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256))


def _event(wrapper: Any, body: bytes) -> ParsedEvent:
    """The item under an id made of its signed values: readable, so that a search for Adyen's pspReference finds it."""
    psp, original, account, _, value, currency, code, success = signed_values(item_of(wrapper))
    if any(isinstance(part, str) and ":" in part for part in (psp, original, account, value, currency, code, success)):
        # Colons are usual in the merchant's own reference. With one in another value, two items could sign the same.
        return strict.unreadable(body, "unparsable: a colon in a signed value makes it ambiguous what was signed")
    known = strict.is_name(psp) and strict.is_name(success)
    event_id = f"{account or ''}:{psp}:{code}:{success}" if known else None
    return strict.parsed(event_id, code, body, "no pspReference, eventCode or success")
