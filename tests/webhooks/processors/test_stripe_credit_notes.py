"""Credit notes: what was given back in other ways than by a refund, and for which lines refunds were."""

from datetime import UTC, datetime
from typing import Any

import pytest

from models.payments.facts import Fact, LineRefunded, Noted, Paid, Restored, Reversed
from models.payments.money_back import reversed_share
from tests.webhooks.deliveries import changed, endpoint, recorded
from webhooks.processors import Ignored, Unusable

TEST = endpoint("stripe", "whsec_test")
NOTE = recorded("stripe")["credit_note_created"]
MADE, TOLD = (datetime.fromtimestamp(seconds, UTC) for seconds in (1793613609, 1793613610))


def meaning(told_by: str = "credit_note.created", **changes: Any) -> list[Fact]:
    return TEST.interpret(told_by, changed(NOTE, **{f"data__object__{key}": new for key, new in changes.items()}))


def by_line(line: str, amount: int, **more: Any) -> dict[str, Any]:
    return {"type": "invoice_line_item", "invoice_line_item": line, "amount": amount, **more}


def refunded(refund: str, line: str, amount: int) -> LineRefunded:
    return LineRefunded("in_Gym0001", MADE, refund, line, amount, "USD")


def given_back(amount: int) -> Reversed:
    return Reversed("in_Gym0001", MADE, "credit note:cn_Gym0001", amount, "USD")


@pytest.mark.parametrize("type", ["credit_note.created", "credit_note.updated"])
def test_what_no_refund_gave_back(type: str) -> None:
    assert meaning(type) == [
        given_back(5900),
        refunded("re_Gym0001", "il_Gym0001", 3000),
        refunded("cn_Gym0001", "il_Gym0001", 5900),
    ]


def test_all_outside_stripe() -> None:
    found = meaning(refunds=[], lines=None, out_of_band_amount=8900, customer_balance_transaction=None, created=...)
    assert found == [Reversed("in_Gym0001", TOLD, "credit note:cn_Gym0001", 8900, "USD")]


def test_a_refund_that_was_recorded_and_not_made_by_stripe() -> None:
    outside = [
        {"amount_refunded": 8900, "type": "payment_record_refund", "payment_record_refund": {"refund_group": "r"}}
    ]
    assert meaning(refunds=outside, lines=None) == [given_back(8900)]


def test_a_refund_of_the_locker() -> None:
    refund = [{"amount_refunded": 3000, "refund": "re_Gym0001"}]
    note = {"amount": 3000, "post_payment_amount": ..., "refunds": refund, "lines__data": [by_line("il_locker", 3000)]}
    assert meaning(**note) == [refunded("re_Gym0001", "il_locker", 3000)]


def test_refunds_are_shared_by_what_the_note_says_of_each_line() -> None:
    refunds = [{"amount_refunded": 5000, "refund": {"id": "re_1"}}, {"amount_refunded": 3001, "refund": "re_2"}]
    lines = [by_line("il_dues", 8900, discount_amount=3900), {"type": "custom_line_item", "amount": 1}]
    lines += [by_line("il_locker", 2000), by_line("il_locker", 1000)]
    found = meaning(amount=8001, post_payment_amount=8001, refunds=refunds, lines__data=lines)
    shares = {(fact.refund, fact.line): fact.amount_minor for fact in found if isinstance(fact, LineRefunded)}
    assert shares == {
        ("re_1", "il_dues"): 3124,
        ("re_1", "il_locker"): 1875,
        ("re_2", "il_dues"): 1875,
        ("re_2", "il_locker"): 1126,
    }
    assert len(found) == len(shares)


def test_nothing_is_said_beyond_the_refunds() -> None:
    refund = [{"amount_refunded": 8900, "refund": "re_Gym0001"}]
    with pytest.raises(Ignored, match="refunds have events of their own"):
        meaning(refunds=refund, lines__data=[{"type": "custom_line_item", "amount": 8900}])


@pytest.mark.parametrize("changes", [{"post_payment_amount": 0}, {"post_payment_amount": ..., "type": "pre_payment"}])
def test_before_the_payment_nothing_went_back(changes: dict[str, Any]) -> None:
    with pytest.raises(Ignored, match="before it was paid"):
        meaning(**changes)


def test_of_a_part_that_was_paid() -> None:
    found = meaning(post_payment_amount=4000, pre_payment_amount=4900, lines=None)
    assert found == [given_back(1000)]


class TestBeforeRefundsWereListed:
    """An older version names one refund, and no amount of it."""

    def test_the_rest_is_the_refunds(self) -> None:
        older = {"refunds": ..., "refund": "re_1", "customer_balance_transaction": None}
        assert meaning(**older) == [
            given_back(2000),
            refunded("re_1", "il_Gym0001", 6900),
            refunded("cn_Gym0001", "il_Gym0001", 2000),
        ]

    def test_beside_the_balance_it_is_for_staff_to_see(self) -> None:
        found = meaning(refunds=..., refund="re_1")
        assert isinstance(found[-1], Noted)
        assert found[:-1] == meaning(refunds=..., refund="re_1", customer_balance_transaction=None)


def test_voided() -> None:
    (fact,) = meaning("credit_note.voided", status="void", voided_at=1793700000)
    voided_at = datetime.fromtimestamp(1793700000, UTC)
    assert fact == Restored("in_Gym0001", voided_at, "credit note:cn_Gym0001", 5900, "USD")
    paid = Paid("in_Gym0001", MADE, 8900, "USD", ("sub_Gym0001",))
    assert reversed_share([paid, *meaning()]) == reversed_share([paid, given_back(5900)]) > 0
    for facts in ([paid, *meaning(), fact], [fact, *meaning(), paid]):
        assert reversed_share(facts) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"invoice": None},
        {"amount": "8900"},
        {"post_payment_amount": -1},
        {"currency": "xxx"},
        {"refunds": {}},
        {"refunds": [{"refund": 7}]},
        {"refunds": [{"refund": "re_1", "amount_refunded": "1"}]},
        {"lines": []},
        {"lines__data__0__amount": True},
        {"lines__data__0__invoice_line_item": 7},
        {"created": "now"},
    ],
)
def test_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(Unusable):
        meaning(**changes)
