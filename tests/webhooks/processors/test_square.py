import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from local import samples
from models.payments.facts import Announced, Change, Fact, Linked, Paid, Restored, Reversed
from tests.models.payments.entitled import Terms, entitlement
from tests.webhooks.coded import CODE, Coded
from tests.webhooks.contract import ProcessorContract
from tests.webhooks.deliveries import NOW, changed, endpoint, received, recorded
from webhooks.processors import Ignored, ParsedEvent, Processor, Unusable
from webhooks.processors.events import Payer

URL = "https://gym.example/webhooks/square?from=square:1"
TEST, LIVE = (endpoint("square", "secret", mode=mode, url=URL) for mode in ("test", "live"))
RECORDED = recorded("square")
INVOICE, INVOICE_UPDATED = RECORDED["invoice_payment_made"], RECORDED["invoice_updated"]
PAYMENT, PAYMENT_FAILED = RECORDED["payment_updated"], RECORDED["payment_failed"]
REFUND, REFUND_FAILED = RECORDED["refund_updated"], RECORDED["refund_failed"]
DISPUTED, LOST, WON = RECORDED["dispute_created"], RECORDED["dispute_lost"], RECORDED["dispute_won"]
ACCEPTED = RECORDED["dispute_state_changed"]


class TestContract(ProcessorContract):
    processor = "square"
    codes = (
        Coded("payment_updated", "data__object__payment__note", "CUSTGym0001", f"Gold, {CODE}"),
        Coded("payment_updated", "data__object__payment__reference_id", "CUSTGym0001"),
    )
    key = b"secret-key"
    other_key = b"other-key"
    signature_header = "x-square-hmacsha256-signature"
    tolerance_s = None
    options: ClassVar[Mapping[str, str]] = {"url": URL}

    def resource(self, part: ParsedEvent) -> bytes:
        item = {"catalog_object_id": "GOLD", "quantity": "1", "total_money": {"amount": 8900, "currency": "USD"}}
        return json.dumps({"id": "orderGym0001", "line_items": [item]}).encode()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def meaning(body: bytes, on: Processor = TEST, **changes: Any) -> list[Fact]:
    """Changes are those of the payment, refund, dispute or invoice in it, or with `event__` of what is around it."""
    (part,) = TEST.parse(body, {})
    prefix = f"data__object__{part.type.partition('.')[0]}__"
    whole = {path.removeprefix("event__") if "event__" in path else prefix + path: changes[path] for path in changes}
    (part,) = TEST.parse(changed(body, **whole), {})
    assert part.quarantine_reason is None
    return on.interpret(part.type, part.body)


def reversed_of_100(*told: list[Fact], order: str = "orderGym0001") -> int | None:
    """What of 100 sessions is taken back for the order, joined with all that is linked to it; None without credit."""
    facts, same = [fact for one in told for fact in one], {order}
    for _ in facts:
        same |= {
            name
            for fact in facts
            if isinstance(fact, Linked) and {fact.payment, fact.other} & same
            for name in (fact.payment, fact.other)
        }
    owed = entitlement([fact for fact in facts if fact.payment in same], [Terms(1, 100, 30)])
    return owed[0].reversed if owed else None


