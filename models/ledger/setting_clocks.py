"""Setting a test member's clock forward. Its sessions expire by it at once, nobody else's. Main verb: `set_forward`."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from models.errors import NotATestMember, NotPositive, TooFarAhead
from models.ledger import entries
from models.members.memberships import Member, lock_member
from models.staff import actions
from models.staff.actions import Actor
from models.wording import counted, day_of

MOST_DAYS = 1830
"""How far ahead a clock can be: about five years. The table has the same limit."""


def set_forward(session: Session, member: Member, days: int, *, by: Actor, now: datetime) -> int:
    """Set a test member's clock forward by so many days. Never backward: what has expired stays so.

    Returns how many of its grants have expired by that. Raises NotATestMember, NotPositive, TooFarAhead, MemberErased.
    """
    member = lock_member(session, member.id, alone=True)
    if not member.is_test:
        raise NotATestMember(number=member.id)
    if days < 1:
        raise NotPositive(field="days", what="The number of days", value=days)
    if member.clock_ahead.days + days > MOST_DAYS:
        raise TooFarAhead(most=MOST_DAYS, ahead=member.clock_ahead.days)
    member.clock_ahead += timedelta(days=days)
    session.flush()
    subject = f"member {member.id}, {counted(days, 'day')} forward to {day_of(member.clock(now).date())}"
    actions.log(session, by, "set test clock", subject, member_id=member.id)
    return entries.expire_tests(session, as_of=now, member_id=member.id)
