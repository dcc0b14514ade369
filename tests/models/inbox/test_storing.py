"""Storing: each event once, repeats told from conflicts."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.inbox import queue
from models.inbox.events import EventState, WebhookEvent
from models.inbox.queue import Outcome
from models.inbox.storing import Stored
from tests.models.inbox.arrivals import arriving, claim, row, store


def test_an_event_is_stored_once_as_it_came(session: Session) -> None:
    body = b'\x00\xff {"id": "evt"}'
    assert store(session, arriving("a", body), arriving("b")) == [Stored.NEW, Stored.NEW]
    assert store(session, arriving("a", body), arriving("c")) == [Stored.UNFINISHED_DUPLICATE, Stored.NEW]
    kept = row(session, "a")
    assert (bytes(kept.body), kept.state, kept.attempts, kept.api_version) == (body, "pending", 0, "2025-03-31")


def test_repeats_within_one_group_are_told_apart(session: Session) -> None:
    outcomes = store(session, arriving("a"), arriving("a"), arriving("b"), arriving("a", b" {}"), arriving("a", b"{1}"))
    assert outcomes == [
        Stored.NEW,
        Stored.UNFINISHED_DUPLICATE,
        Stored.NEW,
        Stored.UNFINISHED_DUPLICATE,
        Stored.CONFLICT,
    ]


def test_a_repeat_of_a_finished_event_needs_no_bell(session: Session) -> None:
    store(session, arriving("a"))
    queue.finish(session, [Outcome(row(session, "a").id, EventState.PROCESSED)])
    assert store(session, arriving("a")) == [Stored.DUPLICATE]


def test_one_id_on_two_endpoints_is_two_events(session: Session) -> None:
    assert store(session, arriving("a"), arriving("a", endpoint="other")) == [Stored.NEW, Stored.NEW]


def test_the_same_id_with_other_content_is_kept_beside_the_first_which_stands(session: Session) -> None:
    store(session, arriving("a", b"one"))
    assert (
        store(session, arriving("a", b"two"), arriving("a", b"two"), arriving("a", b"three")) == [Stored.CONFLICT] * 3
    )
    first = row(session, "a")
    conflicts = session.scalars(select(WebhookEvent).where(WebhookEvent.conflicts_with == first.id)).all()
    assert sorted(bytes(conflict.body) for conflict in conflicts) == [b"three", b"two"]
    assert {conflict.state for conflict in conflicts} == {"quarantined"}
    assert all(f"event {first.id}" in (conflict.reason or "") for conflict in conflicts)
    assert (bytes(first.body), first.state) == (b"one", "pending")
    assert claim(session) == ["a"]


def test_an_unusable_event_goes_into_quarantine_at_once(session: Session) -> None:
    assert store(session, arriving("a", reason="unparsable")) == [Stored.NEW]
    kept = row(session, "a")
    assert (kept.state, kept.reason) == ("quarantined", "unparsable")
    assert kept.finished_at is not None
    assert claim(session) == []
