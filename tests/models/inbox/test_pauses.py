"""Pauses: nothing of a paused endpoint is claimed, and everything of the others."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.errors import AlreadyPaused, NotPaused, ReasonMissing
from models.inbox import pauses, queue, storing, thin_events
from models.inbox.storing import NewEvent, Stored
from models.staff.actions import Action
from tests.models.gym import BY


def claimed(session: Session, *, retried: bool = False) -> list[str]:
    return [event.event_id for event in queue.claim(session, retried=retried, limit=10, lease_s=60)]


def arrive(session: Session, *keys: tuple[str, str], thin: bool = False) -> list[Stored]:
    events = [NewEvent(endpoint, name, "test", b"", thin=thin) for endpoint, name in keys]
    return storing.store(session, events, lambda *_: True)


def test_what_waits_and_what_comes_is_kept_and_claimed_only_after_resuming(session: Session) -> None:
    arrive(session, ("stripe", "evt_1"), ("square", "evt_2"))
    pauses.pause(session, "stripe", "wrong terms", by=BY)
    assert arrive(session, ("stripe", "evt_3")) == [Stored.NEW]
    assert claimed(session) == ["evt_2"]
    pauses.resume(session, "stripe", "right again", by=BY)
    assert claimed(session) == ["evt_1", "evt_3"]


def test_neither_retries_nor_fetches_go_on(session: Session) -> None:
    arrive(session, ("stripe", "evt_retried"))
    session.execute(text("UPDATE webhook_events SET attempts = 1"))
    arrive(session, ("stripe", "evt_thin"), thin=True)
    pauses.pause(session, "stripe", "wrong terms", by=BY)
    assert claimed(session, retried=True) == []
    assert thin_events.claim(session, "stripe", lease_s=60) is None
    pauses.resume(session, "stripe", "right again", by=BY)
    assert claimed(session, retried=True) == ["evt_retried"]
    assert thin_events.claim(session, "stripe", lease_s=60) is not None


def test_who_when_and_why(session: Session) -> None:
    pauses.pause(session, "stripe", " wrong terms ", by=BY)
    [pause] = pauses.paused(session)
    assert (pause.endpoint, pause.paused_by, pause.reason) == ("stripe", BY.name, "wrong terms")
    pauses.resume(session, "stripe", "right again", by=BY)
    assert pauses.paused(session) == []
    acts = session.scalars(select(Action).order_by(Action.id))
    assert [(act.verb, act.subject, act.reason) for act in acts] == [
        ("pause", "endpoint stripe", "wrong terms"),
        ("resume", "endpoint stripe", "right again"),
    ]


def test_what_is_refused_changes_nothing(session: Session) -> None:
    with pytest.raises(NotPaused):
        pauses.resume(session, "stripe", "why", by=BY)
    with pytest.raises(ReasonMissing):
        pauses.pause(session, "stripe", " ", by=BY)
    pauses.pause(session, "stripe", "first", by=BY)
    with pytest.raises(AlreadyPaused):
        pauses.pause(session, "stripe", "second", by=BY)
    with pytest.raises(ReasonMissing):
        pauses.resume(session, "stripe", "", by=BY)
    [pause] = pauses.paused(session)
    assert pause.reason == "first"