class TestInvoice:
    PAID = Paid("orderGym0001", at("2026-11-01T09:00:05Z"), 8900, "USD", ("0d5f7c2e-Gym0001",), ("CUSTGym0001",))

    @pytest.mark.parametrize("body", [INVOICE, INVOICE_UPDATED])
    def test_paid_in_full(self, body: bytes) -> None:
        assert meaning(body) == [self.PAID]

    def test_of_no_subscription_it_is_its_customers(self) -> None:
        for none in ("", None, ...):
            assert meaning(INVOICE, subscription_id=none) == [replace(self.PAID, billing_references=())]
        paid_at = at("2026-11-02T16:00:00Z")
        assert meaning(RECORDED["invoice_without_subscription"]) == [
            replace(self.PAID, billing_references=(), occurred_at=paid_at)
        ]

    def test_of_nobody(self) -> None:
        with pytest.raises(Ignored, match="names nobody"):
            meaning(INVOICE, subscription_id=None, primary_recipient=None)

    def test_of_another_subscription_the_customer_does_not_decide(self) -> None:
        (paid,) = meaning(INVOICE, subscription_id="lockerGym0001")
        assert isinstance(paid, Paid)
        assert (paid.billing_references, paid.payer) == (("lockerGym0001",), ("CUSTGym0001",))

    @pytest.mark.parametrize("body", [INVOICE, INVOICE_UPDATED])
    @pytest.mark.parametrize(
        "status",
        ["PARTIALLY_PAID", "PAYMENT_PENDING", "UNPAID", "SCHEDULED", "CANCELED", "FAILED", "paid", None, [], ...],
    )
    def test_not_paid_in_full(self, body: bytes, status: object) -> None:
        with pytest.raises(Ignored, match="paid in full"):
            meaning(body, status=status)

    @pytest.mark.parametrize("status", ["REFUNDED", "PARTIALLY_REFUNDED"])
    def test_refunded_before_it_was_told(self, status: str) -> None:
        assert meaning(INVOICE, status=status) == [self.PAID]
        with pytest.raises(Ignored, match="never paid in full"):
            meaning(INVOICE, status=status, payment_requests__0__computed_amount_money__amount=8901)
        with pytest.raises(Ignored, match="counts when"):
            meaning(INVOICE_UPDATED, status=status)

    def test_in_parts_it_counts_once_with_their_sum(self) -> None:
        part = {
            "computed_amount_money": {"amount": 4450, "currency": "USD"},
            "total_completed_amount_money": {"amount": 4450, "currency": "USD"},
        }
        with pytest.raises(Ignored, match="PARTIALLY_PAID"):
            meaning(RECORDED["invoice_partially_paid"])
        assert meaning(INVOICE, payment_requests=[part, part]) == [self.PAID]

    def test_zero_amount(self) -> None:
        with pytest.raises(Ignored, match="zero"):
            meaning(INVOICE, payment_requests__0__total_completed_amount_money__amount=0)

    @pytest.mark.parametrize("requests", [None, [], {}, "x", [7], [None], [{}], [{"total_completed_amount_money": 5}]])
    def test_payment_requests_that_are_none(self, requests: object) -> None:
        with pytest.raises(Unusable):
            meaning(INVOICE, payment_requests=requests)

    def test_parts_in_two_currencies(self) -> None:
        parts = [{"total_completed_amount_money": {"amount": 1, "currency": currency}} for currency in ("USD", "CAD")]
        with pytest.raises(Unusable, match="one currency"):
            meaning(INVOICE, payment_requests=parts)

    @pytest.mark.parametrize(
        "changes",
        [
            {"primary_recipient": None},
            {"primary_recipient__customer_id": ...},
            {"primary_recipient__customer_id": ""},
        ],
    )
    def test_without_a_customer(self, changes: dict[str, Any]) -> None:
        assert meaning(INVOICE, **changes) == [replace(self.PAID, payer=())]


