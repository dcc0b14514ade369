"""Error groups: what counts as the same kind of error, what is in a group, and acts on all of it."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.errors import UnknownErrorGroup
from models.inbox import bulk, bulk_outcome, error_groups, queue, search, storing
from models.inbox.bulk import BulkAction, BulkVerb
from models.inbox.error_groups import ErrorGroup
from models.inbox.events import EventState, WebhookEvent
from models.inbox.search import EventFilter
from models.inbox.storing import NewEvent
from runtime.settings import Endpoint
from tests.models.gym import BY

ENDPOINTS = [
    Endpoint(name=name, processor=processor, mode="test", secrets=("x",))
    for name, processor in (("stripe", "stripe"), ("stripe-west", "stripe"), ("adyen", "adyen"))
]
PAID = "invoice.paid"


def failed(session: Session, name: str, error: str, *, endpoint: str = "stripe", kind: str = PAID) -> int:
    """An event that was given up with that error; its number."""
    storing.store(session, [NewEvent(endpoint, name, kind, b"{}")], lambda *_: True)
    [number] = session.scalars(text("SELECT id FROM webhook_events WHERE event_id = :name"), {"name": name})
    queue.fail(session, number, error, max_attempts=0, base_s=1, cap_s=1)
    return int(number)


def quarantined(session: Session, name: str, reason: str) -> None:
    storing.store(session, [NewEvent("stripe", name, PAID, b"{}", quarantine_reason=reason)], lambda *_: True)


def listed(session: Session, state: str | None = None) -> list[ErrorGroup]:
    session.flush()
    return error_groups.groups(session, ENDPOINTS, state=state)


def of_group(group: ErrorGroup) -> EventFilter:
    return error_groups.narrowed(EventFilter(state=group.state), group.name, ENDPOINTS)


def test_a_group_is_a_processor_a_type_and_an_error_without_its_ids(session: Session) -> None:
    first = failed(session, "evt_1", "LookupError: no price price_9aX4 for sub_12 of 29.00 USD")
    failed(session, "evt_2", "LookupError: no price price_7 for sub_4411 of 1,129.50 USD", endpoint="stripe-west")
    failed(session, "evt_3", "LookupError: no price price_7 for sub_4411 of 30 EUR")
    failed(session, "evt_4", "LookupError: no price price_7 for sub_4411 of 30 USD", kind="charge.refunded")
    failed(session, "evt_5", "LookupError: no price price_7 for sub_4411 of 30 USD", endpoint="adyen")
    failed(session, "evt_6", "KeyError: 'amount'")
    failed(session, "evt_7", "KeyError: 'currency'")
    quarantined(session, "evt_8", "LookupError: no price price_7 for sub_4411 of 30 USD")
    session.execute(
        text("UPDATE webhook_events SET received_at = received_at - interval '1 day' WHERE id = :id"), {"id": first}
    )
    found = listed(session)
    assert [(one.events, one.error[:8], one.type) for one in found[:3]] == [
        (1, "LookupEr", PAID), (1, "KeyError", PAID), (1, "KeyError", PAID)
    ]  # fmt: skip
    assert found[0].state == EventState.QUARANTINED
    [both] = [one for one in found if one.events == 2]
    assert both.endpoints == ["stripe", "stripe-west"]
    assert (both.last_seen - both.first_seen).total_seconds() > 80_000
    assert session.get_one(WebhookEvent, both.example).event_id == "evt_2"
    assert [search.scope(session, of_group(one)).events for one in found] == [one.events for one in found]
    assert len(listed(session, EventState.DEAD)) == len(found) - 1


def test_an_endpoint_that_is_not_configured_any_more_is_a_group_of_its_own(session: Session) -> None:
    failed(session, "evt_1", "KeyError: 'amount'", endpoint="gone")
    failed(session, "evt_2", "KeyError: 'amount'")
    gone = next(one for one in listed(session) if one.endpoints == ["gone"])
    assert (gone.name.split(".")[0], search.scope(session, of_group(gone)).events) == ("gone", 1)
    for name in ("gone", "gone.x", ".123456789012"):
        with pytest.raises(UnknownErrorGroup):
            error_groups.narrowed(EventFilter(), name, ENDPOINTS)


def asked(session: Session, verb: BulkVerb, wanted: EventFilter) -> BulkAction:
    return bulk.ask(session, verb, wanted, bulk.scope(session, verb, wanted), "mended", by=BY)


def outcome(session: Session, act: BulkAction) -> str:
    session.flush()
    return ", ".join(one.what for one in bulk_outcome.outcome(session, act))


def test_the_outcome_of_a_replay_follows_its_events(session: Session) -> None:
    numbers = [failed(session, f"evt_{place}", "KeyError: 'amount'") for place in range(3)]
    failed(session, "evt_other", "KeyError: 'currency'")
    [group] = [one for one in listed(session) if one.events == 3]
    act = asked(session, BulkVerb.REPLAY, of_group(group))
    assert asked(session, BulkVerb.REPLAY, of_group(group)).id == act.id, "pressed twice"
    bulk.work(session)
    assert outcome(session, act) == "0 credited, 3 waiting, 0 failed again"
    queue.finish(session, [queue.Outcome(number, EventState.PROCESSED) for number in numbers[:2]])
    assert not bulk_outcome.is_settled(act, bulk_outcome.outcome(session, act))
    queue.fail(session, numbers[2], "KeyError: 'amount'", max_attempts=0, base_s=1, cap_s=1)
    assert outcome(session, act) == "2 credited, 1 failed again"
    assert bulk_outcome.is_settled(act, bulk_outcome.outcome(session, act))
    assert search.scope(session, EventFilter(act=act.id, state=EventState.DEAD)).first == numbers[2]
    assert not bulk.work(session)


def test_chosen_ones_are_let_through_and_only_these(session: Session) -> None:
    for place in range(3):
        quarantined(session, f"evt_{place}", "from the future")
    ids = tuple(session.scalars(text("SELECT id FROM webhook_events ORDER BY id LIMIT 2")))
    act = asked(session, BulkVerb.RELEASE, EventFilter(state=EventState.QUARANTINED, ids=ids))
    bulk.work(session)
    let_through = session.scalars(text("SELECT id FROM webhook_events WHERE let_through AND state = 'pending'")).all()
    assert (sorted(let_through), act.done) == (list(ids), 2)
