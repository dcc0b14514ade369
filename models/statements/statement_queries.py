"""SQL: a member's balances, grants and entries. `statement.py` runs these queries and says what they return."""

from sqlalchemy import TextClause, text

from models.ledger import kinds
from models.ledger.entries import FROZEN_TO_AS_OF, FROZEN_TO_NOW

_GRANT_ROWS = """
    SELECT id, item_id, membership_id, quantity, remaining, shortfall, reversed, effective_at, expires_at
    FROM credit_grants WHERE member_id = :member
"""

_GRANT_ROWS_AS_OF = f"""
    SELECT g.id, g.item_id, g.membership_id, g.effective_at, {kinds.SUMS}
    FROM credit_grants g
    JOIN ledger_entries e ON e.grant_id = g.id AND e.recorded_at <= :now
    WHERE g.member_id = :member
    GROUP BY g.id
"""


def _balances(grants: str, frozen_to: str) -> TextClause:
    return text(f"""
    WITH held AS ({grants}), grants AS (
        SELECT *, is_live AND frozen_to IS NULL AS usable
        FROM (
            SELECT *, effective_at <= :now AND (expires_at IS NULL OR :now < expires_at) AS is_live,
                   {frozen_to} AS frozen_to
            FROM held g
        ) held
    ), next AS (
        SELECT item_id, min(expires_at) AS expires_at FROM grants WHERE usable AND remaining > 0 GROUP BY item_id
    ), coming AS (
        SELECT item_id, array_agg(day ORDER BY effective_at) AS days,
               array_agg(effective_at ORDER BY effective_at) AS moments,
               array_agg(sessions ORDER BY effective_at) AS sessions
        FROM (
            SELECT g.item_id, g.effective_at, CAST(g.effective_at AT TIME ZONE c.time_zone AS date) AS day,
                   CAST(sum(g.remaining) AS bigint) AS sessions
            FROM grants g JOIN grant_clubs c ON c.grant_id = g.id
            WHERE g.effective_at > :now AND g.remaining > 0
            GROUP BY 1, 2, 3
        ) days
        GROUP BY item_id
    )
    SELECT i.id, i.name,
           CAST(coalesce(sum(l.remaining) FILTER (WHERE l.usable), 0) AS bigint),
           CAST(coalesce(sum(l.remaining) FILTER (WHERE l.usable AND l.expires_at = n.expires_at), 0) AS bigint),
           n.expires_at, CAST(sum(l.shortfall) AS bigint),
           CAST(coalesce(sum(l.remaining) FILTER (WHERE l.is_live AND l.frozen_to IS NOT NULL), 0) AS bigint),
           min(l.frozen_to) FILTER (WHERE l.is_live AND l.remaining > 0) AS frozen_to, c.days, c.moments, c.sessions
    FROM grants l
    JOIN items i ON i.id = l.item_id
    LEFT JOIN next n ON n.item_id = l.item_id
    LEFT JOIN coming c ON c.item_id = l.item_id
    GROUP BY i.id, i.name, n.expires_at, c.days, c.moments, c.sessions
    ORDER BY i.name
""")


def _grants(grants: str, entered: str = "true") -> TextClause:
    return text(f"""
    SELECT g.id, g.item_id, i.name, f.reference, f.endpoint, g.quantity, f.used, g.remaining, g.shortfall,
           g.effective_at, g.expires_at, coalesce(g.expires_at <= :now, false), c.time_zone, a.actor, f.note,
           g.reversed, f.opened_by, c.membership_id, c.club_id, c.club, f.expired,
           greatest(0, least(f.used, f.reversed_without_effect - f.gone)), held.tranche, g.effective_at > :now,
           held.club_ids
    FROM (
        SELECT * FROM ({grants}) held
        WHERE id = coalesce(CAST(:grant AS bigint), id)
          AND (CAST(:after AS bigint) IS NULL OR (effective_at, id) > (
              SELECT effective_at, id FROM credit_grants WHERE id = CAST(:after AS bigint) AND member_id = :member
          ))
        ORDER BY effective_at, id
        LIMIT :limit
    ) g
    JOIN credit_grants held ON held.id = g.id
    JOIN items i ON i.id = g.item_id
    LEFT JOIN grant_clubs c ON c.grant_id = g.id AND c.membership_id IS NOT NULL
    LEFT JOIN actions a ON a.id = held.action_id
    CROSS JOIN LATERAL (
        -- What opened it; later ones of these entries only make it larger.
        SELECT (array_agg(p.reference ORDER BY e.id) FILTER (WHERE {kinds.OPENS}))[1] AS reference,
               (array_agg(p.endpoint ORDER BY e.id) FILTER (WHERE {kinds.OPENS}))[1] AS endpoint,
               (array_agg(e.note ORDER BY e.id) FILTER (WHERE {kinds.OPENS}))[1] AS note,
               min(e.id) AS opened_by,
               coalesce(-sum(e.quantity) FILTER (WHERE {kinds.USED}), 0) AS used,
               coalesce(-sum(e.quantity) FILTER (WHERE {kinds.EXPIRED}), 0) AS expired,
               coalesce(-sum(e.quantity) FILTER (WHERE {kinds.GONE}), 0) AS gone,
               -- Neither taken nor owed: what was gone before, and what was used and then forgiven.
               coalesce(sum(e.reversed + e.quantity - e.shortfall) FILTER (WHERE {kinds.TAKES_BACK}), 0)
                   AS reversed_without_effect
        FROM ledger_entries e
        LEFT JOIN payment_facts f ON f.id = e.fact_id AND {kinds.OPENS}
        LEFT JOIN payments p ON p.id = f.payment_id
        WHERE e.grant_id = g.id AND {entered}
    ) f
    ORDER BY g.effective_at, g.id
""")


