"""What a set of facts entitles to: the pure rules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.payments.facts import Fact, Linked, Paid, Restored, Reversed
from models.payments.money_back import contradicts, payment_of
from tests.models.payments.entitled import Owed, Terms, entitlement

AT = datetime(2024, 3, 1, 15, tzinfo=UTC)
TERMS = [Terms(1, 8, 30), Terms(2, 3, 0), Terms(3, 0, 0)]
PAID = Paid("in", AT, 9000, "USD", ("sub",))


def after(days: int) -> datetime:
    return AT + timedelta(days=days)


def refund(number: int, amount: int | None, at: int = 1, currency: str | None = "USD") -> Reversed:
    return Reversed("ch", after(at), f"refund of ch:re_{number}", amount, currency)


def refund_failed(number: int, amount: int | None, at: int = 2) -> Restored:
    return Restored("ch", after(at), f"refund of ch:re_{number}", amount, "USD")


def total(amount: int, at: int = 1) -> Reversed:
    return Reversed("ch", after(at), "refund of ch", amount, "USD", running_total=True)


def dispute(at: int = 1, amount: int | None = 9000) -> Reversed:
    return Reversed("pi", after(at), "dispute:dp_1", amount, "USD")


def dispute_won(at: int = 2) -> Restored:
    return Restored("pi", after(at), "dispute:dp_1", 9000, "USD")


def reversed_sessions(*facts: Fact, quantity: int = 9000) -> int:
    """Of one session per minor unit that was paid, those reversed; the same in whatever order the facts are."""
    results = {entitlement(order, [Terms(1, quantity, 0)])[0].reversed for order in permutations([PAID, *facts])}
    (only,) = results
    return only


days = st.integers(0, 3).map(after)
amounts = st.sampled_from([None, 0, 1000, 5000, 9000, 12_000])
references = st.sampled_from(["in", "pi", "ch"])
cause = st.sampled_from(
    [
        *("refund of ch:re_1", "refund of ch:re_2", "refund of pi:re_1", "dispute:dp_1", "dispute:dp_2"),
        *("refund of ch:r_1 of in", "refund of ch:r_2 of in", "refund of ch:r_3 of in"),
    ]
)
fact = st.one_of(
    st.builds(
        Paid,
        references,
        days,
        st.sampled_from([5000, 9000]),
        st.sampled_from(["USD", "USD", "EUR"]),
        st.sampled_from([("sub",), ("sub", "cus"), ()]),
    ),
    st.builds(Reversed, references, days, cause, amounts, st.sampled_from([None, "USD", "EUR"])),
    st.builds(Restored, references, days, cause, amounts, st.sampled_from([None, "USD"])),
    st.builds(
        Reversed,
        references,
        days,
        st.sampled_from(["refund of ch", "refund of pi", "refund of ch:r_1 of in", "refund of ch:r_3 of in"]),
        amounts,
        st.just("USD"),
        st.just(True),
    ),
    st.builds(Linked, references, days, references),
)


@given(st.data(), st.lists(fact, max_size=8))
def test_order_and_repetition_of_facts_do_not_matter(data: st.DataObject, facts: list[Fact]) -> None:
    again = data.draw(st.lists(st.sampled_from(facts), max_size=4)) if facts else []
    shuffled = data.draw(st.permutations([*facts, *again]))
    assert entitlement(shuffled, TERMS) == entitlement(facts, TERMS)


@given(st.lists(fact, max_size=8))
def test_reversed_is_between_nothing_and_all(facts: list[Fact]) -> None:
    assert all(0 <= owed.reversed <= owed.quantity for owed in entitlement(facts, TERMS))


def test_tellings_that_differ_only_in_currency_have_one_winner() -> None:
    euros = Paid("in", AT, 9000, "EUR", ("sub",))
    assert payment_of([PAID, euros]) == payment_of([euros, PAID])


def test_tellings_of_one_cause_that_differ_only_in_their_amount_have_one_winner() -> None:
    for amount in (0, 5000):
        reversed_sessions(refund(1, None), refund(1, amount))


@pytest.mark.parametrize("facts", [[], [refund(1, 100)], [Linked("in", AT, "pi")]])
def test_nothing_is_owed_before_it_was_paid(facts: list[Fact]) -> None:
    assert entitlement(facts, TERMS) == []


def test_every_term_that_is_used_is_owed() -> None:
    assert entitlement([PAID], TERMS) == [Owed(1, 8, 30, 0), Owed(2, 3, 0, 0)]


def test_the_earliest_telling_of_a_payment_counts() -> None:
    early = Paid("pi", AT - timedelta(days=1), 5000, "USD")
    assert payment_of([PAID, early]) == payment_of([early, PAID]) == replace(early, billing_references=("sub",))
    assert payment_of([refund(1, 1)]) is None


@pytest.mark.parametrize(
    ("refunds", "taken_of_8", "taken_of_3"),
    [
        ((1124,), 0, 0),
        ((1125,), 1, 0),
        ((1125, 1125), 2, 0),
        ((1000, 1000, 1000), 2, 1),
        ((8999,), 7, 2),
        ((9000,), 8, 3),
    ],
)
def test_partial_refunds_take_the_floor_of_their_sum(
    refunds: tuple[int, ...], taken_of_8: int, taken_of_3: int
) -> None:
    facts: list[Fact] = [PAID, *(refund(number, amount) for number, amount in enumerate(refunds))]
    assert [owed.reversed for owed in entitlement(facts, TERMS)] == [taken_of_8, taken_of_3]


def test_a_reversal_without_an_amount_takes_all() -> None:
    assert reversed_sessions(refund(1, None)) == 9000


def test_more_than_was_paid_takes_all_and_no_more() -> None:
    assert reversed_sessions(refund(1, 20_000)) == 9000
    assert reversed_sessions(refund(1, 8000), refund(2, 8000)) == 9000
    assert reversed_sessions(total(20_000)) == 9000


def test_one_refund_told_twice_counts_once() -> None:
    assert reversed_sessions(refund(1, 3000), refund(1, 3000, at=2)) == 3000


def test_the_largest_running_total_wins_in_any_order() -> None:
    assert reversed_sessions(total(3000, at=1), total(5000, at=2)) == 5000
    assert reversed_sessions(total(5000, at=1), total(3000, at=2)) == 5000


def test_running_totals_and_single_refunds_are_never_summed() -> None:
    assert reversed_sessions(refund(1, 3000), total(3000)) == 3000
    assert reversed_sessions(refund(1, 3000), refund(2, 2000), total(3000), total(5000, at=2)) == 5000
    assert reversed_sessions(refund(2, 2000), total(5000, at=2)) == 5000


def test_a_running_total_is_undone_only_by_a_failure_told_at_its_time_or_later() -> None:
    assert reversed_sessions(total(5000, at=2), refund_failed(1, 3000, at=2)) == 2000
    assert reversed_sessions(total(5000, at=2), refund_failed(1, 3000, at=3)) == 2000
    assert reversed_sessions(total(5000, at=2), refund_failed(1, 3000, at=1)) == 5000
    assert reversed_sessions(total(5000, at=2), dispute(at=1), dispute_won(at=3)) == 5000


def test_a_running_total_says_nothing_of_another_charge() -> None:
    other = Reversed("pi", AT, "refund of ch_2:re_9", 2000, "USD")
    assert reversed_sessions(total(3000), other) == 5000


def of_group(number: int, amount: int | None, at: int = 1, group: str = "g", **more: bool) -> Reversed:
    return Reversed("ch", after(at), f"refund:r_{number} of {group}", amount, "USD", **more)


def back_in_group(number: int, amount: int | None, at: int = 2, group: str = "g") -> Restored:
    return Restored("ch", after(at), f"refund:r_{number} of {group}", amount, "USD")


def test_running_totals_with_ids_of_their_own_add_up_and_are_not_added_to_single_amounts() -> None:
    one, other = of_group(1, 3000, running_total=True), of_group(2, 2000, running_total=True)
    assert reversed_sessions(one, of_group(1, 2500, running_total=True, at=2), other) == 5000
    assert reversed_sessions(one, other, of_group(3, 1000)) == 5000
    assert reversed_sessions(one, other, of_group(3, 6000)) == 6000
    assert reversed_sessions(one, other, back_in_group(1, 3000)) == 2000
    whole = Reversed("ch", after(1), "refund", 4000, "USD", running_total=True)
    assert reversed_sessions(whole, one, other) == 5000
    assert reversed_sessions(whole, one, back_in_group(1, 3000)) == 1000


def test_what_comes_back_under_an_id_of_its_own_undoes_what_its_group_took_before() -> None:
    one, other, later = of_group(1, 3000), of_group(2, 2000), of_group(3, 1000, at=3)
    assert reversed_sessions(one, other, back_in_group(9, 4000)) == 1000
    assert reversed_sessions(one, other, back_in_group(9, None)) == 0
    assert reversed_sessions(one, other, later, back_in_group(9, 9000)) == 1000
    assert reversed_sessions(one, other, back_in_group(8, 3000), back_in_group(9, 1000)) == 1000
    assert reversed_sessions(one, back_in_group(9, 3000, at=0)) == 3000
    assert reversed_sessions(one, refund(1, 500), back_in_group(9, 9000)) == 500


def test_what_comes_back_of_something_known_undoes_nothing_else() -> None:
    assert reversed_sessions(of_group(1, 3000), of_group(2, 2000), back_in_group(1, 3000)) == 2000
    assert reversed_sessions(of_group(1, 3000), back_in_group(9, 3000, group="other")) == 3000
    assert reversed_sessions(refund(1, 3000), refund_failed(2, 3000)) == 3000, "without a group, each is for itself"


def test_a_dispute_of_a_refunded_payment_reverses_once() -> None:
    assert reversed_sessions(refund(1, 9000), dispute()) == 9000
    assert reversed_sessions(refund(1, 3000), dispute()) == 9000


def test_a_dispute_that_was_won_restores() -> None:
    assert reversed_sessions(dispute(at=1), dispute_won(at=2)) == 0
    assert reversed_sessions(dispute(at=1), dispute_won(at=1)) == 0
    assert reversed_sessions(dispute(at=3), dispute_won(at=2)) == 9000
    assert reversed_sessions(dispute(), dispute_won(), refund(1, 3000)) == 3000


def test_what_is_told_in_another_currency_contradicts_and_has_no_effect() -> None:
    lost = Reversed("ch", AT, "dispute:dp_1", 100, "EUR")
    assert reversed_sessions(lost, refund(1, 3000)) == 3000
    assert reversed_sessions(dispute(), Restored("ch", after(9), "dispute:dp_1", 9000, "EUR")) == 9000
    assert contradicts([PAID], lost)


@pytest.mark.parametrize("told", [refund(1, 100, currency=None), refund(1, 100), Linked("in", AT, "pi"), PAID])
def test_what_is_told_in_the_same_currency_or_in_none_does_not_contradict(told: Fact) -> None:
    assert not contradicts([PAID], told)
    assert reversed_sessions(refund(1, 100, currency=None)) == 100
