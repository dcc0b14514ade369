"""Signs of life: one row per worker process, written by its own timer without the broker."""

from datetime import datetime

from sqlalchemy import BigInteger, String, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, RecordedAt


class Heartbeat(Base):
    """When a worker process was last alive, and what it has done since its start."""

    __tablename__ = "heartbeats"

    worker: Mapped[str] = mapped_column(String(200), primary_key=True)
    started_at: Mapped[RecordedAt]
    seen_at: Mapped[RecordedAt]
    credited_at: Mapped[datetime | None]
    """When it last finished events."""
    events: Mapped[int] = mapped_column(BigInteger, server_default="0")


_BEAT = text("""
    INSERT INTO heartbeats (worker, events, credited_at)
    VALUES (:worker, :events, CASE WHEN :events > 0 THEN clock_timestamp() END)
    ON CONFLICT (worker) DO UPDATE
    SET seen_at = clock_timestamp(), events = heartbeats.events + excluded.events,
        credited_at = coalesce(excluded.credited_at, heartbeats.credited_at)
""")

_FORGET = text("DELETE FROM heartbeats WHERE seen_at < clock_timestamp() - make_interval(hours => 24)")


def beat(session: Session, worker: str, events: int) -> None:
    """Says that `worker` is alive and has finished `events` more; forgets workers unseen for a day."""
    session.execute(_BEAT, {"worker": worker, "events": events})
    session.execute(_FORGET)
