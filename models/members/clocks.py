"""Test members: made-up people of test endpoints, with a clock that can be set forward for them alone.

So a gym watches a month go by (paid, used, expired, refunded) before it goes live. Whatever compares the days of a
grant with the present asks `clock_of`, or the member, for the present moment; the clock of everybody else is `now`.
The clock itself is set by `models.ledger.setting_clocks`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.days import local_day
from models.database.arrays import array
from models.errors import PaidLive, WrongState
from models.members.memberships import Member, lock_member
from models.staff import actions
from models.staff.actions import Actor
from models.wording import day_of
from runtime.language import say, say_n
from runtime.settings import Endpoint

_LIVE = text("""
    SELECT endpoint FROM (
        SELECT b.endpoint FROM billing_references b JOIN memberships m ON m.id = b.membership_id
        WHERE m.member_id = :member
        UNION SELECT f.endpoint FROM former_references f JOIN memberships m ON m.id = f.membership_id
        WHERE m.member_id = :member
        UNION SELECT p.endpoint FROM payments p JOIN memberships m ON m.id = p.membership_id
        WHERE m.member_id = :member
        UNION SELECT p.endpoint FROM payment_matches x JOIN payments p ON p.id = x.payment_id
        JOIN memberships m ON m.id = x.membership_id WHERE m.member_id = :member
    ) named
    WHERE NOT endpoint = ANY(CAST(:test AS text[])) ORDER BY endpoint LIMIT 1
""")


def make_test_member(session: Session, member: Member, endpoints: Iterable[Endpoint], *, by: Actor) -> None:
    """Make a member a test member for good: only these endpoints that are in test mode pay for it from now on.

    Raises PaidLive if another endpoint has paid for it or may, WrongState if it is one already, or MemberErased.
    """
    member = lock_member(session, member.id, alone=True)
    if member.is_test:
        raise WrongState(what=say("Member {member}", member=member.id), state="a test member already", verb="made one")
    test = array(endpoint.name for endpoint in endpoints if endpoint.mode == "test")
    if live := session.scalar(_LIVE, {"member": member.id, "test": test}):
        raise PaidLive(endpoint=live)
    member.is_test = True
    session.flush()
    actions.log(session, by, "make test member", f"member {member.id}", member_id=member.id)


def clock_of(session: Session, member_id: int, now: datetime) -> datetime:
    """The present moment for that member: `now`, or later for a test member whose clock is ahead."""
    member = session.get(Member, member_id)
    return member.clock(now) if member else now


def words(member: Member, now: datetime) -> str:
    """How a test member's clock stands, by its club's day: `Test member: its clock is 31 days ahead (Dec 31, 2026)`."""
    if not member.clock_ahead:
        return say("Test member: its clock has not been set forward")
    zone = next((one.club.time_zone for one in member.memberships), "UTC")
    today = local_day(member.clock(now), zone)
    return say_n(
        "Test member: its clock is {n} day ahead ({day})",
        "Test member: its clock is {n} days ahead ({day})",
        member.clock_ahead.days,
        day=day_of(today),
    )


_FURTHEST = text("SELECT coalesce(max(clock_ahead), '0') FROM members WHERE is_test")


def furthest(session: Session) -> timedelta:
    """By how much the test clock that is furthest ahead is so."""
    ahead: timedelta = session.scalars(_FURTHEST).one()
    return ahead
