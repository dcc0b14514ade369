"""The figures, against a scene whose numbers are known."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.inbox import deliveries, pauses
from models.members.memberships import add_billing_reference
from models.operations import figures, heartbeats, traffic
from models.operations.figures import EndpointFigures, Figures
from models.payments import reviewing
from runtime.settings import Endpoint
from tests.models.gym import BY, DUES, ENDPOINT, Gym, fresh, paid, tell
from tests.models.yearly import yearly_member

ONE, OTHER = (Endpoint(name=name, processor="stripe", mode="live", secrets=("whsec",)) for name in ("one", "other"))


def put(session: Session, number: int = 1, **columns: str) -> None:
    """Events with these columns, each an SQL expression; the others as `one`'s would have them on arrival."""
    given = {"endpoint": "'one'", "event_id": "gen_random_uuid()::text", "type": "'test'", "body": "''", **columns}
    names, expressions = ", ".join(given), ", ".join(given.values())
    query = f"INSERT INTO webhook_events ({names}) SELECT {expressions} FROM generate_series(1, {number})"
    session.execute(text(query))


def ago(seconds: float) -> str:
    return f"clock_timestamp() - interval '{seconds} s'"


def done(session: Session, number: int, received: float, finished: float, **columns: str) -> None:
    """Processed events, received and finished so many seconds ago."""
    times = {"received_at": ago(received), "finished_at": ago(finished)}
    put(session, number, state="'processed'", **times, **columns)


def seen(session: Session) -> Figures:
    return figures.overview(session, (ONE, OTHER))


def shown(what: EndpointFigures, *names: str) -> Mapping[str, Any]:
    return {name: getattr(what, name) for name in names}


def test_an_empty_installation_has_zeros_for_every_endpoint(session: Session) -> None:
    found = seen(session)
    assert found.endpoints == {"one": EndpointFigures(), "other": EndpointFigures()}
    assert found.total == EndpointFigures()
    assert (found.expired_grants, found.expired_sessions, found.double_credits) == (0, 0, 0)


def test_what_waits_is_told_by_why_it_waits(session: Session) -> None:
    put(session, 3, next_attempt_at=ago(100))
    put(session, 1, next_attempt_at=ago(40), attempts="2", error="'boom'")
    put(session, 2, next_attempt_at=ago(-60), attempts="1", error="'boom'")
    put(session, 1, next_attempt_at=ago(-60), attempts="1")  # being tried
    put(session, 1, next_attempt_at=ago(20), thin="true")
    put(session, 1, next_attempt_at=ago(-20), thin="true", error="'slow'", attempts="1")
    put(session, 5, endpoint="'other'", next_attempt_at=ago(500))
    put(session, 1, endpoint="'gone'", next_attempt_at=ago(300))
    pauses.pause(session, "other", "their refunds are wrong", by=BY)
    found = seen(session)
    names = ("due", "paused_due", "retrying", "thin")
    assert shown(found.endpoints["one"], *names) == {"due": 5, "paused_due": 0, "retrying": 3, "thin": 2}
    assert shown(found.endpoints["other"], *names) == {"due": 0, "paused_due": 5, "retrying": 0, "thin": 0}
    assert list(found.endpoints) == ["one", "other", "gone"]
    assert shown(found.total, *names) == {"due": 6, "paused_due": 5, "retrying": 3, "thin": 2}
    assert found.endpoints["one"].oldest_due_s == pytest.approx(100, abs=10)
    assert found.endpoints["other"].oldest_due_s is None
    assert found.total.oldest_due_s == pytest.approx(300, abs=10)
    assert shown(found.total, "late", "failing") == {"late": 5, "failing": 0}
    session.execute(text(f"UPDATE webhook_events SET received_at = {ago(1000)} WHERE error IS NOT NULL"))
    found = seen(session)
    assert shown(found.total, "late", "failing") == {"late": 8, "failing": 4}
    assert found.total.longest_failing_s == pytest.approx(1000, abs=10)


