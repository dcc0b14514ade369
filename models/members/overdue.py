"""Overdue dues: whose dues are overdue, since when, and whether their sessions can be used meanwhile.

Settling writes what failed and is still owed (`models/payments/failed_dues.py`); the view `overdue_memberships`
finds whose it is. A debit that is pending has not failed, and money that is disputed was paid: neither is overdue.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import BigInteger, ForeignKey, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.catalogue.clubs import UseWhileOverdue
from models.catalogue.days import local_day
from models.database import locks
from models.database.arrays import array
from models.database.base import Base
from models.errors import NothingOverdue
from models.members.memberships import Membership, lock_member
from models.staff import actions
from models.staff.actions import Actor


class ClearedDues(Base):
    """A person's word that what failed until then is owed no more: paid in cash, or forgiven."""

    __tablename__ = "cleared_dues"

    membership_id: Mapped[int] = mapped_column(ForeignKey("memberships.id"), primary_key=True)
    cleared_at: Mapped[datetime] = mapped_column(primary_key=True)
    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id"))


class Overdue(NamedTuple):
    """A membership whose dues failed and are owed still."""

    membership_id: int
    member_id: int
    since: datetime
    """The earliest attempt that failed and that nothing has made up for."""
    time_zone: str
    use: str
    grace_days: int

    @property
    def day(self) -> date:
        """Since which local day of its club."""
        return local_day(self.since, self.time_zone)

    @property
    def usable_until(self) -> date | None:
        """The last local day on which its sessions can be used; None if they can be used all the time."""
        match UseWhileOverdue(self.use):
            case UseWhileOverdue.WARN:
                return None
            case UseWhileOverdue.GRACE:
                return self.day + timedelta(days=self.grace_days)
            case UseWhileOverdue.STRICT:
                return self.day - timedelta(days=1)

    def is_refused(self, now: datetime) -> bool:
        """Whether its club lets nobody use its sessions now without a reason."""
        last = self.usable_until
        return last is not None and local_day(now, self.time_zone) > last


_OVERDUE = text("""
    SELECT o.membership_id, m.member_id, o.since, c.time_zone, c.use_while_overdue, c.overdue_grace_days
    FROM overdue_memberships o JOIN memberships m ON m.id = o.membership_id JOIN clubs c ON c.id = m.club_id
    WHERE o.membership_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY o.since, o.membership_id
""")
_COUNT = text("SELECT count(*) FROM overdue_memberships")
# First the ids: a view that groups is narrowed by constants only.
_OF_MEMBERS = text("SELECT id FROM memberships WHERE member_id = ANY(CAST(:members AS bigint[]))")


def count(session: Session) -> int:
    """How many memberships are overdue."""
    return int(session.scalars(_COUNT).one())


def of_memberships(session: Session, membership_ids: Collection[int]) -> list[Overdue]:
    """Those of these memberships whose dues are overdue, the longest first."""
    return [Overdue(*row) for row in session.execute(_OVERDUE, {"ids": array(membership_ids)})]


def of_members(session: Session, member_ids: Collection[int]) -> list[Overdue]:
    """The memberships of these members whose dues are overdue, the longest first."""
    return of_memberships(session, session.scalars(_OF_MEMBERS, {"members": array(member_ids)}).all())


MEMBERS = (
    text("SELECT m.member_id FROM overdue_memberships o JOIN memberships m ON m.id = o.membership_id")
    .columns(member_id=BigInteger)
    .subquery()
)
"""The members with dues that are overdue, for a query's condition."""


def clear(session: Session, membership: Membership, *, reason: str, by: Actor, now: datetime) -> None:
    """Say that the dues of a membership that failed until now are owed no more: paid otherwise, or forgiven.

    Raises NothingOverdue, MemberErased, ReasonMissing or TextTooLong.
    """
    reason = actions.reason_given(reason)
    lock_member(session, membership.member_id, field=None)
    # One at a time, so that of two at once the second finds nothing.
    locks.named(session, f"overdue {membership.id}")
    late = of_memberships(session, [membership.id])
    if not late:
        raise NothingOverdue(membership=membership.id)
    subject = f"dues of membership {membership.id}, overdue since {late[0].day}"
    act = actions.log(session, by, "clear overdue", subject, member_id=membership.member_id, reason=reason)
    session.add(ClearedDues(membership_id=membership.id, cleared_at=now, action_id=act))
    session.flush()


def refusing(late: Iterable[Overdue], now: datetime) -> Sequence[Overdue]:
    """Those of these memberships whose sessions cannot be used now without a reason."""
    return [one for one in late if one.since <= now and one.is_refused(now)]
