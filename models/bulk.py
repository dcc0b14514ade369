"""Acts on all events that match a filter, done in the background and gone on with after a restart."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from models.actions import MAX_REASON_LENGTH
from models.base import Base, Id, RecordedAt
from models.catalogue import one_of


class BulkVerb(StrEnum):
    """What is done to each."""

    REPLAY = "replay"
    DISCARD = "discard"


class BulkAct(Base):
    """One act on all events that matched when it was asked for; `done` of `total` up to the id `reached`."""

    __tablename__ = "bulk_acts"
    __table_args__ = (
        CheckConstraint(one_of("verb", BulkVerb), "verb"),
        Index("ix_bulk_acts_unfinished", "id", postgresql_where=text("finished_at IS NULL")),
    )

    id: Mapped[Id]
    verb: Mapped[str]
    filter: Mapped[str]
    """An EventFilter as JSON."""
    up_to: Mapped[int] = mapped_column(BigInteger)
    """The highest event id in its scope."""
    total: Mapped[int] = mapped_column(BigInteger)
    """How many the person was shown and confirmed."""
    done: Mapped[int] = mapped_column(BigInteger, server_default="0")
    reached: Mapped[int] = mapped_column(BigInteger, server_default="0")
    reason: Mapped[str] = mapped_column(String(MAX_REASON_LENGTH))
    asked_by: Mapped[str] = mapped_column(String(200))
    asked_at: Mapped[RecordedAt]
    finished_at: Mapped[datetime | None]
    cancelled: Mapped[bool] = mapped_column(server_default="false")
