"""Invoices of every shape: what they pay for, how much of the dues, and whose they are."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from models.payments.facts import Fact, Line, Noted, Paid
from tests.webhooks.deliveries import changed, endpoint, recorded
from webhooks.processors import Ignored, Unusable
from webhooks.processors.events import Payer

TEST = endpoint("stripe", "whsec_test")
RECORDED = recorded("stripe")
START, DAY = 1793523600, 86_400
MONTH_END, YEAR_END = START + 30 * DAY, START + 365 * DAY


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


MONTH = (at(START), at(MONTH_END))


def recurring(
    id: str = "il_dues", amount: int = 8900, subscription: str | None = "sub_Gym0001", *, proration: bool = False,
    start: int = START, end: int = MONTH_END, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """A line of a subscription, as the API has it since Basil."""
    details = {"proration": proration, "subscription": subscription, "subscription_item": "si_1"}
    parent = {"type": "subscription_item_details", "subscription_item_details": details}
    return _line(id, amount, start, end, parent=parent, **more)


def one_off(
    id: str = "il_fee", amount: int = 3000, subscription: str | None = None, *, proration: bool = False,
    start: int = START, end: int = START, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """A line of an invoice item, as the API has it since Basil."""
    details = {"invoice_item": "ii_1", "proration": proration, "subscription": subscription}
    parent = {"type": "invoice_item_details", "invoice_item_details": details}
    return _line(id, amount, start, end, parent=parent, **more)


def before_basil(line: dict[str, Any]) -> dict[str, Any]:
    """The same line as the API had it before."""
    parent = line["parent"]
    details = parent[parent["type"]]
    kind = "invoiceitem" if parent["type"] == "invoice_item_details" else "subscription"
    old = {key: details.get(key) for key in ("proration", "subscription", "subscription_item")}
    prices = line.get("pricing", {}).get("price_details")
    price = {"price": {"id": prices["price"], "product": prices["product"]}} if prices else {}
    return (
        {key: value for key, value in line.items() if key not in {"parent", "pricing"}} | old | price | {"type": kind}
    )


def _line(id: str, amount: int, start: int, end: int, **more: Any) -> dict[str, Any]:
    period = {"start": start, "end": end}
    return {"id": id, "object": "line_item", "amount": amount, "currency": "usd", "period": period, **more}


def facts(lines: Sequence[dict[str, Any]], **changes: Any) -> list[Fact]:
    """What an invoice with these lines means; the same in both forms of the API."""
    found = []
    for name, form in (("invoice_paid", list), ("invoice_paid_before_basil", lambda new: map(before_basil, new))):
        body = changed(
            RECORDED[name],
            **{f"data__object__{key}": value for key, value in changes.items()},
            data__object__lines={"object": "list", "data": list(form(lines)), "has_more": False},
        )
        found.append(TEST.interpret("invoice.paid", body))
    assert found[0] == found[1][: len(found[0])]
    return found[0]


def paid(*lines: dict[str, Any], total: int | None = None, **changes: Any) -> Paid:
    """The payment of an invoice with these lines; all of their sum is paid with money unless `changes` says more."""
    total = sum(line["amount"] for line in lines) if total is None else total
    (fact,) = facts(lines, **{"total": total, "amount_due": total, "amount_paid": total} | changes)
    assert isinstance(fact, Paid)
    return fact


class TestPeriodAndDues:
    def test_a_month(self) -> None:
        fact = paid(recurring())
        assert (fact.covers, fact.due_minor, fact.amount_minor, fact.settled_minor) == (MONTH, 8900, 8900, None)

    def test_a_discount_lowers_what_is_paid_and_not_what_is_due(self) -> None:
        fact = paid(recurring(), total=7120)
        assert (fact.covers, fact.due_minor, fact.amount_minor) == (MONTH, 8900, 7120)

    def test_a_prorated_first_period_covers_its_days(self) -> None:
        fact = paid(recurring(amount=270, proration=True, end=START + DAY))
        assert (fact.covers, fact.due_minor) == ((at(START), at(START + DAY)), 270)

    def test_from_month_to_year_covers_the_year_whatever_of_the_month_is_given_back(self) -> None:
        fact = paid(
            one_off("il_unused", -450, "sub_Gym0001", proration=True, end=MONTH_END),
            recurring("il_year", 89_000, end=YEAR_END),
        )
        assert (fact.covers, fact.due_minor, fact.amount_minor) == ((at(START), at(YEAR_END)), 89_000, 88_550)
        assert fact.billing_references == ("sub_Gym0001",)

    def test_an_upgrade_is_due_the_difference_for_the_rest_of_the_period(self) -> None:
        middle = START + 15 * DAY
        fact = paid(
            one_off("il_unused", -4450, "sub_Gym0001", proration=True, start=middle, end=MONTH_END),
            one_off("il_rest", 7450, "sub_Gym0001", proration=True, start=middle, end=MONTH_END),
        )
        assert (fact.covers, fact.due_minor) == ((at(middle), at(MONTH_END)), 3000)

    def test_a_downgrade_beside_a_fee_is_no_dues(self) -> None:
        fact = paid(one_off("il_unused", -1000, "sub_Gym0001", proration=True, end=MONTH_END), one_off(amount=3000))
        assert (fact.covers, fact.due_minor, fact.amount_minor) == (None, 0, 2000)

    def test_prorations_of_the_month_before_do_not_lengthen_the_next(self) -> None:
        fact = paid(
            one_off("il_rest", 3000, "sub_Gym0001", proration=True, start=START - 15 * DAY, end=START), recurring()
        )
        assert (fact.covers, fact.due_minor, fact.amount_minor) == (MONTH, 8900, 11_900)

    def test_usage_of_the_month_before_does_not_lengthen_the_next(self) -> None:
        usage = recurring("il_usage", 1200, start=START - 31 * DAY, end=START)
        fact = paid(usage, recurring())
        assert (fact.covers, fact.due_minor) == (MONTH, 8900)
        alone = paid(usage)
        assert (alone.covers, alone.due_minor) == ((at(START - 31 * DAY), at(START)), 1200)

    def test_the_invoices_own_period_is_that_before_and_does_not_count(self) -> None:
        assert paid(recurring(), period_start=1, period_end=2).covers == MONTH

    def test_several_periods_on_one_invoice(self) -> None:
        second = recurring("il_second", start=MONTH_END, end=MONTH_END + 31 * DAY)
        fact = paid(recurring(), second)
        assert (fact.covers, fact.due_minor) == ((at(START), at(MONTH_END + 31 * DAY)), 17_800)

    def test_quantity(self) -> None:
        fact = paid(recurring(amount=17_800, quantity=2))
        assert (fact.lines[0].quantity, fact.due_minor, fact.covers) == (2, 17_800, MONTH)

    def test_a_trial_with_a_joining_fee_is_no_dues(self) -> None:
        fact = paid(recurring(amount=0), one_off(amount=4900))
        assert (fact.covers, fact.due_minor, fact.amount_minor) == (None, 0, 4900)

    def test_a_trial_or_a_coupon_for_all_gives_nothing(self) -> None:
        for lines, more in (([recurring(amount=0)], {}), ([recurring()], {"total": 0})):
            with pytest.raises(Ignored, match="zero"):
                paid(*lines, **more)

    def test_a_period_that_makes_no_sense_is_passed_on(self) -> None:
        assert paid(recurring(end=START - DAY)).covers == (at(START), at(START - DAY))

    @pytest.mark.parametrize("period", [None, {}, {"start": START}, {"start": None, "end": MONTH_END}])
    def test_without_a_period(self, period: object) -> None:
        fact = paid(recurring() | {"period": period})
        assert (fact.covers, fact.due_minor) == (None, 8900)

    def test_without_lines(self) -> None:
        (fact,) = TEST.interpret("invoice.paid", changed(RECORDED["invoice_paid"], data__object__lines=...))
        assert isinstance(fact, Paid)
        assert (fact.covers, fact.due_minor, fact.lines) == (None, None, ())
        assert fact.billing_references == ("sub_Gym0001",)

    def test_a_manual_invoice_for_a_month(self) -> None:
        fact = paid(one_off("il_dues", 8900, end=MONTH_END), total=7120, parent=None, subscription=None)
        assert (fact.covers, fact.due_minor, fact.billing_references) == (MONTH, 8900, ())
        assert fact.payer == ("cus_Gym0001",)


class TestLines:
    PRICED: ClassVar = {"pricing": {"price_details": {"price": "price_gold", "product": "prod_gold"}}}

    def test_a_line_of_the_subscription_names_it_first(self) -> None:
        (line,) = paid(recurring(**self.PRICED)).lines
        assert line == Line(("sub_Gym0001", "si_1", "price_gold", "prod_gold"), 8900, MONTH, id="il_dues")

    def test_a_locker_names_its_price_only(self) -> None:
        fact = paid(one_off(**self.PRICED), recurring())
        assert fact.lines[0] == Line(("price_gold", "prod_gold"), 3000, id="il_fee")
        assert (fact.covers, fact.due_minor, fact.amount_minor) == (MONTH, 8900, 11_900)

    def test_a_fee_that_was_added_to_the_subscription_is_no_dues(self) -> None:
        fact = paid(one_off(subscription="sub_Gym0001"), recurring())
        assert fact.lines[0].references == ()
        assert fact.due_minor == 8900

    def test_a_fee_alone_names_the_subscription_that_it_was_added_to(self) -> None:
        fact = paid(one_off(subscription="sub_Gym0001"), parent=None, subscription=None)
        assert fact.billing_references == ("sub_Gym0001",)

    def test_of_another_subscription_first(self) -> None:
        fact = paid(recurring("il_locker", 3000, "sub_locker", end=YEAR_END), recurring())
        assert fact.billing_references == ("sub_Gym0001",)
        assert (fact.covers, fact.due_minor) == (MONTH, 8900)
        assert [line.references[0] for line in fact.lines] == ["sub_locker", "sub_Gym0001"]

    def test_of_several_subscriptions_of_an_invoice_without_its_own(self) -> None:
        locker = recurring("il_locker", 3000, "sub_locker")
        fact = paid(locker, recurring(), parent=None, subscription=None)
        assert fact.billing_references == ("sub_locker", "sub_Gym0001")
        assert [line.references[0] for line in fact.lines] == ["sub_locker", "sub_Gym0001"]

    def test_of_an_old_api_that_names_the_subscription_in_the_invoice_alone(self) -> None:
        line = before_basil(recurring(subscription=None))
        body = changed(RECORDED["invoice_paid_before_basil"], data__object__lines__data=[line])
        fact, *_ = TEST.interpret("invoice.paid", body)
        assert isinstance(fact, Paid)
        assert (fact.billing_references, fact.covers, fact.due_minor) == (("sub_Gym0001",), MONTH, 8900)
        assert fact.lines[0].references == ("sub_Gym0001", "si_1")

    def test_a_plan_of_an_old_api(self) -> None:
        for plan, named in (("gold", "gold"), ("Gold Monthly", None)):
            line = before_basil(recurring()) | {"plan": {"id": plan, "product": "prod_gold"}}
            body = changed(RECORDED["invoice_paid_before_basil"], data__object__lines__data=[line])
            fact, *_ = TEST.interpret("invoice.paid", body)
            assert isinstance(fact, Paid)
            expected = ("sub_Gym0001", "si_1", named, "prod_gold")
            assert fact.lines[0].references == tuple(filter(None, expected))

    def test_more_lines_than_were_sent_are_for_staff_to_see(self) -> None:
        fact, noted = TEST.interpret(
            "invoice.paid", changed(RECORDED["invoice_paid"], data__object__lines__has_more=True)
        )
        assert isinstance(fact, Paid)
        assert isinstance(noted, Noted)
        assert (noted.payment, noted.occurred_at) == (fact.payment, fact.occurred_at)

    def test_amounts_become_isos_minor_units(self) -> None:
        fact = paid(one_off(amount=-100), recurring(amount=890_000), currency="isk", total=889_900)
        assert [line.amount_minor for line in fact.lines] == [-1, 8900]
        assert (fact.due_minor, fact.amount_minor) == (8900, 8899)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("amount", "8900"),
            ("amount", 89.5),
            ("amount", True),
            ("amount", 10**13),
            ("quantity", "2"),
            ("quantity", 1.5),
            ("quantity", -1),
            ("period", "month"),
            ("id", 7),
            ("id", "il 1"),
        ],
    )
    def test_what_is_malformed(self, key: str, value: object) -> None:
        with pytest.raises(Unusable):
            facts([recurring() | {key: value}])

    @pytest.mark.parametrize("lines", ["text", 7, [1], {"data": "text"}, {"data": [1]}])
    def test_what_is_no_list_of_lines(self, lines: object) -> None:
        with pytest.raises(Unusable, match=r"not an object|list of objects"):
            TEST.interpret("invoice.paid", changed(RECORDED["invoice_paid"], data__object__lines=lines))


class TestBalance:
    """A balance below zero is the customer's credit."""

    @pytest.mark.parametrize(
        ("balance", "money", "settled"),
        [
            ({"starting_balance": -20_000, "ending_balance": -11_100}, 0, 8900),
            ({"starting_balance": -8000, "ending_balance": 0}, 900, 8900),
            ({"starting_balance": -8000, "ending_balance": None}, 900, 8900),
            ({"starting_balance": -20_000, "ending_balance": None}, 0, 8900),
            ({"starting_balance": -8000, "ending_balance": 0}, 8900, None),
            ({"starting_balance": 0, "ending_balance": 0}, 8900, None),
            ({"starting_balance": -500, "ending_balance": -500}, 8900, None),
            ({"starting_balance": 1000, "ending_balance": 0}, 9900, None),
            ({}, 8900, None),
        ],
    )
    def test_what_was_settled(self, balance: dict[str, Any], money: int, settled: int | None) -> None:
        fact = paid(recurring(), amount_paid=money, amount_due=money, **balance)
        assert (fact.amount_minor, fact.settled_minor, fact.due_minor) == (money, settled, 8900)

    def test_what_a_coupon_gave_was_not_settled(self) -> None:
        fact = paid(recurring(), total=7120, amount_paid=0, starting_balance=-20_000, ending_balance=-12_880)
        assert (fact.amount_minor, fact.settled_minor, fact.due_minor) == (0, 7120, 8900)

    def test_too_little_to_be_charged_becomes_a_debt(self) -> None:
        with pytest.raises(Ignored, match="zero"):
            paid(recurring(amount=40), amount_paid=0, amount_due=0, starting_balance=0, ending_balance=40)

    def test_paid_in_cash(self) -> None:
        for money in (0, 8900):
            fact = paid(recurring(), amount_paid=money, paid_out_of_band=True)
            assert (fact.amount_minor, fact.settled_minor) == (8900, None)

    def test_written_off_and_paid_after_all(self) -> None:
        times = {"finalized_at": START, "marked_uncollectible_at": START + DAY, "paid_at": START + 2 * DAY}
        assert paid(recurring(), status_transitions=times).occurred_at == at(START + 2 * DAY)

    @pytest.mark.parametrize("key", ["starting_balance", "ending_balance", "total"])
    def test_what_is_no_amount(self, key: str) -> None:
        for value in ("0", 0.5, True, [0]):
            with pytest.raises(Unusable, match=key):
                facts([recurring()], **{key: value})


