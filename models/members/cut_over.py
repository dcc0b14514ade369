"""The cut-over of a membership: from which moment on its payments count. Main verb: `set_cut_over`.

An earlier system has given the sessions of what was paid before it. So such a payment gives nothing here, however and
whenever it arrives: settling looks at the moment that stands on the membership when it settles.
"""

from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from models.catalogue.days import ONE_DAY, end_of
from models.database import locks
from models.errors import NotChanged, YearWrong
from models.members import settling_again
from models.members.memberships import Membership, lock_member
from models.staff import actions
from models.staff.actions import Actor
from models.wording import day_of
from runtime.language import say

MAX_YEARS = 5


class CutOver(NamedTuple):
    """A membership with its cut-over, and the payments that the change lets settle again (by the sweep, or at once)."""

    act: Membership
    payments: list[int]


def set_cut_over(
    session: Session, membership: Membership, credits_from: datetime | None, *, reason: str, by: Actor, now: datetime
) -> CutOver:
    """Let only payments from that moment on count; None lets all count.

    Raises ReasonMissing, TextTooLong, NotChanged, YearWrong or MemberErased.
    """
    reason = actions.reason_given(reason)
    check(credits_from, now)
    locks.change(session)
    member = lock_member(session, membership.member_id)
    session.refresh(membership, ["credits_from"], with_for_update=True)
    if credits_from == membership.credits_from:
        raise NotChanged(field="credits_from")
    membership.credits_from = credits_from
    session.flush()
    subject = f"membership {membership.id}: {logged(credits_from)}"
    actions.log(session, by, "set cut-over", subject, member_id=member.id, reason=reason)
    return CutOver(membership, settling_again.of_memberships(session, [(membership.id, None)]))


def beginning_of(membership: Membership, day: date) -> datetime:
    """The moment at which that local day begins at its club, UTC."""
    return end_of(day - ONE_DAY, membership.club.time_zone)


def check(credits_from: datetime | None, now: datetime) -> None:
    """Refuse a moment that makes no sense. Raises YearWrong."""
    if credits_from and abs(credits_from - now) > timedelta(days=MAX_YEARS * 366):
        raise YearWrong(field="credits_from", day=day_of(credits_from.date()), years=MAX_YEARS)


def logged(credits_from: datetime | None) -> str:
    """The cut-over in the action log: `payments count from 2026-03-01 06:00 UTC on`."""
    return f"payments count from {credits_from:%Y-%m-%d %H:%M} UTC on" if credits_from else "every payment counts"


def words(credits_from: datetime | None, time_zone: str) -> str:
    """The cut-over in words for people, by the club's clock."""
    if credits_from is None:
        return say("Every payment gives its sessions, whenever it was paid.")
    local = credits_from.astimezone(ZoneInfo(time_zone))
    if local.time() == time.min:
        return say(
            "What was paid before {day} gives no sessions: an earlier system has given them. Money of it that goes "
            "back stands in review.",
            day=day_of(local.date()),
        )
    return say(
        "What was paid before {time} on {day} gives no sessions: an earlier system has given them. Money of it that "
        "goes back stands in review.",
        time=f"{local:%H:%M}",
        day=day_of(local.date()),
    )