class TestPayment:
    TIME = at("2026-11-01T09:00:04Z")

    @pytest.mark.parametrize("type", ["payment.created", "payment.updated"])
    def test_completed_is_a_link_and_holds(self, type: str) -> None:
        assert meaning(PAYMENT, event__type=type) == [
            Linked("payGym0001", self.TIME, "orderGym0001"),
            Restored("payGym0001", self.TIME, "failure:payGym0001", 8900, "USD"),
        ]

    @pytest.mark.parametrize("product", ["INVOICES", "SQUARE_POS", "ECOMMERCE_API", ...])
    def test_no_payment_credits_alone(self, product: object) -> None:
        told = meaning(PAYMENT, application_details__square_product=product)
        assert reversed_of_100(told) is None

    @pytest.mark.parametrize("order", [None, "", ...])
    def test_without_an_order_it_is_its_customers(self, order: object) -> None:
        assert meaning(PAYMENT, order_id=order) == [
            Paid("payGym0001", self.TIME, 8900, "USD", payer=("CUSTGym0001",)),
            Restored("payGym0001", self.TIME, "failure:payGym0001", 8900, "USD"),
        ]
        with pytest.raises(Ignored, match="names nobody"):
            meaning(PAYMENT, order_id=order, customer_id=None)
        with pytest.raises(Ignored, match="zero amount"):
            meaning(PAYMENT, order_id=order, amount_money__amount=0)

    def test_failed_without_an_order(self) -> None:
        paid, failed = (meaning(body, order_id=None) for body in (PAYMENT, PAYMENT_FAILED))
        assert reversed_of_100(paid, order="payGym0001") == 0
        assert reversed_of_100(paid, failed, order="payGym0001") == 100

    @pytest.mark.parametrize("status", ["APPROVED", "PENDING", "completed", "", None, [], "x" * 5_000, ...])
    def test_not_completed_yet(self, status: object) -> None:
        for body in (PAYMENT, RECORDED["payment_created"]):
            with pytest.raises(Ignored, match="no money moved yet"):
                meaning(body, status=status)

    @pytest.mark.parametrize("status", ["FAILED", "CANCELED"])
    def test_failed_takes_the_payment_back_and_links_nothing(self, status: str) -> None:
        assert meaning(PAYMENT_FAILED, status=status) == [
            Reversed("payGym0001", at("2026-11-06T12:00:00.500Z"), "failure:payGym0001", 8900, "USD")
        ]


class TestRefund:
    def test_completed(self) -> None:
        for type in ("refund.created", "refund.updated"):  # noqa: A001 -- the field's name
            assert meaning(REFUND, event__type=type) == [
                Reversed("payGym0001", at("2026-11-03T10:05:00.250Z"), "refund:payGym0001_refGym0001", 8900, "USD")
            ]

    @pytest.mark.parametrize("status", ["FAILED", "REJECTED"])
    def test_failed(self, status: str) -> None:
        assert meaning(REFUND_FAILED, status=status) == [
            Restored("payGym0001", at("2026-11-04T11:00:00Z"), "refund:payGym0001_refGym0001", 8900, "USD")
        ]

    @pytest.mark.parametrize("status", ["PENDING", "APPROVED", "", None, {}, "x" * 5_000, ...])
    def test_otherwise_no_money_went_back_yet(self, status: object) -> None:
        for body in (REFUND, RECORDED["refund_created"]):
            with pytest.raises(Ignored, match="no money went back"):
                meaning(body, status=status)

    @pytest.mark.parametrize("payment", [None, "", ...])
    def test_of_no_payment(self, payment: object) -> None:
        with pytest.raises(Ignored, match="no payment"):
            meaning(REFUND, payment_id=payment)


class TestDispute:
    @pytest.mark.parametrize("type", ["dispute.created", "dispute.state.updated", "dispute.state.changed"])
    @pytest.mark.parametrize("state", ["EVIDENCE_REQUIRED", "PROCESSING", "LOST", "ACCEPTED"])
    def test_withheld_from_the_first_day(self, type: str, state: str) -> None:
        time = at("2026-12-10T08:00:00Z")
        assert meaning(LOST, event__type=type, state=state) == [
            Reversed("payGym0001", time, "dispute:dpGym0001", 8900, "USD")
        ]

    def test_won(self) -> None:
        time = at("2026-12-11T08:00:00Z")
        assert meaning(WON) == [Restored("payGym0001", time, "dispute:dpGym0001", 8900, "USD")]

    @pytest.mark.parametrize("state", ["INQUIRY_EVIDENCE_REQUIRED", "INQUIRY_PROCESSING", "INQUIRY_CLOSED"])
    def test_an_inquiry_takes_nothing(self, state: str) -> None:
        for body in (DISPUTED, LOST, WON):
            with pytest.raises(Ignored, match="inquiry"):
                meaning(body, state=state)

    @pytest.mark.parametrize("state", ["", "won", None, [], "x" * 5_000, ...])
    def test_any_other_state(self, state: object) -> None:
        with pytest.raises(Ignored, match="no money moved"):
            meaning(LOST, state=state)

    def test_under_its_older_name(self) -> None:
        assert meaning(ACCEPTED, id=...) == meaning(ACCEPTED) == meaning(LOST)
        with pytest.raises(Unusable, match="dispute_id is missing"):
            meaning(LOST, id=None)

    @pytest.mark.parametrize("payment", [None, {}, {"payment_id": None}, [], "pay", {"payment_id": "a b"}, ...])
    def test_of_what_payment_it_must_say(self, payment: object) -> None:
        with pytest.raises(Unusable, match="payment"):
            meaning(LOST, disputed_payment=payment)


