"""Silence: what the history allows, and the calendar of dues."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.catalogue.terms import Interval
from models.members import life
from models.members.memberships import Membership, add_billing_reference
from models.members.plan_change import change_plan
from models.operations.silence import GRACE, GRACE_WITHOUT_HISTORY, NEXT_DUE, Silence, allowance, silences
from runtime.settings import Endpoint
from tests.models.gym import BY, DUES, ENDPOINT, Gym, paid, tell

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIVE = Endpoint(name=ENDPOINT, processor="stripe", mode="live", secrets=("whsec",))

histories = st.lists(st.integers(1, 35 * 24), unique=True, max_size=60).map(
    lambda hours: [NOW - n * HOUR for n in sorted(hours, reverse=True)]
)


@given(histories)
def test_an_endpoint_is_quiet_only_for_longer_than_ever_and_six_hours(heard: list[datetime]) -> None:
    allowed = allowance(heard, NOW)
    if not heard or NOW - heard[0] < timedelta(days=14):
        assert allowed == (type(allowed)(True, GRACE_WITHOUT_HISTORY))
        return
    quiet_for = NOW - heard[-1] - HOUR
    longest = max([b - a - HOUR for a, b in pairwise(heard)], default=timedelta(0))
    assert allowed.grace == GRACE
    assert allowed.quiet == (quiet_for > 6 * HOUR and quiet_for > 1.5 * longest)


def test_one_that_speaks_every_hour_may_be_quiet_for_six() -> None:
    heard = [NOW - n * HOUR for n in range(35 * 24, 0, -1)]
    assert not allowance(heard, NOW + 6 * HOUR).quiet
    assert allowance(heard, NOW + 6 * HOUR + timedelta(seconds=1)).quiet


@given(histories)
def test_what_just_spoke_is_not_quiet_and_who_waits_long_enough_is(heard: list[datetime]) -> None:
    old = [NOW - timedelta(days=35), *heard]
    assert not allowance([*old, NOW - HOUR], NOW).quiet
    assert allowance(old, NOW + timedelta(days=100)).quiet


@given(histories, st.integers(1, 500))
def test_quiet_stays_quiet_while_nothing_comes(heard: list[datetime], hours: int) -> None:
    if allowance(heard, NOW).quiet and heard and NOW - heard[0] >= timedelta(days=14):
        assert allowance(heard, NOW + hours * HOUR).quiet


def later(day: date, interval: str, count: int) -> date:
    """When dues fall due after that day: with a calendar in the hand."""
    if interval == "week":
        return day + timedelta(weeks=count)
    months = count * (12 if interval == "year" else 1)
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = monthrange(year, month + 1)[1]
    ends = day.day == monthrange(day.year, day.month)[1]
    return date(year, month + 1, last if ends else min(day.day, last))


def test_dues_paid_at_the_end_of_a_month_are_due_by_the_end_of_theirs(session: Session) -> None:
    days = [date(2023, 1, 1) + timedelta(days=n) for n in range(1500)]
    terms = [("week", 1), ("week", 2), ("month", 1), ("month", 3), ("month", 11), ("year", 1)]
    query = text(
        f"SELECT d, i, n, ({NEXT_DUE.format(paid='(d + time %s)', interval='i', count='n')})".replace("%s", "'08:30'")
        + " FROM unnest(CAST(:days AS date[])) d,"
        " unnest(CAST(:intervals AS text[]), CAST(:counts AS int[])) AS t (i, n)"
    )
    intervals, counts = (list(each) for each in zip(*terms, strict=True))
    rows = session.execute(query, {"days": days, "intervals": intervals, "counts": counts}).all()
    assert len(rows) == len(days) * len(terms)
    for day, interval, count, due in rows:
        assert due == datetime.combine(later(day, interval, count), datetime.min.time().replace(hour=8, minute=30))


def hear(session: Session, *hours_ago: int, outcome: str = "new") -> None:
    for ago in hours_ago:
        values = {"endpoint": ENDPOINT, "hour": NOW - ago * HOUR, "outcome": outcome}
        session.execute(text("INSERT INTO delivery_counts VALUES (:endpoint, :hour, :outcome, 1)"), values)


def daily_until(hours_ago: int) -> list[int]:
    """Something in every sixth hour of the last 30 days, until then."""
    return list(range(hours_ago, 30 * 24, 6))


def silent(session: Session, now: datetime = NOW, endpoint: Endpoint = LIVE) -> list[Silence]:
    return silences(session, [endpoint], now)


@pytest.fixture
def due_yesterday(session: Session, gym: Gym) -> datetime:
    """Dues paid a month before yesterday noon, at Chicago's clock, as the next ones are due."""
    gym.join("sub")
    paid_at = datetime(2026, 2, 9, 18, tzinfo=UTC)
    tell(session, paid("in_1", "sub", at=paid_at))
    return datetime(2026, 3, 9, 17, tzinfo=UTC)  # daylight saving time has begun meanwhile


def test_quiet_after_dues_were_expected_is_silence(session: Session, due_yesterday: datetime) -> None:
    hear(session, *daily_until(30))
    assert silent(session) == [Silence(ENDPOINT, NOW - 30 * HOUR, due_yesterday)]


