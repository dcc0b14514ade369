"""Not dues: items, prices and products of a processor that a gym has marked as no dues (joining fee, locker, towel).

A line that names one of them gives no sessions, and needs no review.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ForeignKey, String, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database import locks
from models.database.arrays import array
from models.database.base import Base, RecordedAt, Reference
from models.database.naming import reference_given
from models.errors import NotFound
from models.payments import living
from models.payments.living import MovedGrant
from models.staff import actions
from models.staff.actions import Actor
from models.wording import counted, joined
from runtime.language import say, say_n


class NotDues(Base):
    """One reference of an endpoint's processor that is no dues."""

    __tablename__ = "not_dues"

    endpoint: Mapped[str] = mapped_column(String(63), primary_key=True)
    reference: Mapped[Reference] = mapped_column(primary_key=True)
    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id"))
    """Who marked it, when and why."""
    recorded_at: Mapped[RecordedAt]


# In the order of their ids, as everybody locks payments.
_SETTLE_AGAIN = text("""
    UPDATE payments SET settle_again = true WHERE id IN (
        SELECT id FROM payments WHERE id IN (
            SELECT p.root_id FROM payments p JOIN payment_facts f ON f.payment_id = p.id
            WHERE p.endpoint = :endpoint AND f.kind = 'paid'
              AND (:reference = ANY(f.billing_references)
                   OR jsonb_path_exists(f.shape, '$.lines[*][0][*] ? (@ == $it)', jsonb_build_object('it', :reference)))
        )
        ORDER BY id FOR NO KEY UPDATE
    )
    RETURNING id
""")
_MEMBERS = text("""
    SELECT count(DISTINCT g.member_id) FROM credit_grants g
    WHERE g.payment_id IN (SELECT id FROM payments WHERE root_id = ANY(CAST(:payments AS bigint[])))
""")


class Effect(NamedTuple):
    """What a mark, or taking it back, does to payments that name the reference."""

    payments: int
    members: int
    """Who have sessions of them, or had."""
    moved: list[MovedGrant]
    waiting: int
    """Payments that are left to the sweep, because they are too many."""

    @property
    def words(self) -> str:
        """The same in sentences."""
        if not self.payments:
            return say("Nobody was ever billed by it: check that it is copied right. Later payments with it count so.")
        members = counted(self.members, "member")
        if self.waiting:
            return say_n("{n} payment of {members} is judged again in the background, within minutes.",
                         "{n} payments of {members} are judged again in the background, within minutes.",
                         self.payments, members=members)  # fmt: skip
        less = sum(max(one.was.given - one.now.given, 0) for one in self.moved)
        more = sum(max(one.now.given - one.was.given, 0) for one in self.moved)
        changes = [say_n("{n} session is taken back", "{n} sessions are taken back", less)] if less else []
        changes += [say_n("{n} session is given again", "{n} sessions are given again", more)] if more else []
        what = joined(changes) if changes else say("no sessions move")
        return say_n("{n} payment of {members} is judged again: {what}.",
                     "{n} payments of {members} are judged again: {what}.",
                     self.payments, members=members, what=what)  # fmt: skip


def every(session: Session) -> list[NotDues]:
    """All that is marked, by endpoint and reference."""
    return list(session.scalars(select(NotDues).order_by(NotDues.endpoint, NotDues.reference)))


def marked(session: Session, endpoint: str, reference: str) -> NotDues:
    """The mark of a reference that is marked."""
    return session.get_one(NotDues, (endpoint, reference_given(reference)))


def find(session: Session, mark_id: int) -> NotDues:
    """The mark that was made by the action with this id. Raises NotFound."""
    found = session.scalar(select(NotDues).where(NotDues.action_id == mark_id))
    if found is None:
        raise NotFound(what="mark", name=mark_id)
    return found


def effect(
    session: Session, act: Callable[[], list[int]], *, preview: bool, now: datetime, late_credit: timedelta
) -> Effect:
    """Do the act, `mark` or `unmark`, and settle what it changes; or only look at what that would come to."""
    payments, members = [], 0

    def done() -> tuple[None, list[int]]:
        nonlocal payments, members
        payments = act()
        members = session.scalars(_MEMBERS, {"payments": array(payments)}).one()
        return None, payments

    how = living.preview if preview else living.apply
    _, moved, waiting = how(session, done, now=now, late_credit=late_credit)
    return Effect(len(payments), members, moved, waiting)


def mark(session: Session, endpoint: str, reference: str, *, reason: str, by: Actor) -> list[int]:
    """Say that payments and lines with this reference are no dues. Idempotent.

    What was paid before is judged again by the worker: returns the ids of these payments. Raises ReferenceUnusable,
    ReasonMissing or TextTooLong.
    """
    reference, reason = reference_given(reference), actions.reason_given(reason)
    locks.change(session)
    if session.get(NotDues, (endpoint, reference)) is not None:
        return []
    act = actions.log(session, by, "mark as not dues", f"{reference} on {endpoint}", reason=reason)
    session.execute(insert(NotDues).values(endpoint=endpoint, reference=reference, action_id=act))
    return _settle_again(session, endpoint, reference)


def unmark(session: Session, endpoint: str, reference: str, *, reason: str, by: Actor) -> list[int]:
    """Take a mark back. Returns the ids of the payments that are judged again.

    Raises NotFound, ReasonMissing or TextTooLong.
    """
    reason = actions.reason_given(reason)
    locks.change(session)
    if session.get(NotDues, (endpoint, reference)) is None:
        raise NotFound(what="mark", name=f"{reference} on {endpoint}")
    actions.log(session, by, "mark as dues again", f"{reference} on {endpoint}", reason=reason)
    session.execute(delete(NotDues).where(NotDues.endpoint == endpoint, NotDues.reference == reference))
    return _settle_again(session, endpoint, reference)


def _settle_again(session: Session, endpoint: str, reference: str) -> list[int]:
    return list(session.scalars(_SETTLE_AGAIN, {"endpoint": endpoint, "reference": reference}))
