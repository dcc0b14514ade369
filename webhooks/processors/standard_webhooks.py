"""Standard Webhooks with our own neutral schema: for processors without an adapter, and for tests.

    {"type": "payment.paid", "timestamp": "2026-11-01T09:00:00Z",
     "data": {"payment": "pay_1", "amount": 8900, "currency": "USD", "references": ["sub_1", "cus_1"]}}

| type | data, beside `payment` |
|---|---|
| payment.paid | amount (ISO 4217 minor units), currency, references (most specific first); purpose (default "dues") |
| payment.reversed | cause (the refund's or dispute's own id); amount and currency, or neither for all |
| payment.restored | cause: that of the reversal which came to nothing |
| payment.linked | other: a second reference to the same payment |

`timestamp` is when it happened. `data.mode` ("live" or "test") and `data.account` are
held against the endpoint's where they are given. The event's id is the signed
`webhook-id` header. Source of the envelope: the Standard Webhooks specification.
"""

from models.payments.facts import Fact, Linked, Paid, Restored, Reversed
from runtime.settings import Endpoint, SettingsError
from webhooks import signatures
from webhooks.processors import Delivery, Ignored, ParsedEvent, Processor, Unusable, strict
from webhooks.signatures import Headers, Verdict


class StandardWebhooks(Processor):
    """A processor, or a translator of yours, that speaks the neutral schema."""

    dedupe = "the signed webhook-id header"
    answer_within_s = 15

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError for a secret that is not base64."""
        super().__init__(endpoint)
        if not all(map(signatures.standard_webhooks_secret, endpoint.keys)):
            raise SettingsError(f"Endpoint {endpoint.name!r}: a secret is not whsec_ and base64.")

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """Source: the Standard Webhooks specification, "Signature scheme"."""
        return signatures.standard_webhooks(body, headers, self.endpoint.keys, now)

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """One event per delivery; a body without a type is kept, in quarantine, under its webhook-id."""
        event_id = headers.get("webhook-id") or headers.get("svix-id")
        if not strict.is_name(event_id):
            return [strict.unreadable(body, "unparsable: webhook-id is not an identifier")]
        event = strict.peek(body)
        kind = event.get("type") if event else None
        if not strict.is_name(kind):
            return [
                ParsedEvent(
                    str(event_id), "unparsable", body, quarantine_reason="unparsable: no JSON object with a type"
                )
            ]
        return [ParsedEvent(str(event_id), str(kind), body)]

    def same_content(self, first: bytes, second: bytes) -> bool:
        """A redelivery repeats the body; spacing and the order of keys do not matter."""
        return strict.same(first, second)

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Signs under a webhook-id made of the body's hash, so that the same body is the same event."""
        message_id = "msg_" + strict.unreadable(body, "").event_id[7:39]
        return Delivery(body, signatures.sign_standard_webhooks(body, self.endpoint.keys[0], timestamp, message_id))

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """The fact that the event tells. Raises Ignored or Unusable."""
        event = strict.loads(body)
        data = strict.mapping(event, "data")
        for name, ours in (("mode", self.endpoint.mode), ("account", self.endpoint.account)):
            theirs = strict.optional_name(data, name)
            if theirs is not None and theirs != ours:
                raise Unusable(f"{name} is {theirs!r}, but the endpoint's is {ours!r}")
        if type not in {"payment.paid", "payment.reversed", "payment.restored", "payment.linked"}:
            raise Ignored(f"{type} says nothing about dues")
        payment, at = strict.name(data, "payment"), strict.iso_time(event, "timestamp")
        if type == "payment.linked":
            return [Linked(payment, at, strict.name(data, "other"))]
        if type == "payment.paid":
            purpose = data.get("purpose", "dues")
            if purpose != "dues":
                raise Ignored(f"purpose {str(purpose)[:60]} is not dues")
            amount = strict.minor_units(data, "amount")
            if amount == 0:
                raise Ignored("zero amount: nothing was paid")
            references = data.get("references", [])
            if not isinstance(references, list) or not all(map(strict.is_name, references)):
                raise Unusable("references is not a list of identifiers")
            return [Paid(payment, at, amount, strict.currency(data, "currency"), tuple(dict.fromkeys(references)))]
        amount_minor = strict.minor_units(data, "amount") if "amount" in data else None
        currency = strict.currency(data, "currency") if "amount" in data else None
        fact = Reversed if type == "payment.reversed" else Restored
        return [fact(payment, at, f"cause:{strict.name(data, 'cause')}", amount_minor, currency)]
