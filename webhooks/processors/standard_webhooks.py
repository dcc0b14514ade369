"""Standard Webhooks with our own neutral schema: for processors without an adapter, and for tests.

    {"type": "payment.paid", "timestamp": "2026-11-01T09:00:00Z",
     "data": {"payment": "pay_1", "amount": 8900, "currency": "USD", "references": ["sub_1", "cus_1"]}}

| type | data, beside `payment` |
|---|---|
| payment.paid | amount (ISO 4217 minor units), currency, references (most specific first); purpose (default "dues") |
| payment.reversed | cause (the refund's or dispute's own id); amount and currency, or neither for all |
| payment.restored | cause: that of the reversal which came to nothing |
| payment.linked | other: a second reference to the same payment |

`timestamp` is when it happened. `data.mode` ("live" or "test") and `data.account` are optional, and compared with the
endpoint's. The event's id is the signed `webhook-id` header. Source of the envelope: the Standard Webhooks
specification.
"""

import base64
from datetime import datetime
from secrets import token_bytes
from typing import ClassVar

from models.payments.facts import Fact, Linked, Restored, Reversed
from runtime.settings import Endpoint
from webhooks import signatures
from webhooks.processors import strict
from webhooks.processors.base import Object, Processor, Trial, dues
from webhooks.processors.events import Delivery, Ignored, ParsedEvent, Unusable
from webhooks.signatures import Headers, Verdict


class StandardWebhooks(Processor):
    """A processor, or a translator of yours, that uses the neutral schema."""

    readings: ClassVar = {
        "payment.paid": "paid",
        "payment.reversed": ("change", Reversed),
        "payment.restored": ("change", Restored),
        "payment.linked": "linked",
    }

    dedupe = "the signed webhook-id header"
    answer_within_s = 15
    kept_headers = ("Svix-Id", "Svix-Timestamp", "Webhook-Id", "Webhook-Timestamp")
    trial = Trial(lambda: f"whsec_{base64.b64encode(token_bytes(24)).decode()}", endpoint="standard")

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError for a secret that is not base64."""
        super().__init__(endpoint)
        if not all(map(signatures.standard_webhooks_secret, endpoint.keys)):
            raise self.wrong("a secret is not whsec_ and base64.")

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """Source: the Standard Webhooks specification, "Signature scheme"."""
        return signatures.standard_webhooks(body, headers, self.endpoint.keys, now)

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """The webhook-id is made of the body's hash, so that the same body is the same event."""
        message_id = "msg_" + strict.unreadable(body, "").event_id[7:39]
        return Delivery(body, signatures.sign_standard_webhooks(body, self.endpoint.keys[0], timestamp, message_id))

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """One event per delivery, under its webhook-id."""
        event_id = headers.get("webhook-id") or headers.get("svix-id")
        if not strict.is_name(event_id):
            return [strict.unreadable(body, "unparsable: webhook-id is not an identifier")]
        kind = (strict.peek(body) or {}).get("type")
        if strict.is_name(kind):
            return [ParsedEvent(str(event_id), str(kind), body)]
        unreadable = strict.unreadable(body, "unparsable: no JSON object with a type")
        return [unreadable._replace(event_id=str(event_id))]

    def check(self, event: Object) -> None:
        """Mode and account count only where they are given."""
        data = strict.mapping(event, "data")
        for name, ours in (("mode", self.endpoint.mode), ("account", self.endpoint.account)):
            theirs = strict.optional_name(data, name)
            if theirs is not None and theirs != ours:
                raise Unusable(f"{name} is {theirs!r}, but the endpoint's is {ours!r}")

    def details(self, type: str, event: Object, resource: bytes | None) -> tuple[Object, str, datetime]:
        """The data, the payment it names, and when it happened."""
        data = strict.mapping(event, "data")
        return data, strict.name(data, "payment"), strict.iso_time(event, "timestamp")

    def paid(self, data: Object, payment: str, at: datetime) -> list[Fact]:
        """Dues that were paid."""
        purpose = data.get("purpose", "dues")
        if purpose != "dues":
            raise Ignored(f"purpose {str(purpose)[:60]} is not dues")
        references = data.get("references", [])
        if not isinstance(references, list) or not all(map(strict.is_name, references)):
            raise Unusable("references is not a list of identifiers")
        amount, currency = strict.money(data, "amount")
        return [dues(payment, at, amount, currency, *references)]

    def change(self, fact: type[Reversed | Restored], data: Object, payment: str, at: datetime) -> list[Fact]:
        """Money that went back, or came back after all."""
        amount, currency = strict.money(data, "amount") if "amount" in data else (None, None)
        return [fact(payment, at, f"cause:{strict.name(data, 'cause')}", amount, currency)]

    def linked(self, data: Object, payment: str, at: datetime) -> list[Fact]:
        """A second reference to the payment."""
        return [Linked(payment, at, strict.name(data, "other"))]
