"""Pauses: endpoints whose events wait until a person lets them go on. Receiving goes on all the while."""

from collections.abc import Sequence

from sqlalchemy import String, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base, RecordedAt
from models.errors import AlreadyPaused, NotPaused
from models.staff import actions
from models.staff.actions import MAX_REASON_LENGTH, Actor, reason_given


class Pause(Base):
    """An endpoint that is paused now. What was paused once stands in the action log."""

    __tablename__ = "pauses"

    endpoint: Mapped[str] = mapped_column(String(63), primary_key=True)
    paused_at: Mapped[RecordedAt]
    paused_by: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(String(MAX_REASON_LENGTH))


def pause(session: Session, endpoint: str, reason: str, *, by: Actor) -> None:
    """Lets nothing of the endpoint be claimed from now on; what is being tried now comes to its end.

    Raises AlreadyPaused, ReasonMissing or TextTooLong.
    """
    why = reason_given(reason)
    new = insert(Pause).values(endpoint=endpoint, paused_by=by.name[:200], reason=why).on_conflict_do_nothing()
    if not session.scalars(new.returning(Pause.endpoint)).all():
        raise AlreadyPaused(endpoint=endpoint)
    actions.log(session, by, "pause", f"endpoint {endpoint}", reason=why)


def resume(session: Session, endpoint: str, reason: str, *, by: Actor) -> None:
    """Lets the endpoint's events be claimed again. Raises NotPaused, ReasonMissing or TextTooLong."""
    why = reason_given(reason)
    if not session.scalars(delete(Pause).where(Pause.endpoint == endpoint).returning(Pause.endpoint)).all():
        raise NotPaused(endpoint=endpoint)
    actions.log(session, by, "resume", f"endpoint {endpoint}", reason=why)


def paused(session: Session) -> Sequence[Pause]:
    """What is paused now, the longest first."""
    return session.scalars(select(Pause).order_by(Pause.paused_at)).all()
