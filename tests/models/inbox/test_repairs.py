"""Repairing by hand: what is done to which events, what is refused, and that it stands in the action log."""

from collections.abc import Callable, Collection

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.errors import NotRepairable, ReasonMissing
from models.inbox import queue, repairs, storing
from models.inbox.storing import NewEvent
from models.staff.actions import Action
from tests.models.gym import BY

Act = Callable[..., list[int]]


def event(session: Session, name: str, state: str = "pending", **columns: object) -> int:
    storing.store(session, [NewEvent("stripe", name, "test", b"{}")], lambda *_: True)
    number = session.scalar(text("SELECT max(id) FROM webhook_events"))
    changes = {"state": state, "attempts": 15, "error": "boom", **columns}
    sets = ", ".join(f"{column} = :{column}" for column in changes)
    session.execute(text(f"UPDATE webhook_events SET {sets} WHERE id = {number}"), changes)
    return int(number or 0)


def of(session: Session, number: int) -> tuple[str, int, str | None]:
    row = session.execute(text("SELECT state, attempts, reason FROM webhook_events WHERE id = :id"), {"id": number})
    state, attempts, reason = row.one()
    return state, attempts, reason


def refused(session: Session, act: Act, ids: Collection[int]) -> str:
    with pytest.raises(NotRepairable) as refusal:
        act(session, ids, "why", by=BY)
    assert session.scalars(select(Action)).all() == []
    return str(refusal.value)


@pytest.mark.parametrize("state", ["pending", "processed", "ignored", "quarantined", "dead"])
def test_any_event_is_replayed_from_the_beginning(session: Session, state: str) -> None:
    number = event(session, "evt_1", state)
    assert repairs.replay(session, [number], " mended ", by=BY) == [number]
    assert of(session, number) == ("pending", 0, None)
    [act] = session.scalars(select(Action))
    assert (act.actor, act.verb, act.subject, act.reason) == (BY.name, "replay", f"event {number}", "mended")


def test_only_quarantined_ones_are_let_through_also_contradictions(session: Session) -> None:
    first = event(session, "evt_1", "processed")
    storing.store(session, [NewEvent("stripe", "evt_1", "test", b"[]")], lambda *_: False)
    second = session.scalars(text("SELECT max(id) FROM webhook_events")).one()
    assert f"it contradicts event {first}" in refused(session, repairs.replay, [second])
    assert "it is processed" in refused(session, repairs.release, [first])
    assert repairs.release(session, [second], "both are right", by=BY) == [second]
    assert of(session, second)[0] == "pending"


@pytest.mark.parametrize("state", ["dead", "ignored"])
def test_a_contradiction_that_was_discarded_or_failed_is_let_through_again(session: Session, state: str) -> None:
    event(session, "evt_1", "processed")
    storing.store(session, [NewEvent("stripe", "evt_1", "test", b"[]")], lambda *_: False)
    second = session.scalars(text("SELECT max(id) FROM webhook_events")).one()
    session.execute(text("UPDATE webhook_events SET state = :state WHERE id = :id"), {"state": state, "id": second})
    assert repairs.release(session, [second], "both are right", by=BY) == [second]
    assert of(session, second)[0] == "pending"


def test_only_troubled_ones_are_discarded(session: Session) -> None:
    dead, waiting = event(session, "evt_1", "dead"), event(session, "evt_2")
    assert "it is pending" in refused(session, repairs.discard, [dead, waiting])
    assert of(session, dead)[0] == "dead"
    repairs.discard(session, [dead], "a test", by=BY)
    assert of(session, dead) == ("ignored", 15, "discarded: a test; boom")


@pytest.mark.parametrize("act", [repairs.replay, repairs.release, repairs.discard])
def test_all_or_none_and_never_without_a_reason(session: Session, act: Act) -> None:
    number = event(session, "evt_1", "quarantined")
    assert f"Event {number + 1} cannot" in refused(session, act, [number, number + 1])
    assert "there is no such event" in refused(session, act, [number + 1])
    with pytest.raises(ReasonMissing):
        act(session, [number], "  ", by=BY)
    pruned = event(session, "evt_2", "quarantined", pruned_at="2026-01-01Z")
    assert "its body was pruned" in refused(session, act, [pruned])
    assert of(session, number)[0] == "quarantined"


def test_a_pruned_event_is_not_due_again_by_any_way(session: Session) -> None:
    number = event(session, "evt_1", "processed", pruned_at="2026-01-01Z")
    assert queue.replay(session, [number], let_through=True) == []
