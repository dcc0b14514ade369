"""Test members: making a member one, and setting its clock forward."""

from datetime import datetime

from flask import current_app

from console.api.fields import TIME, Answer, Body, Day, field, id_of
from console.api.gate import act
from console.api.members import TAG, Member, shown
from console.request import actor, database, utc_now
from console.rows import row
from models.ledger import setting_clocks
from models.members.clocks import make_test_member
from models.members.memberships import Member as Person
from models.staff.accounts import Role


class ClockBody(Body):
    """The day that a test member's clock is to show."""

    day: Day = field("A local day of its club, later than the one that it shows now.", "2026-12-31")


class Clock(Answer):
    """The clock of a test member."""

    member_id: int = id_of("member")
    clock: datetime = field("The present moment by it.", TIME)
    expired_grants: int = field("Grants that have expired by setting it.", 1)


@act("/members/<id:member_id>/test-membership", TAG, "/members/{id}", Role.MANAGER)
def make_test(member_id: int) -> Member:
    """Make a member a test member for good: only test endpoints pay for it from now on.

    It is refused where a live endpoint has paid for the member, or can.
    """
    member = row(Person, member_id)
    make_test_member(database(), member, current_app.config["SPP"].endpoints, by=actor())
    return shown(member)


@act("/members/<id:member_id>/test-clock", TAG, "/members/{member_id}", Role.MANAGER)
def set_clock(member_id: int, body: ClockBody) -> Clock:
    """Set the clock of a test member forward, for it alone.

    What is over by then expires at once, and sessions that were coming can be used.
    """
    member, now = row(Person, member_id), utc_now()
    expired = setting_clocks.set_forward(database(), member, body.day, by=actor(), now=now)
    return Clock(member_id=member.id, clock=member.clock(now), expired_grants=expired)
