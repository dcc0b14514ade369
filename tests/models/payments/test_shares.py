"""How a payment is divided among memberships: by its lines, equally, as a whole; and what is placed nowhere."""

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.payments.facts import Line, Paid
from models.payments.shares import Division, divide

AT = datetime(2027, 1, 1, 15, tzinfo=UTC)
JANUARY = (datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC))
FEBRUARY = (datetime(2027, 2, 1, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC))
ADA, BEN, CEM = 1, 2, 3


def line(amount: int, *references: str, id: str = "", **shape: Any) -> Line:
    return Line(references, amount, id=id, **shape)


def paid(amount: int, *lines: Line, named: tuple[str, ...] = ("sub",), **shape: Any) -> Paid:
    return Paid("in", AT, amount, "USD", named, lines=lines, **shape)


def parts(division: Division) -> dict[int, tuple[Fraction, Fraction]]:
    """Membership -> its part, and what it is due."""
    return {share.membership_id: (share.part, share.bill.due_minor) for share in division.shares}


def test_a_payment_without_lines_is_whole_for_whom_it_names() -> None:
    division = divide(paid(9000), {"sub": [ADA]})
    assert parts(division) == {ADA: (1, 9000)}
    assert (division.unplaced, division.is_dues) == ((), True)


def test_the_first_reference_that_somebody_has_decides() -> None:
    matches = {"sub": [ADA], "cus": [BEN]}
    assert parts(divide(paid(9000, named=("sub", "cus")), matches)).keys() == {ADA}
    assert parts(divide(paid(9000, named=("other", "cus")), matches)).keys() == {BEN}


def test_its_payer_decides_only_where_it_names_nothing() -> None:
    assert parts(divide(paid(9000, payer=("cus",)), {"cus": [ADA]})) == {}
    (share,) = divide(paid(9000, named=(), payer=("cus",)), {"cus": [ADA]}).shares
    assert share.bill.payer_only


def test_without_a_match_there_are_no_shares_and_nothing_is_unplaced() -> None:
    division = divide(paid(9000, line(9000, "si")), {})
    assert (division.shares, division.unplaced, division.is_dues) == ((), (), True)


def test_several_with_one_reference_share_equally() -> None:
    division = divide(paid(10_000), {"sub": [ADA, BEN, CEM]})
    assert parts(division) == {owner: (Fraction(1, 3), Fraction(10_000, 3)) for owner in (ADA, BEN, CEM)}


def test_lines_go_to_those_who_have_their_references() -> None:
    lines = line(9000, "sub", "si_ada", id="l1"), line(3000, "sub", "si_ben", id="l2")
    division = divide(paid(12_000, *lines), {"si_ada": [ADA], "si_ben": [BEN]})
    assert parts(division) == {ADA: (Fraction(3, 4), 9000), BEN: (Fraction(1, 4), 3000)}
    assert [share.lines for share in division.shares] == [{"l1"}, {"l2"}]
    assert [share.bill.settled_minor for share in division.shares] == [9000, 3000]


def test_lines_that_nobody_has_are_all_for_whom_the_payment_names() -> None:
    lines = line(8000, "sub_2", id="l1"), line(1000, "locker", id="l2")
    assert parts(divide(paid(9000, *lines), {"sub": [ADA]})) == {ADA: (1, 9000)}


def test_two_lines_that_say_the_same_count_twice() -> None:
    lines = line(4500, "sub_2"), line(4500, "sub_2")
    assert parts(divide(paid(9000, *lines), {"sub": [ADA]})) == {ADA: (1, 9000)}


def test_a_line_that_nobody_has_is_unplaced_beside_one_that_somebody_has() -> None:
    lines = line(9000, "si_ada"), line(3000, "si_ben"), line(-500, "si_cem")
    division = divide(paid(11_500, *lines), {"si_ada": [ADA], "sub": [CEM]})
    assert parts(division).keys() == {ADA}
    assert division.unplaced == (lines[1],), "a line of less than nothing asks for nobody"


def test_a_line_that_several_have_is_shared_equally() -> None:
    division = divide(paid(9000, line(9000, "si")), {"si": [ADA, BEN]})
    assert parts(division) == {ADA: (Fraction(1, 2), 4500), BEN: (Fraction(1, 2), 4500)}


def test_what_was_discounted_is_divided_as_it_was_billed() -> None:
    lines = line(9000, "si_ada"), line(3000, "si_ben")
    division = divide(paid(6000, *lines, due_minor=12_000), {"si_ada": [ADA], "si_ben": [BEN]})
    assert [(share.bill.settled_minor, share.bill.due_minor) for share in division.shares] == [
        (4500, 9000),
        (1500, 3000),
    ]


