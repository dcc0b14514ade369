"""What became of an event: every fact and entry of it, and none of another's."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.inbox import queue, storing
from models.inbox.events import WebhookEvent
from models.inbox.storing import NewEvent
from models.inbox.story import Story, stories, story
from models.payments.facts import Linked, Reversed
from tests.models.gym import CLASSES, NOW, PAID_AT, TRAININGS, Event, Gym, build, deliver, paid


@pytest.fixture
def gym(session: Session) -> Gym:
    return build(session)


def of(session: Session, event_id: str) -> Story:
    number = session.scalar(select(WebhookEvent.id).where(WebhookEvent.event_id == event_id))
    assert number is not None
    told = story(session, number)
    assert told is not None
    return told


def test_a_payment_and_its_refund_each_have_their_own_entries(gym: Gym, session: Session) -> None:
    member = gym.join("sub_ada").member
    deliver(session, [Event("evt_paid", [paid("in_1", "sub_ada"), Linked("in_1", PAID_AT, "pi_1")])])
    deliver(session, [Event("evt_other", [paid("in_2", "sub_ada")])])
    deliver(session, [Event("evt_back", [Reversed("pi_1", NOW, "refund:re_1", 4500, "USD")])])

    first = of(session, "evt_paid")
    assert [(fact.kind, fact.payment, fact.state, fact.member) for fact in first.facts] == [
        ("paid", "in_1", "settled", "Ada"),
        ("linked", "in_1", "settled", "Ada"),
    ]
    assert {(entry.kind, entry.quantity, entry.item) for entry in first.entries} == {
        ("grant", CLASSES, "Spin"),
        ("grant", TRAININGS, "Training"),
    }
    assert {entry.member_id for entry in first.entries} == {member.id}

    back = of(session, "evt_back")
    assert [(fact.kind, fact.cause, fact.amount_minor) for fact in back.facts] == [("reversed", "refund:re_1", 4500)]
    assert {(entry.kind, entry.quantity) for entry in back.entries} == {("clawback", -4), ("clawback", -1)}


def test_a_payment_that_waits_has_facts_and_no_entries(gym: Gym, session: Session) -> None:
    deliver(session, [Event("evt_lost", [paid("in_1", "sub_nobody")])])
    [fact] = of(session, "evt_lost").facts
    assert (fact.state, fact.member, fact.billing_references) == ("unmatched", None, ["sub_nobody"])
    assert of(session, "evt_lost").entries == []


def test_what_contradicts_stands_beside_the_first(session: Session) -> None:
    for body in (b"one", b"two"):
        storing.store(session, [NewEvent("stripe", "evt_1", "test", body)], lambda *_: False)
    one, two = session.scalars(select(WebhookEvent).order_by(WebhookEvent.id))
    first, second = story(session, one.id), story(session, two.id)
    assert first
    assert second
    assert (first.first, [other.id for other in first.others]) == (None, [two.id])
    assert (second.first and second.first.id, second.others) == (one.id, [])


def test_its_failed_tries_are_told_in_order(session: Session) -> None:
    storing.store(session, [NewEvent("stripe", name, "test", b"") for name in ("evt_1", "evt_2")], lambda *_: True)
    number = of(session, "evt_1").event.id
    for attempt, error in ((1, "first"), (2, "second")):
        session.execute(text("UPDATE webhook_events SET attempts = :attempt"), {"attempt": attempt})
        assert queue.fail(session, number, error, max_attempts=9, base_s=1, cap_s=1) == "pending"
    assert [(error.attempt, error.error) for error in of(session, "evt_1").errors] == [(1, "first"), (2, "second")]
    assert of(session, "evt_2").errors == []


def test_there_is_none_of_an_unknown_event(session: Session) -> None:
    assert story(session, 1) is None


def test_many_are_told_at_once_each_with_its_own(gym: Gym, session: Session) -> None:
    gym.join("sub_ada")
    deliver(session, [Event("evt_1", [paid("in_1", "sub_ada")])])
    deliver(session, [Event("evt_back", [Reversed("in_1", NOW, "refund:re_1", 4500, "USD")])])
    deliver(session, [Event("evt_2", [paid("in_2", "sub_ada")])])
    events = session.scalars(select(WebhookEvent).order_by(WebhookEvent.id.desc())).all()
    told = stories(session, events)
    assert told == [story(session, event.id) for event in events]
    assert [[entry.kind for entry in one.entries] for one in told] == [
        ["grant", "grant"],
        ["clawback", "clawback"],
        ["grant", "grant"],
    ]
    assert stories(session, []) == []
