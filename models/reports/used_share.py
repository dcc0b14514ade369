"""What became of the sessions that payments gave, by the month of the club in which they did."""

from datetime import date
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.ledger import kinds
from models.reports.asked import Asked, over, run, wanted
from models.reports.months import MONTHS


class Row(NamedTuple):
    """What payments gave of one item at one club in one month, and where it is now."""

    month: date
    """Its first day."""
    club_id: int
    club: str
    item_id: int
    item: str
    granted: int
    used: int
    expired: int
    taken_back: int
    """Because money went back, to repay what was used before it did, or by hand."""
    left: int
    used_percent: int
    """Of all that was granted."""


_MONTH = "CAST(date_trunc('month', {} AT TIME ZONE c.time_zone) AS date)"
_GIVEN = f"""g.payment_id IS NOT NULL AND {wanted()}
      AND g.recorded_at >= date_trunc(
          'month', CAST(:now AS timestamptz) AT TIME ZONE c.time_zone - CAST(:span AS interval)
      ) AT TIME ZONE c.time_zone"""
_LEFT = "CASE WHEN g.expires_at <= :now THEN 0 ELSE g.remaining END"
_GRANTS = over(f"""
    SELECT m.club_id, g.item_id, {_MONTH.format("g.recorded_at")} AS month, sum(g.quantity) AS granted, 0 AS used,
           sum(g.remaining - {_LEFT}) AS expired, sum({_LEFT}) AS left_now
    FROM {{grants}} JOIN clubs c ON c.id = m.club_id WHERE {_GIVEN} GROUP BY 1, 2, 3
""")
_ENTRIES = over(f"""
    SELECT m.club_id, g.item_id, {_MONTH.format("g.recorded_at")} AS month, 0,
           -sum(e.quantity) FILTER (WHERE {kinds.USED}), -sum(e.quantity) FILTER (WHERE {kinds.EXPIRED}), 0
    FROM {{grants}} JOIN clubs c ON c.id = m.club_id JOIN ledger_entries e ON e.grant_id = g.id
    WHERE {_GIVEN} AND ({kinds.USED} OR {kinds.EXPIRED}) GROUP BY 1, 2, 3
""")
_REPORT = text(f"""
    SELECT month, club_id, club, item_id, item, granted, used, expired, granted - used - expired - left_now, left_now,
           CAST(round(100.0 * used / granted) AS int)
    FROM (
        SELECT f.month, f.club_id, c.name AS club, f.item_id, i.name AS item, CAST(sum(f.granted) AS bigint) AS granted,
               CAST(coalesce(sum(f.used), 0) AS bigint) AS used,
               CAST(coalesce(sum(f.expired), 0) AS bigint) AS expired, CAST(sum(f.left_now) AS bigint) AS left_now
        FROM ({_GRANTS} UNION ALL {_ENTRIES}) f JOIN clubs c ON c.id = f.club_id JOIN items i ON i.id = f.item_id
        GROUP BY f.month, f.club_id, c.name, f.item_id, i.name
    ) sums
    ORDER BY month, club, item
""")


def rows(session: Session, asked: Asked) -> list[Row]:
    """The last months by club and item, the present one included; those in which nothing was given are left out."""
    return [Row(*row) for row in run(session, _REPORT, {**asked.values, "span": f"{MONTHS - 1} months"})]
