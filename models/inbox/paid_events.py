"""The events that say of payments that they were paid, by the payments' facts. Read only."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import array

MOST = 5
"""Events of one payment that are read. More say nothing new of who paid."""


class PaidEvent(NamedTuple):
    """What a processor sent about a payment that was paid, and what was fetched for it."""

    payment_id: int
    """The payment's root."""
    endpoint: str
    type: str
    body: bytes
    resource: bytes | None


_OF_PAYMENTS = text("""
    SELECT wanted.id, e.endpoint, e.type, e.body, e.resource
    FROM unnest(CAST(:roots AS bigint[])) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT DISTINCT f.event_id FROM payments p JOIN payment_facts f ON f.payment_id = p.id
        WHERE p.root_id = wanted.id AND f.kind = 'paid'
        ORDER BY f.event_id LIMIT :most
    ) paying
    JOIN webhook_events e ON e.id = paying.event_id
    WHERE e.pruned_at IS NULL
    ORDER BY wanted.id, e.id
""")


def of_payments(session: Session, roots: Sequence[int]) -> list[PaidEvent]:
    """Up to MOST events for each of these payments, the first first; without those whose bodies are pruned."""
    return [PaidEvent(*row) for row in session.execute(_OF_PAYMENTS, {"roots": array(roots), "most": MOST})]
