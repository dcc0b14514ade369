import json
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from local import samples
from models.payments.facts import Announced, Change, Fact, Line, Linked, Paid, Restored, Reversed
from tests.models.payments.entitled import Terms, entitlement
from tests.webhooks.coded import METADATA, Coded
from tests.webhooks.contract import ProcessorContract
from tests.webhooks.deliveries import NOW, changed, endpoint, received, recorded
from webhooks.processors import Ignored, ParsedEvent, Processor, Unusable

TEST, LIVE = (endpoint("stripe", "whsec_test", mode=mode) for mode in ("test", "live"))
RECORDED = recorded("stripe")
PAID, PAID_BEFORE_BASIL = RECORDED["invoice_paid"], RECORDED["invoice_paid_before_basil"]
LINK = RECORDED["invoice_payment_paid"]
REFUND, REFUND_FAILED = RECORDED["refund_created"], RECORDED["refund_failed"]
TOTAL, TOTAL_BEFORE_BASIL = RECORDED["charge_refunded"], RECORDED["charge_refunded_before_basil"]
WITHDRAWN, REINSTATED = RECORDED["dispute_funds_withdrawn"], RECORDED["dispute_funds_reinstated"]
CLOSED = RECORDED["dispute_closed"]


class TestContract(ProcessorContract):
    processor = "stripe"
    codes = (
        Coded("checkout_session_completed", "data__object__client_reference_id", "cs_test_Gym0001", from_link=True),
        Coded("checkout_session_completed", "data__object__metadata", "cs_test_Gym0001", METADATA),
        Coded("invoice_paid", "data__object__parent__subscription_details__metadata", "sub_Gym0001", METADATA),
        Coded("invoice_paid_before_basil", "data__object__subscription_details", "sub_Gym0001", {"metadata": METADATA}),
        Coded("invoice_payment_failed", "data__object__metadata", "sub_Gym0001", METADATA),
        Coded("subscription_updated", "data__object__metadata", "sub_Gym0001", METADATA),
    )
    key = b"whsec_test"
    other_key = b"whsec_other"
    signature_header = "Stripe-Signature"
    tolerance_s = 300
    # Of another API version only the meaning counts: see TestVersions.
    varies: ClassVar[frozenset[str]] = frozenset({"pending_webhooks", "api_version"})

    def resource(self, part: ParsedEvent) -> bytes:
        return json.dumps(json.loads(PAID)["data"]["object"]).encode()

    def both_signatures(self, first: dict[str, str], second: dict[str, str]) -> dict[str, str]:
        (one,), (other,) = first.values(), second.values()
        return {"Stripe-Signature": f"{one},{other.partition(',')[2]},v0=test"}


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def meaning(body: bytes, on: Processor = TEST, **changes: Any) -> list[Fact]:
    (part,) = TEST.parse(changed(body, **changes), {})
    assert part.quarantine_reason is None
    return on.interpret(part.type, part.body)


def of_object(changes: dict[str, Any]) -> dict[str, Any]:
    return {f"data__object__{path}": value for path, value in changes.items()}


NO_SUBSCRIPTION = {
    "parent": None,
    "subscription": None,
    "lines__data__0__parent": None,
    "lines__data__0__subscription": None,
}
DUES = Paid(
    "in_Gym0001", at(1793527205), 8900, "USD", ("sub_Gym0001",), ("cus_Gym0001",),
    covers=(at(1793523600), at(1796115600)), due_minor=8900,
    lines=(Line(("sub_Gym0001", "si_Gym0001"), 8900, (at(1793523600), at(1796115600)), id="il_Gym0001"),),
)  # fmt: skip
LINE_ITEM = {"type": "subscription_item_details", "subscription_item_details": {"subscription": "sub_L"}}


