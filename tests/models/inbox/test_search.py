"""Finding events: each filter, the bounded look back, and the exact count."""

import re
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.inbox import search, storing
from models.inbox.search import EventFilter, page, scope, types
from models.inbox.storing import NewEvent
from models.payments.facts import Linked, Reversed
from tests.models.gym import NOW, PAID_AT, Event, build, deliver, paid


@pytest.fixture
def three(session: Session) -> None:
    """Of two endpoints, in three states, a day apart."""
    for name, endpoint, kind, body in (
        ("evt_1", "stripe", "invoice.paid", b'{"amount": 1}'),
        ("evt_2", "square", "refund", b"\xff\x00 needle"),
        ("evt_3", "stripe", "refund", b""),
    ):
        storing.store(session, [NewEvent(endpoint, name, kind, body)], lambda *_: True)
    for name, state, attempts, error, reason, day in (
        ("evt_1", "processed", 1, None, None, 0),
        ("evt_2", "dead", 15, "KeyError: 50%_off", None, 1),
        ("evt_3", "ignored", 2, None, "A Towel", 2),
    ):
        session.execute(
            text(
                "UPDATE webhook_events SET state = :state, attempts = :attempts, error = :error, reason = :reason,"
                " received_at = :at WHERE event_id = :name"
            ),
            {
                "name": name,
                "state": state,
                "attempts": attempts,
                "error": error,
                "reason": reason,
                "at": NOW + timedelta(days=day),
            },
        )


def found(session: Session, wanted: EventFilter) -> list[str]:
    names = [event.event_id for event in page(session, wanted, limit=10).events]
    assert scope(session, wanted).events == len(names)
    return names


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (EventFilter(), ["evt_3", "evt_2", "evt_1"]),
        (EventFilter(state="dead"), ["evt_2"]),
        (EventFilter(endpoint="stripe"), ["evt_3", "evt_1"]),
        (EventFilter(type="refund"), ["evt_3", "evt_2"]),
        (EventFilter(type="refund", endpoint="stripe"), ["evt_3"]),
        (EventFilter(since=NOW + timedelta(days=1)), ["evt_3", "evt_2"]),
        (EventFilter(until=NOW + timedelta(days=1)), ["evt_1"]),
        (EventFilter(attempts=2), ["evt_3", "evt_2"]),
        (EventFilter(error="keyerror"), ["evt_2"]),
        (EventFilter(error="50%_"), ["evt_2"]),
        (EventFilter(error="50_%"), []),
        (EventFilter(error="towel"), ["evt_3"]),
        (EventFilter(event_id="evt_1"), ["evt_1"]),
        (EventFilter(event_id="evt_"), []),
        (EventFilter(body="needle"), ["evt_2"]),
        (EventFilter(body="NEEDLE"), []),
        (EventFilter(payment="in_1"), []),
        (EventFilter(member_id=1), []),
    ],
)
def test_by_each_filter(session: Session, wanted: EventFilter, names: Sequence[str]) -> None:
    assert found(session, wanted) == names


@pytest.mark.parametrize(
    ("state", "index"), [("pending", "ix_webhook_events_due"), ("dead", "ix_webhook_events_(troubled|error_groups)")]
)
def test_what_is_to_be_done_is_found_by_its_indexes(session: Session, state: str, index: str) -> None:
    wanted = select(func.count()).where(*EventFilter(state=state).conditions())
    asked = wanted.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
    plan = "\n".join(session.scalars(text(f"EXPLAIN {asked}")))
    assert re.search(f"(on|using) {index}", plan), plan
    assert "pk_webhook_events" not in plan


def test_pending_ones_are_all_there_are(session: Session) -> None:
    for name, thin, attempts in (("fresh", False, 0), ("tried", False, 3), ("thin", True, 0), ("thin again", True, 2)):
        storing.store(session, [NewEvent("stripe", name, "t", b"", thin=thin)], lambda *_: True)
        session.execute(
            text("UPDATE webhook_events SET attempts = :n WHERE event_id = :name"), {"n": attempts, "name": name}
        )
    assert found(session, EventFilter(state="pending")) == ["thin again", "thin", "tried", "fresh"]


def test_by_payment_under_any_of_its_references_and_by_member(session: Session) -> None:
    gym = build(session)
    member = gym.join("sub_ada").member
    other = gym.join("sub_ben").member
    deliver(session, [Event("evt_1", [paid("in_1", "sub_ada")]), Event("evt_2", [paid("in_2", "sub_ben")])])
    deliver(session, [Event("evt_3", [Linked("in_1", PAID_AT, "pi_1")])])
    deliver(session, [Event("evt_4", [Reversed("pi_1", NOW, "refund:re_1", 1, "USD")])])
    for reference in ("in_1", "pi_1"):
        assert found(session, EventFilter(payment=reference)) == ["evt_4", "evt_3", "evt_1"]
    assert found(session, EventFilter(member_id=member.id)) == ["evt_4", "evt_3", "evt_1"]
    assert found(session, EventFilter(member_id=other.id)) == ["evt_2"]


