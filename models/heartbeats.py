"""Signs of life: one row per worker process, written by its own timer without the broker."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, String, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, Prose, RecordedAt, prose


class Heartbeat(Base):
    """When a worker process was last alive, and what it has done since its start."""

    __tablename__ = "heartbeats"

    worker: Mapped[str] = mapped_column(String(200), primary_key=True)
    started_at: Mapped[RecordedAt]
    seen_at: Mapped[RecordedAt]
    credited_at: Mapped[datetime | None]
    """When it last finished events."""
    events: Mapped[int] = mapped_column(BigInteger, server_default="0")
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Its resident memory."""
    doing: Mapped[str | None] = mapped_column(Prose(200))
    """What it last did, for people."""


_BEAT = prose(
    """
    INSERT INTO heartbeats (worker, events, credited_at, memory_bytes, doing)
    VALUES (:worker, :events, CASE WHEN :events > 0 THEN clock_timestamp() END, :memory_bytes, :doing)
    ON CONFLICT (worker) DO UPDATE
    SET seen_at = clock_timestamp(), events = heartbeats.events + excluded.events,
        credited_at = coalesce(excluded.credited_at, heartbeats.credited_at),
        memory_bytes = excluded.memory_bytes, doing = coalesce(excluded.doing, heartbeats.doing)
""",
    "doing",
)

_FORGET = text("DELETE FROM heartbeats WHERE seen_at < clock_timestamp() - make_interval(hours => 24)")


def beat(
    session: Session, worker: str, events: int, *, memory_bytes: int | None = None, doing: str | None = None
) -> None:
    """Says that `worker` is alive and has finished `events` more; forgets workers unseen for a day.

    `memory_bytes` is its resident memory, `doing` what it did since the last beat, None for nothing.
    """
    values = {"worker": worker, "events": events, "memory_bytes": memory_bytes, "doing": doing and doing[:200]}
    session.execute(_BEAT, values)
    session.execute(_FORGET)


class Worker(NamedTuple):
    """A worker process as its last heartbeat left it; times UTC, by the database's clock."""

    worker: str
    age_s: float
    """Since its last heartbeat."""
    started_at: datetime
    seen_at: datetime
    credited_at: datetime | None
    events: int
    """Finished since its start."""
    memory_bytes: int | None
    doing: str | None


_WORKERS = text("""
    SELECT worker, greatest(0, extract(epoch FROM clock_timestamp() - seen_at))::float8, started_at, seen_at,
           credited_at, events, memory_bytes, doing
    FROM heartbeats ORDER BY seen_at DESC, worker LIMIT :limit
""")


def workers(session: Session, *, limit: int = 100) -> Sequence[Worker]:
    """The processes seen within the last day, the latest seen first."""
    return [Worker(*row) for row in session.execute(_WORKERS, {"limit": limit})]