class TestInvoicePaid:
    def test_of_an_api_since_basil(self) -> None:
        assert meaning(PAID) == [DUES]

    def test_of_an_api_before_basil_names_the_charge_too(self) -> None:
        told = at(1793527210)
        assert meaning(PAID_BEFORE_BASIL) == [
            DUES,
            Linked("in_Gym0001", told, "pi_Gym0001"),
            Linked("in_Gym0001", told, "ch_Gym0001"),
        ]

    @pytest.mark.parametrize(
        ("changes", "references", "payer"),
        [
            ({"parent": {"subscription_details": {"subscription": "sub_P"}}}, ("sub_P",), ("cus_Gym0001",)),
            ({"parent": {"subscription_details": {"subscription": {"id": "sub_X"}}}}, ("sub_X",), ("cus_Gym0001",)),
            ({"subscription": "sub_I"}, ("sub_I",), ("cus_Gym0001",)),
            ({"lines__data__0__parent": LINE_ITEM}, ("sub_L",), ("cus_Gym0001",)),
            ({"lines__data__0__subscription": "sub_O"}, ("sub_O",), ("cus_Gym0001",)),
            ({"lines__data": [{"id": "il_fee"}, {"parent": LINE_ITEM}]}, ("sub_L",), ("cus_Gym0001",)),
            (
                {"parent": {"subscription_details": {"subscription": "sub_P"}}, "subscription": "sub_I"},
                ("sub_P",),
                ("cus_Gym0001",),
            ),
            ({"subscription": "sub_I", "lines__data__0__subscription": "sub_O"}, ("sub_I",), ("cus_Gym0001",)),
            ({"subscription": "sub_I", "customer": {"id": "cus_X", "object": "customer"}}, ("sub_I",), ("cus_X",)),
            ({"customer": "cus_1"}, (), ("cus_1",)),
            ({"customer": "cus_1", "customer_account": "acct_1"}, (), ("cus_1", "acct_1")),
            ({"subscription": "sub_I", "customer": None}, ("sub_I",), ()),
            ({"customer": None}, (), ()),
            ({"lines": None}, (), ("cus_Gym0001",)),
        ],
    )
    def test_where_the_subscription_stands(
        self, changes: dict[str, Any], references: tuple[str, ...], payer: tuple[str, ...]
    ) -> None:
        for body in (PAID, PAID_BEFORE_BASIL):
            bare = changed(body, **of_object(NO_SUBSCRIPTION))
            paid = meaning(bare, **of_object(changes))[0]
            assert isinstance(paid, Paid)
            assert (paid.billing_references, paid.payer) == (references, payer)

    def test_names_nobody(self) -> None:
        for body in (PAID, PAID_BEFORE_BASIL):
            with pytest.raises(Ignored, match="names nobody"):
                meaning(changed(body, **of_object(NO_SUBSCRIPTION)), **of_object({"customer": ..., "lines": ...}))

    @pytest.mark.parametrize(
        "reason",
        [
            "subscription_create",
            "subscription_cycle",
            "subscription_update",
            "subscription_threshold",
            "subscription",
            "manual",
            "quote_accept",
            "upcoming",
            "automatic_pending_invoice_item_invoice",
            None,
            "",
            [],
            {"id": "subscription_cycle"},
            True,
            ...,
        ],
    )
    def test_the_billing_reason_decides_nothing(self, reason: object) -> None:
        for body in (PAID, PAID_BEFORE_BASIL):
            assert meaning(body, data__object__billing_reason=reason) == meaning(body)

    def test_zero_amount(self) -> None:
        with pytest.raises(Ignored, match="zero"):
            meaning(PAID, data__object__amount_paid=0)

    @pytest.mark.parametrize("amount", [89.0, 8900.5, "8900", "1000", True, -1, -8900, None, [8900], 10**13, ...])
    def test_what_is_no_amount(self, amount: object) -> None:
        with pytest.raises(Unusable, match="amount_paid"):
            meaning(PAID, data__object__amount_paid=amount)

    def test_an_amount_in_exponent_notation(self) -> None:
        body = PAID.replace(b'"amount_paid": 8900', b'"amount_paid": 1e3')
        assert body != PAID
        with pytest.raises(Unusable, match="amount_paid"):
            TEST.interpret("invoice.paid", body)

    @pytest.mark.parametrize(("currency", "amount"), [("jpy", 8900), ("JPY", 1), ("kwd", 28500), ("usd", 1)])
    def test_amounts_are_minor_units_whatever_the_exponent(self, currency: str, amount: int) -> None:
        paid = meaning(PAID, data__object__currency=currency, data__object__amount_paid=amount)[0]
        assert isinstance(paid, Paid)
        assert (paid.amount_minor, paid.currency) == (amount, currency.upper())

    @pytest.mark.parametrize(
        ("currency", "amount", "minor"),
        [("isk", 890000, 8900), ("ugx", 890000, 8900), ("mga", 8900, 890000), ("clp", 8900, 8900), ("huf", 8900, 8900)],
    )
    def test_amounts_become_isos_minor_units_where_stripe_counts_in_others(
        self, currency: str, amount: int, minor: int
    ) -> None:
        money = {"data__object__currency": currency}
        told = [
            meaning(PAID, **money, data__object__amount_paid=amount)[0],
            meaning(RECORDED["refund_created"], **money, data__object__amount=amount)[0],
            meaning(RECORDED["charge_refunded"], **money, data__object__amount_refunded=amount)[0],
            meaning(RECORDED["dispute_funds_withdrawn"], **money, data__object__amount=amount)[0],
        ]
        expected = [(minor, currency.upper())] * len(told)
        assert [(fact.amount_minor, fact.currency) for fact in told if not isinstance(fact, Linked)] == expected

    def test_a_fraction_of_what_has_no_minor_unit_is_unusable(self) -> None:
        with pytest.raises(Unusable, match="amount_paid is not an amount in ISK, whose minor unit has 0 digits"):
            meaning(PAID, data__object__currency="isk", data__object__amount_paid=890050)

    @pytest.mark.parametrize("currency", ["", "us", "usdd", "us1", "ÜSD", "xau", "xxx", "zzz", 840, None, ["usd"], ...])
    def test_what_is_no_currency(self, currency: object) -> None:
        with pytest.raises(Unusable, match="currency"):
            meaning(PAID, data__object__currency=currency)

    @pytest.mark.parametrize("paid_at", [None, 0, ...])
    def test_paid_when_the_event_was_made_where_the_invoice_does_not_say(self, paid_at: object) -> None:
        paid = meaning(PAID, data__object__status_transitions__paid_at=paid_at)[0]
        assert paid.occurred_at == at(1793527210)

    @pytest.mark.parametrize("path", ["created", "data__object__status_transitions__paid_at"])
    @pytest.mark.parametrize("time", [-1, 1793527205.5, "1793527205", True, 10**11, 10**18, [1]])
    def test_what_is_no_time(self, path: str, time: object) -> None:
        with pytest.raises(Unusable, match="Unix time"):
            meaning(PAID, **{path: time})

    @pytest.mark.parametrize("id", [None, "", "in 1", "in_\n1", "x" * 256, 7, ["in_1"], ...])
    def test_what_is_no_id(self, id: object) -> None:
        with pytest.raises(Unusable, match="id is"):
            meaning(PAID, data__object__id=id)

    @pytest.mark.parametrize("customer", ["cus 1", "cus_\x7f", 7, ["cus_1"], {"id": 7}])
    def test_a_reference_that_is_none_is_not_left_out_in_silence(self, customer: object) -> None:
        with pytest.raises(Unusable, match="customer"):
            meaning(PAID, data__object__customer=customer)

    def test_paid_outside_stripe(self) -> None:
        # "Mark as paid": the invoice was paid in cash, no charge and no payment intent.
        changes = of_object({"paid_out_of_band": True, "payment_intent": None, "charge": None})
        assert meaning(PAID_BEFORE_BASIL, **changes) == meaning(PAID)

    @pytest.mark.parametrize(
        "path", ["data", "data__object", "data__object__status_transitions", "data__object__parent"]
    )
    @pytest.mark.parametrize("value", ["text", 7, [1], True])
    def test_what_should_be_an_object_is_none(self, path: str, value: object) -> None:
        with pytest.raises(Unusable):
            meaning(PAID, **{path: value})


