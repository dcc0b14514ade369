from itertools import permutations

import pytest

from tests.webhooks.processors.test_square import (
    DISPUTED,
    INVOICE,
    INVOICE_UPDATED,
    LOST,
    PAYMENT,
    PAYMENT_FAILED,
    REFUND,
    REFUND_FAILED,
    WON,
    meaning,
    reversed_of_100,
)  # fmt: skip


class TestTogether:
    """What the facts of several deliveries come to: the same in every order, and without those that were missed."""

    def test_an_invoice_counts_without_the_word_of_its_payment(self) -> None:
        assert reversed_of_100(meaning(INVOICE)) == 0
        assert reversed_of_100(meaning(INVOICE_UPDATED)) == 0

    @pytest.mark.parametrize(
        ("bodies", "reversed"),
        [
            ([INVOICE, INVOICE_UPDATED, PAYMENT], 0),
            ([INVOICE, PAYMENT, REFUND], 100),
            ([INVOICE, PAYMENT, REFUND, REFUND_FAILED], 0),
            ([INVOICE, PAYMENT, DISPUTED], 100),
            ([INVOICE, PAYMENT, DISPUTED, LOST, WON], 0),
            ([INVOICE, PAYMENT, REFUND, DISPUTED, WON], 100),
            ([INVOICE, PAYMENT, PAYMENT_FAILED], 100),
            ([INVOICE, PAYMENT_FAILED], 0),
            ([INVOICE, REFUND], 0),
        ],
    )
    def test_in_any_order_and_number(self, bodies: list[bytes], reversed: int) -> None:
        for order in permutations(bodies):
            assert reversed_of_100(*map(meaning, [*order, order[0]])) == reversed

    def test_completed_after_it_had_failed(self) -> None:
        later = meaning(PAYMENT, updated_at="2026-11-09T12:00:00Z")
        for order in permutations([meaning(INVOICE), meaning(PAYMENT), meaning(PAYMENT_FAILED), later]):
            assert reversed_of_100(*order) == 0

    def test_a_first_attempt_that_failed_takes_nothing_from_the_second(self) -> None:
        failed = meaning(PAYMENT_FAILED, id="payGym0000", updated_at="2026-11-01T08:00:00Z")
        failed_late = meaning(PAYMENT_FAILED, id="payGym0000", updated_at="2026-11-20T08:00:00Z")
        assert reversed_of_100(meaning(INVOICE), meaning(PAYMENT), failed, failed_late) == 0

    def test_of_an_invoice_paid_in_two_parts_a_refund_takes_its_part(self) -> None:
        half = {"amount_money__amount": 4450}
        payments = [meaning(PAYMENT, id=f"pay{number}", **half) for number in (1, 2)]
        refund = meaning(REFUND, payment_id="pay2", **half)
        failed = meaning(PAYMENT_FAILED, id="pay1", **half)
        for order in permutations([meaning(INVOICE), *payments, refund]):
            assert reversed_of_100(*order) == 50
        assert reversed_of_100(meaning(INVOICE), *payments, refund, failed) == 100

    def test_a_refund_with_the_tip_takes_no_more_than_all(self) -> None:
        assert reversed_of_100(meaning(INVOICE), meaning(PAYMENT), meaning(REFUND, amount_money__amount=9900)) == 100

    def test_two_refunds_are_two_and_one_told_twice_is_one(self) -> None:
        one = meaning(REFUND, amount_money__amount=2225)
        again = meaning(REFUND, amount_money__amount=2225, updated_at="2026-11-03T12:00:00Z")
        other = meaning(REFUND, amount_money__amount=2225, id="payGym0001_refGym0002")
        assert reversed_of_100(meaning(INVOICE), meaning(PAYMENT), one, again) == 25
        assert reversed_of_100(meaning(INVOICE), meaning(PAYMENT), one, again, other) == 50
