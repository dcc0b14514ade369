"""What a payment is worth: the pure rule, by the shapes of dues that gyms meet. All numbers are counted by hand."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalogue.days import Period
from models.payments.reviews import Reason, ReviewReason
from models.payments.worth import Bill, ItemTerms, Terms, Tranche, worth

CHICAGO = "America/Chicago"
SPIN, YOGA = 1, 2
DUES = 7900
AT = datetime(2027, 1, 1, 15, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MONTHLY = Terms(LONG_AGO, DUES, items=(ItemTerms(SPIN, 8, 30),))
YEARLY = Terms(LONG_AGO, 118_800, "year", release="monthly", items=(ItemTerms(SPIN, 8, 30),))
WEEKLY_RELEASE = Terms(LONG_AGO, DUES, release="weekly", items=(ItemTerms(SPIN, 3, 7),))


class Found(NamedTuple):
    """What a bill is worth, and why staff should look at it."""

    tranches: list[Tranche]
    reasons: list[Reason]


def local(year: int, month: int, day: int, hour: int = 0, zone: str = CHICAGO) -> datetime:
    return datetime(year, month, day, hour, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def period(first: date, end: date, zone: str = CHICAGO) -> Period:
    """From the first local day on, until before the end."""
    return local(*first.timetuple()[:3], zone=zone), local(*end.timetuple()[:3], zone=zone)


def of(
    terms: Terms | Sequence[Terms], due: int, covers: Period | None = None, *, settled: int | None = None,
    at: datetime = AT, zone: str = CHICAGO, **shape: bool,
) -> Found:  # fmt: skip
    """What a bill of so much is worth; without `settled` all of it was paid."""
    versions = [terms] if isinstance(terms, Terms) else terms
    bill = Bill(at, "USD", Fraction(due if settled is None else settled), Fraction(due), covers, **shape)
    return Found(*map(list, worth(bill, versions, zone)[:2]))


def sessions(found: Found, item: int = SPIN) -> int:
    return sum(one.quantity for one in found.tranches if one.item_id == item)


def reasons(found: Found) -> list[ReviewReason]:
    return [one.reason for one in found.reasons]


JANUARY = period(date(2027, 1, 1), date(2027, 2, 1))


class TestPartsAndDiscounts:
    def test_ten_of_thirty_days_give_a_third_rounded_up(self) -> None:
        found = of(MONTHLY, 2633, period(date(2027, 4, 21), date(2027, 5, 1)), at=local(2027, 4, 21, 9))
        assert (sessions(found), reasons(found)) == (3, [ReviewReason.PART])

    def test_half_of_the_dues_without_a_period_give_half(self) -> None:
        found = of(MONTHLY, 3950)
        assert (sessions(found), reasons(found)) == (4, [ReviewReason.PART])

    @pytest.mark.parametrize(("settled", "given"), [(6320, 8), (1, 8), (0, 0)])
    def test_a_discount_takes_no_sessions_but_what_is_free_gives_none(self, settled: int, given: int) -> None:
        for covers in (None, JANUARY):
            found = of(MONTHLY, DUES, covers, settled=settled)
            assert (sessions(found), reasons(found)) == (given, [])

    def test_a_discounted_part_is_a_part_by_what_was_due(self) -> None:
        assert sessions(of(MONTHLY, 3950, settled=1000)) == 4

    def test_dues_with_a_joining_fee_on_top_give_what_dues_give(self) -> None:
        found = of(MONTHLY, DUES + 4900)
        assert (sessions(found), reasons(found)) == (8, [ReviewReason.MORE])

    def test_a_fee_beside_the_dues_of_that_day_gives_nothing(self) -> None:
        found = of(MONTHLY, 4900, beside_dues=True)
        assert (sessions(found), reasons(found)) == (0, [ReviewReason.EXTRA])
        assert sessions(of(MONTHLY, DUES, beside_dues=True)) == 8, "dues are no fee"

    def test_tax_on_top_is_not_more_than_the_dues(self) -> None:
        assert of(MONTHLY, DUES, JANUARY, settled=8591).reasons == []

    def test_less_than_the_dues_for_a_whole_period_gives_all_and_is_looked_at(self) -> None:
        found = of(MONTHLY, 2900, JANUARY)
        assert (sessions(found), reasons(found)) == (8, [ReviewReason.LESS])

    @pytest.mark.parametrize(
        ("partial", "given", "why"),
        [("proportional", 4, ["part"]), ("full", 8, ["part"]), ("none", 0, ["part", "nothing"])],
    )
    def test_the_term_says_what_parts_give(self, partial: str, given: int, why: list[str]) -> None:
        terms = replace(MONTHLY, partial=partial)
        for found in (of(terms, 3950), of(terms, 3950, period(date(2027, 4, 16), date(2027, 5, 1)))):
            assert (sessions(found), reasons(found)) == (given, why)
        assert sessions(of(terms, DUES)) == 8

    @pytest.mark.parametrize(("days", "given"), [(26, 7), (28, 8), (30, 8), (33, 8), (34, 10)])
    def test_a_tenth_of_an_interval_more_or_less_is_the_whole(self, days: int, given: int) -> None:
        begins = date(2027, 4, 1)
        found = of(MONTHLY, 2 * DUES if days > 33 else DUES - 1, period(begins, begins + timedelta(days=days)))
        assert sessions(found) == given

    def test_a_payer_whose_payment_is_not_the_dues_gets_nothing(self) -> None:
        assert sessions(of(MONTHLY, DUES, payer_only=True)) == 8
        for other in (3950, 2 * DUES):
            found = of(MONTHLY, other, payer_only=True)
            assert (sessions(found), reasons(found)) == (0, [ReviewReason.PAYER_ONLY])

    def test_dues_of_nothing_are_paid_by_any_amount(self) -> None:
        assert sessions(of(replace(MONTHLY, dues_minor=0), 1)) == 8

    def test_items_of_no_sessions_make_no_tranche(self) -> None:
        terms = replace(MONTHLY, items=(ItemTerms(SPIN, 0, 0), ItemTerms(YOGA, 2, 0)))
        assert of(terms, DUES).tranches == [Tranche(YOGA, None, 2, 0)]


class TestSeveralIntervals:
    def test_three_months_at_once_are_three_tranches(self) -> None:
        found = of(MONTHLY, 3 * DUES, period(date(2027, 1, 1), date(2027, 4, 1)))
        assert found.tranches == [
            Tranche(SPIN, None, 8, 30),
            Tranche(SPIN, date(2027, 2, 1), 8, 30),
            Tranche(SPIN, date(2027, 3, 1), 8, 30),
        ]
        assert found.reasons == []

    def test_no_more_than_the_money_buys(self) -> None:
        found = of(MONTHLY, DUES, period(date(2027, 1, 1), date(2028, 1, 1)))
        assert (sessions(found), reasons(found)) == (8, [ReviewReason.LESS])
        found = of(MONTHLY, 11 * DUES, period(date(2027, 1, 1), date(2028, 1, 1)))
        assert (sessions(found), reasons(found)) == (88, [ReviewReason.LESS])

    def test_a_month_and_a_half_is_a_whole_one_and_a_part(self) -> None:
        found = of(MONTHLY, 2 * DUES, period(date(2027, 3, 1), date(2027, 4, 16)))
        assert [one.quantity for one in found.tranches] == [8, 4]

    @pytest.mark.parametrize(
        ("count", "covers", "given"),
        [
            (4, period(date(2027, 1, 4), date(2027, 2, 1)), 8),
            (2, period(date(2027, 1, 4), date(2027, 1, 18)), 8),
            (2, period(date(2027, 1, 4), date(2027, 2, 1)), 16),
        ],
        ids=["four weeks", "two weeks", "twice two weeks"],
    )
    def test_intervals_of_weeks(self, count: int, covers: Period, given: int) -> None:
        terms = replace(MONTHLY, interval="week", interval_count=count)
        assert sessions(of(terms, DUES * given // 8, covers)) == given

    def test_a_pack_that_is_paid_once_is_judged_by_its_money(self) -> None:
        pack = replace(MONTHLY, interval="once")
        assert of(pack, DUES, period(date(2027, 1, 1), date(2028, 1, 1))).tranches == [Tranche(SPIN, None, 8, 30)]


class TestRelease:
    def test_a_year_released_by_the_month_keeps_the_day_of_the_month(self) -> None:
        found = of(YEARLY, 118_800, at=local(2027, 1, 31, 10))
        days = [one.starts for one in found.tranches]
        months = [(2, 28), (3, 31), (4, 30), (5, 31), (6, 30), (7, 31), (8, 31), (9, 30), (10, 31), (11, 30), (12, 31)]
        assert days == [None, *(date(2027, month, day) for month, day in months)]
        assert {one.quantity for one in found.tranches} == {8}
        assert found.reasons == []

    def test_a_year_from_the_leap_day(self) -> None:
        found = of(YEARLY, 118_800, period(date(2028, 2, 29), date(2029, 2, 28)), at=local(2028, 2, 29, 10))
        days = [one.starts for one in found.tranches]
        assert (len(days), days[0], days[1], days[11]) == (12, None, date(2028, 3, 29), date(2029, 1, 29))

    def test_half_a_year_gives_half_and_the_first_months_first(self) -> None:
        found = of(YEARLY, 59_400, at=local(2027, 1, 1, 10))
        assert [one.quantity for one in found.tranches] == [8] * 6

    def test_three_a_week_is_156_a_year(self) -> None:
        by_month, total = [], 0
        for month in range(1, 13):
            end = date(2027 + month // 12, month % 12 + 1, 1)
            covers = period(date(2027, month, 1), end)
            found = of(WEEKLY_RELEASE, DUES, covers, at=covers[0] + timedelta(hours=9))
            assert all(one.starts is None or one.starts.weekday() == 0 for one in found.tranches)
            by_month.append(sessions(found))
            total += by_month[-1]
        assert (total, set(by_month)) == (156, {12, 15})

    def test_n_times_are_spread_evenly(self) -> None:
        terms = replace(MONTHLY, release="times", release_times=4, items=(ItemTerms(SPIN, 2, 10),))
        found = of(terms, DUES, JANUARY)
        days = [None, date(2027, 1, 8), date(2027, 1, 16), date(2027, 1, 24)]
        assert found.tranches == [Tranche(SPIN, day, 2, 10) for day in days]

    def test_more_times_than_days_add_up_on_their_days(self) -> None:
        terms = replace(MONTHLY, interval="week", release="times", release_times=60, items=(ItemTerms(SPIN, 1, 0),))
        found = of(terms, DUES, at=AT)
        assert (sessions(found), len({one.starts for one in found.tranches})) == (60, 7)

    def test_a_tranche_is_numbered_by_its_day(self) -> None:
        assert [Tranche(SPIN, day, 8, 30).number for day in (None, date(2027, 2, 28))] == [0, 20_270_228]


class TestEarlyAndLate:
    def test_paid_early_it_is_usable_at_once(self) -> None:
        found = of(MONTHLY, DUES, period(date(2027, 1, 6), date(2027, 2, 6)))
        assert found.tranches == [Tranche(SPIN, None, 8, 30)]

    def test_paid_late_what_has_begun_is_one_tranche(self) -> None:
        found = of(MONTHLY, 3 * DUES, period(date(2027, 1, 1), date(2027, 4, 1)), at=local(2027, 2, 10, 12))
        assert found.tranches == [Tranche(SPIN, None, 16, 30), Tranche(SPIN, date(2027, 3, 1), 8, 30)]

    @pytest.mark.parametrize("zone", [CHICAGO, "UTC", "Pacific/Auckland", "Australia/Lord_Howe", "America/St_Johns"])
    @pytest.mark.parametrize("month", [3, 4, 10, 11])
    def test_the_month_of_a_clock_change_is_a_whole_one(self, zone: str, month: int) -> None:
        covers = period(date(2027, month, 1), date(2027, month + 1, 1), zone)
        found = of(MONTHLY, DUES - 1, covers, zone=zone, at=covers[0])
        assert (sessions(found), reasons(found)) == (8, [ReviewReason.LESS])

    @pytest.mark.parametrize("year", [2027, 2028])
    def test_february_is_a_whole_month_in_every_year(self, year: int) -> None:
        covers = period(date(year, 2, 1), date(year, 3, 1))
        assert sessions(of(MONTHLY, DUES, covers, at=covers[0])) == 8


def changed(*quantities: int) -> list[Terms]:
    """Plans of so many sessions, one after the other; the first long ago, each further one two days later."""
    first = local(2027, 4, 11)
    return [
        replace(
            MONTHLY, since=first + timedelta(days=2 * number) if number else LONG_AGO, items=(ItemTerms(SPIN, q, 30),)
        )
        for number, q in enumerate(quantities)
    ]


class TestPlanChange:
    REST = period(date(2027, 4, 21), date(2027, 5, 1))
    AT = local(2027, 4, 21, 10)

    def upgraded(self, *quantities: int, **terms: str) -> Found:
        versions = [replace(one, **terms) for one in changed(*quantities)]
        return of(versions, 1000, self.REST, at=self.AT, is_upgrade=True)

    def test_an_upgrade_gives_the_difference_for_the_rest(self) -> None:
        assert self.upgraded(8, 12).tranches == [Tranche(SPIN, None, 2, 30)]

    def test_a_downgrade_gives_nothing_more(self) -> None:
        found = self.upgraded(12, 8)
        assert (found.tranches, reasons(found)) == ([], [ReviewReason.NOTHING])

    def test_down_and_up_again_never_refills(self) -> None:
        found = self.upgraded(8, 12, 8, 12)
        assert (found.tranches, reasons(found)) == ([], [ReviewReason.NOTHING])
        assert sessions(self.upgraded(8, 12, 8, 18)) == 2

    def test_a_term_may_give_nothing_for_an_upgrade(self) -> None:
        assert self.upgraded(8, 12, partial="none").tranches == []

    def test_an_upgrade_on_the_day_the_period_begins_gives_the_difference_and_no_second_month(self) -> None:
        covers = period(date(2027, 4, 11), date(2027, 5, 11))
        before, after = changed(8, 12)
        upgraded = [before, replace(after, since=local(2027, 4, 11, 9))]
        found = of(upgraded, 1000, covers, at=local(2027, 4, 11, 9), is_upgrade=True)
        assert found.tranches == [Tranche(SPIN, None, 4, 30)]

    def test_a_change_before_the_period_is_no_reason_for_an_upgrade(self) -> None:
        versions = changed(8, 12)
        covers = period(date(2027, 6, 11), date(2027, 6, 21))
        assert sessions(of(versions, DUES // 3, covers, at=covers[0], is_upgrade=True)) == 4, "a third of 12"

    def test_the_next_payment_gives_what_the_new_plan_gives(self) -> None:
        versions = changed(8, 4)
        for at, given_then in ((local(2027, 4, 1), 8), (local(2027, 4, 10), 8), (local(2027, 5, 1), 4)):
            assert sessions(of(versions, DUES, at=at)) == given_then


NONSENSE = [
    (AT, AT),
    (AT, AT - timedelta(days=30)),
    (AT, AT + timedelta(days=366 * 40)),
    (AT - timedelta(days=366 * 40), AT + timedelta(days=30)),
    (datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 2, 1, tzinfo=UTC)),
    (datetime(2090, 1, 1, tzinfo=UTC), datetime(2090, 2, 1, tzinfo=UTC)),
    (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 2, 1, tzinfo=UTC)),
    (datetime(9999, 12, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)),
]


@pytest.mark.parametrize("covers", NONSENSE, ids=[f"{start:%Y-%m-%d} to {end:%Y-%m-%d}" for start, end in NONSENSE])
@pytest.mark.parametrize("upgrade", [False, True])
def test_a_period_that_makes_no_sense_is_looked_at_and_the_amount_decides(covers: Period, upgrade: bool) -> None:
    for due, given_then in ((DUES, 8), (3950, 4), (40 * DUES, 8)):
        found = of(MONTHLY, due, covers, is_upgrade=upgrade)
        assert found.tranches == [Tranche(SPIN, None, given_then, 30)]
        assert ReviewReason.SHAPE in reasons(found)


moments = st.integers(0, 3_652_058).map(lambda days: datetime.min.replace(tzinfo=UTC) + timedelta(days=days))
near = st.integers(-500, 500).map(lambda days: AT + timedelta(days=days, hours=days % 24))
amounts = st.sampled_from([-5000, 0, 1, 3950, DUES, 8 * DUES]) | st.integers(-10_000, 10_000_000)
versions_of = st.lists(
    st.builds(
        Terms,
        near,
        st.sampled_from([0, 1, DUES]),
        st.sampled_from(["week", "month", "year", "once"]),
        st.integers(1, 13),
        st.sampled_from(["proportional", "full", "none"]),
        st.sampled_from(["at_once", "monthly", "weekly"]),
        st.none(),
        st.lists(
            st.builds(ItemTerms, st.sampled_from([SPIN, YOGA]), st.integers(1, 20), st.just(30)),
            max_size=2,
            unique_by=lambda item: item.item_id,
        ).map(tuple),
    ),
    min_size=1,
    max_size=4,
).map(lambda found: sorted(found, key=lambda terms: terms.since))
bills = st.builds(
    Bill,
    near,
    st.just("USD"),
    amounts.map(Fraction),
    amounts.map(Fraction),
    st.none() | st.tuples(near, near) | st.tuples(moments, moments),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=150)
@given(bills, versions_of, st.sampled_from([CHICAGO, "Pacific/Kiritimati", "Etc/GMT+12"]))
def test_every_bill_is_worth_something_sensible(bill: Bill, versions: list[Terms], zone: str) -> None:
    found = Found(*map(list, worth(bill, versions, zone)[:2]))
    assert all(one.quantity > 0 for one in found.tranches)
    assert len({(one.item_id, one.number) for one in found.tranches}) == len(found.tranches)
    if bill.settled_minor <= 0:
        assert found == Found([], [])
    paid_on = bill.paid_at.astimezone(ZoneInfo(zone)).date()
    assert all(one.starts is None or one.starts > paid_on for one in found.tranches)


@settings(max_examples=100)
@given(st.integers(1, 40 * DUES), st.none() | st.tuples(near, near), st.booleans())
def test_never_more_than_the_dues_could_buy(due: int, covers: Period | None, upgrade: bool) -> None:
    found = of([MONTHLY, replace(MONTHLY, since=AT, items=(ItemTerms(SPIN, 12, 30),))], due, covers, is_upgrade=upgrade)
    assert sessions(found) <= 12 * max(1, -(-due // DUES))