class TestLink:
    def test_invoice_payment_paid(self) -> None:
        assert meaning(LINK) == [Linked("in_Gym0001", at(1793527211), "pi_Gym0001")]

    def test_by_charge(self) -> None:
        payment = {"type": "charge", "charge": "ch_Gym0001"}
        assert meaning(LINK, data__object__payment=payment) == [Linked("in_Gym0001", at(1793527211), "ch_Gym0001")]

    def test_paid_outside_stripe_links_nothing(self) -> None:
        with pytest.raises(Ignored, match="outside Stripe"):
            meaning(LINK, data__object__payment={"type": "payment_record", "payment_record": "prec_1"})

    def test_without_an_invoice(self) -> None:
        with pytest.raises(Unusable, match="invoice"):
            meaning(LINK, data__object__invoice=None)


class TestRefund:
    CAUSE = "refund of ch_Gym0001:re_Gym0001"

    @pytest.mark.parametrize("type", ["refund.created", "refund.updated", "charge.refund.updated"])
    def test_succeeded(self, type: str) -> None:
        assert meaning(REFUND, type=type) == [
            Reversed("pi_Gym0001", at(1793613600), self.CAUSE, 3000, "USD"),
            Linked("pi_Gym0001", at(1793613601), "ch_Gym0001"),
        ]

    @pytest.mark.parametrize("status", ["failed", "canceled"])
    @pytest.mark.parametrize("type", ["refund.failed", "refund.updated", "charge.refund.updated"])
    def test_failed(self, type: str, status: str) -> None:
        assert meaning(REFUND_FAILED, type=type, data__object__status=status) == [
            Restored("pi_Gym0001", at(1793786400), self.CAUSE, 3000, "USD"),
            Linked("pi_Gym0001", at(1793786400), "ch_Gym0001"),
        ]

    @pytest.mark.parametrize("status", ["pending", "requires_action", None, "", ["succeeded"], {}, True, ...])
    def test_not_yet(self, status: object) -> None:
        with pytest.raises(Ignored, match="no money went back"):
            meaning(REFUND, data__object__status=status)

    def test_of_a_charge_without_payment_intent(self) -> None:
        (refund,) = meaning(REFUND, data__object__payment_intent=None)
        assert refund == Reversed("ch_Gym0001", at(1793613600), self.CAUSE, 3000, "USD")

    def test_of_a_payment_intent_alone(self) -> None:
        (refund,) = meaning(REFUND, data__object__charge=None)
        cause = "refund of pi_Gym0001:re_Gym0001"
        assert refund == Reversed("pi_Gym0001", at(1793613600), cause, 3000, "USD")

    def test_of_nothing(self) -> None:
        with pytest.raises(Unusable, match="neither"):
            meaning(REFUND, data__object__charge=None, data__object__payment_intent="")

    @pytest.mark.parametrize("amount", [30.0, "3000", True, -3000, None])
    def test_what_is_no_amount(self, amount: object) -> None:
        for body in (REFUND, REFUND_FAILED, WITHDRAWN, REINSTATED):
            with pytest.raises(Unusable, match="amount"):
                meaning(body, data__object__amount=amount)

    def test_the_running_total_of_a_charge(self) -> None:
        told = at(1793613602)
        total = Reversed("ch_Gym0001", told, "refund of ch_Gym0001", 3000, "USD", running_total=True)
        assert meaning(TOTAL) == [total, Linked("ch_Gym0001", told, "pi_Gym0001")]
        assert meaning(TOTAL_BEFORE_BASIL) == [*meaning(TOTAL), Linked("ch_Gym0001", told, "in_Gym0001")]

    def test_total_and_single_refunds_of_one_charge_are_of_one_family(self) -> None:
        total, single = meaning(TOTAL)[0], meaning(REFUND)[0]
        assert isinstance(total, Reversed)
        assert isinstance(single, Reversed)
        assert single.cause.partition(":")[0] == total.cause