NOW = _balances(_GRANT_ROWS, FROZEN_TO_NOW), _grants(_GRANT_ROWS)
AS_OF = _balances(_GRANT_ROWS_AS_OF, FROZEN_TO_AS_OF), _grants(_GRANT_ROWS_AS_OF, "e.recorded_at <= :now")
"""The queries for balances and for grants: of the present, and as of a moment."""

ENTRIES = text(f"""
    WITH entered AS (
        SELECT e.*, g.item_id, g.tranche,
               sum(e.quantity) OVER (PARTITION BY g.item_id ORDER BY e.occurred_at, e.id) AS balance,
               sum(e.quantity) OVER (PARTITION BY e.grant_id ORDER BY e.occurred_at, e.id) AS grant_balance
        FROM credit_grants g
        JOIN ledger_entries e ON e.grant_id = g.id
        WHERE g.member_id = :member AND e.recorded_at <= coalesce(CAST(:at AS timestamptz), 'infinity')
          AND g.item_id = coalesce(CAST(:item AS bigint), g.item_id)
    ), wanted AS (
        SELECT * FROM entered
        WHERE (CAST(:before AS bigint) IS NULL OR (occurred_at, id) < (
              SELECT occurred_at, id FROM entered WHERE id = CAST(:before AS bigint)
          ))
          AND occurred_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
          AND occurred_at < coalesce(CAST(:until AS timestamptz), 'infinity')
          AND grant_id = coalesce(CAST(:grant AS bigint), grant_id) AND id = coalesce(CAST(:entry AS bigint), id)
        ORDER BY occurred_at DESC, id DESC
        LIMIT :limit
    )
    SELECT e.id, e.occurred_at, e.recorded_at, e.kind, i.name, e.grant_id, e.quantity, e.balance, e.grant_balance,
           e.shortfall, p.reference, e.fact_id, w.endpoint, w.event_id, e.redemption_id, e.action_id, a.actor,
           e.expires_at, coalesce(e.note, o.note), e.item_id, f.cause, e.counter_grant_id, e.tranche,
           e.kind = 'grant' AND EXISTS (SELECT FROM ledger_entries b WHERE b.grant_id = e.grant_id AND b.id < e.id),
           e.kind = 'extension' AND coalesce(e.expires_at, 'infinity') < (
               SELECT coalesce(before.expires_at, 'infinity') FROM ledger_entries before
               WHERE before.grant_id = e.grant_id AND before.id < e.id AND {kinds.DATES.replace("e.", "before.")}
               ORDER BY before.id DESC LIMIT 1
           ), o.occurred_at, o.class_reference, o.class_name, o.trainer, o.club_id, c.name
    FROM wanted e
    JOIN items i ON i.id = e.item_id
    LEFT JOIN payment_facts f ON f.id = e.fact_id
    LEFT JOIN payments p ON p.id = f.payment_id
    LEFT JOIN webhook_events w ON w.id = f.event_id
    LEFT JOIN actions a ON a.id = e.action_id
    LEFT JOIN redemptions r ON r.id = e.redemption_id
    LEFT JOIN redemptions o ON o.id = coalesce(r.undoes, r.id)
    LEFT JOIN clubs c ON c.id = o.club_id
    ORDER BY e.occurred_at DESC, e.id DESC
""")
