"""What a member has left of an item, in one sentence, for the desk. Read only."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from models.catalogue import days
from models.catalogue.items import Item
from models.members.memberships import Member
from models.statements import statement
from models.wording import day_of


def left(session: Session, member: Member, item: Item, now: datetime) -> str:
    """`Ann Archer has 6 Group Class left, usable until Dec 29, 2026.`

    The day is local at the club of the grant, or of the member's last membership where the grant has none.
    """
    held = [
        grant
        for grant in statement.grants(session, member.id, now)
        if grant.item_id == item.id and grant.remaining and not grant.is_expired and grant.effective_at <= now
    ]
    total = sum(grant.remaining for grant in held)
    if not total:
        return f"{member.name} has no {item.name} left."
    home = member.memberships[-1].club.time_zone if member.memberships else str(UTC)
    moments = sorted(grant.expires_at for grant in held if grant.expires_at)
    said = f"{member.name} has {total} {item.name} left"
    if not moments:
        return f"{said}, {'which never expires' if total == 1 else 'which never expire'}."
    first = [grant for grant in held if grant.expires_at == moments[0]]
    day = day_of(days.last_day(moments[0], first[0].time_zone or home))
    soonest = sum(grant.remaining for grant in first)
    if soonest == total:
        return f"{said}, usable until {day}."
    return f"{said}: {soonest} usable until {day}, the {'other' if total - soonest == 1 else 'others'} longer."