class TestDispute:
    @pytest.mark.parametrize("status", ["needs_response", "under_review", "lost", "won"])
    def test_funds_withdrawn(self, status: str) -> None:
        assert meaning(WITHDRAWN, data__object__status=status) == [
            Reversed("pi_Gym0001", at(1794000001), "dispute:dp_Gym0001", 8900, "USD"),
            Linked("pi_Gym0001", at(1794000001), "ch_Gym0001"),
        ]

    def test_funds_reinstated(self) -> None:
        assert meaning(REINSTATED) == [
            Restored("pi_Gym0001", at(1796000001), "dispute:dp_Gym0001", 8900, "USD"),
            Linked("pi_Gym0001", at(1796000001), "ch_Gym0001"),
        ]

    @pytest.mark.parametrize(("status", "kind"), [("won", Restored), ("lost", Reversed)])
    def test_closed(self, status: str, kind: type[Reversed | Restored]) -> None:
        assert meaning(CLOSED, data__object__status=status) == [
            kind("pi_Gym0001", at(1796000000), "dispute:dp_Gym0001", 8900, "USD"),
            Linked("pi_Gym0001", at(1796000000), "ch_Gym0001"),
        ]

    @pytest.mark.parametrize("status", ["needs_response", "under_review", "prevented", None, ["won"], {}, ...])
    def test_closed_as_something_else(self, status: object) -> None:
        with pytest.raises(Ignored, match="no money moved"):
            meaning(CLOSED, data__object__status=status)

    @pytest.mark.parametrize("status", ["warning_needs_response", "warning_under_review", "warning_closed"])
    def test_an_inquiry_takes_nothing(self, status: str) -> None:
        for body in (WITHDRAWN, REINSTATED, CLOSED):
            with pytest.raises(Ignored, match="inquiry"):
                meaning(body, data__object__status=status)