def test_what_waits_for_its_processor_is_told_with_how_long(session: Session) -> None:
    for endpoint in ("'one'", "'other'"):
        put(session, 1, endpoint=endpoint, thin="true", waits_since=ago(90_000), next_attempt_at=ago(-60))
        put(session, 2, endpoint=endpoint, thin="true", waits_since=ago(50), next_attempt_at=ago(5))
        put(session, 1, endpoint=endpoint, thin="true")
        put(session, 1, endpoint=endpoint, state="'processed'", waits_since=ago(10**6))
    pauses.pause(session, "other", "their refunds are wrong", by=BY)
    found = seen(session)
    assert (found.endpoints["one"].waiting, found.endpoints["other"].waiting, found.total.waiting) == (3, 0, 3)
    assert found.endpoints["one"].longest_waiting_s == pytest.approx(90_000, abs=10)
    assert found.endpoints["other"].longest_waiting_s is None
    assert (found.endpoints["one"].late, found.total.late, found.total.failing) == (1, 1, 0)


def test_what_was_given_up_is_counted(session: Session) -> None:
    put(session, 2, state="'dead'")
    put(session, 3, state="'quarantined'", endpoint="'other'")
    found = seen(session)
    assert (found.endpoints["one"].dead, found.total.dead, found.total.quarantined) == (2, 2, 3)


def test_payments_in_review_are_counted_by_what_they_gave_until_they_are_accepted(session: Session, gym: Gym) -> None:
    assert gym.join("sub")
    part = paid("in_part", "sub", amount=900)
    tell(session, paid("in_waiting", "sub_nobody"), paid("in_euro", "sub", currency="EUR"), part)
    session.execute(text(f"UPDATE payment_reviews SET recorded_at = {ago(7)}"))
    session.execute(text(f"UPDATE payment_reviews SET recorded_at = {ago(2 * 86400)} WHERE reason = 'unmatched'"))
    stripe = seen(session).endpoints["stripe"]
    assert shown(stripe, "in_review", "unmatched", "held", "nothing") == {
        "in_review": 3, "unmatched": 1, "held": 1, "nothing": 0,
    }  # fmt: skip
    assert (stripe.oldest_unmatched_s, stripe.oldest_in_review_s) == pytest.approx((2 * 86400, 2 * 86400), abs=10)
    for one in reviewing.page(session):
        reviewing.accept(session, one.payment_id, reason="they are not ours", by=BY)
    assert "stripe" not in seen(session).endpoints or not seen(session).endpoints["stripe"].in_review


def test_what_came_and_what_was_credited_is_told_for_a_minute_an_hour_and_a_day(session: Session) -> None:
    done(session, 2, received=30, finished=29)
    done(session, 3, received=5000, finished=30)  # came long before, credited now
    done(session, 4, received=7200, finished=7190)
    done(session, 8, received=2 * 86400, finished=2 * 86400 - 1)
    done(session, 16, received=40, finished=20, endpoint="'other'", source="'backfill'")
    put(session, 1, state="'ignored'", finished_at=ago(1))
    one = seen(session).endpoints["one"]
    assert shown(one, "received_minute", "received_hour", "received_day") == {
        "received_minute": 3,
        "received_hour": 3,
        "received_day": 10,
    }
    assert shown(one, "credited_minute", "credited_hour", "credited_day") == {
        "credited_minute": 5,
        "credited_hour": 5,
        "credited_day": 9,
    }
    assert (one.received_per_s, one.credited_per_s) == (3 / 60, 5 / 60)
    total = seen(session).total
    assert (total.received_minute, total.credited_hour) == (19, 21)


def test_the_time_to_credit_is_of_posted_events_that_were_received_in_the_window(
    session: Session,
) -> None:
    done(session, 98, received=100, finished=99)
    done(session, 2, received=1000, finished=500)
    done(session, 5, received=80000, finished=10000)  # within the day, not the hour
    done(session, 5, received=9000, finished=5)  # held up by an outage before the hour
    done(session, 5, received=90000, finished=5)  # and before the day
    done(session, 50, received=3000, finished=10, source="'backfill'")
    done(session, 7, received=100, finished=98, endpoint="'other'")
    found = seen(session)
    one, other = found.endpoints["one"], found.endpoints["other"]
    assert one.p50_hour_s == pytest.approx(1, abs=0.01)
    assert one.p99_hour_s == pytest.approx(500, abs=10)
    assert one.p50_day_s == pytest.approx(1, abs=0.01)
    assert one.p99_day_s == pytest.approx(70000, abs=10)
    assert other.p99_hour_s == pytest.approx(2, abs=0.01)
    assert found.total.p50_hour_s == pytest.approx(1, abs=0.01)


