"""Not dues: items, prices and products of a processor that a gym has marked as no dues (joining fee, locker, towel).

A line that names one of them gives no sessions, and needs no review.
"""

from sqlalchemy import ForeignKey, String, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database import locks
from models.database.base import Base, RecordedAt, Reference
from models.database.naming import reference_given
from models.errors import NotFound
from models.staff import actions
from models.staff.actions import Actor


class NotDues(Base):
    """One reference of an endpoint's processor that is no dues."""

    __tablename__ = "not_dues"

    endpoint: Mapped[str] = mapped_column(String(63), primary_key=True)
    reference: Mapped[Reference] = mapped_column(primary_key=True)
    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id"))
    """Who marked it, when and why."""
    recorded_at: Mapped[RecordedAt]


_SETTLE_AGAIN = text("""
    UPDATE payments SET settle_again = true WHERE id IN (
        SELECT p.root_id FROM payments p JOIN payment_facts f ON f.payment_id = p.id
        WHERE p.endpoint = :endpoint AND f.kind = 'paid'
          AND (:reference = ANY(f.billing_references)
               OR jsonb_path_exists(f.shape, '$.lines[*][0][*] ? (@ == $it)', jsonb_build_object('it', :reference)))
    )
""")


def every(session: Session) -> list[NotDues]:
    """All that is marked, by endpoint and reference."""
    return list(session.scalars(select(NotDues).order_by(NotDues.endpoint, NotDues.reference)))


def find(session: Session, mark_id: int) -> NotDues:
    """The mark that was made by the action with this id. Raises NotFound."""
    found = session.scalar(select(NotDues).where(NotDues.action_id == mark_id))
    if found is None:
        raise NotFound(what="mark", name=mark_id)
    return found


def mark(session: Session, endpoint: str, reference: str, *, reason: str, by: Actor) -> NotDues:
    """Say that payments and lines with this reference are no dues. Idempotent.

    What was paid before is judged again by the worker. Raises ReferenceUnusable, ReasonMissing or TextTooLong.
    """
    reference, reason = reference_given(reference), actions.reason_given(reason)
    locks.change(session)
    if session.get(NotDues, (endpoint, reference)) is None:
        act = actions.log(session, by, "mark as not dues", f"{reference} on {endpoint}", reason=reason)
        session.execute(insert(NotDues).values(endpoint=endpoint, reference=reference, action_id=act))
        _settle_again(session, endpoint, reference)
    return session.get_one(NotDues, (endpoint, reference))


def unmark(session: Session, endpoint: str, reference: str, *, reason: str, by: Actor) -> None:
    """Take a mark back. Raises NotFound, ReasonMissing or TextTooLong."""
    reason = actions.reason_given(reason)
    locks.change(session)
    if session.get(NotDues, (endpoint, reference)) is None:
        raise NotFound(what="mark", name=f"{reference} on {endpoint}")
    actions.log(session, by, "mark as dues again", f"{reference} on {endpoint}", reason=reason)
    session.execute(delete(NotDues).where(NotDues.endpoint == endpoint, NotDues.reference == reference))
    _settle_again(session, endpoint, reference)


def _settle_again(session: Session, endpoint: str, reference: str) -> None:
    session.execute(_SETTLE_AGAIN, {"endpoint": endpoint, "reference": reference})
