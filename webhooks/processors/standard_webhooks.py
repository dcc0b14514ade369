"""Standard Webhooks with our own neutral schema: for processors without an adapter, and for tests.

    {"type": "payment.paid", "timestamp": "2026-11-01T09:00:00Z",
     "data": {"payment": "pay_1", "amount": 8900, "currency": "USD", "references": ["sub_1", "cus_1"]}}

| type | data, beside `payment` |
|---|---|
| payment.paid | amount (ISO 4217 minor units), currency, references (most specific first); purpose (default "dues") |
| payment.reversed | cause (the refund's or dispute's own id); amount and currency, or neither for all |
| payment.restored | cause: that of the reversal which came to nothing |
| payment.line_refunded | cause: that of the reversal; line (its id), amount, currency |
| payment.linked | other: a second reference to the same payment |
| payment.noted | what: one sentence for staff |
| payment.failed | references, payer; amount and currency; one_try (true where another try is another payment) |
| payment.closed | nothing is owed for it any more |
| reference.replaced | other: the billing reference in the place of the one that `payment` names |
| reference.claimed | code: that of a membership, which is to have the reference that `payment` names |
| subscription.ended | at: when the subscription that `payment` names ends; without it, at `timestamp` |
| subscription.goes_on, .paused, .resumed | an end to come was taken back, or that subscription was paused or resumed |

A payment.paid can say more of its shape, all of it optional: payer (customer ids), covers ({"start", "end"}), due (the
dues before discounts), settled (the amount and what was taken from the payer's balance), part (names one of several
payments that add up), lines ({"references", "amount", "covers", "quantity", "proration", "id"}). Amounts are in the
payment's currency; a line's may be negative. `code` is that of a membership, for the first of its references; with
`from_link`: true where the payer could edit it. For staff alone: name and email of who paid, and a description.

`timestamp` is when it happened. `data.mode` ("live" or "test") and `data.account` are optional, and compared with the
endpoint's. The event's id is the signed `webhook-id` header. Source of the envelope: the Standard Webhooks
specification.
"""

import base64
from datetime import datetime
from secrets import token_bytes
from typing import ClassVar

from models.catalogue.days import Period
from models.payments.facts import (
    Announced,
    Change,
    Claimed,
    DuesFailed,
    Fact,
    Line,
    LineRefunded,
    Linked,
    Noted,
    Paid,
    Replaced,
    Restored,
    Reversed,
)
from runtime.settings import Endpoint
from webhooks import signatures
from webhooks.processors import announcing, claiming, payers, strict
from webhooks.processors.base import Object, Processor, Trial
from webhooks.processors.claiming import CodeField
from webhooks.processors.events import Delivery, Ignored, ParsedEvent, Payer, Unusable
from webhooks.signatures import Headers, Verdict

LONGEST_NOTE = 300
MOST = 10**6
"""The largest quantity of a line."""


