"""Events that arrive, are claimed and become due, for the tests of the inbox."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.inbox import queue, storing
from models.inbox.events import WebhookEvent
from models.inbox.storing import NewEvent, Stored

LEASE_S = 60.0


def arriving(event_id: str, body: bytes = b"{}", endpoint: str = "stripe", reason: str | None = None) -> NewEvent:
    return NewEvent(endpoint, event_id, "paid", body, "2025-03-31", reason)


def same(endpoint: str, first: bytes, second: bytes) -> bool:
    """White space does not matter."""
    return first.split() == second.split()


def store(session: Session, *arrived: NewEvent) -> list[Stored]:
    return storing.store(session, arrived, same)


def claim(session: Session, *, retried: bool = False, limit: int = 100, lease_s: float = LEASE_S) -> list[str]:
    return [event.event_id for event in queue.claim(session, retried=retried, limit=limit, lease_s=lease_s)]


def row(session: Session, event_id: str) -> WebhookEvent:
    wanted = select(WebhookEvent).where(WebhookEvent.event_id == event_id, WebhookEvent.conflicts_with.is_(None))
    return session.scalars(wanted.execution_options(populate_existing=True)).one()


def due_since(session: Session, event_ids: Sequence[str], seconds: float) -> None:
    """Moves the moment at which the events are due into the past."""
    ago = func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    session.execute(update(WebhookEvent).where(WebhookEvent.event_id.in_(event_ids)).values(next_attempt_at=ago))


def database_time(session: Session) -> datetime:
    now: datetime = session.scalars(select(func.clock_timestamp())).one()
    return now
