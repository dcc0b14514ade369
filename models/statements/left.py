"""What a member has left of an item, in one sentence, for the desk. Read only."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from models.catalogue import days
from models.catalogue.items import Item
from models.members.memberships import Member
from models.statements import statement
from models.wording import day_of
from runtime.language import grouped, say, say_n


def left(session: Session, member: Member, item: Item, now: datetime) -> str:
    """`Ann Archer has 6 Group Class left, usable until Dec 29, 2026.`

    The day is local at the club of the grant, or of the member's last membership where the grant has none. Of a test
    member, what is left is so by its clock.
    """
    now = member.clock(now)
    held = [
        grant
        for grant in statement.grants(session, member.id, now)
        if grant.item_id == item.id and grant.remaining and not grant.is_expired and grant.effective_at <= now
    ]
    total = sum(grant.remaining for grant in held)
    if not total:
        return say("{member} has no {item} left.", member=member.name, item=item.name)
    home = member.memberships[-1].club.time_zone if member.memberships else str(UTC)
    moments = sorted(grant.expires_at for grant in held if grant.expires_at)
    has = {"member": member.name, "item": item.name}
    if not moments:
        return say_n(
            "{member} has {n} {item} left, which never expires.", "{member} has {n} {item} left, which never expire.",
            total, **has,
        )  # fmt: skip
    first = [grant for grant in held if grant.expires_at == moments[0]]
    day = day_of(days.last_day(moments[0], first[0].time_zone or home))
    soonest = sum(grant.remaining for grant in first)
    if soonest == total:
        return say("{member} has {total} {item} left, usable until {day}.", total=grouped(total), day=day, **has)
    return say_n(
        "{member} has {total} {item} left: {soonest} usable until {day}, the other longer.",
        "{member} has {total} {item} left: {soonest} usable until {day}, the others longer.",
        total - soonest, total=grouped(total), soonest=grouped(soonest), day=day, **has,
    )  # fmt: skip