def test_what_contradicts_an_event_is_found_by_the_same_id(session: Session) -> None:
    for body in (b"1", b"2", b"3"):
        storing.store(session, [NewEvent("stripe", "evt_1", "t", body)], lambda *_: False)
    storing.store(session, [NewEvent("square", "evt_1", "t", b"")], lambda *_: False)
    assert found(session, EventFilter(event_id="evt_1")) == ["evt_1"] * 4


def test_page_by_page(session: Session) -> None:
    storing.store(session, [NewEvent("stripe", f"evt_{n}", "t", b"") for n in range(25)], lambda *_: True)
    seen, before = [], None
    while True:
        part = page(session, EventFilter(endpoint="stripe"), limit=10, before=before)
        seen += [event.event_id for event in part.events]
        assert part.back_to is None
        if part.older is None:
            break
        before = part.older
    assert seen == [f"evt_{n}" for n in reversed(range(25))]


def test_it_looks_back_no_further_than_it_says(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LOOKED_AT", 10)
    storing.store(
        session, [NewEvent("stripe", f"evt_{n}", "t" if n else "rare", b"") for n in range(25)], lambda *_: True
    )
    session.execute(text("UPDATE webhook_events SET state = 'dead' WHERE event_id = 'evt_0'"))
    rare = EventFilter(type="rare")
    first = page(session, rare, limit=5)
    assert (first.events, first.back_to is None) == ([], False)
    second = page(session, rare, limit=5, before=first.older)
    assert (second.events, second.back_to is None) == ([], False)
    last = page(session, rare, limit=5, before=second.older)
    assert ([event.event_id for event in last.events], last.older, last.back_to) == (["evt_0"], None, None)
    assert [event.event_id for event in page(session, EventFilter(state="dead"), limit=5).events] == ["evt_0"]


def hourly(session: Session, hours: int) -> None:
    """One event in each of the last hours, the oldest first; many ids were never given to any."""
    for number in range(hours):
        storing.store(session, [NewEvent("stripe", f"evt_{number}", "t", b"")], lambda *_: True)
        session.execute(text("SELECT nextval('webhook_events_id_seq') FROM generate_series(1, 7)"))
        session.execute(
            text("UPDATE webhook_events SET received_at = :at WHERE event_id = :name"),
            {"at": NOW - timedelta(hours=hours - number), "name": f"evt_{number}"},
        )


def test_a_time_long_past_is_looked_at_at_once(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LOOKED_AT", 24)
    hourly(session, 20)
    wanted = EventFilter(since=NOW - timedelta(hours=18), until=NOW - timedelta(hours=12), endpoint="stripe")
    first = page(session, wanted, limit=2)
    assert [event.event_id for event in first.events] == ["evt_7", "evt_6"]
    second = page(session, wanted, limit=10, before=first.older)
    assert [event.event_id for event in second.events] == ["evt_5", "evt_4", "evt_3"]
    assert second.back_to == NOW - timedelta(hours=18)
    third = page(session, wanted, limit=10, before=second.older)
    assert ([event.event_id for event in third.events], third.older, third.back_to) == (["evt_2"], None, None)


@pytest.mark.parametrize("hours", [-1, 0, 100])
def test_a_time_without_events_ends_the_listing(session: Session, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    monkeypatch.setattr(search, "LOOKED_AT", 3)
    hourly(session, 5)
    ago = NOW - timedelta(hours=hours)
    wanted = EventFilter(since=ago, until=ago + timedelta(minutes=1), type="t")
    assert page(session, wanted, limit=5) == ([], None, None)


def test_the_scope_ends_at_the_last_that_matches(session: Session) -> None:
    storing.store(session, [NewEvent("stripe", f"evt_{n}", "t", b"") for n in range(3)], lambda *_: True)
    ids = session.scalars(text("SELECT id FROM webhook_events ORDER BY id")).all()
    session.execute(text("UPDATE webhook_events SET type = 'other' WHERE id = :last"), {"last": ids[-1]})
    assert scope(session, EventFilter(type="t")) == (2, ids[0], ids[1])
    assert scope(session, EventFilter(type="none")) == (0, 0, 0)


@pytest.mark.usefixtures("three")
def test_the_types_there_are(session: Session) -> None:
    assert types(session) == ["invoice.paid", "refund"]
