"""What a member has and why: balances, grants, and entries with the payment and event behind each. Read only."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session


class Balance(NamedTuple):
    """One item of one member at one moment."""

    item_id: int
    item: str
    usable: int
    expires_next: int
    """Sessions that lapse at `next_expiry`."""
    next_expiry: datetime | None
    """UTC; None where nothing usable ever lapses."""
    shortfall: int


class GrantLine(NamedTuple):
    """One lot; `lapsed` says that its time is over, written down or not."""

    grant_id: int
    item: str
    payment: str
    quantity: int
    remaining: int
    shortfall: int
    effective_at: datetime
    expires_at: datetime | None
    lapsed: bool


class EntryLine(NamedTuple):
    """One entry and its cause: the fact's payment and event, or the redemption."""

    entry_id: int
    occurred_at: datetime
    kind: str
    item: str
    grant_id: int
    quantity: int
    shortfall: int
    payment: str | None
    fact_id: int | None
    endpoint: str | None
    event_id: str | None
    redemption_id: int | None
    note: str | None


_BALANCES = text("""
    WITH lots AS (
        SELECT item_id, remaining, shortfall, expires_at,
               effective_at <= :now AND (expires_at IS NULL OR :now < expires_at) AS usable
        FROM credit_grants WHERE member_id = :member
    ), next AS (
        SELECT item_id, min(expires_at) AS expires_at FROM lots WHERE usable AND remaining > 0 GROUP BY item_id
    )
    SELECT i.id, i.name,
           coalesce(sum(l.remaining) FILTER (WHERE l.usable), 0),
           coalesce(sum(l.remaining) FILTER (WHERE l.usable AND l.expires_at = n.expires_at), 0),
           n.expires_at, sum(l.shortfall)
    FROM lots l
    JOIN items i ON i.id = l.item_id
    LEFT JOIN next n ON n.item_id = l.item_id
    GROUP BY i.id, i.name, n.expires_at
    ORDER BY i.name
""")

_GRANTS = text("""
    SELECT g.id, i.name, f.reference, g.quantity, g.remaining, g.shortfall, g.effective_at, g.expires_at,
           coalesce(g.expires_at <= :now, false)
    FROM credit_grants g
    JOIN items i ON i.id = g.item_id
    CROSS JOIN LATERAL (
        SELECT p.reference FROM ledger_entries e
        JOIN payment_facts f ON f.id = e.fact_id JOIN payments p ON p.id = f.payment_id
        WHERE e.grant_id = g.id AND e.kind = 'grant'
    ) f
    WHERE g.member_id = :member
    ORDER BY g.effective_at, g.id
""")

_ENTRIES = text("""
    SELECT e.id, e.occurred_at, e.kind, i.name, e.grant_id, e.quantity, e.shortfall,
           p.reference, e.fact_id, w.endpoint, w.event_id, e.redemption_id, e.note
    FROM credit_grants g
    JOIN items i ON i.id = g.item_id
    JOIN ledger_entries e ON e.grant_id = g.id
    LEFT JOIN payment_facts f ON f.id = e.fact_id
    LEFT JOIN payments p ON p.id = f.payment_id
    LEFT JOIN webhook_events w ON w.id = f.event_id
    WHERE g.member_id = :member
    ORDER BY e.id
""")


def balances(session: Session, member_id: int, now: datetime) -> Sequence[Balance]:
    """What is usable at `now`, per item the member ever had; exact by the clock, whether expiry ran or not."""
    return [Balance(*row) for row in session.execute(_BALANCES, {"member": member_id, "now": now})]


def grants(session: Session, member_id: int, now: datetime) -> Sequence[GrantLine]:
    """Every lot, the oldest first."""
    return [GrantLine(*row) for row in session.execute(_GRANTS, {"member": member_id, "now": now})]


def entries(session: Session, member_id: int) -> Sequence[EntryLine]:
    """Every entry with its cause, in the order they were written."""
    return [EntryLine(*row) for row in session.execute(_ENTRIES, {"member": member_id})]