def test_late_dues_have_twelve_hours_of_grace(session: Session, due_yesterday: datetime) -> None:
    hear(session, *daily_until(30))
    assert silent(session, due_yesterday + timedelta(hours=12, seconds=-1)) == []
    assert len(silent(session, due_yesterday + timedelta(hours=12))) == 1


def test_who_is_frozen_or_has_ended_is_expected_to_pay_nothing(
    session: Session, gym: Gym, due_yesterday: datetime
) -> None:
    hear(session, *daily_until(30))
    held, due = session.scalars(select(Membership)).one(), due_yesterday.date()
    about: dict[str, Any] = {"reason": "away", "by": BY, "now": NOW}
    for act in (
        lambda: life.freeze(session, held, first=due, last=due, **about),
        lambda: life.freeze(session, held, first=due - timedelta(days=3), last=None, **about),
        lambda: life.end(session, held, last=due - timedelta(days=1), **about),
    ):
        done = act().act
        assert silent(session) == []
        life.undo(session, done, **about)
        assert len(silent(session)) == 1
    life.freeze(session, held, first=due + timedelta(days=1), last=None, **about)
    life.end(session, held, last=due, **about)
    assert len(silent(session)) == 1


def test_without_dues_to_come_quiet_is_no_silence(session: Session, gym: Gym) -> None:
    gym.join("sub")
    tell(session, paid("in_1", "sub", at=NOW - timedelta(days=3)))
    hear(session, *daily_until(48))
    assert silent(session) == []


def test_dues_that_were_to_come_before_something_else_came_are_no_silence(
    session: Session, due_yesterday: datetime
) -> None:
    """That member has stopped paying; the endpoint speaks."""
    hear(session, *daily_until(15))
    assert silent(session) == []


def test_a_gap_like_others_before_is_no_silence(session: Session, due_yesterday: datetime) -> None:
    hear(session, 30, 30 + 24, 30 + 48, 30 * 24)
    assert silent(session) == []


def test_forgeries_are_no_sign_of_life(session: Session, due_yesterday: datetime) -> None:
    hear(session, *daily_until(30))
    hear(session, 1, outcome="bad_signature")
    assert len(silent(session)) == 1


def test_a_young_endpoint_is_measured_by_the_calendar_alone(session: Session, due_yesterday: datetime) -> None:
    hear(session, 40, 50, 200)
    assert silent(session, due_yesterday + timedelta(hours=24, seconds=-1)) == []
    assert len(silent(session, due_yesterday + timedelta(hours=24))) == 1


def test_one_that_was_never_heard_is_silent_once_dues_are_a_day_late(session: Session, due_yesterday: datetime) -> None:
    assert silent(session, due_yesterday + timedelta(hours=24)) == [Silence(ENDPOINT, None, due_yesterday)]


def test_a_membership_that_never_paid_is_expected_an_interval_after_its_sign_up(session: Session, gym: Gym) -> None:
    gym.join("sub")
    session.execute(text("UPDATE billing_references SET recorded_at = :at"), {"at": NOW - timedelta(days=32)})
    assert len(silent(session)) == 1
    session.execute(text("UPDATE billing_references SET recorded_at = :at"), {"at": NOW - timedelta(days=27)})
    assert silent(session) == []


def test_a_payment_for_several_memberships_is_the_dues_of_each(session: Session, gym: Gym) -> None:
    gym.join("sub")
    other = gym.join()
    add_billing_reference(session, other, ENDPOINT, "sub", by=BY, shared=True)
    long_ago = NOW - timedelta(days=60)
    session.execute(text("UPDATE billing_references SET recorded_at = :at"), {"at": long_ago})
    assert len(silent(session)) == 1
    tell(session, paid("in_1", "sub", at=NOW - timedelta(days=3), amount=2 * DUES))
    assert silent(session) == []


def test_a_single_payment_expects_no_other(session: Session, due_yesterday: datetime, gym: Gym) -> None:
    change_interval(session, gym, Interval.ONCE)
    assert silent(session, NOW + timedelta(days=90)) == []


def test_dues_are_expected_by_the_plan_that_the_membership_has(
    session: Session, due_yesterday: datetime, gym: Gym
) -> None:
    hear(session, *daily_until(30))
    gym.term.interval = "year"
    session.flush()
    assert len(silent(session)) == 1, "what the payment term says now counts for sign-ups to come"
    change_interval(session, gym, Interval.YEAR)
    assert silent(session) == []


def change_interval(session: Session, gym: Gym, interval: Interval) -> None:
    """Long ago the membership changed to dues of another interval."""
    membership, at = session.scalars(select(Membership)).one(), NOW - timedelta(days=60)
    gym.term.interval = interval.value
    reason = "test"
    change_plan(session, membership, term=gym.term, since=None, picks=None, reason=reason, by=BY, now=at)


def test_a_test_endpoint_is_left_out(session: Session, due_yesterday: datetime) -> None:
    hear(session, *daily_until(30))
    assert silent(session, endpoint=LIVE.model_copy(update={"mode": "test"})) == []
