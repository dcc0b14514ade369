"""Error groups: failed and quarantined events of one processor, type and kind of error, as an error tracker has issues.

What makes two errors the same kind is decided by the database function `error_group`, which leaves out every word with
a digit. A trigger writes it when an event fails, so that a long list is counted by an index alone.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, text
from sqlalchemy.orm import Session, load_only

from models.errors import UnknownErrorGroup
from models.inbox.events import WebhookEvent
from models.inbox.search import EventFilter
from runtime.settings import Endpoint

SHOWN = 100
"""Groups that are listed; those seen last come first."""


class ErrorGroup(NamedTuple):
    """Events that failed, or were quarantined, for the same kind of error."""

    name: str
    """`stripe.3f9a0c52d1e7`: the processor, or an endpoint that is not configured any more, and the kind of error."""
    state: str
    type: str
    events: int
    first_seen: datetime
    last_seen: datetime
    """By when they were received."""
    example: int
    """The id of the newest event."""
    error: str
    """Its error or reason."""
    endpoints: Sequence[str]


_GROUPS = text("""
    SELECT state, endpoint, error_group, count(*), min(received_at), max(received_at), max(id)
    FROM webhook_events
    WHERE state IN ('quarantined', 'dead') AND (CAST(:state AS text) IS NULL OR state = :state)
    GROUP BY state, endpoint, error_group
""")


def groups(session: Session, endpoints: Sequence[Endpoint], *, state: str | None = None) -> list[ErrorGroup]:
    """The groups of this state or of both, seen last first."""
    processor_of = {endpoint.name: endpoint.processor for endpoint in endpoints}
    rows: dict[tuple[str, str, str], list[tuple[str, int, datetime, datetime, int]]] = defaultdict(list)
    for in_state, endpoint, kind, *row in session.execute(_GROUPS, {"state": state}):
        rows[in_state, processor_of.get(endpoint, endpoint), kind].append((endpoint, *row))
    newest = sorted(rows, key=lambda key: max(row[3] for row in rows[key]), reverse=True)[:SHOWN]
    examples = {key: max(row[4] for row in rows[key]) for key in newest}
    columns = load_only(WebhookEvent.type, WebhookEvent.reason, WebhookEvent.error)
    query = select(WebhookEvent).options(columns).where(WebhookEvent.id.in_(examples.values()))
    event_of = {event.id: event for event in session.scalars(query)}
    return [_group(key, rows[key], event_of[examples[key]]) for key in newest]


def _group(
    key: tuple[str, str, str], rows: Sequence[tuple[str, int, datetime, datetime, int]], example: WebhookEvent
) -> ErrorGroup:
    state, processor, kind = key
    names, counts, first, last, _ = zip(*rows, strict=True)
    return ErrorGroup(
        f"{processor}.{kind}", state, example.type, sum(counts), min(first), max(last), example.id,
        example.reason or example.error or "", sorted(names),
    )  # fmt: skip


def narrowed(wanted: EventFilter, name: str, endpoints: Sequence[Endpoint]) -> EventFilter:
    """The filter, for the events of the group of that name alone. Raises UnknownErrorGroup."""
    processor, _, kind = name.rpartition(".")
    if not processor or len(kind) != 12 or not kind.isalnum():
        raise UnknownErrorGroup(name=name)
    of_processor = [endpoint.name for endpoint in endpoints if endpoint.processor == processor]
    if processor not in {endpoint.name for endpoint in endpoints}:
        of_processor.append(processor)  # an endpoint that is not configured any more stands for itself
    return replace(wanted, error_group=kind, endpoints=tuple(of_processor))
