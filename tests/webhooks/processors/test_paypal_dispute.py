"""PayPal's disputes, and what they come to with the refunds and reversals of the same payment."""

from typing import Any

import pytest

from models.payments.facts import Fact, Restored, Reversed
from tests.models.payments.entitled import Terms, entitlement
from tests.webhooks.deliveries import changed
from tests.webhooks.processors.test_paypal import (
    CAPTURE,
    FETCHED,
    PAID_CAPTURE,
    PAID_SALE,
    RECORDED,
    TAKEN,
    WON,
    meaning,
    on,
)
from webhooks.processors import Ignored, NotYet, Unusable


def moved(kind: str, amount: str, currency: str = "USD", **more: str) -> dict[str, Any]:
    of = {"party": "SELLER", "reason": "DISPUTE_SETTLEMENT", **more}
    return {"type": kind, "amount": {"value": amount, "currency_code": currency}, **of}


class TestDispute:
    @pytest.mark.parametrize(
        ("movements", "taken", "credited"),
        [
            ([moved("DEBIT", "89.00")], 8900, 0),
            ([moved("DEBIT", "89.00"), moved("CREDIT", "89.00")], 8900, 8900),
            ([moved("DEBIT", "50.00"), moved("DEBIT", "39.00"), moved("CREDIT", "10.00")], 8900, 1000),
            ([moved("DEBIT", "89.00", reason="REVERSED_TRANSACTION_FEE"), moved("DEBIT", "20.00")], 2000, 0),
            ([moved("DEBIT", "89.00", party="BUYER"), moved("DEBIT", "20.00")], 2000, 0),
            ([moved("DEBIT", "81.12", "EUR")], 8900, 0),
        ],
    )
    def test_what_it_moved(self, movements: list[object], taken: int, credited: int) -> None:
        for told in ({"fund_movements": movements}, {"money_movements": self.formerly(movements)}):
            facts = meaning("dispute_created", **told)
            amounts = {type(fact): fact.amount_minor for fact in facts if isinstance(fact, Reversed | Restored)}
            assert amounts == {kind: amount for kind, amount in ((Reversed, taken), (Restored, credited)) if amount}

    def formerly(self, movements: Any) -> list[object]:
        return [{**movement, "party": None, "affected_party": movement["party"]} for movement in movements]

    @pytest.mark.parametrize(
        ("outcome", "expected"),
        [
            ("RESOLVED_BUYER_FAVOUR", [TAKEN]),
            ("ACCEPTED", [TAKEN]),
            ("RESOLVED_SELLER_FAVOUR", [WON]),
            ("CANCELED_BY_BUYER", [WON]),
            ("DENIED", [WON]),
        ],
    )
    def test_where_it_tells_of_no_movement_its_outcome_counts(self, outcome: str, expected: list[Fact]) -> None:
        assert meaning("dispute_created", dispute_outcome={"outcome_code": outcome}) == expected
        fee = [moved("DEBIT", "15.00", reason="CHARGEBACK_FEE")]
        assert meaning("dispute_created", dispute_outcome={"outcome_code": outcome}, fund_movements=fee) == expected

    @pytest.mark.parametrize("outcome", ["RESOLVED_WITH_PAYOUT", "NONE", None, 7])
    def test_outcomes_that_take_nothing(self, outcome: object) -> None:
        with pytest.raises(Ignored, match="no money moved"):
            meaning("dispute_created", dispute_outcome={"outcome_code": outcome})

    @pytest.mark.parametrize("status", ["OPEN", "UNDER_REVIEW", "WAITING_FOR_BUYER_RESPONSE", None])
    @pytest.mark.parametrize("name", ["dispute_lost", "dispute_won"])
    def test_one_that_the_api_does_not_call_resolved_is_waited_for(self, name: str, status: str | None) -> None:
        with pytest.raises(NotYet, match=r"though the event says CUSTOMER\.DISPUTE\.RESOLVED"):
            meaning(name, status=status)

    @pytest.mark.parametrize("disputed", [None, [], {}, [1], [{}, {}], ...])
    def test_not_about_one_payment(self, disputed: object) -> None:
        with pytest.raises(Unusable, match="exactly one payment"):
            meaning("dispute_lost", disputed_transactions=disputed)

    @pytest.mark.parametrize("movements", [7, [7], [moved("HOLD", "1.00")], [moved("DEBIT", "-1.00")]])
    def test_movements_that_cannot_be_read(self, movements: object) -> None:
        with pytest.raises(Unusable):
            meaning("dispute_lost", fund_movements=movements)


