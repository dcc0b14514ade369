"""The action log: who did what, to what, when and why. What people do by hand is kept like all else."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, Id, RecordedAt


class Action(Base):
    """One act of a person. A trigger refuses every change."""

    __tablename__ = "actions"

    id: Mapped[Id]
    recorded_at: Mapped[RecordedAt]
    actor: Mapped[str] = mapped_column(String(200))
    verb: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(600))
    """What it was done to, in words with the ids in them."""
    reason: Mapped[str | None] = mapped_column(String(2000))


def log(session: Session, *, actor: str, verb: str, subject: str, reason: str | None = None) -> None:
    """Writes an act down, in the transaction that does it."""
    session.add(Action(actor=actor, verb=verb, subject=subject, reason=reason))
