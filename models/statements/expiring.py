"""What expires next: sessions by club and item over the next local days, and each of their grants. Read only.

Sessions that are coming count by their last usable day, as all others do. Those of test members are left out.
"""

from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.staff import theirs
from models.staff.theirs import Clubs

BATCH = 2000


class Expiring(NamedTuple):
    """Sessions of one item at one club whose last usable day is today, tomorrow, or within the days asked for."""

    club: str
    item: str
    today: int
    """Sessions."""
    tomorrow: int
    sessions: int
    grants: int
    members: int


class ExpiringGrant(NamedTuple):
    """One grant that expires within the days asked for; `last_day` is local at the club."""

    grant_id: int
    expires_at: datetime
    member: str
    email: str
    club: str
    item: str
    sessions: int
    last_day: date
    usable_from: date | None
    """The local day from which it is usable, where that has not come yet."""


# The index on expires_at bounds the grants: no local day ends later than 15 h after the UTC day of its date.
_GRANTS = f"""
    SELECT g.id, g.member_id, g.item_id, g.remaining, g.expires_at, c.club,
           CAST((g.expires_at - interval '1 microsecond') AT TIME ZONE c.time_zone AS date) AS last_day,
           CAST(CAST(:now AS timestamptz) AT TIME ZONE c.time_zone AS date) AS today,
           CASE WHEN g.effective_at > :now THEN CAST(g.effective_at AT TIME ZONE c.time_zone AS date) END AS usable_from
    FROM credit_grants g
    JOIN grant_clubs c ON c.grant_id = g.id
    WHERE g.remaining > 0
      AND NOT EXISTS (SELECT FROM members t WHERE t.id = g.member_id AND t.is_test)
      AND g.expires_at > :now AND g.expires_at <= CAST(:now AS timestamptz) + make_interval(days => :days + 1)
      AND {theirs.club("c.club_id")}
"""

_SUMMARY = text(f"""
    SELECT l.club, i.name,
           CAST(coalesce(sum(l.remaining) FILTER (WHERE last_day = today), 0) AS bigint),
           CAST(coalesce(sum(l.remaining) FILTER (WHERE last_day = today + 1), 0) AS bigint),
           CAST(sum(l.remaining) AS bigint), count(*), count(DISTINCT l.member_id)
    FROM ({_GRANTS}) l JOIN items i ON i.id = l.item_id
    WHERE l.last_day < l.today + :days
    GROUP BY l.club, i.name
    ORDER BY l.club, i.name
""")

_PAGE = text(f"""
    SELECT l.id, l.expires_at, m.name, m.email, l.club, i.name, l.remaining, l.last_day, l.usable_from
    FROM ({_GRANTS} AND g.expires_at >= :after AND (g.expires_at, g.id) > (:after, :after_id)) l
    JOIN items i ON i.id = l.item_id
    JOIN members m ON m.id = l.member_id
    WHERE l.last_day < l.today + :days
    ORDER BY l.expires_at, l.id
    LIMIT :limit
""")


def summary(session: Session, now: datetime, *, days: int = 7, club_ids: Clubs = None) -> list[Expiring]:
    """By club and item, of these clubs: the sessions whose last usable day is one of the next `days`, or today."""
    asked = {"now": now, "days": days, "clubs": theirs.written(club_ids)}
    return [Expiring(*row) for row in session.execute(_SUMMARY, asked)]


def batch(
    session: Session, now: datetime, *, days: int = 7, after: ExpiringGrant | None = None, limit: int = BATCH,
    club_ids: Clubs = None,
) -> list[ExpiringGrant]:  # fmt: skip
    """Up to `limit` of these grants, the next to expire first, from those that come after that one."""
    start = {"after": after.expires_at if after else now, "after_id": after.grant_id if after else 0}
    window = {"now": now, "days": days, "limit": limit, "clubs": theirs.written(club_ids), **start}
    return [ExpiringGrant(*row) for row in session.execute(_PAGE, window)]