AMOUNT = {INVOICE: "payment_requests__0__total_completed_amount_money__"}
EACH = pytest.mark.parametrize(
    "body",
    [INVOICE, PAYMENT, PAYMENT_FAILED, REFUND, REFUND_FAILED, LOST, WON],
    ids=["invoice", "payment", "failed payment", "refund", "failed refund", "lost", "won"],
)


@EACH
class TestWhatIsNone:
    """Of every object that counts: amounts, currencies, times and ids that are none."""

    @pytest.mark.parametrize("amount", [89.0, 8900.5, "8900", "1e3", True, -1, None, [8900], 10**13, ...])
    def test_amount(self, body: bytes, amount: object) -> None:
        with pytest.raises(Unusable, match="amount is not an amount"):
            meaning(body, **{AMOUNT.get(body, "amount_money__") + "amount": amount})

    def test_amount_in_exponent_notation(self, body: bytes) -> None:
        (part,) = TEST.parse(body.replace(b'"amount": 8900', b'"amount": 1e3'), {})
        with pytest.raises(Unusable, match="amount is not an amount"):
            TEST.interpret(part.type, part.body)

    @pytest.mark.parametrize("currency", ["", "US", "USDD", "US1", "ÜSD", 840, None, ["USD"], ...])
    def test_currency(self, body: bytes, currency: object) -> None:
        with pytest.raises(Unusable, match="currency"):
            meaning(body, **{AMOUNT.get(body, "amount_money__") + "currency": currency})

    @pytest.mark.parametrize(("currency", "amount"), [("JPY", 8900), ("kwd", 28500), ("USD", 1)])
    def test_amounts_are_minor_units_whatever_the_exponent(self, body: bytes, currency: str, amount: int) -> None:
        key = AMOUNT.get(body, "amount_money__")
        fact = meaning(body, **{key + "amount": amount, key + "currency": currency})[-1]
        assert not isinstance(fact, Linked)
        assert (fact.amount_minor, fact.currency) == (amount, currency.upper())

    @pytest.mark.parametrize("time", [None, "", 1793527205, "2026-11-01", "2026-11-01T09:00:00", "yesterday", [], ...])
    def test_time(self, body: bytes, time: object) -> None:
        with pytest.raises(Unusable, match="updated_at"):
            meaning(body, updated_at=time)

    @pytest.mark.parametrize("id", ["a b", "\n", "x" * 256, 7, ["x"], True])
    def test_id(self, body: bytes, id: object) -> None:
        with pytest.raises(Unusable, match="is not an identifier"):
            meaning(body, **{"order_id" if body == INVOICE else "id": id})


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (INVOICE, "subscription_id"),
        (INVOICE, "primary_recipient__customer_id"),
        (PAYMENT, "order_id"),
        (REFUND, "payment_id"),
        (LOST, "disputed_payment__payment_id"),
    ],
)
@pytest.mark.parametrize("value", ["a b", "é", 7, ["x"], {"id": 7}])
def test_a_reference_that_is_none_is_not_left_out_in_silence(body: bytes, path: str, value: object) -> None:
    with pytest.raises(Unusable, match=f"{path.rpartition('__')[2]} is not an identifier"):
        meaning(body, **{path: value})


@pytest.mark.parametrize(
    ("type", "why"),
    [
        ("invoice.created", "nothing was paid"),
        ("invoice.published", "nothing was paid"),
        ("invoice.refunded", "same money"),
        ("order.updated", "same money"),
        ("dispute.evidence.created", "no money moved"),
        ("payout.paid", "club's own"),
        ("subscription.created", "nothing about dues"),
        ("invoice.deleted", "no money moved"),
        ("dispute.evidence.added", "no money moved"),
        ("INVOICE.PAYMENT_MADE", "nothing about dues"),
    ],
)
def test_types_without_effect(type: str, why: str) -> None:
    for body in (INVOICE, PAYMENT):
        with pytest.raises(Ignored, match=why):
            TEST.interpret(type, body)


