"""When sessions expire: the midnight after the last usable local day, through clock changes and days not counted."""

from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.catalogue.days import ONE_DAY, OPEN, DayRange, last_usable_day, within
from tests.models.days import expires_at


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("paid_at", "days", "zone", "expires"),
    [
        # Paid on the 1st with 30 days, the 31st is the last day.
        ("2024-01-01T12:00-06:00", 30, "America/Chicago", "2024-02-01T00:00-06:00"),
        ("2024-01-01T00:00-06:00", 30, "America/Chicago", "2024-02-01T00:00-06:00"),
        ("2024-01-01T23:59:59.999999-06:00", 30, "America/Chicago", "2024-02-01T00:00-06:00"),
        # The clock goes forward, and back, in between.
        ("2024-03-01T12:00-06:00", 30, "America/Chicago", "2024-04-01T00:00-05:00"),
        ("2024-11-01T12:00-05:00", 30, "America/Chicago", "2024-12-02T00:00-06:00"),
        ("2024-03-01T12:00+01:00", 31, "Europe/Berlin", "2024-04-02T00:00+02:00"),
        ("2024-10-01T12:00+02:00", 30, "Europe/Berlin", "2024-11-01T00:00+01:00"),
        # The last day is that of the change itself, or the day after it.
        ("2024-03-09T12:00-06:00", 1, "America/Chicago", "2024-03-11T00:00-05:00"),
        ("2024-03-08T12:00-06:00", 1, "America/Chicago", "2024-03-10T00:00-06:00"),
        ("2024-11-02T12:00-05:00", 1, "America/Chicago", "2024-11-04T00:00-06:00"),
        # The local date is the club's, however far from UTC's.
        ("2024-01-01T23:30-10:00", 1, "Pacific/Honolulu", "2024-01-03T00:00-10:00"),
        ("2024-01-02T00:30+14:00", 1, "Pacific/Kiritimati", "2024-01-04T00:00+14:00"),
        ("2024-01-01T23:30+05:45", 1, "Asia/Kathmandu", "2024-01-03T00:00+05:45"),
        # That midnight does not exist: the day begins at 1:00.
        ("2024-03-08T12:00-05:00", 1, "America/Havana", "2024-03-10T01:00-04:00"),
        ("2024-03-29T12:00+02:00", 1, "Asia/Beirut", "2024-03-31T01:00+03:00"),
        ("2024-09-06T12:00-04:00", 1, "America/Santiago", "2024-09-08T01:00-03:00"),
        # It happens twice: the day begins at the first.
        ("2024-11-01T12:00-04:00", 1, "America/Havana", "2024-11-03T00:00-04:00"),
        # The whole last day was skipped (Samoa had no 30 December 2011).
        ("2011-12-28T12:00-10:00", 2, "Pacific/Apia", "2011-12-31T00:00+14:00"),
        ("2024-02-28T12:00Z", 1, "UTC", "2024-03-01T00:00Z"),
    ],
)
def test_the_midnight_after_the_last_usable_day(paid_at: str, days: int, zone: str, expires: str) -> None:
    assert expires_at(at(paid_at), days, zone) == at(expires)


def test_zero_days_is_never() -> None:
    assert expires_at(at("2024-01-01T12:00Z"), 0, "America/Chicago") is None


ZONES = ["America/Chicago", "Europe/Berlin", "America/Havana", "Asia/Beirut", "America/Santiago", "Australia/Lord_Howe"]
moments = st.integers(0, 27 * 365 * 24 * 60).map(lambda minutes: at("2010-01-01T00:00Z") + timedelta(minutes=minutes))


@given(
    moments, st.integers(1, 400), st.sampled_from([*ZONES, "Pacific/Kiritimati", "Pacific/Honolulu", "Asia/Kolkata"])
)
def test_the_moment_before_is_the_last_usable_day_and_the_moment_itself_is_not(
    paid_at: datetime, days: int, zone: str
) -> None:
    local = ZoneInfo(zone)
    last_day = paid_at.astimezone(local).date() + timedelta(days=days)
    expires = expires_at(paid_at, days, zone)
    assert expires is not None
    assert expires.tzinfo is UTC
    assert (expires - timedelta(microseconds=1)).astimezone(local).date() == last_day
    assert expires.astimezone(local).date() == last_day + timedelta(days=1)


@pytest.mark.parametrize(
    ("zone", "day"),
    [("America/Havana", date(2024, 3, 10)), ("Asia/Beirut", date(2024, 3, 31)), ("America/Santiago", date(2024, 9, 8))],
)
def test_the_zones_above_do_skip_that_midnight(zone: str, day: date) -> None:
    midnight = datetime.combine(day, time.min, ZoneInfo(zone))
    assert midnight.astimezone(UTC).astimezone(ZoneInfo(zone)).time() == time(1)


JAN_1 = date(2024, 1, 1)
FAR = 120
"""Days after it; as far as the ranges below reach."""
near = st.integers(-20, FAR - 30).map(lambda days: JAN_1 + timedelta(days=days))


@st.composite
def ranges(draw: st.DrawFn) -> DayRange:
    """Some days, the days from one on, or none: a range that ends before it begins."""
    first = draw(near)
    return first, draw(st.one_of(st.just(OPEN), st.integers(-2, 30).map(lambda days: first + timedelta(days=days))))


def day_by_day(base: date, days: int, uncounted: list[DayRange]) -> date | None:
    day = base
    while days:
        day += ONE_DAY
        if day > base + timedelta(days=FAR + 400 * len(uncounted)):
            return None
        days -= not any(first <= day <= last for first, last in uncounted)
    return None if day == base else day


@given(near, st.integers(0, 40), st.lists(ranges(), max_size=6))
def test_the_last_usable_day_is_found_as_by_counting_day_by_day(
    base: date, days: int, uncounted: list[DayRange]
) -> None:
    assert last_usable_day(base, days, uncounted) == day_by_day(base, days, uncounted)


@given(st.lists(ranges(), max_size=6), near, st.integers(-2, 60), st.randoms())
def test_each_day_within_several_ranges_counts_once(
    uncounted: list[DayRange], first: date, length: int, chance: Random
) -> None:
    last = first + timedelta(days=length)
    every = [first + timedelta(days=number) for number in range(length + 1)]
    counted = sum(any(start <= day <= end for start, end in uncounted) for day in every)
    assert within(uncounted, first, last) == counted
    chance.shuffle(uncounted)
    assert within(uncounted, first, last) == counted


def test_a_thousand_overlapping_ranges_are_one() -> None:
    many = [(JAN_1 + timedelta(days=number % 50), JAN_1 + timedelta(days=60)) for number in range(1000)]
    assert last_usable_day(JAN_1, 1, many) == JAN_1 + timedelta(days=61)
    assert within(many, JAN_1, JAN_1 + timedelta(days=365)) == 61
