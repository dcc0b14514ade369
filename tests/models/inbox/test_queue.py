"""The queue: claiming, finishing, failing, replaying and discarding."""

import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.database.engine import sessions
from models.inbox import queue
from models.inbox.events import EventState, WebhookEvent
from models.inbox.queue import Claimed, Outcome
from tests.models.gym import Gym
from tests.models.inbox.arrivals import LEASE_S, arriving, claim, database_time, due_since, row, store


def test_fresh_events_are_claimed_in_groups_the_oldest_first(session: Session) -> None:
    store(session, *(arriving(name) for name in "abc"))
    for age, name in enumerate("abc"):
        due_since(session, [name], age + 1)
    assert claim(session, limit=1) == ["c"]
    assert claim(session, limit=1) == ["b"]
    assert claim(session) == ["a"]
    assert claim(session) == []


def test_a_claim_counts_an_attempt_and_takes_a_lease(session: Session) -> None:
    store(session, arriving("a", b"body"))
    before = database_time(session)
    (claimed,) = queue.claim(session, retried=False, limit=5, lease_s=LEASE_S)
    kept = row(session, "a")
    assert claimed == Claimed(kept.id, "stripe", "a", "paid", b"body", 1, None, None, False)
    assert kept.attempts == 1
    assert LEASE_S <= (kept.next_attempt_at - before).total_seconds() <= LEASE_S + 60
    assert claim(session) == claim(session, retried=True) == []


def test_an_event_whose_lease_ended_comes_again_alone(session: Session) -> None:
    store(session, *(arriving(name) for name in "abc"))
    claim(session, lease_s=0)
    assert claim(session) == []
    due_since(session, ["b"], 100)
    assert claim(session, retried=True) == ["b"]
    assert row(session, "b").attempts == 2
    assert len(claim(session, retried=True)) == 1


def test_a_plan_made_for_an_empty_table_takes_no_more_than_the_limit(session: Session) -> None:
    session.execute(text("ANALYZE webhook_events"))
    store(session, *(arriving(name) for name in "abcdef"))
    assert [len(claim(session, limit=2)) for _ in range(4)] == [2, 2, 2, 0]
    session.execute(text("UPDATE webhook_events SET next_attempt_at = clock_timestamp()"))
    assert [len(claim(session, retried=True)) for _ in range(2)] == [1, 1]


def test_an_event_that_is_not_due_is_not_claimed(session: Session) -> None:
    store(session, arriving("a"))
    due_since(session, ["a"], -100)
    assert claim(session) == []


@pytest.mark.parametrize(
    ("is_so", "due_in_s", "is_possible"),
    [
        ("attempts = 0", LEASE_S - 1, True),
        ("attempts = 0", 3600, False),
        ("attempts = 1", 1800, False),
        ("attempts = 12", 5000, True),
        ("attempts = 12", 6000, False),
        ("thin = true, attempts = 0", 3600, False),
        ("thin = true, waits_since = now() - interval '1 minute'", 3600, False),
        ("thin = true, waits_since = now() - interval '1 hour'", 5000, True),
        ("thin = true, waits_since = now() + interval '1 hour'", 3600, False),
        ("state = 'dead'", 3600, True),
    ],
)
def test_what_is_due_later_than_any_wait_lasts_is_due_now(
    session: Session, is_so: str, due_in_s: float, is_possible: bool
) -> None:
    store(session, arriving("a"))
    session.execute(text(f"UPDATE webhook_events SET {is_so}"))
    due_since(session, ["a"], -due_in_s)
    brought = queue.trust_clock(session, lease_s=LEASE_S, base_s=2.0, cap_s=3600.0)
    assert brought == (not is_possible)
    assert (row(session, "a").next_attempt_at <= database_time(session)) == (not is_possible)


def test_two_workers_never_claim_the_same_event_nor_wait(open_gym: Gym, engine: Engine) -> None:
    ours = open_gym.session
    store(ours, *(arriving(str(number)) for number in range(10)))
    ours.commit()
    with sessions(engine)() as theirs:
        mine, other = claim(ours, limit=4), claim(theirs, limit=100)
        assert (len(mine), len(other)) == (4, 6)
        assert set(mine) | set(other) == {str(number) for number in range(10)}
        theirs.rollback()
    assert sorted(claim(ours)) == sorted(other)


