"""What became of one event: its tries, the facts it told, and the entries that these caused. Read only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.facts import FACTS_PER_EVENT
from models.inbox import EventError, WebhookEvent


class FactLine(NamedTuple):
    """One fact of the event, and the payment that it is about."""

    fact_id: int
    kind: str
    cause: str | None
    payment: str
    state: str
    """Of the whole payment, by whatever reference."""
    problem: str | None
    amount_minor: int | None
    currency: str | None
    occurred_at: datetime
    billing_references: list[str] | None
    membership_id: int | None
    member_id: int | None
    member: str | None


class Caused(NamedTuple):
    """One entry that a fact of the event caused."""

    entry_id: int
    kind: str
    quantity: int
    shortfall: int
    item: str
    member_id: int
    member: str
    recorded_at: datetime


@dataclass(frozen=True)
class Story:
    """An event and all that is known of it."""

    event: WebhookEvent
    first: WebhookEvent | None
    """The first event of its id, where this one contradicts it."""
    others: Sequence[WebhookEvent]
    """Those that contradict this one."""
    errors: Sequence[EventError]
    """Its failed tries, the first first."""
    facts: Sequence[FactLine]
    entries: Sequence[Caused]


_FACTS = text("""
    SELECT f.id, f.kind, f.cause, p.reference, root.state, root.problem, f.amount_minor, f.currency, f.occurred_at,
           f.billing_references, root.membership_id, m.id, m.name
    FROM payment_facts f
    JOIN payments p ON p.id = f.payment_id
    JOIN payments root ON root.id = coalesce(p.same_as, p.id)
    LEFT JOIN memberships s ON s.id = root.membership_id
    LEFT JOIN members m ON m.id = s.member_id
    WHERE f.id >= :first AND f.id < :after
    ORDER BY f.id
""")

# By way of the payments' grants: there are entries by the million, and none is looked up by its fact.
_ENTRIES = text("""
    WITH told AS (
        SELECT f.id, coalesce(p.same_as, p.id) AS root
        FROM payment_facts f JOIN payments p ON p.id = f.payment_id
        WHERE f.id >= :first AND f.id < :after
    ), whole AS (
        SELECT id FROM payments WHERE id IN (SELECT root FROM told) OR same_as IN (SELECT root FROM told)
    )
    SELECT e.id, e.kind, e.quantity, e.shortfall, i.name, m.id, m.name, e.recorded_at
    FROM credit_grants g
    JOIN ledger_entries e ON e.grant_id = g.id
    JOIN items i ON i.id = g.item_id
    JOIN members m ON m.id = g.member_id
    WHERE g.payment_id IN (SELECT id FROM whole) AND e.fact_id IN (SELECT id FROM told)
    ORDER BY e.id
""")


def story(session: Session, event_id: int) -> Story | None:
    """What became of the event; None where there is none of that id."""
    event = session.get(WebhookEvent, event_id)
    if event is None:
        return None
    of_it = {"first": event_id * FACTS_PER_EVENT, "after": (event_id + 1) * FACTS_PER_EVENT}
    others = select(WebhookEvent).where(WebhookEvent.conflicts_with == event_id).order_by(WebhookEvent.id)
    errors = select(EventError).where(EventError.event_id == event_id).order_by(EventError.id)
    return Story(
        event,
        session.get(WebhookEvent, event.conflicts_with) if event.conflicts_with else None,
        session.scalars(others).all(),
        session.scalars(errors).all(),
        [FactLine(*row) for row in session.execute(_FACTS, of_it)],
        [Caused(*row) for row in session.execute(_ENTRIES, of_it)],
    )
