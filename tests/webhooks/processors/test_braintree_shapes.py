"""What a charge of Braintree is for: its period, add-ons, discounts, the balance, and sales without a subscription."""

from typing import Any

import pytest

from models.payments.facts import Line, Paid, Reversed
from tests.webhooks.processors.test_braintree import BEFORE, CHARGE, LISTED, ON, PAID, RECORDED, at, edited, meaning
from webhooks.processors import Ignored, Unusable
from webhooks.processors.events import Payer

EXTRAS, SKIPPED, SALE = (
    RECORDED[name]
    for name in ("subscription_charged_with_extras", "subscription_billing_skipped", "transaction_disbursed")
)
NOVEMBER = at("2026-11-01T00:00:00Z"), at("2026-12-01T00:00:00Z")
DECEMBER = at("2026-12-01T00:00:00Z"), at("2027-01-01T00:00:00Z")


def paid_of(xml: bytes, changes: dict[str, Any] | None = None) -> Paid:
    (paid,) = meaning(xml, changes)
    assert isinstance(paid, Paid)
    return paid


def charge_of(amount: str, **of_subscription: str) -> Paid:
    """The one charge of a subscription for 89.00 a month."""
    changes = {f"subject/subscription/{name}": text for name, text in of_subscription.items()}
    return paid_of(PAID, {BEFORE: ..., f"{CHARGE}/amount": amount, **changes})


class TestExtras:
    def test_add_ons_are_lines_and_dues_are_before_discounts(self) -> None:
        paid = paid_of(EXTRAS)
        assert (paid.amount_minor, paid.due_minor, paid.settled_minor) == (14020, 15800, None)
        assert paid.lines == (
            Line(("sub_Gym0001", "monthly"), 8900, NOVEMBER),
            Line(("sub_Gym0001", "locker"), 2000, NOVEMBER, quantity=2),
            Line(("joining_fee",), 4900, NOVEMBER),
        )

    def test_the_subscriptions_count_where_the_charge_does_not_say(self) -> None:
        added = edited(EXTRAS, {f"{CHARGE}/add-ons": ..., f"{CHARGE}/discounts": ..., f"{CHARGE}/amount": "99.00"})
        add_on = b'<add-ons type="array"><add-on><id>towel</id><amount>10.00</amount></add-on></add-ons><price>'
        paid = paid_of(added.replace(b"<price>", add_on))
        assert [line.references for line in paid.lines] == [("sub_Gym0001", "monthly"), ("sub_Gym0001", "towel")]
        assert [line.amount_minor for line in paid.lines] == [8900, 1000]

    @pytest.mark.parametrize(
        ("field", "text"), [("amount", "-1"), ("amount", "x"), ("quantity", "1.5"), ("quantity", "x"), ("id", "a b")]
    )
    def test_what_is_no_add_on(self, field: str, text: str) -> None:
        with pytest.raises(Unusable):
            meaning(EXTRAS, {f"{CHARGE}/add-ons/add-on/{field}": text})

    @pytest.mark.parametrize("field", ["id", "quantity", "number-of-billing-cycles"])
    def test_what_an_add_on_does_not_say(self, field: str) -> None:
        assert len(paid_of(EXTRAS, {f"{CHARGE}/add-ons/add-on/{field}": ...}).lines) == 3


class TestPeriod:
    PERIOD = f"{CHARGE}/subscription/billing-period"

    @pytest.mark.parametrize("day", ["start", "end"])
    def test_one_that_is_not_stated(self, day: str) -> None:
        assert paid_of(PAID, {f"{self.PERIOD}-{day}-date": ...}).covers is None

    def test_one_that_makes_no_sense_is_passed_on(self) -> None:
        covers = paid_of(PAID, {f"{self.PERIOD}-end-date": "2026-10-01"}).covers
        assert covers == (at("2026-11-01T00:00:00Z"), at("2026-10-02T00:00:00Z"))

    @pytest.mark.parametrize("day", ["soon", "2026-13-01", "9999-12-31"])
    def test_what_is_no_day(self, day: str) -> None:
        with pytest.raises(Unusable, match="not a date"):
            meaning(PAID, {f"{self.PERIOD}-end-date": day})


class TestPrice:
    def test_a_charge_of_several_prices_pays_for_the_periods_before(self) -> None:
        paid = charge_of("178.00")
        assert (paid.amount_minor, paid.due_minor) == (17800, None)
        assert paid.covers == (at("2026-10-02T00:00:00Z"), NOVEMBER[1])

    @pytest.mark.parametrize("amount", ["89.00", "177.99", "100.00", "1157.00", "0.01"])
    def test_any_other_pays_for_its_own(self, amount: str) -> None:
        paid = charge_of(amount)
        assert paid.covers == NOVEMBER
        assert (paid.settled_minor is None) is (amount != "0.01")

    @pytest.mark.parametrize("balance", ["0.00", "-5.00"])
    def test_what_the_balance_paid_counts(self, balance: str) -> None:
        paid = charge_of("69.00", balance=balance)
        assert (paid.amount_minor, paid.settled_minor, paid.due_minor) == (6900, 8900, None)

    def test_the_balance_may_have_paid_beside_a_discount(self) -> None:
        paid = paid_of(EXTRAS, {f"{CHARGE}/amount": "100.00"})
        assert (paid.amount_minor, paid.settled_minor, paid.due_minor) == (10000, 14020, 15800)
        assert paid.lines == paid_of(EXTRAS).lines

    @pytest.mark.parametrize("changes", [{"balance": "20.00"}, {"balance": ""}, {"price": ""}])
    def test_what_is_still_owed_or_not_stated_was_not_paid(self, changes: dict[str, str]) -> None:
        assert charge_of("69.00", **changes).settled_minor is None

    @pytest.mark.parametrize("changes", [{"balance": "x"}, {"balance": "--1"}, {"price": "x"}, {"price": "-89.00"}])
    def test_what_is_no_price_or_balance(self, changes: dict[str, str]) -> None:
        with pytest.raises(Unusable, match=next(iter(changes))):
            charge_of("69.00", **changes)

    def test_two_months_at_once_without_a_price_are_told_by_their_amount(self) -> None:
        gone = {f"subject/subscription/{name}": ... for name in ("price", "balance")}
        paid = paid_of(PAID, {BEFORE: ..., f"{CHARGE}/amount": "178.00", **gone})
        assert (paid.amount_minor, paid.covers) == (17800, NOVEMBER)


