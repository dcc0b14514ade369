"""Not dues: the items, prices and products of a processor that a gym has marked as no dues (joining fee, locker, towel).

A line that names one of them gives no sessions, and needs no review.
"""

from collections.abc import Collection, Iterable

from sqlalchemy import ForeignKey, String, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base, RecordedAt, Reference


class NotDues(Base):
    """One reference of an endpoint's processor that is no dues."""

    __tablename__ = "not_dues"

    endpoint: Mapped[str] = mapped_column(String(63), primary_key=True)
    reference: Mapped[Reference] = mapped_column(primary_key=True)
    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id"))
    """Who marked it, when and why."""
    recorded_at: Mapped[RecordedAt]
