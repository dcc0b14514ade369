"""Heartbeats: one row per process, written without the broker.

A worker's timer writes it; a web process writes it when one of its request threads has answered.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, String, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base, Prose, RecordedAt, one_of, prose


class ProcessKind(StrEnum):
    """The kind of a process."""

    WORKER = "worker"
    RECEIVER = "receiver"
    """A process of the webhook server."""
    CONSOLE = "console"


class Heartbeat(Base):
    """When a process was last alive, and what it has done since its start."""

    __tablename__ = "heartbeats"
    __table_args__ = (CheckConstraint(one_of("kind", ProcessKind), "kind"),)

    process: Mapped[str] = mapped_column("worker", String(200), primary_key=True)
    """`HOST:PID`. The column's name is older than the other kinds."""
    kind: Mapped[str] = mapped_column(server_default=ProcessKind.WORKER.value)
    started_at: Mapped[RecordedAt]
    seen_at: Mapped[RecordedAt]
    credited_at: Mapped[datetime | None]
    """When a worker last finished events."""
    events: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """What a worker has finished, or how many requests a web process has answered."""
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Its resident memory."""
    doing: Mapped[str | None] = mapped_column(Prose(200))
    """What a worker last did, for people."""


_BEAT = prose(
    """
    INSERT INTO heartbeats (worker, kind, events, credited_at, memory_bytes, doing)
    VALUES (:process, :kind, :events, CASE WHEN :events > 0 THEN clock_timestamp() END, :memory_bytes, :doing)
    ON CONFLICT (worker) DO UPDATE
    SET kind = excluded.kind, seen_at = clock_timestamp(), events = heartbeats.events + excluded.events,
        credited_at = coalesce(excluded.credited_at, heartbeats.credited_at),
        memory_bytes = excluded.memory_bytes, doing = coalesce(excluded.doing, heartbeats.doing)
""",
    "doing",
)

_FORGET = text("DELETE FROM heartbeats WHERE seen_at < clock_timestamp() - make_interval(hours => 24)")


def beat(
    session: Session, process: str, events: int, *, kind: ProcessKind = ProcessKind.WORKER,
    memory_bytes: int | None = None, doing: str | None = None,
) -> None:  # fmt: skip
    """Records that `process` is alive and has finished `events` more; deletes processes unseen for a day.

    `memory_bytes` is its resident memory, `doing` what it did since the last beat, None for nothing.
    """
    values = {
        "process": process, "kind": kind.value, "events": events, "memory_bytes": memory_bytes,
        "doing": doing and doing[:200],
    }  # fmt: skip
    session.execute(_BEAT, values)
    session.execute(_FORGET)


class Process(NamedTuple):
    """A process as its last heartbeat left it; times UTC, by the database's clock."""

    process: str
    """`HOST:PID`"""
    kind: ProcessKind
    age_s: float
    """Since its last heartbeat."""
    started_at: datetime
    seen_at: datetime
    credited_at: datetime | None
    events: int
    """Events that a worker has finished since its start, or requests that a web process has answered."""
    memory_bytes: int | None
    doing: str | None


_PROCESSES = text("""
    SELECT worker, kind, greatest(0, extract(epoch FROM clock_timestamp() - seen_at))::float8, started_at, seen_at,
           credited_at, events, memory_bytes, doing
    FROM heartbeats
    WHERE (kind = 'worker') = :workers AND seen_at > clock_timestamp() - make_interval(hours => 24)
    ORDER BY kind DESC, seen_at DESC, worker LIMIT :limit
""")


def workers(session: Session, *, limit: int = 100) -> Sequence[Process]:
    """The worker processes seen within the last day, the latest seen first."""
    return _processes(session, workers=True, limit=limit)


def web_processes(session: Session, *, limit: int = 100) -> Sequence[Process]:
    """The web processes seen within the last day: webhook servers first, and of each kind the latest seen."""
    return _processes(session, workers=False, limit=limit)


def _processes(session: Session, *, workers: bool, limit: int) -> Sequence[Process]:
    rows = session.execute(_PROCESSES, {"workers": workers, "limit": limit})
    return [Process(process, ProcessKind(kind), *more) for process, kind, *more in rows]
