"""When sessions are used: by weekday and hour of the club, over a period. What was given back does not count.

A use counts at the club that was named for it, and else at the one whose membership paid for it.
"""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.reports.asked import Asked, over, run, wanted


class Row(NamedTuple):
    """One hour of one weekday; together with all its like in the period."""

    weekday: int
    """1 is Monday, 7 is Sunday."""
    hour: int
    """0 to 23."""
    sessions: int


USED_AT = "coalesce(u.club_id, m.club_id)"
"""SQL: the club where redemption `u` was, of a session of grant `g`."""

# No local day begins or ends further from the UTC one than that.
_USES = """
    SELECT u.id, u.club_id, u.occurred_at FROM redemptions u
    WHERE u.undoes IS NULL AND u.occurred_at >= CAST(:since AS date) - interval '1 day'
      AND u.occurred_at < CAST(:until AS date) + interval '2 days'
"""
_MOVED = over(f"""
    SELECT u.occurred_at AT TIME ZONE c.time_zone AS at, -e.quantity AS sessions
    FROM (
        SELECT u.*, u.id AS moved_by FROM ({_USES}) u
        UNION ALL SELECT u.*, back.id FROM ({_USES}) u JOIN redemptions back ON back.undoes = u.id
    ) u
    JOIN ledger_entries e ON e.redemption_id = u.moved_by
    JOIN {{grants}} ON g.id = e.grant_id
    JOIN clubs c ON c.id = {USED_AT}
    WHERE {wanted(USED_AT)}
""")
_REPORT = text(f"""
    SELECT CAST(extract(isodow FROM at) AS int), CAST(extract(hour FROM at) AS int), CAST(sum(sessions) AS bigint)
    FROM ({_MOVED}) moved
    WHERE CAST(at AS date) BETWEEN CAST(:since AS date) AND CAST(:until AS date)
    GROUP BY 1, 2 HAVING sum(sessions) > 0
    ORDER BY 1, 2
""")


def rows(session: Session, asked: Asked) -> list[Row]:
    """The hours in which any were used, from Monday on."""
    values = {**asked.values, "since": asked.since, "until": asked.until}
    return [Row(*row) for row in run(session, _REPORT, values)]