def test_repeats_and_forgeries_are_counted_by_the_hour(session: Session) -> None:
    deliveries.add(session, {("one", "new"): 6, ("one", "duplicate"): 2, ("one", "unfinished_duplicate"): 1})
    deliveries.add(session, {("one", "bad_signature"): 3, ("other", "new"): 1})
    session.execute(
        text("INSERT INTO delivery_counts VALUES ('one', now() - interval '5 hours', 'bad_signature', 40)"),
    )
    session.execute(
        text("INSERT INTO delivery_counts VALUES ('one', now() - interval '5 days', 'bad_signature', 99)"),
    )
    found = seen(session)
    one = found.endpoints["one"]
    assert (one.answered_hour, one.answered_day) == (12, 52)
    assert (one.duplicates_hour, one.duplicates_day) == (3, 3)
    assert (one.bad_signatures_hour, one.bad_signatures_day) == (3, 43)
    assert one.bad_signature_rate == 0.25
    assert found.total.answered_hour == 13
    assert found.endpoints["other"].bad_signature_rate == 0


def test_a_payment_credited_twice_is_a_double_credit(session: Session, gym: Gym) -> None:
    gym.join("sub")
    tell(session, paid("in_1", "sub"), paid("ch_1", "sub"))
    assert seen(session).double_credits == 0
    session.execute(
        text("UPDATE payments SET same_as = (SELECT min(id) FROM payments) WHERE id = (SELECT max(id) FROM payments)")
    )
    assert seen(session).double_credits == 2
    session.execute(
        text(
            "UPDATE credit_grants SET remaining = 0, reversed = quantity WHERE payment_id ="
            " (SELECT max(id) FROM payments)"
        )
    )
    assert seen(session).double_credits == 0


def test_a_payment_for_several_memberships_or_of_several_tranches_is_no_double_credit(
    session: Session, gym: Gym
) -> None:
    gym.join("sub_family")
    add_billing_reference(session, gym.join(), ENDPOINT, "sub_family", by=BY, shared=True)
    tell(session, paid("in_1", "sub_family", amount=2 * DUES))
    yearly_member(gym, "sub_year")
    assert session.scalar(text("SELECT count(*) FROM credit_grants")) > 20
    assert seen(session).double_credits == 0


def test_what_expired_today_is_counted_without_what_was_undone(session: Session) -> None:
    session.execute(
        text(
            "INSERT INTO expiry_runs (state, as_of, started_at, finished_at, due, usual, grants, sessions) VALUES"
            " ('finished', now(), now(), now(), 5, 9, 5, 40), ('finished', now(), now(), now(), 2, 9, 2, 3),"
            " ('finished', now(), now() - interval '1 day', now(), 7, 9, 7, 70)"
        )
    )
    found = seen(session)
    assert (found.expired_grants, found.expired_sessions) == (7, 43)
    session.execute(text("UPDATE expiry_runs SET undone_grants = 1, undone_sessions = 8 WHERE grants = 5"))
    found = seen(session)
    assert (found.expired_grants, found.expired_sessions) == (6, 35)


def test_every_minute_and_hour_has_its_place_in_a_chart(session: Session) -> None:
    now = datetime.now(UTC)
    done(session, 4, received=1800, finished=600)
    shown = traffic.minutes(session, now - timedelta(hours=1))
    assert len(shown) in {61, 62}
    assert shown[0].at <= now - timedelta(hours=1) < shown[1].at
    assert [moved.received for moved in shown if moved.received] == [4]
    assert [moved.credited for moved in shown if moved.credited] == [4]
    received, credited = ([getattr(moved, name) for moved in shown].index(4) for name in ("received", "credited"))
    assert credited - received == 20
    by_hour = traffic.hours(session, now - timedelta(days=1))
    assert len(by_hour) in {25, 26}
    assert sum(moved.received for moved in by_hour) == 4


def test_a_worker_is_told_as_its_last_heartbeat_left_it(session: Session) -> None:
    worker = fresh("host")
    heartbeats.beat(session, worker, 5, memory_bytes=70_000_000, doing="credited 5 events")
    heartbeats.beat(session, worker, 0, memory_bytes=71_000_000)
    (found,) = heartbeats.workers(session)
    assert (found.process, found.events, found.memory_bytes, found.doing) == (
        worker,
        5,
        71_000_000,
        "credited 5 events",
    )
    assert found.credited_at is not None
    assert 0 <= found.age_s < 60
    session.execute(text("UPDATE heartbeats SET seen_at = now() - interval '25 hours'"))
    assert heartbeats.workers(session) == [], "it stopped a day ago"