def test_finishing_marks_only_pending_events(session: Session) -> None:
    store(session, *(arriving(name) for name in "abc"))
    ids = {name: row(session, name).id for name in "abc"}
    queue.finish(
        session,
        [
            Outcome(ids["a"], EventState.PROCESSED),
            Outcome(ids["b"], EventState.IGNORED, "a fee"),
            Outcome(ids["c"], EventState.QUARANTINED, "wrong mode"),
        ],
    )
    queue.finish(session, [Outcome(ids["b"], EventState.PROCESSED)])
    shown = [(row(session, name).state, row(session, name).reason) for name in "abc"]
    assert shown == [("processed", None), ("ignored", "a fee"), ("quarantined", "wrong mode")]
    assert all(row(session, name).finished_at for name in "abc")
    assert claim(session) == []


def fail(session: Session, event_id: str, *, max_attempts: int = 15) -> tuple[EventState | None, float]:
    """The state after a failed try, and in how many seconds the next is due."""
    before = database_time(session)
    event = row(session, event_id)
    state = queue.fail(session, event.id, "boom", max_attempts=max_attempts, base_s=100, cap_s=100_000)
    return state, (row(session, event_id).next_attempt_at - before).total_seconds()


@pytest.mark.parametrize(
    ("attempts", "wait_s"), [(1, 100), (2, 200), (3, 400), (10, 51_200), (11, 100_000), (14, 100_000)]
)
def test_the_wait_after_a_failure_doubles_up_to_a_bound(session: Session, attempts: int, wait_s: int) -> None:
    store(session, arriving("a"))
    session.execute(update(WebhookEvent).values(attempts=attempts))
    state, wait = fail(session, "a")
    assert state == EventState.PENDING
    assert 0.5 * wait_s <= wait <= 1.5 * wait_s + 60
    assert row(session, "a").error == "boom"
    assert row(session, "a").finished_at is None


def test_the_last_failure_makes_a_dead_letter(session: Session) -> None:
    store(session, arriving("a"))
    states: list[EventState | None] = []
    for _ in range(3):
        due_since(session, ["a"], 1)
        queue.claim(session, retried=bool(states), limit=1, lease_s=LEASE_S)
        states.append(fail(session, "a", max_attempts=3)[0])
    assert states == [EventState.PENDING, EventState.PENDING, EventState.DEAD]
    due_since(session, ["a"], 1)
    assert claim(session) == claim(session, retried=True) == []
    dead = row(session, "a")
    assert (dead.error, dead.attempts) == ("boom", 3)
    assert dead.finished_at is not None


def test_a_failure_does_not_undo_what_another_worker_finished(session: Session) -> None:
    store(session, arriving("a"))
    queue.finish(session, [Outcome(row(session, "a").id, EventState.PROCESSED)])
    assert fail(session, "a")[0] is None
    assert (row(session, "a").state, row(session, "a").error) == ("processed", None)


@pytest.mark.parametrize("state", list(EventState))
def test_an_event_in_any_state_can_be_replayed(session: Session, state: EventState) -> None:
    store(session, arriving("a"))
    event = row(session, "a")
    claim(session)
    session.execute(update(WebhookEvent).values(state=state.value, reason="why", error="boom"))
    assert queue.replay(session, [event.id]) == [event.id]
    again = row(session, "a")
    assert (again.state, again.attempts, again.reason, again.error) == ("pending", 0, None, None)
    assert again.finished_at is None
    assert claim(session) == ["a"]


def test_a_conflict_and_an_unknown_event_cannot_be_replayed(session: Session) -> None:
    store(session, arriving("a", b"one"))
    store(session, arriving("a", b"two"))
    first = row(session, "a").id
    conflict = session.scalars(select(WebhookEvent.id).where(WebhookEvent.conflicts_with == first)).one()
    assert queue.replay(session, [conflict, 0, first]) == [first]
    assert session.get_one(WebhookEvent, conflict, populate_existing=True).state == "quarantined"


def test_an_unknown_state_is_refused(session: Session) -> None:
    store(session, arriving("a"))
    with pytest.raises(IntegrityError, match="ck_webhook_events_state"), session.begin_nested():
        session.execute(text("UPDATE webhook_events SET state = 'done'"))


def test_only_what_waits_for_a_person_can_be_discarded(session: Session) -> None:
    store(session, arriving("pending"), arriving("dead"), arriving("quarantined"), arriving("processed"))
    for name in ("dead", "quarantined", "processed"):
        session.execute(text("UPDATE webhook_events SET state = :name WHERE event_id = :name"), {"name": name})
    ids = {name: row(session, name).id for name in ("pending", "dead", "quarantined", "processed")}
    assert queue.discard(session, list(ids.values()), "a test") == sorted([ids["dead"], ids["quarantined"]])
    assert row(session, "processed").state == "processed"
    assert row(session, "dead").reason == "discarded: a test"