class TestWhatItComesTo:
    """The one loss told twice, in any order."""

    @pytest.mark.parametrize(
        ("names", "back"),
        [
            (["sale_refunded"], 2),
            (["sale_refunded", "sale_refunded"], 2),
            (["sale_reversed"], 9),
            (["dispute_lost"], 9),
            (["sale_reversed", "dispute_lost"], 9),
            (["sale_reversed", "dispute_lost", "dispute_won"], 0),
            (["dispute_lost", "dispute_won"], 0),
            (["dispute_lost", "sale_refunded", "dispute_won"], 2),
        ],
    )
    def test_sessions_taken_back(self, names: list[str], back: int) -> None:
        facts = [PAID_SALE, *(fact for name in names for fact in meaning(name))]
        for told in (facts, facts[::-1], facts + facts):
            (owed,) = entitlement(told, [Terms(1, 9, 30)])
            assert owed.reversed == back

    @pytest.mark.parametrize(
        ("told", "back"),
        [
            ([("reversal", "R1", "30.00"), ("reversal", "R2", "20.00")], 50),
            ([("reversal", "R1", "30.00"), ("reversal", "R1", "30.00")], 30),
            ([("refund", "R1", "30.00"), ("reversal", "R2", "20.00"), ("refund", "R3", "1.00")], 51),
            ([("lost", "D1", "30.00"), ("lost", "D2", "20.00")], 50),
            ([("reversal", "R1", "30.00"), ("reversal", "R2", "20.00"), ("lost", "D1", "30.00")], 50),
            ([("reversal", "R1", "30.00"), ("reversal", "R2", "20.00"), ("won", "D1", "30.00")], 20),
            (
                [
                    ("reversal", "R1", "30.00"),
                    ("reversal", "R2", "20.00"),
                    ("won", "D1", "30.00"),
                    ("won", "D2", "20.00"),
                ],
                0,
            ),
            ([("reversal", "R1", "30.00"), ("won", "D1", "30.00"), ("lost", "D2", "20.00")], 20),
            ([("refund", "R1", "30.00"), ("won", "D1", "20.00")], 30),
        ],
    )
    def test_what_has_an_id_of_its_own_adds_up(self, told: list[tuple[str, str, str]], back: int) -> None:
        facts = [PAID_CAPTURE, *(fact for each in told for fact in self.one(*each))]
        for order in (facts, facts[::-1], facts + facts):
            assert entitlement(order, [Terms(1, 89, 30)])[0].reversed == back

    @staticmethod
    def one(kind: str, own: str, amount: str) -> list[Fact]:
        """A refund, a reversal, or a dispute that took this and was lost or won."""
        if kind in {"refund", "reversal"}:
            type_ = f"PAYMENT.CAPTURE.{'REFUNDED' if kind == 'refund' else 'REVERSED'}"
            resource = changed(FETCHED["capture_refunded"], id=own, amount__value=amount)
            return on().interpret(type_, RECORDED["capture_refunded"], resource)
        transactions = [{"seller_transaction_id": CAPTURE}]
        movements = [moved("DEBIT", amount)] + [moved("CREDIT", amount)] * (kind == "won")
        return meaning(
            "dispute_lost",
            dispute_id=own,
            disputed_transactions=transactions,
            fund_movements=movements,
            update_time="2026-11-20T10:00:00Z",
        )

    def test_after_a_dispute_was_won_the_next_reversal_counts(self) -> None:
        reversal = self.one("reversal", "R1", "89.00") + self.one("won", "D1", "89.00")
        again = changed(FETCHED["capture_refunded"], id="R2", amount__value="89.00", create_time="2026-11-25T10:00:00Z")
        later = on().interpret("PAYMENT.CAPTURE.REVERSED", RECORDED["capture_refunded"], again)
        for facts, back in (([PAID_CAPTURE, *reversal], 0), ([PAID_CAPTURE, *later, *reversal], 89)):
            assert entitlement(facts, [Terms(1, 89, 30)])[0].reversed == back

    def test_a_partial_refund_that_settled_a_dispute_is_counted_once(self) -> None:
        settled = meaning("dispute_lost", fund_movements=[moved("DEBIT", "20.00")])
        facts = [PAID_SALE, *meaning("sale_refunded"), *settled]
        assert entitlement(facts, [Terms(1, 89, 30)])[0].reversed == 20