class TestPayer:
    def test_of_an_invoice(self) -> None:
        said = {"email_address": "zoe@example.com", "given_name": "Zoë", "family_name": "Example"}
        body = changed(
            INVOICE, data__object__invoice__primary_recipient=said, data__object__invoice__title=" Gold plan "
        )
        assert TEST.payer_details("invoice.payment_made", body) == Payer("Zoë Example", "zoe@example.com", "Gold plan")
        assert TEST.payer_details("invoice.payment_made", INVOICE) == Payer("Zoë")

    def test_of_a_payment(self) -> None:
        body = changed(PAYMENT, data__object__payment__buyer_email_address="zoe@example.com")
        assert TEST.payer_details("payment.updated", body) == Payer(email="zoe@example.com")
        assert TEST.payer_details("payment.updated", PAYMENT) is None

    @pytest.mark.parametrize("body", [b"", b"[]", b'{"data": 7}', b'{"data": {"object": {"invoice": [7]}}}'])
    def test_of_what_cannot_be_read(self, body: bytes) -> None:
        assert TEST.payer_details("invoice.payment_made", body) is None


class TestSamples:
    @pytest.mark.parametrize(
        ("name", "taken_back"), [("paid", 0), ("refunded", 100), ("disputed", 100), ("late_failure", 100)]
    )
    def test_what_they_come_to(self, name: str, taken_back: int) -> None:
        told = [
            TEST.interpret(part.type, part.body)
            for one in samples.sample(
                "square", name, reference="sub_1", number="Gym0001", now=at("2026-11-01T09:00:00Z")
            )
            for delivery in [TEST.sign(one.content, NOW)]
            for part in TEST.parse(delivery.body, received(delivery.headers))
            if TEST.verify(delivery.body, received(delivery.headers), NOW) is None
        ]
        paid = [fact for facts in told for fact in facts if isinstance(fact, Paid)]
        assert [(fact.amount_minor, fact.currency, fact.billing_references[0]) for fact in paid] == [
            (8900, "USD", "sub_1")
        ]
        assert reversed_of_100(*told, order="order_Gym0001") == taken_back

    def test_they_are_events_of_their_own(self) -> None:
        for name in samples.NAMES:
            made = samples.sample("square", name, reference="sub_1", number="1", now=at("2026-11-01T09:00:00Z"))
            ids = [TEST.parse(one.content, {})[0].event_id for one in made]
            assert len(set(ids)) == len(made)


class TestSubscription:
    UPDATED, TOLD = RECORDED["subscription_updated"], at("2026-11-05T09:00:01.5+00:00")
    ENDS = Announced("subGym0001", TOLD, Change.ENDS, at("2027-01-31T12:00:00-06:00"))

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({}, [ENDS, Announced("subGym0001", TOLD, Change.RESUMED)]),
            (
                {"canceled_date": None},
                [Announced("subGym0001", TOLD, Change.GOES_ON), Announced("subGym0001", TOLD, Change.RESUMED)],
            ),
            ({"status": "PAUSED"}, [ENDS, Announced("subGym0001", TOLD, Change.PAUSED)]),
            ({"status": "CANCELED"}, [ENDS]),
            ({"status": "CANCELED", "canceled_date": None}, [Announced("subGym0001", TOLD, Change.ENDS, TOLD)]),
        ],
    )
    def test_how_it_stands(self, changes: dict[str, Any], said: list[Fact]) -> None:
        assert meaning(self.UPDATED, **changes) == said

    def test_one_that_has_not_begun_says_nothing(self) -> None:
        with pytest.raises(Ignored, match="PENDING"):
            meaning(self.UPDATED, status="PENDING")
        with pytest.raises(Unusable, match="canceled_date is not a date"):
            meaning(self.UPDATED, canceled_date="soon")
