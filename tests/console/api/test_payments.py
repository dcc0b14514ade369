"""Payments and events as programs ask for them."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.inbox import queue, storing
from models.inbox.events import EventState, WebhookEvent
from models.inbox.queue import Outcome
from models.inbox.storing import NewEvent
from models.payments.facts import Linked, Reversed
from tests.console.api.conftest import PAID_AT, Caller, Json, Paid, answered
from tests.models.gym import CLASSES, DUES, TRAININGS, Event, Gym, deliver, paid, tell

HOUR = timedelta(hours=1)


def take_in(session: Session, *wanted: Event) -> None:
    """Stores events and takes them in, as a worker does."""
    deliver(session, wanted, now=PAID_AT)
    ids = session.scalars(select(WebhookEvent.id).where(WebhookEvent.event_id.in_([event.id for event in wanted])))
    queue.finish(session, [Outcome(event, EventState.PROCESSED) for event in ids])
    session.commit()


def number(session: Session, event_id: str) -> int:
    return session.scalars(select(WebhookEvent.id).where(WebhookEvent.event_id == event_id)).one()


def test_a_payment_says_its_amount_its_state_and_what_it_gave(
    reader: Caller, gym: Gym, ada: Paid, session: Session
) -> None:
    refund = Reversed("in_1", PAID_AT + HOUR, "refund of in_1:re_1", DUES // 2, "USD")
    tell(session, Linked("in_1", PAID_AT, "pi_1"), refund, now=PAID_AT)
    [payment] = reader.data(f"/members/{ada.id}/payments")
    once = {"membership_id": ada.membership.id, "tranches": 1}
    assert payment == {
        "id": 1,
        "endpoint": "stripe",
        "reference": "in_1",
        "references": ["in_1", "pi_1"],
        "state": "settled",
        "problem": None,
        "amount_minor": DUES,
        "currency": "USD",
        "paid_at": payment["paid_at"],
        "settled_minor": DUES,
        "due_minor": None,
        "covers": None,
        "lines": [],
        "reversed_minor": DUES // 2,
        "membership_id": ada.membership.id,
        "member_id": ada.id,
        "memberships": [{"membership_id": ada.membership.id, "member_id": ada.id}],
        "billing_references": [],
        "recorded_at": payment["recorded_at"],
        "sessions": [
            {"item_id": gym.spin.id, "item": "Spin", "quantity": CLASSES, "reversed": CLASSES // 2, **once},
            {"item_id": gym.training.id, "item": "Training", "quantity": TRAININGS, "reversed": TRAININGS // 2, **once},
        ],
    }
    assert reader.data(f"/memberships/{ada.membership.id}/payments") == [payment]
    whole = answered(reader.get("/payments/1"))
    assert {**whole, "facts": None} == {**payment, "facts": None}
    told = [(one["kind"], one["reference"], one["cause"], one["amount_minor"]) for one in whole["facts"]]
    assert told == [
        ("paid", "in_1", None, DUES),
        ("linked", "in_1", None, None),
        ("reversed", "in_1", "refund of in_1:re_1", DUES // 2),
    ]
    assert whole["facts"][0]["event_id"] == 1


def test_payments_are_found_by_the_processors_id_and_by_their_state(
    reader: Caller, gym: Gym, ada: Paid, session: Session
) -> None:
    tell(session, Linked("in_1", PAID_AT, "pi_1"), paid("in_2", "sub_nobody"), now=PAID_AT)
    tell(session, paid("in_3", "sub_ada", currency="EUR"), now=PAID_AT)
    for query, references in (
        ({}, ["in_3", "in_2", "in_1"]),
        ({"reference": "pi_1"}, ["in_1"]),
        ({"reference": "in_1", "endpoint": "stripe"}, ["in_1"]),
        ({"reference": "in_1", "endpoint": "standard"}, []),
        ({"state": "unmatched"}, ["in_2"]),
        ({"state": "held"}, ["in_3"]),
        ({"state": "settled"}, ["in_1"]),
    ):
        assert [row["reference"] for row in reader.data("/payments", **query)] == references, query
    [waiting] = reader.data("/payments", state="unmatched")
    assert (waiting["billing_references"], waiting["member_id"]) == (["sub_nobody"], None)
    [held] = reader.data("/payments", state="held")
    assert "EUR" in held["problem"]
    for wrong in ({"state": "heard_of"}, {"reference": ""}, {"endpoint": "a\0b"}, {"member": 1}):
        answered(reader.get("/payments", **wrong), 422)
    for path in ("/payments/404", "/members/404/payments", "/memberships/404/payments"):
        answered(reader.get(path), 404)


def test_an_event_says_what_became_of_it_and_what_it_did(reader: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    take_in(session, Event("evt_1", [paid("in_2", "sub_ada", at=PAID_AT)]))
    [event] = reader.data("/events", endpoint="stripe", event_id="evt_1")
    assert event == answered(reader.get(f"/events/{event['id']}"))
    assert (event["state"], event["reason"], event["error"], event["next_attempt_at"]) == (
        "processed",
        None,
        None,
        None,
    )
    assert (event["type"], event["source"], event["failed_tries"]) == ("test", "webhook", [])
    assert event["finished_at"]
    assert not {"body", "headers"} & event.keys()
    [fact] = event["facts"]
    assert (fact["kind"], fact["payment"], fact["payment_state"], fact["amount_minor"], fact["currency"]) == (
        "paid",
        "in_2",
        "settled",
        DUES,
        "USD",
    )
    assert (fact["membership_id"], fact["member_id"]) == (ada.membership.id, ada.id)
    assert answered(reader.get(f"/payments/{fact['payment_id']}"))["reference"] == "in_2"
    moved = [(one["kind"], one["item"], one["quantity"], one["member_id"]) for one in event["entries"]]
    assert moved == [("grant", "Spin", CLASSES, ada.id), ("grant", "Training", TRAININGS, ada.id)]
    grants = {row["id"]: row["payment"] for row in reader.data(f"/members/{ada.id}/grants")}
    assert {grants[one["grant_id"]] for one in event["entries"]} == {"in_2"}


def stored(session: Session, *event_ids: str) -> None:
    """Events of these ids, each with a body of its own, as yet untried."""
    new = [NewEvent("stripe", event_id, "test", str(place).encode()) for place, event_id in enumerate(event_ids)]
    storing.store(session, new, lambda *_: False)
    session.commit()


def test_why_an_event_has_no_effect_is_said(reader: Caller, gym: Gym, session: Session) -> None:
    stored(session, "evt_ignored", "evt_failed", "evt_twice", "evt_twice")
    queue.finish(session, [Outcome(number(session, "evt_ignored"), EventState.IGNORED, "a trial")])
    for attempts in (5, 1):
        queue.claim(session, retried=attempts == 1, limit=9, lease_s=0)
        error = f"no database, {attempts} left"
        queue.fail(session, number(session, "evt_failed"), error, max_attempts=None, base_s=0, cap_s=0)
    session.commit()
    events = {row["event_id"]: row for row in reader.data("/events")}
    assert (events["evt_ignored"]["state"], events["evt_ignored"]["reason"]) == ("ignored", "a trial")
    failed = events["evt_failed"]
    assert (failed["state"], failed["error"]) == ("pending", "no database, 1 left")
    assert [one["error"] for one in failed["failed_tries"]] == ["no database, 5 left", "no database, 1 left"]
    assert failed["next_attempt_at"]
    contradiction, first = reader.data("/events", event_id="evt_twice")
    assert (contradiction["state"], contradiction["conflicts_with"]) == ("quarantined", first["id"])
    assert f"other content than event {first['id']}" in contradiction["reason"]
    assert first["contradicted_by"] == [contradiction["id"]]


def test_events_are_found_by_what_they_are_about(reader: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    take_in(session, Event("evt_1", [paid("in_2", "sub_ada", at=PAID_AT)]), Event("evt_2", [paid("in_3", "sub_else")]))
    stored(session, "evt_3")
    early = (PAID_AT - HOUR).isoformat()
    everything = [row["event_id"] for row in reader.data("/events")]
    assert len(everything) == 4
    wanted: list[tuple[Json, list[str]]] = [
        ({"payment": "in_2"}, ["evt_1"]),
        ({"member_id": ada.id}, ["evt_1", everything[-1]]),
        ({"state": "processed"}, ["evt_2", "evt_1"]),
        ({"state": "dead"}, []),
        ({"since": early}, everything),
        ({"until": early}, []),
        ({"endpoint": "standard"}, []),
    ]
    for query, found in wanted:
        assert [row["event_id"] for row in reader.data("/events", **query)] == found, query
    assert [row["event_id"] for rows in reader.pages("/events", limit=1) for row in rows] == everything
    for wrong in ({"state": "lost"}, {"since": "today"}, {"event_id": ""}, {"body": "x"}):
        answered(reader.get("/events", **wrong), 422)
    answered(reader.get("/events/404"), 404)


@pytest.mark.parametrize("path", ["/payments", "/events"])
def test_pages_stay_when_rows_are_added(reader: Caller, gym: Gym, ada: Paid, session: Session, path: str) -> None:
    take_in(session, *(Event(f"evt_{number}", [paid(f"in_{number}", "sub_ada")]) for number in range(2, 6)))
    before = [row["id"] for row in reader.data(path)]
    pages = reader.pages(path, limit=2)
    seen = [row["id"] for row in next(pages)]
    take_in(session, Event("evt_9", [paid("in_9", "sub_ada")]))
    seen += [row["id"] for rows in pages for row in rows]
    assert seen == before
