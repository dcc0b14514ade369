"""What expires next: sessions by club and item over the next local days, and each of their grants. Read only.

Sessions that are coming count by their last usable day, as all others do. Those of test members are left out.
"""

from datetime import date, datetime
from typing import Any, NamedTuple

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
GRANTS = f"""
    SELECT g.id, g.member_id, g.item_id, g.remaining, g.expires_at, c.club_id, c.club,
           CAST((g.expires_at - interval '1 microsecond') AT TIME ZONE c.time_zone AS date) AS last_day,
           CAST(CAST(:now AS timestamptz) AT TIME ZONE c.time_zone AS date) AS today,
           CASE WHEN g.effective_at > :now THEN CAST(g.effective_at AT TIME ZONE c.time_zone AS date) END AS usable_from
    FROM credit_grants g
    JOIN grant_clubs c ON c.grant_id = g.id
    WHERE g.remaining > 0
      AND NOT EXISTS (SELECT FROM members t WHERE t.id = g.member_id AND t.is_test)
      AND g.expires_at > :now AND g.expires_at <= CAST(:now AS timestamptz) + make_interval(days => :days + 1)
      AND (CAST(:item AS bigint) IS NULL OR g.item_id = CAST(:item AS bigint))
      AND {theirs.club("c.club_id")}
"""
"""SQL: the grants that may expire within `:days` days, of `:item` and `:clubs` unless these are NULL."""

_SUMMARY = text(f"""
    SELECT l.club, i.name,
           CAST(coalesce(sum(l.remaining) FILTER (WHERE last_day = today), 0) AS bigint),
           CAST(coalesce(sum(l.remaining) FILTER (WHERE last_day = today + 1), 0) AS bigint),
           CAST(sum(l.remaining) AS bigint), count(*), count(DISTINCT l.member_id)
    FROM ({GRANTS}) l JOIN items i ON i.id = l.item_id
    WHERE l.last_day < l.today + :days
    GROUP BY l.club, i.name
    ORDER BY l.club, i.name
""")

_BY_DAY = text(f"""
    SELECT l.last_day - l.today, CAST(sum(l.remaining) AS bigint) FROM ({GRANTS}) l
    WHERE l.last_day < l.today + :days GROUP BY 1
""")

_PAGE = text(f"""
    SELECT l.id, l.expires_at, m.name, m.email, l.club, i.name, l.remaining, l.last_day, l.usable_from
    FROM ({GRANTS} AND g.expires_at >= :after AND (g.expires_at, g.id) > (:after, :after_id)) l
    JOIN items i ON i.id = l.item_id
    JOIN members m ON m.id = l.member_id
    WHERE l.last_day < l.today + :days
    ORDER BY l.expires_at, l.id
    LIMIT :limit
""")


def _window(now: datetime, days: int, club_ids: Clubs, item_id: int | None) -> dict[str, Any]:
    return {"now": now, "days": days, "clubs": theirs.written(club_ids), "item": item_id}


def summary(
    session: Session, now: datetime, *, days: int = 7, club_ids: Clubs = None, item_id: int | None = None
) -> list[Expiring]:
    """By club and item: the sessions whose last usable day is today or one of the next, `days` in all.

    Only of these clubs and that item, if given.
    """
    return [Expiring(*row) for row in session.execute(_SUMMARY, _window(now, days, club_ids, item_id))]


def by_day(
    session: Session, now: datetime, *, days: int = 7, club_ids: Clubs = None, item_id: int | None = None
) -> list[int]:
    """The same sessions by their last usable day: today, tomorrow, and so on."""
    found: dict[int, int] = dict(session.execute(_BY_DAY, _window(now, days, club_ids, item_id)).all())
    return [found.get(day, 0) for day in range(days)]


def batch(
    session: Session, now: datetime, *, days: int = 7, after: ExpiringGrant | None = None, limit: int = BATCH,
    club_ids: Clubs = None,
) -> list[ExpiringGrant]:  # fmt: skip
    """Up to `limit` of these grants, the next to expire first, from those that come after that one."""
    start = {"after": after.expires_at if after else now, "after_id": after.grant_id if after else 0}
    window = {**_window(now, days, club_ids, None), "limit": limit, **start}
    return [ExpiringGrant(*row) for row in session.execute(_PAGE, window)]