class TestSkipped:
    FACT = Paid(
        "skipped:sub_Gym0001:2026-12-01",
        at("2026-12-01T09:00:07Z"),
        0,
        "USD",
        ("sub_Gym0001",),
        ("cus_Gym0001",),
        DECEMBER,
        settled_minor=8900,
        lines=(Line(("sub_Gym0001", "monthly"), 8900, DECEMBER),),
    )

    def test_the_balance_paid_for_the_period(self) -> None:
        assert meaning(SKIPPED) == [self.FACT]

    def test_without_a_period_it_is_known_by_its_day(self) -> None:
        gone = {f"subject/subscription/billing-period-{day}-date": ... for day in ("start", "end")}
        paid = paid_of(SKIPPED, gone)
        assert (paid.payment, paid.covers) == (self.FACT.payment, None)

    def test_what_costs_nothing(self) -> None:
        free = b'<discounts type="array"><discount><id>all</id><amount>89.00</amount></discount></discounts>'
        for xml in (
            SKIPPED.replace(b'<discounts type="array"/>', free),
            edited(SKIPPED, {"subject/subscription/price": "0.00"}),
        ):
            with pytest.raises(Ignored, match="zero amount"):
                meaning(xml)

    def test_what_nobody_ever_paid_for(self) -> None:
        for gone in ("subject/subscription/price", "subject/subscription/transactions"):
            with pytest.raises(Ignored, match="nothing was paid for it, now or before"):
                meaning(SKIPPED, {gone: ...})


class TestSale:
    FACT = Paid("tx_Gym0002", at("2026-11-01T09:00:05Z"), 8900, "USD", payer=("cus_Gym0001",))

    @pytest.mark.parametrize("kind", ["transaction_disbursed", "transaction_settled"])
    def test_it_is_its_customers(self, kind: str) -> None:
        assert meaning(SALE, {"kind": kind}) == [self.FACT]

    @pytest.mark.parametrize("kind", ["transaction_disbursed", "transaction_settled"])
    def test_a_subscriptions_is_the_same_money(self, kind: str) -> None:
        for xml in (SALE, RECORDED["transaction_settled"]):
            with pytest.raises(Ignored, match="same money"):
                meaning(xml, {"kind": kind, "subject/transaction/subscription-id": "sub_Gym0001"})

    def test_nobodys(self) -> None:
        for changes in ({"customer": ...}, {"customer/id": None}, {"customer": ..., "currency-iso-code": ...}):
            with pytest.raises(Ignored, match="names nobody"):
                meaning(SALE, {f"subject/transaction/{name}": value for name, value in changes.items()})

    def test_one_that_came_to_nothing(self) -> None:
        changes = {"subject/transaction/subscription-id": None, "subject/transaction/status": "voided"}
        assert meaning(LISTED, changes) == [Reversed("tx_Gym0001", at("2026-11-01T09:00:06Z"), "void:tx_Gym0001")]


def test_another_subscription_of_the_customer_is_known_by_its_own_id_alone() -> None:
    paid = paid_of(PAID, {"subject/subscription/id": "sub_locker", f"{CHARGE}/amount": "15.00"})
    assert (paid.billing_references, paid.payer) == (("sub_locker",), ("cus_Gym0001",))


def test_what_was_listed_before_this_version_is_the_same_event() -> None:
    period_end = "subject/transaction/subscription/billing-period-end-date"
    before = edited(LISTED, {f"subject/transaction/{name}": ... for name in ("plan-id", "add-ons", "discounts")})
    before = edited(before, {period_end: ...})
    assert ON.same_content(before, LISTED)
    assert ON.same_content(LISTED, before)
    for changes in ({"subject/transaction/amount": "1.00"}, {"subject/transaction/customer": ...}):
        assert not ON.same_content(edited(before, changes), LISTED)


class TestPayer:
    def test_as_staff_see_it(self) -> None:
        expected = Payer("Zoë Doe", "zoe@example.com", "first-dues")
        assert ON.payer_details("transaction_disbursed", SALE, None) == expected
        assert ON.payer_details("subscription_charged_successfully", PAID, None) == Payer("Zoë")
        assert ON.payer_details("subscription_charged_successfully", EXTRAS, None) == Payer(description="monthly")

    @pytest.mark.parametrize("body", [b"", b"<x/>", b"{}", b"\xff", RECORDED["check"], LISTED, b"<x>" * 100_000])
    def test_where_nothing_is_said_and_it_never_raises(self, body: bytes) -> None:
        assert ON.payer_details("transaction_listed", body, None) is None


def test_the_shape_is_of_the_charge_that_counts() -> None:
    swapped = edited(PAID, {f"{CHARGE}/status": "failed"})
    assert paid_of(swapped).covers is None
