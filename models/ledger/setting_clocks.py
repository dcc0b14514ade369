"""Setting a test member's clock forward. Its sessions expire by it at once, nobody else's. Main verb: `set_forward`."""

from datetime import date, datetime

from sqlalchemy.orm import Session

from models.catalogue.days import local_day
from models.errors import ClockNotLater, NotATestMember, TooFarAhead
from models.ledger import entries
from models.ledger.adjustments import home_zone
from models.members.memberships import Member, lock_member
from models.staff import actions
from models.staff.actions import Actor
from models.wording import day_of

MOST_DAYS = 1830
"""How far ahead a clock can be: about five years. The table has the same limit."""


def set_forward(session: Session, member: Member, day: date, *, by: Actor, now: datetime) -> int:
    """Set a test member's clock forward to that local day at its club. Never backward: what has expired stays so.

    Returns how many of its grants have expired by that. Raises NotATestMember, ClockNotLater, TooFarAhead, NotFound for
    a member without a membership, or MemberErased.
    """
    member = lock_member(session, member.id, alone=True)
    if not member.is_test:
        raise NotATestMember(number=member.id)
    today = local_day(member.clock(now), home_zone(session, member.id))
    if day <= today:
        raise ClockNotLater(day=day_of(today))
    ahead = member.clock_ahead + (day - today)
    if ahead.days > MOST_DAYS:
        raise TooFarAhead(most=MOST_DAYS)
    member.clock_ahead = ahead
    session.flush()
    subject = f"member {member.id}, from {today} to {day}"
    actions.log(session, by, "set test clock", subject, member_id=member.id)
    return entries.expire_tests(session, as_of=now, member_id=member.id)
