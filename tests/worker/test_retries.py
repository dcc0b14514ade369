"""Events that fail: alone, with growing patience, to a dead letter and back."""

import pytest

from models.inbox import queue
from runtime.settings import Settings
from tests.worker.scene import NOW, Make, arrive, attempts, credited_once, due_now, join, paid, rows, run, states, value
from worker.crediting import Crediting

POISON = (
    """
    CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.reference LIKE 'in_bad%' THEN RAISE EXCEPTION 'poisoned'; END IF;
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER poison BEFORE INSERT ON payments FOR EACH ROW EXECUTE FUNCTION poison()",
)


@pytest.fixture
def poisoned(make: Make) -> Make:
    """The database refuses payments whose reference begins with in_bad."""
    run(make, *POISON)
    return make


def test_a_poisonous_event_holds_up_no_other(crediting: Crediting, poisoned: Make) -> None:
    good = [f"in_{number}" for number in range(20)]
    payments = [*good[:7], "in_bad1", *good[7:15], "in_bad2", *good[15:]]
    join(poisoned, *(f"sub_{payment}" for payment in payments))
    arrive(poisoned, *(paid(payment, f"sub_{payment}") for payment in payments))
    assert crediting.drain() == 20
    assert credited_once(poisoned, good)
    assert states(poisoned) == {"processed": 20, "pending": 2}
    for error, count in rows(poisoned, "SELECT error, attempts FROM webhook_events WHERE state = 'pending'"):
        assert "poisoned" in error
        # The statement and its parameters would be the body's content.
        assert "INSERT" not in error
        assert "in_bad" not in error
        assert count == 1


def test_a_failing_event_waits_longer_each_time_then_is_dead_until_replayed(settings: Settings, poisoned: Make) -> None:
    patience = {"max_attempts": 4, "retry_base_s": 100.0, "retry_cap_s": 300.0}
    crediting = Crediting(settings.model_copy(update=patience), poisoned, lambda: NOW)
    join(poisoned, "sub_1")
    arrive(poisoned, paid("in_bad", "sub_1"))
    for attempt, wait_s in enumerate((100, 200, 300), start=1):
        before = value(poisoned, "SELECT clock_timestamp()")
        assert crediting.drain() == 0
        after = value(poisoned, "SELECT clock_timestamp()")
        [(state, count, next_at)] = rows(poisoned, "SELECT state, attempts, next_attempt_at FROM webhook_events")
        assert (state, count) == ("pending", attempt)
        assert (next_at - before).total_seconds() >= wait_s * 0.5
        assert (next_at - after).total_seconds() <= wait_s * 1.5
        assert crediting.drain() == 0, "it is not due"
        assert attempts(poisoned) == {"evt_in_bad": attempt}
        due_now(poisoned)
    crediting.drain()
    [(state, count, finished)] = rows(poisoned, "SELECT state, attempts, finished_at IS NOT NULL FROM webhook_events")
    assert (state, count, finished) == ("dead", 4, True)

    run(poisoned, "UPDATE webhook_events SET next_attempt_at = clock_timestamp()")
    crediting.drain()
    assert attempts(poisoned) == {"evt_in_bad": 4}, "nobody tries a dead letter"

    run(poisoned, "DROP TRIGGER poison ON payments")
    with poisoned.begin() as session:
        [replayed] = queue.replay(session, [value(poisoned, "SELECT id FROM webhook_events")])
    assert crediting.drain() == 1
    assert rows(poisoned, "SELECT id, state, attempts, error FROM webhook_events") == [(replayed, "processed", 1, None)]
    assert credited_once(poisoned, ["in_bad"])


def test_replaying_what_had_its_effect_changes_nothing(crediting: Crediting, make: Make) -> None:
    join(make, "sub_1")
    arrive(make, paid("in_1", "sub_1"))
    crediting.drain()
    with make.begin() as session:
        queue.replay(session, [value(make, "SELECT id FROM webhook_events")])
    assert states(make) == {"pending": 1}
    assert crediting.drain() == 1
    assert states(make) == {"processed": 1}
    assert credited_once(make, ["in_1"])


def test_a_conflicting_content_cannot_be_replayed(crediting: Crediting, make: Make) -> None:
    join(make, "sub_1")
    arrive(make, paid("in_1", "sub_1"), paid("in_1", "sub_1", amount_paid=1))
    crediting.drain()
    conflict = value(make, "SELECT id FROM webhook_events WHERE conflicts_with IS NOT NULL")
    with make.begin() as session:
        assert queue.replay(session, [conflict, 404]) == []


def test_an_event_that_was_tried_before_is_claimed_alone(make: Make) -> None:
    arrive(make, *(paid(f"in_{number}", "sub_1") for number in range(5)))
    run(make, "UPDATE webhook_events SET attempts = 1 WHERE event_id <> 'evt_in_4'")
    with make.begin() as session:
        assert [event.event_id for event in queue.claim(session, retried=False, limit=500, lease_s=60)] == ["evt_in_4"]
        retried = [queue.claim(session, retried=True, limit=500, lease_s=60) for _ in range(5)]
    assert [len(events) for events in retried] == [1, 1, 1, 1, 0]
    assert {event.attempts for events in retried for event in events} == {2}