@pytest.mark.parametrize(
    ("type", "why"),
    [
        ("invoice.payment_succeeded", "same money"),
        ("payment_intent.succeeded", "same money"),
        ("charge.succeeded", "same money"),
        ("checkout.session.completed", "same money"),
        ("invoice.marked_uncollectible", "owed still"),
        ("charge.failed", "failed attempt"),
        ("invoice.created", "nothing about dues"),
        ("charge.dispute.created", "no money moved"),
        ("charge.dispute.updated", "no money moved"),
        ("charge.updated", "no money moved"),
        ("charge.pending", "no money moved yet"),
        ("payment_intent.processing", "no money moved yet"),
        ("invoice.sent", "nothing about dues"),
        ("INVOICE.PAID", "nothing about dues"),
    ],
)
def test_types_without_effect(type: str, why: str) -> None:
    for body in (PAID, TOTAL):
        with pytest.raises(Ignored, match=why):
            meaning(body, type=type)


TOLD_AT = datetime(2026, 11, 1, 9, tzinfo=UTC)
SAMPLE_PAID = Paid("in_7", TOLD_AT, 8900, "USD", ("sub_1",), ("cus_7",))
SAMPLE_LINKS = {("in_7", "pi_7"), ("pi_7", "ch_7"), ("ch_7", "pi_7")}


