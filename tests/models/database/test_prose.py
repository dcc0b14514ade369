"""What is stored for people may quote anything: NUL and half characters are replaced, and recording never fails."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Table
from sqlalchemy.orm import Session

from models.database.base import Base, Prose
from models.inbox import events, queue, storing, thin_events
from models.inbox.events import EventState, WebhookEvent
from models.inbox.queue import Outcome
from models.inbox.reconciliation import Reconciliation
from models.inbox.storing import NewEvent
from models.inbox.thin_events import Waiting
from models.operations import heartbeats, jobs, notices
from models.operations.alarms import Alarm, Severity
from models.operations.jobs import JobName

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOSTILE = "no such \0payment\ud800 \udfff\"{,}'\\ Ü \U0001f600"
SHOWN = "no such \ufffdpayment\ufffd \ufffd\"{,}'\\ Ü \U0001f600"
WAIT = {"base_s": 2, "cap_s": 300}


@pytest.fixture
def event(session: Session) -> WebhookEvent:
    storing.store(session, [NewEvent("stripe", "evt", "t", b"{}", thin=True)], lambda *_: True)
    return session.query(WebhookEvent).one()


def told(session: Session, event: WebhookEvent) -> tuple[str | None, str | None]:
    session.refresh(event)
    return event.reason, event.error


def test_every_column_that_says_what_went_wrong_is_prose() -> None:
    names = {"error", "message", "summary", "doing"}
    ours = {table for table in Base.metadata.tables.values() if isinstance(table, Table)}
    found = {column for table in ours for column in table.columns if column.name in names}
    found |= {WebhookEvent.__table__.c.reason}
    assert len(found) >= 8
    assert {f"{column.table}.{column.name}" for column in found if not isinstance(column.type, Prose)} == set()


def test_why_an_event_is_quarantined_on_arrival(session: Session) -> None:
    storing.store(session, [NewEvent("stripe", "evt", "t", b"{}", quarantine_reason=HOSTILE)], lambda *_: True)
    assert session.query(WebhookEvent).one().reason == SHOWN


def test_why_an_event_ended(session: Session, event: WebhookEvent) -> None:
    queue.finish(session, [Outcome(event.id, EventState.QUARANTINED, HOSTILE)])
    assert told(session, event) == (SHOWN, None)


def test_why_a_try_failed_to_the_last(session: Session, event: WebhookEvent) -> None:
    assert queue.fail(session, event.id, HOSTILE, max_attempts=0, **WAIT) == EventState.DEAD
    assert told(session, event) == (None, SHOWN)


def test_why_an_event_waits(session: Session, event: WebhookEvent) -> None:
    thin_events.wait(session, [Waiting(event.id, HOSTILE)], **WAIT)
    assert told(session, event) == (None, SHOWN)
    thin_events.wait(session, [Waiting(event.id, HOSTILE)], **WAIT)
    assert [error.error for error in session.query(events.EventError)] == [SHOWN], "the same reason is told once"


def test_why_all_of_an_endpoint_wait(session: Session, event: WebhookEvent) -> None:
    assert thin_events.wait_all(session, "stripe", HOSTILE, **WAIT) == 1
    assert told(session, event) == (None, SHOWN)


def test_jobs_and_workers(session: Session) -> None:
    jobs.ended(session, JobName.AUDIT, took_s=1, summary=HOSTILE)
    jobs.ended(session, JobName.PRUNE, took_s=1, error=HOSTILE)
    heartbeats.beat(session, "w", 0, doing=HOSTILE)
    assert session.get_one(jobs.Job, "audit").summary == SHOWN
    assert session.get_one(jobs.Job, "prune").error == SHOWN
    assert session.get_one(heartbeats.Heartbeat, "w").doing == SHOWN


def test_reconciliations_and_alarms(session: Session) -> None:
    times = dict.fromkeys(("since", "until", "reached", "started_at"), NOW)
    session.add(Reconciliation(endpoint="stripe", error=HOSTILE, **times))
    notices.see(session, [Alarm("dead_letters", Severity.CRITICAL, "stripe", HOSTILE)], NOW)
    session.flush()
    session.expire_all()
    assert session.query(Reconciliation).one().error == SHOWN
    assert session.query(notices.KnownAlarm).one().message == SHOWN
