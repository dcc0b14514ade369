"""The history of events: tries, what people decided, facts, and the entries that these caused. Read only."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.database.arrays import array
from models.inbox.events import EventError, WebhookEvent
from models.payments.recorded import FACTS_PER_EVENT


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
    payment_id: int
    """Of the whole payment."""
    what: str | None
    """What staff should look at, of a fact that notes it."""


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
    grant_id: int
    item_id: int


class Decision(NamedTuple):
    """What a person decided about the event, and why."""

    verb: str
    """`replay`, `release` or `discard`."""
    by: str
    at: datetime
    reason: str | None
    act_id: int | None
    """The bulk action that it was part of; None where it was decided alone. Of bulk actions the last is known."""


@dataclass(frozen=True)
class Story:
    """An event with its history."""

    event: WebhookEvent
    first: WebhookEvent | None
    """The first event of its id, where this one contradicts it."""
    others: Sequence[WebhookEvent]
    """Those that contradict this one."""
    errors: Sequence[EventError]
    """Its failed tries, the first first."""
    facts: Sequence[FactLine]
    entries: Sequence[Caused]
    decisions: Sequence[Decision]
    """Of people, the first first."""


# In steps, each by ids that are known: of a range of ids, a plan expects so many rows that it reads tables through.
_FACT_IDS = text("""
    SELECT f.id
    FROM unnest(CAST(:events AS bigint[])) AS wanted (event_id)
    CROSS JOIN LATERAL (
        SELECT id FROM payment_facts
        WHERE id >= wanted.event_id * :each AND id < (wanted.event_id + 1) * :each
        LIMIT :each
    ) f
""")

_FACTS = text("""
    SELECT f.event_id, f.id, f.kind, f.cause, p.reference, root.state, root.problem, f.amount_minor, f.currency,
           f.occurred_at, f.billing_references, root.membership_id, m.id, m.name, root.id,
           f.shape ->> 'what'
    FROM payment_facts f
    JOIN payments p ON p.id = f.payment_id
    JOIN payments root ON root.id = p.root_id
    LEFT JOIN memberships s ON s.id = root.membership_id
    LEFT JOIN members m ON m.id = s.member_id
    WHERE f.id = ANY(CAST(:facts AS bigint[]))
    ORDER BY f.id
""")

_WHOLE = text("""
    SELECT id FROM payments WHERE root_id = ANY(CAST(:roots AS bigint[]))
""")

# By the payments' grants, because entries have no index by fact.
_ENTRIES = text("""
    SELECT e.fact_id / :each, e.id, e.kind, e.quantity, e.shortfall, i.name, m.id, m.name, e.recorded_at, g.id, i.id
    FROM credit_grants g
    JOIN ledger_entries e ON e.grant_id = g.id
    JOIN items i ON i.id = g.item_id
    JOIN members m ON m.id = g.member_id
    WHERE g.payment_id = ANY(CAST(:payments AS bigint[])) AND e.fact_id = ANY(CAST(:facts AS bigint[]))
    ORDER BY e.id
""")


# By the index ix_actions_event, whose condition this repeats.
_DECIDED = text("""
    SELECT e.id, a.verb, a.actor, a.recorded_at, a.reason, NULL::bigint
    FROM unnest(CAST(:ids AS bigint[])) AS e (id)
    JOIN actions a ON a.subject = 'event ' || e.id AND a.verb IN ('replay', 'release', 'discard')
    UNION ALL
    SELECT e.id, b.verb, b.asked_by, b.asked_at, b.reason, b.id
    FROM webhook_events e JOIN bulk_actions b ON b.id = e.bulk_action_id
    WHERE e.id = ANY(CAST(:ids AS bigint[]))
    ORDER BY 4
""")


def story(session: Session, event_id: int) -> Story | None:
    """The history of the event; None for an unknown id."""
    event = session.get(WebhookEvent, event_id)
    return stories(session, [event])[0] if event else None


def stories(session: Session, events: Sequence[WebhookEvent]) -> list[Story]:
    """The histories of these events, in their order, by a fixed number of statements."""
    ids = [event.id for event in events]
    firsts = {event.conflicts_with for event in events if event.conflicts_with}
    first_of = {event.id: event for event in session.scalars(select(WebhookEvent).where(WebhookEvent.id.in_(firsts)))}
    others: dict[int | None, list[WebhookEvent]] = defaultdict(list)
    contradicting = select(WebhookEvent).where(WebhookEvent.conflicts_with.in_(ids))
    for event in session.scalars(contradicting.order_by(WebhookEvent.id)):
        others[event.conflicts_with].append(event)
    errors: dict[int, list[EventError]] = defaultdict(list)
    for error in session.scalars(select(EventError).where(EventError.event_id.in_(ids)).order_by(EventError.id)):
        errors[error.event_id].append(error)
    facts = array(session.scalars(_FACT_IDS, {"events": array(ids), "each": FACTS_PER_EVENT}))
    facts_of: dict[int, list[FactLine]] = defaultdict(list)
    for event_id, *fact in session.execute(_FACTS, {"facts": facts}):
        facts_of[event_id].append(FactLine(*fact))
    roots = {fact.payment_id for lines in facts_of.values() for fact in lines}
    payments = array(session.scalars(_WHOLE, {"roots": array(roots)}))
    caused: dict[int, list[Caused]] = defaultdict(list)
    of_them = {"payments": payments, "facts": facts, "each": FACTS_PER_EVENT}
    for event_id, *entry in session.execute(_ENTRIES, of_them):
        caused[event_id].append(Caused(*entry))
    decided: dict[int, list[Decision]] = defaultdict(list)
    for event_id, *decision in session.execute(_DECIDED, {"ids": array(ids)}):
        decided[event_id].append(Decision(*decision))
    return [
        Story(
            event, first_of.get(event.conflicts_with or 0), others[event.id], errors[event.id], facts_of[event.id],
            caused[event.id], decided[event.id],
        )
        for event in events
    ]  # fmt: skip
