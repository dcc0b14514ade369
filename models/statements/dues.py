"""The payments of a membership, and the sessions that each gave. Read only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session


class Gave(NamedTuple):
    """Sessions of an item that a payment gave, and how many of them are reversed because its money went back."""

    item: str
    quantity: int
    reversed: int


class Payment(NamedTuple):
    """One payment of a membership, by the reference of its earliest `Paid` fact."""

    payment_id: int
    endpoint: str
    reference: str
    amount_minor: int
    currency: str
    paid_at: datetime
    state: str
    problem: str | None
    gave: Sequence[Gave]


class Page(NamedTuple):
    """Some payments, the latest first; `older` is the cursor of the next page, None on the last."""

    payments: Sequence[Payment]
    older: int | None


_PAYMENTS = text("""
    WITH paid AS (
        SELECT * FROM paid_payments WHERE membership_id = :membership
    ), wanted AS (
        SELECT * FROM paid
        WHERE CAST(:before AS bigint) IS NULL
           OR (paid_at, id) < (SELECT paid_at, id FROM paid WHERE id = CAST(:before AS bigint))
        ORDER BY paid_at DESC, id DESC
        LIMIT :limit
    )
    SELECT w.id, w.endpoint, w.reference, w.amount_minor, w.currency, w.paid_at, w.state, w.problem, coalesce((
        SELECT json_agg(json_build_array(g.name, g.quantity, g.reversed) ORDER BY g.name)
        FROM (
            SELECT i.name, sum(g.quantity) AS quantity, sum(g.reversed) AS reversed
            FROM credit_grants g JOIN items i ON i.id = g.item_id
            WHERE g.payment_id IN (SELECT id FROM payments WHERE root_id = w.id)
            GROUP BY i.name
        ) g
    ), '[]')
    FROM wanted w
    ORDER BY w.paid_at DESC, w.id DESC
""")


def page(session: Session, membership_id: int, *, limit: int, before: int | None = None) -> Page:
    """Up to `limit` payments of the membership before the cursor `before`, the latest paid first."""
    values = {"membership": membership_id, "limit": limit + 1, "before": before}
    found = [_payment(*row) for row in session.execute(_PAYMENTS, values)]
    return Page(found[:limit], found[limit - 1].payment_id if len(found) > limit else None)


def _payment(*row: Any) -> Payment:
    return Payment._make([*row[:-1], [Gave(*each) for each in row[-1]]])


_WAITING = text("""
    SELECT count(*) FROM payments
    WHERE (state = 'unmatched' OR (state = 'settled' AND billing_references IS NOT NULL))
      AND endpoint = :endpoint AND :reference = ANY(billing_references)
""")


def waiting(session: Session, endpoint: str, reference: str) -> int:
    """How many payments wait, in whole or in part, for a membership with that billing reference."""
    waiting: int = session.scalars(_WAITING, {"endpoint": endpoint, "reference": reference}).one()
    return waiting
