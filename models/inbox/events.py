"""Webhook events as they are kept: every authentic one, as its processor sent it.

    pending -> processed | ignored | quarantined | dead -> (replay) -> pending

storing.py takes them in, queue.py lets workers claim and finish them, repairs.py is for people. A thin event names
something that has to be fetched from its processor first (thin_events.py).
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.database.base import Base, Id, Prose, RecordedAt, Reference, one_of


class EventState(StrEnum):
    """The state of an event. Only pending events are ever due."""

    PENDING = "pending"
    PROCESSED = "processed"
    IGNORED = "ignored"
    """Understood, without effect; the reason says why."""
    QUARANTINED = "quarantined"
    """Authentic, but contradictory or unusable: kept, shown, no effect."""
    DEAD = "dead"
    """Given up after the last try; a replay sends it through again."""


class EventSource(StrEnum):
    """How an event arrived."""

    WEBHOOK = "webhook"
    BACKFILL = "backfill"
    """Reconciliation found it in the processor's history."""


def _partial(name: str, *columns: str, where: str) -> Index:
    return Index(f"ix_webhook_events_{name}", *columns, postgresql_where=text(where))


def _block_range(column: str) -> Index:
    options = {"pages_per_range": 32, "autosummarize": "on"}
    return Index(f"ix_webhook_events_{column}", column, postgresql_using="brin", postgresql_with=options)


class WebhookEvent(Base):
    """One event as the processor sent it. A batch delivery becomes several."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        Index(
            "uq_webhook_events_endpoint_event_id", "endpoint", "event_id", unique=True,
            postgresql_where=text("conflicts_with IS NULL"),
        ),
        Index(
            "uq_webhook_events_conflict", "conflicts_with", func.sha256(text("body")), unique=True,
            postgresql_where=text("conflicts_with IS NOT NULL"),
        ),
        # Events that were tried before have an index of their own, because they are claimed apart.
        _partial("due", "next_attempt_at", where="state = 'pending' AND NOT thin AND attempts = 0"),
        _partial("due_again", "next_attempt_at", where="state = 'pending' AND NOT thin AND attempts > 0"),
        _partial("due_for_fetching", "endpoint", "next_attempt_at", where="state = 'pending' AND thin"),
        # The table is in the order of receiving, so that a block range index costs next to nothing to keep; what was
        # finished lately lies in few blocks, wherever those are.
        _block_range("received_at"),
        _block_range("finished_at"),
        _partial("troubled", "state", "id", where="state IN ('quarantined', 'dead')"),
        _partial(
            "error_groups", "state", "error_group", "endpoint", "id", "received_at",
            where="state IN ('quarantined', 'dead')",
        ),
        _partial("bulk_action", "bulk_action_id", "state", where="bulk_action_id IS NOT NULL"),
        # Finished events that still have their body; pruned from the old end.
        _partial(
            "prunable", "received_at",
            where="state IN ('processed', 'ignored') AND pruned_at IS NULL AND conflicts_with IS NULL",
        ),
        CheckConstraint(one_of("state", EventState), "state"),
        CheckConstraint(one_of("source", EventSource), "source"),
    )  # fmt: skip

    id: Mapped[Id]
    endpoint: Mapped[str] = mapped_column(String(63))
    event_id: Mapped[Reference]
    """The processor's id, or one composed from the content if the processor gives none."""
    type: Mapped[Reference]
    api_version: Mapped[str | None]
    """The version of the processor's API that wrote the body, if known."""
    body: Mapped[bytes] = mapped_column(LargeBinary)
    source: Mapped[str] = mapped_column(server_default=EventSource.WEBHOOK.value)
    thin: Mapped[bool] = mapped_column(server_default="false")
    """Whether the resource has still to be fetched."""
    resource: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The fetched resource that a thin event names."""
    received_at: Mapped[RecordedAt]
    state: Mapped[str] = mapped_column(server_default=EventState.PENDING.value)
    reason: Mapped[str | None] = mapped_column(Prose)
    """Why it was ignored or quarantined."""
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[RecordedAt]
    """When it is due; during a try, the end of the lease."""
    error: Mapped[str | None] = mapped_column(Prose)
    """The error of the last try, or what the event waits for."""
    waits_since: Mapped[datetime | None]
    """When the current or last wait for its processor began."""
    finished_at: Mapped[datetime | None]
    conflicts_with: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("webhook_events.id"))
    """The first event of the same id, whose content differs from this one's."""
    delivery: Mapped[str | None] = mapped_column(String(32))
    """The correlation id of its delivery in all logs: 32 hexadecimal digits."""
    headers: Mapped[str | None]
    """The headers that are kept, as JSON."""
    pruned_at: Mapped[datetime | None]
    """When its body was deleted, after the time for which bodies are kept."""
    let_through: Mapped[bool] = mapped_column(server_default="false")
    """Whether a person decided that it counts although it contradicts others."""
    error_group: Mapped[str | None] = mapped_column(String(12))
    """The kind of its error, which a trigger writes when it fails or goes into quarantine (error_groups.py)."""
    bulk_action_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("bulk_actions.id"))
    """The last bulk action that it was part of."""

    @property
    def can_be_let_through(self) -> bool:
        """Whether a person may let it count: it is in quarantine, or contradicts another event and has no effect."""
        if self.conflicts_with is None:
            return self.state == EventState.QUARANTINED
        return self.state in {EventState.QUARANTINED, EventState.DEAD, EventState.IGNORED}

    @property
    def waits(self) -> bool:
        """Whether it waits for its processor: the API does not answer, or the resource is not final yet."""
        return self.state == EventState.PENDING and self.thin and self.waits_since is not None

    @property
    def can_be_discarded(self) -> bool:
        """Whether a person may decide that it has no effect."""
        return self.waits or self.state in {EventState.QUARANTINED, EventState.DEAD}


class EventError(Base):
    """A failed try of an event."""

    __tablename__ = "event_errors"

    id: Mapped[Id]
    event_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("webhook_events.id"), index=True)
    attempt: Mapped[int]
    failed_at: Mapped[RecordedAt]
    error: Mapped[str] = mapped_column(Prose)
