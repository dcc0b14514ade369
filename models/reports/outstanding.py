"""Sessions outstanding by club, item and age, now or as of the end of a past local day, with what was paid for them.

As of a day, the entries recorded by its end at the club decide, as in a member's statement; only expiry goes by the
clock. Frozen sessions are outstanding. The value of a session is what its payment paid over the sessions that it gave,
by what is known of both today; what was given by hand or brought along has none.
"""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.ledger import kinds
from models.reports.asked import Asked, over, run, wanted

AGES = ("to_30", "to_60", "to_90", "older", "coming")
"""The columns of ages, in days since the sessions became usable."""


class Row(NamedTuple):
    """Sessions of one item at one club."""

    club_id: int
    club: str
    item_id: int
    item: str
    sessions: int
    to_30: int
    to_60: int
    to_90: int
    older: int
    coming: int
    value_minor: int
    currency: str
    without_value: int


_NOW = over(f"""
    SELECT m.club_id, g.item_id, g.remaining, g.payment_id, c.name, c.currency,
           CASE WHEN g.effective_at <= :now THEN CAST(CAST(:now AS timestamptz) AT TIME ZONE c.time_zone AS date)
               - CAST(g.effective_at AT TIME ZONE c.time_zone AS date) END AS age
    FROM {{grants}} JOIN clubs c ON c.id = m.club_id
    WHERE g.remaining > 0 AND (g.expires_at IS NULL OR g.expires_at > :now) AND {wanted()}
""")

_MOMENT = "(CAST(CAST(:day AS date) + 1 AS timestamp) AT TIME ZONE c.time_zone)"

# A grant is written down about when its first entry is. What has expired by its last word, and never had another,
# had expired: only of the others are the entries read.
_AS_OF = over(f"""
    SELECT m.club_id, g.item_id, s.remaining, g.payment_id, c.name, c.currency,
           CASE WHEN g.effective_at < {_MOMENT}
               THEN CAST(:day AS date) - CAST(g.effective_at AT TIME ZONE c.time_zone AS date) END AS age
    FROM {{grants}} JOIN clubs c ON c.id = m.club_id
    CROSS JOIN LATERAL (
        SELECT {kinds.SUMS} FROM ledger_entries e WHERE e.grant_id = g.id AND e.recorded_at < {_MOMENT}
    ) s
    WHERE g.recorded_at < {_MOMENT} + interval '1 day'
      AND (g.expires_at IS NULL OR g.expires_at > {_MOMENT}
           OR g.id IN (SELECT e.grant_id FROM ledger_entries e WHERE {kinds.EXTENDS}))
      AND s.remaining > 0 AND (s.expires_at IS NULL OR s.expires_at > {_MOMENT}) AND {wanted()}
""")

_REPORT = """
    WITH held AS MATERIALIZED ({held}), roots AS MATERIALIZED (
        SELECT DISTINCT p.root_id FROM held JOIN payments p ON p.id = held.payment_id
    ), paid AS MATERIALIZED (
        SELECT roots.root_id, paid.amount_minor, gave.quantity
        FROM roots
        CROSS JOIN LATERAL (SELECT amount_minor FROM paid_payments WHERE id = roots.root_id OFFSET 0) paid
        CROSS JOIN LATERAL (
            SELECT sum(g.quantity) AS quantity FROM payments same JOIN credit_grants g ON g.payment_id = same.id
            WHERE same.root_id = roots.root_id
        ) gave
        WHERE gave.quantity > 0
    )
    SELECT h.club_id, h.name, h.item_id, i.name, CAST(sum(h.remaining) AS bigint),
           CAST(coalesce(sum(h.remaining) FILTER (WHERE h.age <= 30), 0) AS bigint),
           CAST(coalesce(sum(h.remaining) FILTER (WHERE h.age BETWEEN 31 AND 60), 0) AS bigint),
           CAST(coalesce(sum(h.remaining) FILTER (WHERE h.age BETWEEN 61 AND 90), 0) AS bigint),
           CAST(coalesce(sum(h.remaining) FILTER (WHERE h.age > 90), 0) AS bigint),
           CAST(coalesce(sum(h.remaining) FILTER (WHERE h.age IS NULL), 0) AS bigint),
           CAST(coalesce(sum(paid.amount_minor * h.remaining / paid.quantity), 0) AS bigint),
           h.currency,
           CAST(coalesce(sum(h.remaining) FILTER (WHERE paid.root_id IS NULL), 0) AS bigint)
    FROM held h
    JOIN items i ON i.id = h.item_id
    LEFT JOIN payments p ON p.id = h.payment_id
    LEFT JOIN paid ON paid.root_id = p.root_id
    GROUP BY h.club_id, h.name, h.currency, h.item_id, i.name
    ORDER BY h.name, i.name
"""
_REPORT_NOW, _REPORT_AS_OF = (text(_REPORT.format(held=held)) for held in (_NOW, _AS_OF))


def rows(session: Session, asked: Asked) -> list[Row]:
    """By club and item; those of which nothing is outstanding are left out."""
    query = _REPORT_AS_OF if asked.day else _REPORT_NOW
    return [Row(*row) for row in run(session, query, {**asked.values, "day": asked.day})]