class TestCheckout:
    """A payment without an invoice."""

    BODY = RECORDED["checkout_session_completed"]

    def meaning(self, type: str = "checkout.session.completed", **changes: Any) -> list[Fact]:
        return TEST.interpret(type, changed(self.BODY, **{f"data__object__{key}": new for key, new in changes.items()}))

    @pytest.mark.parametrize("type", ["checkout.session.completed", "checkout.session.async_payment_succeeded"])
    def test_is_of_its_customer(self, type: str) -> None:
        fact = Paid("pi_Gym0002", at(1793527212), 7120, "USD", payer=("cus_Gym0001",), due_minor=8900)
        assert self.meaning(type) == [fact]

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"mode": "subscription"}, "same money"),
            ({"invoice": "in_1"}, "same money"),
            ({"invoice_creation": {"enabled": True}}, "same money"),
            ({"payment_status": "unpaid"}, "no money moved"),
            ({"payment_status": "no_payment_required"}, "no money moved"),
            ({"amount_total": 0}, "zero"),
            ({"customer": None}, "names nobody"),
        ],
    )
    def test_otherwise_ignored(self, changes: dict[str, Any], why: str) -> None:
        with pytest.raises(Ignored, match=why):
            self.meaning(**changes)

    @pytest.mark.parametrize(
        "changes", [{"amount_total": "7120"}, {"currency": None}, {"customer": 7}, {"payment_intent": None}]
    )
    def test_malformed(self, changes: dict[str, Any]) -> None:
        with pytest.raises(Unusable):
            self.meaning(**changes)


class TestPayer:
    def test_of_an_invoice(self) -> None:
        more = {"customer_email": "zoe@example.com", "lines__data__0__description": "1 month of Yoga"}
        body = changed(RECORDED["invoice_paid"], **{f"data__object__{key}": value for key, value in more.items()})
        expected = Payer("Zoë Ångström", "zoe@example.com", "1 month of Yoga")
        assert TEST.payer_details("invoice.paid", body) == expected

    def test_of_a_checkout(self) -> None:
        body = RECORDED["checkout_session_completed"]
        details = Payer("Zoë Ångström", "zoe@example.com", None)
        assert TEST.payer_details("checkout.session.completed", body) == details

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", RECORDED["refund_created"], RECORDED["unknown_type"]])
    def test_of_nobody(self, body: bytes) -> None:
        assert TEST.payer_details("invoice.paid", body) is None

    @pytest.mark.parametrize("value", [7, [], {}, "", True, "\x00", [{"description": 7}]])
    def test_what_is_no_text(self, value: object) -> None:
        for key in ("customer_name", "customer_email", "description", "customer_details", "lines"):
            body = changed(RECORDED["checkout_session_completed"], **{f"data__object__{key}": value})
            TEST.payer_details("checkout.session.completed", body)
