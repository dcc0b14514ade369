"""What expires within some days, by member: whom to write to. Sums and grants are in `models.statements.expiring`."""

from datetime import date
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.reports.asked import Asked, run
from models.statements.expiring import GRANTS


class Row(NamedTuple):
    """Sessions of one item of one member that can be used until the same day."""

    last_day: date
    """The last local day on which they can be used."""
    member_id: int
    member: str
    email: str
    club_id: int
    club: str
    item_id: int
    item: str
    sessions: int


_REPORT = text(f"""
    SELECT l.last_day, m.id, m.name, m.email, l.club_id, l.club, l.item_id, i.name,
           CAST(sum(l.remaining) AS bigint)
    FROM ({GRANTS}) l
    JOIN members m ON m.id = l.member_id
    JOIN items i ON i.id = l.item_id
    WHERE l.last_day < l.today + :days
    GROUP BY l.last_day, m.id, l.club_id, l.club, l.item_id, i.name
    ORDER BY l.last_day, m.name, m.id, l.club, i.name
    LIMIT :limit
""")


def rows(session: Session, asked: Asked) -> list[Row]:
    """The soonest first; at most `asked.limit`."""
    values = {**asked.values, "days": asked.days, "limit": asked.limit}
    return [Row(*row) for row in run(session, _REPORT, values)]