class TestNotDues:
    def test_a_marked_line_is_nobodys(self) -> None:
        lines = line(9000, "sub", "dues"), line(1000, "sub", "locker")
        division = divide(paid(10_000, *lines), {"sub": [ADA]}, {"locker"})
        assert parts(division) == {ADA: (Fraction(9, 10), 9000)}
        assert division.unplaced == ()

    @pytest.mark.parametrize("marked", ["sub", "locker"])
    def test_where_all_is_marked_it_is_no_dues(self, marked: str) -> None:
        division = divide(paid(1000, line(1000, "sub", "locker")), {"sub": [ADA]}, {marked})
        assert division == Division(is_dues=False)

    def test_other_marks_change_nothing(self) -> None:
        told = paid(9000, line(9000, "sub", "dues"))
        assert divide(told, {"sub": [ADA]}, {"towel"}) == divide(told, {"sub": [ADA]})


class TestShape:
    def test_a_share_covers_what_its_lines_cover(self) -> None:
        lines = line(9000, "si_ada", covers=JANUARY), line(9000, "si_ada", covers=FEBRUARY), line(1, "si_ben")
        ada, ben = divide(paid(18_001, *lines, covers=FEBRUARY), {"si_ada": [ADA], "si_ben": [BEN]}).shares
        assert ada.bill.covers == (JANUARY[0], FEBRUARY[1])
        assert ben.bill.covers == FEBRUARY, "that of the payment, where its lines tell none"

    def test_unused_time_given_back_beside_another_price_is_an_upgrade(self) -> None:
        back, more = line(-3000, "sub", proration=True), line(5000, "sub", proration=True)
        (share,) = divide(paid(2000, back, more), {"sub": [ADA]}).shares
        assert (share.bill.is_upgrade, share.bill.due_minor) == (True, 2000)

    @pytest.mark.parametrize("amounts", [(3000, 5000), (-3000, 9000)], ids=["nothing given back", "and whole dues"])
    def test_a_part_of_a_period_beside_other_lines_is_no_upgrade(self, amounts: tuple[int, int]) -> None:
        lines = line(amounts[0], "sub", proration=True), line(amounts[1], "sub", proration=amounts[0] > 0)
        (share,) = divide(paid(sum(amounts), *lines), {"sub": [ADA]}).shares
        assert not share.bill.is_upgrade

    def test_whole_dues_beside_a_part_are_what_is_due(self) -> None:
        lines = line(2633, "sub", proration=True, covers=JANUARY), line(9000, "sub", covers=FEBRUARY)
        (share,) = divide(paid(11_633, *lines), {"sub": [ADA]}).shares
        assert (share.bill.due_minor, share.bill.covers) == (9000, FEBRUARY)


references = st.sampled_from(["sub", "si_1", "si_2", "locker", "unknown"])
lines = st.builds(
    Line,
    st.lists(references, max_size=3).map(tuple),
    st.sampled_from([-9000, -1, 0, 1, 9000, 10_000_000]),
    st.sampled_from([None, JANUARY, FEBRUARY, JANUARY[::-1]]),
    st.sampled_from([0, 1, 1_000_000]),
    st.booleans(),
    st.sampled_from(["", "l1", "l2"]),
)
payments = st.builds(
    Paid,
    st.just("in"),
    st.just(AT),
    st.sampled_from([0, 1, 9000]),
    st.just("USD"),
    st.lists(references, max_size=2).map(tuple),
    st.lists(references, max_size=1).map(tuple),
    st.none(),
    st.sampled_from([None, 0, 9000]),
    st.sampled_from([None, 1, 9000]),
    st.lists(lines, max_size=4).map(tuple),
)
owners = st.lists(st.sampled_from([ADA, BEN, CEM]), min_size=1, max_size=3, unique=True)


@settings(max_examples=150)
@given(payments, st.dictionaries(references, owners), st.frozensets(references, max_size=2))
def test_whatever_the_lines_say_each_share_is_a_part(
    told: Paid, matches: dict[str, list[int]], not_dues: frozenset[str]
) -> None:
    division = divide(told, matches, not_dues)
    found = [share.membership_id for share in division.shares]
    assert len(found) == len(set(found))
    assert set(found) <= {owner for every in matches.values() for owner in every}
    assert all(0 <= share.part <= 1 and share.bill.settled_minor <= told.settled for share in division.shares)
    assert all(not_dues.isdisjoint(one.references) for one in division.unplaced)
    assert division.is_dues or not division.shares
    if all(one.amount_minor >= 0 for one in told.lines):
        assert sum(share.part for share in division.shares) <= 1


class TestLinesThatDoNotAddUp:
    """Without a due, lines are what was paid, or that without its tax: otherwise the amount decides."""

    @pytest.mark.parametrize("billed", [[108_000], [-9000], [100], [9000, 9000]])
    def test_the_amount_decides(self, billed: list[int]) -> None:
        division = divide(paid(9000, *(line(amount, "sub") for amount in billed)), {"sub": [ADA]})
        assert not division.adds_up
        assert parts(division) == {ADA: (1, 9000)}

    @pytest.mark.parametrize(("billed", "shape"), [([9000], {}), ([8000], {}), ([108_000], {"due_minor": 108_000})])
    def test_tax_and_discounts_explain_a_difference(self, billed: list[int], shape: dict[str, int]) -> None:
        division = divide(paid(9000, *(line(amount, "sub") for amount in billed), **shape), {"sub": [ADA]})
        assert division.adds_up
        assert parts(division) == {ADA: (1, sum(billed))}
