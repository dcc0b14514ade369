"""Reconciliations: comparisons of a processor's event history with the inbox, and their progress."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base, Id, Prose, RecordedAt
from models.inbox.events import WebhookEvent


@dataclass
class Counts:
    """The results for the events of the history."""

    seen: int = 0
    known: int = 0
    added: int = 0
    differing: int = 0
    without_effect: int = 0

    def __iadd__(self, other: "Counts") -> "Counts":
        other.add_to(self)
        return self

    def add_to(self, holder: "Counts | Reconciliation") -> None:
        """Adds each of these to the holder's of the same name."""
        for field in fields(self):
            setattr(holder, field.name, getattr(holder, field.name) + getattr(self, field.name))


class Reconciliation(Base):
    """One run over the time from `since` to `until` of one endpoint; it is done up to `reached`."""

    __tablename__ = "reconciliations"

    id: Mapped[Id]
    endpoint: Mapped[str] = mapped_column(String(63), index=True)
    since: Mapped[datetime]
    until: Mapped[datetime]
    reached: Mapped[datetime]
    seen: Mapped[int] = mapped_column(default=0)
    known: Mapped[int] = mapped_column(default=0)
    added: Mapped[int] = mapped_column(default=0)
    differing: Mapped[int] = mapped_column(default=0)
    without_effect: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[RecordedAt]
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Prose)
    """Why it stopped; the next run resumes there."""

    def advance(self, reached: datetime, counts: Counts) -> None:
        """Records one more part of the time as done."""
        self.reached = reached
        counts.add_to(self)


def watermark(session: Session, endpoint: str) -> datetime | None:
    """The moment up to which the endpoint is reconciled without a gap; None if it never was."""
    runs = select(Reconciliation).where(Reconciliation.endpoint == endpoint).order_by(Reconciliation.id)
    return _without_gap(session.scalars(runs))


def _without_gap(runs: Iterable[Reconciliation]) -> datetime | None:
    reached: datetime | None = None
    for run in runs:
        if reached is None or run.since <= reached:
            reached = max(run.reached, reached or run.reached)
    return reached


def cut_off(session: Session, endpoint: str, start: datetime, began_after: datetime) -> Reconciliation | None:
    """The last unfinished run that covers that moment and began after `began_after`."""
    return session.scalar(
        select(Reconciliation)
        .where(
            Reconciliation.endpoint == endpoint,
            Reconciliation.since <= start,
            Reconciliation.reached >= start,
            Reconciliation.started_at > began_after,
            Reconciliation.finished_at.is_(None),
        )
        .order_by(Reconciliation.id.desc())
        .limit(1)
    )


def first_received(session: Session, endpoint: str) -> datetime | None:
    """When the endpoint's first event came in."""
    first = select(WebhookEvent.received_at).where(WebhookEvent.endpoint == endpoint).order_by(WebhookEvent.id)
    return session.scalar(first.limit(1))
