"""Members with nothing left: a membership that goes on, and no session that can be used now or later.

Asked for one item, those whose plan gives that item, and who have none of it. Frozen sessions are something.
"""

from datetime import date
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.ledger import kinds
from models.operations.silence import NEXT_DUE
from models.reports.asked import Asked, run


class Row(NamedTuple):
    """A member with nothing left, by a membership that goes on."""

    member_id: int
    member: str
    email: str
    membership_id: int
    club_id: int
    club: str
    offer: str
    last_used: date | None
    """The local day on which the last session was used."""
    last_expired: date | None
    """The last local day of the sessions that expired last."""
    next_dues: date | None
    """The local day on which the next dues are expected, by the last that were paid; None where that is not known."""


_LEFT = """
    SELECT FROM credit_grants g WHERE g.member_id = n.id AND g.remaining > 0
      AND (g.expires_at IS NULL OR g.expires_at > :now)
      AND (CAST(:item AS bigint) IS NULL OR g.item_id = CAST(:item AS bigint))
"""
_MOVED = """
    SELECT max(e.occurred_at) FROM credit_grants g JOIN ledger_entries e ON e.grant_id = g.id
    WHERE g.member_id = n.id AND {kind} AND (CAST(:item AS bigint) IS NULL OR g.item_id = CAST(:item AS bigint))
"""

_REPORT = text(f"""
    WITH without AS MATERIALIZED (
        SELECT m.id AS membership_id, n.id AS member_id, n.name, n.email, c.id AS club_id, c.name AS club, c.time_zone
        FROM memberships m
        JOIN members n ON n.id = m.member_id AND n.erased_at IS NULL AND NOT n.is_test
        JOIN clubs c ON c.id = m.club_id
        WHERE m.withdrawn_at IS NULL
          AND (CAST(:clubs AS bigint[]) IS NULL OR c.id = ANY(CAST(:clubs AS bigint[])))
          AND NOT EXISTS (
              SELECT FROM life_in_force a WHERE a.membership_id = m.id AND a.kind = 'end'
                AND a.last_day < CAST(CAST(:now AS timestamptz) AT TIME ZONE c.time_zone AS date)
          )
          AND NOT EXISTS ({_LEFT})
          AND (CAST(:item AS bigint) IS NULL OR EXISTS (
              SELECT FROM pinned_terms pin WHERE pin.item_id = CAST(:item AS bigint) AND pin.terms_id = (
                  SELECT v.id FROM membership_terms v WHERE v.membership_id = m.id
                  ORDER BY v.since > :now, v.since DESC, v.id DESC LIMIT 1
              )
          ))
        ORDER BY n.name, n.id, m.id
        LIMIT :limit
    )
    SELECT n.member_id, n.name, n.email, n.membership_id, n.club_id, n.club, o.name,
           CAST(moved.used AT TIME ZONE n.time_zone AS date),
           CAST((moved.expired - interval '1 microsecond') AT TIME ZONE n.time_zone AS date),
           CAST(due.expected AS date)
    FROM (SELECT member_id AS id, * FROM without) n
    CROSS JOIN LATERAL (
        SELECT ({_MOVED.format(kind=kinds.USED + " AND e.quantity < 0")}) AS used,
               ({_MOVED.format(kind=kinds.EXPIRED + " AND e.quantity < 0")}) AS expired
    ) moved
    CROSS JOIN LATERAL (
        SELECT v.payment_term_id, v.interval, v.interval_count FROM membership_terms v
        WHERE v.membership_id = n.membership_id ORDER BY v.since > :now, v.since DESC, v.id DESC LIMIT 1
    ) v
    JOIN payment_terms t ON t.id = v.payment_term_id
    JOIN offers o ON o.id = t.offer_id
    CROSS JOIN LATERAL (
        SELECT max(f.occurred_at) AT TIME ZONE n.time_zone AS at
        FROM (
            SELECT id FROM payments WHERE membership_id = n.membership_id
            UNION SELECT payment_id FROM payment_matches WHERE membership_id = n.membership_id
        ) its
        JOIN payments part ON part.root_id = its.id
        JOIN payment_facts f ON f.payment_id = part.id AND f.kind = 'paid'
    ) paid
    CROSS JOIN LATERAL (
        SELECT CASE WHEN v.interval <> 'once' THEN
            {NEXT_DUE.format(paid="paid.at", interval="v.interval", count="v.interval_count")}
        END AS expected
    ) due
    ORDER BY n.name, n.member_id, n.membership_id
""")


def rows(session: Session, asked: Asked) -> list[Row]:
    """By name; at most `asked.limit`."""
    return [Row(*row) for row in run(session, _REPORT, {**asked.values, "limit": asked.limit})]
