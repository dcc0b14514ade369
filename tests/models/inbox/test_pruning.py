"""Pruning: which bodies are given up, what stays, and what a repeat of a pruned event is."""

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from models.database.engine import sessions
from models.inbox import storing
from models.inbox.events import EventState
from models.inbox.pruning import _PRUNE, prunable, prune, prune_counts
from models.inbox.storing import NewEvent, Stored
from models.payments import reviewing
from tests.models.gym import BY, build, paid, tell

KEEP = 400


def kept(session: Session, name: str, state: EventState = EventState.PROCESSED, days: float = KEEP + 1) -> int:
    """An event of that age, with all that an event has."""
    store(session, name, b"{}")
    number = session.execute(text("SELECT max(id) FROM webhook_events")).scalar_one()
    session.execute(
        text("""
            UPDATE webhook_events
            SET state = :state, received_at = now() - make_interval(secs => :days * 86400),
                resource = 'r', headers = '{}'
            WHERE id = :id
        """),
        {"state": state.value, "days": days, "id": number},
    )
    session.execute(text(f"INSERT INTO event_errors (event_id, attempt, error) VALUES ({number}, 1, 'boom')"))
    return int(number)


def store(session: Session, name: str, body: bytes) -> list[Stored]:
    return storing.store(session, [NewEvent("stripe", name, "test", body)], lambda *bodies: bodies[1] == bodies[2])


def pruned(session: Session) -> list[str]:
    found = session.scalars(text("SELECT event_id FROM webhook_events WHERE pruned_at IS NOT NULL ORDER BY id"))
    return list(found)


def test_what_is_done_with_and_old_is_given_up_and_all_else_stays(session: Session) -> None:
    for state in EventState:
        kept(session, state, state)
        kept(session, f"young_{state}", state, KEEP - 1)
    assert prunable(session, keep_days=KEEP) == 2
    assert prune(session, keep_days=KEEP, limit=10) == 2
    assert pruned(session) == ["processed", "ignored"]
    query = "SELECT bool_and({}) FROM webhook_events e WHERE pruned_at IS {} NULL"
    gone = "body = '' AND resource IS NULL AND headers IS NULL AND event_id <> '' AND type = 'test'"
    assert session.scalar(text(query.format(gone, "NOT")))
    assert session.scalar(text(query.format("body = '{}' AND resource = 'r' AND headers = '{}'", "")))
    tries = session.scalars(
        text("SELECT event_id FROM event_errors EXCEPT SELECT id FROM webhook_events WHERE pruned_at IS NULL")
    ).all()
    assert tries == []
    assert session.scalar(text("SELECT count(*) FROM event_errors")) == 2 * len(EventState) - 2
    assert (prunable(session, keep_days=KEEP), prune(session, keep_days=KEEP, limit=10)) == (0, 0)


def test_an_event_keeps_its_body_while_its_payment_is_in_review(session: Session) -> None:
    gym = build(session)
    gym.join("sub_ada")
    tell(session, paid("in_fine", "sub_ada"), paid("in_lost", "sub_nobody"))
    session.execute(
        text("UPDATE webhook_events SET state = 'processed', received_at = now() - make_interval(days => :days)"),
        {"days": KEEP + 1},
    )
    assert (prunable(session, keep_days=KEEP), prune(session, keep_days=KEEP, limit=10)) == (1, 1)
    (waiting,) = reviewing.page(session)
    assert waiting.payment == "in_lost"
    reviewing.accept(session, waiting.payment_id, reason="the cafe's", by=BY)
    assert prune(session, keep_days=KEEP, limit=10) == 1


def test_a_batch_takes_the_oldest(session: Session) -> None:
    for name, days in (("c", KEEP + 1), ("a", KEEP + 3), ("b", KEEP + 2)):
        kept(session, name, days=days)
    assert prune(session, keep_days=KEEP, limit=2) == 2
    assert sorted(pruned(session)) == ["a", "b"]
    assert prune(session, keep_days=KEEP, limit=2) == 1


def test_what_somebody_is_at_is_left_for_the_next_time(engine: Engine) -> None:
    make = sessions(engine)
    with make() as session, make() as other:
        number = kept(session, "a")
        kept(session, "b")
        session.commit()
        other.execute(text(f"SELECT FROM webhook_events WHERE id = {number} FOR UPDATE"))
        assert prune(session, keep_days=KEEP, limit=10) == 1
        assert pruned(session) == ["b"]
        other.rollback()
        assert prune(session, keep_days=KEEP, limit=10) == 1


def test_both_of_a_contradiction_are_kept_whatever_became_of_them(session: Session) -> None:
    kept(session, "evt")
    assert store(session, "evt", b"other") == [Stored.CONFLICT]
    session.execute(text("UPDATE webhook_events SET state = 'processed', received_at = now() - interval '500 days'"))
    assert (prunable(session, keep_days=KEEP), prune(session, keep_days=KEEP, limit=10)) == (0, 0)


def test_a_repeat_of_a_pruned_event_is_a_duplicate_and_no_contradiction(session: Session) -> None:
    kept(session, "evt")
    prune(session, keep_days=KEEP, limit=10)
    assert store(session, "evt", b"{}") == [Stored.DUPLICATE]
    assert store(session, "evt", b"in other words") == [Stored.DUPLICATE]
    assert session.scalar(text("SELECT count(*) FROM webhook_events")) == 1


def test_the_inbox_tells_a_pruned_body_from_an_event_it_never_had(session: Session) -> None:
    kept(session, "old")
    prune(session, keep_days=KEEP, limit=10)
    store(session, "new", b"{}")
    keys = [("stripe", name) for name in ("old", "new", "none")]
    assert storing.bodies(session, keys) == {("stripe", "old"): None, ("stripe", "new"): b"{}"}


def test_counts_of_old_hours_go_the_oldest_first(session: Session) -> None:
    for days in (401, 402, 399):
        session.execute(
            text(
                "INSERT INTO delivery_counts (endpoint, hour, outcome, count)"
                f" VALUES ('stripe', now() - interval '{days} days', 'new', {days})"
            )
        )
    left = text("SELECT count FROM delivery_counts ORDER BY count")
    assert prune_counts(session, limit=1) == 1
    assert session.scalars(left).all() == [399, 401]
    assert (prune_counts(session, limit=10), prune_counts(session, limit=10)) == (1, 0)
    assert session.scalars(left).all() == [399]


def test_what_can_be_pruned_is_found_by_its_index(session: Session) -> None:
    statement = text(f"EXPLAIN {_PRUNE.text}")
    plan = "\n".join(session.scalars(statement, {"keep_days": KEEP, "limit": 10}))
    assert "using ix_webhook_events_prunable" in plan
    assert "Seq Scan" not in plan