@pytest.mark.parametrize(
    ("name", "money"),
    [
        ("paid", []),
        ("refunded", [("pi_7", "refund of ch_7:re_7"), ("ch_7", "refund of ch_7")]),
        ("disputed", [("pi_7", "dispute:du_7")]),
        ("late_failure", [("pi_7", "dispute:du_7"), ("pi_7", "dispute:du_7")]),
    ],
)
@pytest.mark.parametrize("account", [None, "acct_1"])
def test_samples(name: str, money: list[tuple[str, str]], account: str | None) -> None:
    on = endpoint("stripe", "whsec_test", account=account)
    facts: list[Fact] = []
    ids = []
    for content, _ in samples.sample("stripe", name, reference="sub_1", number="7", now=TOLD_AT, account=account):
        delivery = on.sign(content, NOW)
        assert on.verify(delivery.body, received(delivery.headers), NOW) is None
        (part,) = on.parse(delivery.body, received(delivery.headers))
        ids.append(part.event_id)
        with nullcontext() if part.type != "charge.dispute.created" else pytest.raises(Ignored):
            facts += on.interpret(part.type, part.body)
    assert len(set(ids)) == len(ids)
    paid, *others = facts
    assert paid == replace(SAMPLE_PAID, occurred_at=TOLD_AT - timedelta(seconds=len(ids) - 1))
    assert {(fact.payment, fact.other) for fact in others if isinstance(fact, Linked)} <= SAMPLE_LINKS
    reversals = [fact for fact in others if isinstance(fact, Reversed)]
    assert [(fact.payment, fact.cause) for fact in reversals] == money
    assert all((fact.amount_minor, fact.currency) == (8900, "USD") for fact in reversals)
    (owed,) = entitlement(facts, [Terms(1, 8, 0)])
    assert owed.reversed == (8 if money else 0)


class TestSubscription:
    TOLD, ENDS = at(1793959200), at(1796115600)
    UPDATED, DELETED = RECORDED["subscription_updated"], RECORDED["subscription_deleted"]
    NO_END: ClassVar = of_object({"cancel_at": None, "cancel_at_period_end": False})
    NOTHING_BEFORE: ClassVar = {"data__previous_attributes": {"metadata": {}}}

    def test_an_end_to_come(self) -> None:
        ends = [Announced("sub_Gym0001", self.TOLD, Change.ENDS, self.ENDS)]
        assert meaning(self.UPDATED) == ends
        assert meaning(self.UPDATED, **of_object({"cancel_at": None})) == ends
        assert meaning(self.UPDATED, **self.NOTHING_BEFORE) == ends
        before_basil = {"cancel_at": None, "items": None, "current_period_end": 1796115600}
        assert meaning(self.UPDATED, **of_object(before_basil)) == ends

    def test_an_end_that_was_taken_back(self) -> None:
        before = {"data__previous_attributes": {"cancel_at": 1796115600, "cancel_at_period_end": True}}
        assert meaning(self.UPDATED, **self.NO_END, **before) == [Announced("sub_Gym0001", self.TOLD, Change.GOES_ON)]

    def test_another_change_says_nothing(self) -> None:
        with pytest.raises(Ignored, match="none is to come"):
            meaning(self.UPDATED, **self.NO_END, **self.NOTHING_BEFORE)

    def test_it_ended(self) -> None:
        ended = [Announced("sub_Gym0001", at(1796115604), Change.ENDS, at(1796115601))]
        assert meaning(self.DELETED) == ended
        assert meaning(self.DELETED, type="customer.subscription.updated") == ended

    @pytest.mark.parametrize("what", [Change.PAUSED, Change.RESUMED])
    def test_a_pause(self, what: Change) -> None:
        told = meaning(self.UPDATED, type=f"customer.subscription.{what}", **self.NO_END)
        assert told == [Announced("sub_Gym0001", self.TOLD, what)]

    def test_free_service_is_no_pause(self) -> None:
        free = of_object({"pause_collection": {"behavior": "void", "resumes_at": None}})
        before = {"data__previous_attributes": {"pause_collection": None}}
        with pytest.raises(Ignored):
            meaning(self.UPDATED, **self.NO_END, **free, **before)
