"""Acts on all events that match: each event once, nothing that arrived later, however often they are cut off."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from models.database.engine import sessions
from models.errors import NotFound, NothingMatches, OnlyTroubledDiscarded, ReasonMissing, WrongState
from models.inbox import bulk, pauses, queue, search, storing
from models.inbox.bulk import BulkAction, BulkVerb
from models.inbox.events import EventState
from models.inbox.search import EventFilter
from models.inbox.storing import NewEvent
from models.staff.actions import Action
from tests.models.gym import BY

DEAD = EventFilter(state=EventState.DEAD)


def arrived(session: Session, number: int, state: EventState = EventState.DEAD, prefix: str = "evt") -> None:
    names = [f"{prefix}_{place}" for place in range(number)]
    storing.store(session, [NewEvent("stripe", name, "test", b"{}") for name in names], lambda *_: True)
    session.execute(
        text("UPDATE webhook_events SET state = :state, attempts = 15 WHERE event_id = ANY(:names)"),
        {"state": state.value, "names": names},
    )
    session.commit()


def asked(session: Session, verb: BulkVerb = BulkVerb.REPLAY, wanted: EventFilter = DEAD) -> BulkAction:
    act = bulk.ask(session, verb, wanted, bulk.scope(session, verb, wanted), "mended", by=BY)
    session.commit()
    return act


def finish(session: Session, limit: int = 10) -> int:
    """Works until nothing is left; how many batches that took."""
    batches = 0
    while bulk.work(session, limit=limit):
        session.commit()
        batches += 1
    return batches


def states(session: Session) -> Counter[str]:
    session.rollback()
    return Counter(session.scalars(text("SELECT state FROM webhook_events")))


def test_all_that_match_and_nothing_else_batch_by_batch(session: Session) -> None:
    arrived(session, 25)
    arrived(session, 3, EventState.QUARANTINED, "other")
    act = asked(session)
    arrived(session, 2, EventState.DEAD, "later")
    assert finish(session) == 3
    assert states(session) == {"pending": 25, "quarantined": 3, "dead": 2}
    assert (act.done, act.total, act.finished_at is None) == (25, 25, False)


def test_one_that_was_cut_off_goes_on_where_it_was(session: Session) -> None:
    arrived(session, 25)
    act = asked(session)
    bulk.work(session, limit=10)
    session.commit()
    bulk.work(session, limit=10)
    session.rollback()  # as when its worker is killed
    assert states(session) == {"pending": 10, "dead": 15}
    finish(session)
    assert states(session) == {"pending": 25}
    assert act.done == 25


def test_a_replay_waits_while_much_is_due(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CROWD", 5)
    arrived(session, 4, EventState.PENDING, "live")
    assert queue.is_crowded(session, 4)
    arrived(session, 25)
    act = asked(session)
    assert finish(session) == 1
    assert states(session) == {"pending": 14, "dead": 15}
    session.execute(text("UPDATE webhook_events SET state = 'processed' WHERE state = 'pending'"))
    assert finish(session) == 1
    assert act.finished_at is None
    pauses.pause(session, "stripe", "look at them first", by=BY)
    assert finish(session) == 1
    assert states(session) == {"processed": 14, "pending": 15}


def test_a_discard_never_waits(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CROWD", 1)
    arrived(session, 4, EventState.PENDING, "live")
    arrived(session, 5)
    asked(session, BulkVerb.DISCARD)
    finish(session)
    assert states(session) == {"pending": 4, "ignored": 5}


def test_an_event_that_failed_again_meanwhile_is_not_replayed_again(session: Session) -> None:
    arrived(session, 20)
    act = asked(session)
    bulk.work(session, limit=10)
    session.execute(text("UPDATE webhook_events SET state = 'dead' WHERE state = 'pending'"))
    finish(session)
    assert states(session) == {"pending": 10, "dead": 10}
    assert act.done == 20


def test_two_workers_leave_each_other_their_batches(engine: Engine) -> None:
    make = sessions(engine)
    with make() as one, make() as other:
        arrived(one, 5)
        asked(one)
        assert bulk.work(one, limit=10)
        assert not bulk.work(other, limit=10)
        one.commit()
        assert not bulk.work(other, limit=10)
        assert states(one) == {"pending": 5}


def test_a_filter_that_no_index_helps_walks_in_bounded_steps(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "LOOKED_AT", 4)
    arrived(session, 9, EventState.IGNORED)
    arrived(session, 9, EventState.PROCESSED, "fine")
    asked(session, wanted=EventFilter(state=EventState.PROCESSED, type="test"))
    assert finish(session) == 3
    assert states(session) == {"ignored": 9, "pending": 9}


def test_discarding_keeps_the_reason_and_is_for_troubled_events_alone(session: Session) -> None:
    arrived(session, 2)
    asked(session, BulkVerb.DISCARD)
    finish(session)
    session.rollback()
    assert set(session.scalars(text("SELECT reason FROM webhook_events"))) == {"discarded: mended"}
    with pytest.raises(OnlyTroubledDiscarded):
        bulk.ask(session, BulkVerb.DISCARD, EventFilter(), search.Scope(2, 1, 2), "why", by=BY)


def test_what_cannot_be_replayed_is_not_counted(session: Session) -> None:
    for body in (b"1", b"2"):
        storing.store(session, [NewEvent("stripe", "evt_twice", "test", body)], lambda *_: False)
    arrived(session, 1, EventState.PROCESSED, "pruned")
    session.execute(text("UPDATE webhook_events SET pruned_at = now() WHERE event_id = 'pruned_0'"))
    assert bulk.scope(session, BulkVerb.REPLAY, EventFilter()).events == 1
    asked(session, wanted=EventFilter())
    finish(session)
    assert states(session) == {"pending": 1, "quarantined": 1, "processed": 1}


def test_one_that_was_stopped_does_no_more(session: Session) -> None:
    arrived(session, 25)
    act = asked(session)
    bulk.work(session, limit=10)
    bulk.cancel(session, act.id, by=BY)
    session.commit()
    assert finish(session) == 0
    assert states(session) == {"pending": 10, "dead": 15}
    assert (act.done, act.cancelled) == (10, True)
    with pytest.raises(WrongState):
        bulk.cancel(session, act.id, by=BY)
    with pytest.raises(NotFound):
        bulk.cancel(session, act.id + 1, by=BY)


def test_asking_and_stopping_are_logged_once_with_scope_and_reason(session: Session) -> None:
    arrived(session, 3)
    act = asked(session)
    bulk.cancel(session, act.id, by=BY)
    one, two = session.scalars(select(Action).order_by(Action.id))
    assert (one.actor, one.verb, one.reason) == (BY.name, "replay all", "mended")
    assert one.subject == f'act {act.id} on 3 events: {{"state":"dead"}}'
    assert (two.verb, two.subject) == ("stop replay all", f"act {act.id}, 0 of 3 done")


def test_nothing_is_asked_for_without_a_reason_or_without_events(session: Session) -> None:
    with pytest.raises(NothingMatches):
        bulk.ask(session, BulkVerb.REPLAY, DEAD, bulk.scope(session, BulkVerb.REPLAY, DEAD), "why", by=BY)
    arrived(session, 1)
    with pytest.raises(ReasonMissing):
        bulk.ask(session, BulkVerb.REPLAY, DEAD, bulk.scope(session, BulkVerb.REPLAY, DEAD), " ", by=BY)


def test_the_newest_acts_are_listed_first(session: Session) -> None:
    arrived(session, 1)
    first, second = asked(session), asked(session, BulkVerb.DISCARD)
    assert [act.id for act in bulk.latest(session)] == [second.id, first.id]


def test_a_filter_is_kept_as_it_was() -> None:
    wanted = EventFilter(state="dead", since=datetime(2026, 3, 1, tzinfo=UTC), attempts=3, body='{"a": "ü"}')
    assert EventFilter.from_json(wanted.as_json()) == wanted
    assert EventFilter.from_json(EventFilter().as_json()) == EventFilter()