class StandardWebhooks(Processor):
    """A processor, or a translator of yours, that uses the neutral schema."""

    readings: ClassVar = {
        "payment.paid": "paid",
        "payment.reversed": ("change", Reversed),
        "payment.restored": ("change", Restored),
        "payment.line_refunded": "line_refunded",
        "payment.linked": ("names_another", Linked),
        "payment.noted": "noted",
        "payment.failed": ("failed", False),
        "payment.closed": ("failed", True),
        "reference.replaced": ("names_another", Replaced),
        "reference.claimed": "claimed",
        "subscription.ended": ("announced", Change.ENDS),
        "subscription.goes_on": ("announced", Change.GOES_ON),
        "subscription.paused": ("announced", Change.PAUSED),
        "subscription.resumed": ("announced", Change.RESUMED),
    }
    ignored: ClassVar = {
        "no money moved: payment.paid says when it does": """
            payment.created payment.updated payment.pending payment.processing payment.failed payment.canceled
            payment.cancelled""",
    }
    about_money = ("payment.",)

    dedupe = "the signed webhook-id header"
    answer_within_s = 15
    kept_headers = ("Svix-Id", "Svix-Timestamp", "Webhook-Id", "Webhook-Timestamp")
    code_field = CodeField("code of a payment.paid, or of a reference.claimed", '"code": "{code}"')
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

    def named_payment(self, data: Object, payment: str, at: datetime) -> tuple[str | None, datetime]:
        """The payment in the data."""
        return payment, at

    def paid(self, data: Object, payment: str, at: datetime) -> list[Fact]:
        """Dues that were paid."""
        purpose = data.get("purpose", "dues")
        if purpose != "dues":
            raise Ignored(f"purpose {str(purpose)[:60]} is not dues")
        amount, currency = strict.money(data, "amount")
        due, lines = _amount(data, "due"), tuple(map(_line, strict.objects(data, "lines")))
        if lines and due != sum(line.amount_minor for line in lines):
            due = None  # lines and due contradict each other: the due amount is not known
        paid = Paid(
            payment, at, amount, currency, _references(data, "references"), _references(data, "payer"), _covers(data),
            due, _amount(data, "settled"), lines, strict.optional_name(data, "part") or "",
        )  # fmt: skip
        if paid.settled == 0:
            raise Ignored("zero amount: nothing was paid")
        return [paid]

    def change(self, fact: type[Reversed | Restored], data: Object, payment: str, at: datetime) -> list[Fact]:
        """Money that went back, or came back after all."""
        amount, currency = strict.money(data, "amount") if "amount" in data else (None, None)
        return [fact(payment, at, f"cause:{strict.name(data, 'cause')}", amount, currency)]

    def line_refunded(self, data: Object, payment: str, at: datetime) -> list[Fact]:
        """How much of a reversal was for one line."""
        cause, line = strict.name(data, "cause"), strict.name(data, "line")
        return [LineRefunded(payment, at, cause, line, *strict.money(data, "amount"))]

    def names_another(self, fact: type[Linked | Replaced], data: Object, payment: str, at: datetime) -> list[Fact]:
        """A second reference to the payment, or the billing reference that stands in the place of this one."""
        return [fact(payment, at, strict.name(data, "other"))]

    def claimed(self, data: Object, payment: str, at: datetime) -> list[Fact]:
        """The code of a membership, for this reference."""
        code, due = claiming.begins(data.get("code")), (None, None)
        if code is None:
            raise Unusable("code is not that of a membership")
        amount, currency = strict.money(data, "amount") if "amount" in data else due
        return [Claimed(payment, at, code, _from_link(data), amount, currency)]

    def claims(self, facts: list[Fact], data: Object, payment: str, at: datetime) -> list[Fact]:
        """Of what a payment is looked up by."""
        code = claiming.begins(data.get("code"))
        return claiming.closest(facts, code, from_link=_from_link(data)) or claiming.chosen(facts)

    def announced(self, what: Change, data: Object, payment: str, at: datetime) -> list[Fact]:
        """What becomes of a subscription."""
        if what != Change.ENDS:
            return [Announced(payment, at, what)]
        return [announcing.ends(payment, at, strict.iso_time(data, "at") if data.get("at") else at)]

    def failed(self, closed: bool, data: Object, payment: str, at: datetime) -> list[Fact]:
        """An attempt to collect dues that failed; or of a bill that it is owed no more (`closed`)."""
        one_try, named = data.get("one_try", False), (_references(data, "references"), _references(data, "payer"))
        if not isinstance(one_try, bool):
            raise Unusable("one_try is neither true nor false")
        amount, currency = strict.money(data, "amount") if "amount" in data else (None, None)
        failed = DuesFailed(payment, at, *named, amount, currency, is_one_try=one_try, closed=closed)
        return [failed if closed else payers.owing(failed)]

    def noted(self, data: Object, payment: str, at: datetime) -> list[Fact]:
        """A sentence for staff, who are to look at the payment."""
        what = data.get("what")
        if not isinstance(what, str) or not what.isprintable() or not 0 < len(what) <= LONGEST_NOTE:
            raise Unusable(f"what is not a sentence of at most {LONGEST_NOTE} printable characters")
        return [Noted(payment, at, what)]

    def payer_details(self, type: str, body: bytes, resource: bytes | None = None) -> Payer | None:
        """The name, e-mail address and description in the data."""
        data = payers.inside(payers.loaded(body), "data")
        return payers.details(*(payers.inside(data, key) for key in ("name", "email", "description")))


def _from_link(data: Object) -> bool:
    from_link = data.get("from_link", False)
    if not isinstance(from_link, bool):
        raise Unusable("from_link is neither true nor false")
    return from_link


def _references(data: Object, key: str) -> tuple[str, ...]:
    references = data.get(key, [])
    if not isinstance(references, list) or not all(map(strict.is_name, references)):
        raise Unusable(f"{key} is not a list of identifiers")
    return tuple(dict.fromkeys(references))


def _amount(data: Object, key: str) -> int | None:
    return None if data.get(key) is None else strict.minor_units(data, key)


def _covers(data: Object) -> Period | None:
    covers = strict.mapping(data, "covers")
    return (strict.iso_time(covers, "start"), strict.iso_time(covers, "end")) if covers else None


def _line(line: Object) -> Line:
    amount, quantity, proration = line.get("amount"), line.get("quantity", 1), line.get("proration", False)
    if type(amount) is not int or abs(amount) > strict.MAX_MINOR_UNITS:
        raise Unusable("the amount of a line is not in minor units")
    if type(quantity) is not int or not 0 < quantity <= MOST:
        raise Unusable("the quantity of a line is not a whole number above 0")
    if not isinstance(proration, bool):
        raise Unusable("proration is neither true nor false")
    own = strict.optional_name(line, "id") or ""
    return Line(_references(line, "references"), amount, _covers(line), quantity, proration, own)
