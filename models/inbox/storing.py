"""Storing events: one statement for many, before the delivery is answered.

The unique index on endpoint and event id decides what is new. Of a known id, the content tells a repeat from a
conflict; a conflict is stored in quarantine beside the first event.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate
from typing import Any, Protocol

from sqlalchemy import Connection, Result, Row
from sqlalchemy.orm import Session

from models.database.arrays import Batch
from models.inbox.events import EventSource, EventState
from runtime.language import stored

OTHER_CONTENT = stored("the same id with other content than event {id}, which stands")


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An authentic event to be stored. With a reason, it goes into quarantine."""

    endpoint: str
    event_id: str
    type: str
    body: bytes
    api_version: str | None = None
    quarantine_reason: str | None = None
    thin: bool = False
    source: EventSource = EventSource.WEBHOOK
    delivery: str | None = None
    """None for an event that reconciliation found."""
    headers: str | None = None


class Stored(StrEnum):
    """The result of storing an event."""

    NEW = "new"
    DUPLICATE = "duplicate"
    UNFINISHED_DUPLICATE = "unfinished_duplicate"
    """Known and still pending: worth waking a worker."""
    CONFLICT = "conflict"
    """The same id with other content: quarantined beside the first, which stands."""


class SameContent(Protocol):
    """Whether two bodies of one event id mean the same to the endpoint's processor."""

    def __call__(self, endpoint: str, first: bytes, second: bytes) -> bool: ...


# The bodies are one value, cut up by the server: the driver is slow at arrays of bytes.
_INSERT = """
    INSERT INTO webhook_events (endpoint, event_id, type, api_version, thin, source, delivery, headers, body, state,
                                reason, finished_at, conflicts_with)
    SELECT endpoint, event_id, type, api_version, thin, source, delivery, headers,
           substring(CAST(:bodies AS bytea) FROM start + 1 FOR size),
           CASE WHEN reason IS NULL THEN 'pending' ELSE 'quarantined' END, reason,
           CASE WHEN reason IS NOT NULL THEN clock_timestamp() END, CAST(:first AS bigint)
    FROM ROWS
"""
_EVENTS = {
    "endpoint": "text", "event_id": "text", "type": "text", "api_version": "text", "reason": "prose",
    "thin": "boolean", "source": "text", "delivery": "text", "headers": "text", "start": "int", "size": "int",
}  # fmt: skip
_INSERT_NEW = Batch(
    _INSERT + "ON CONFLICT (endpoint, event_id) WHERE conflicts_with IS NULL DO NOTHING RETURNING endpoint, event_id",
    **_EVENTS,
)
_INSERT_CONFLICT = Batch(_INSERT + "ON CONFLICT DO NOTHING", **_EVENTS)

_KNOWN = Batch(
    """
    SELECT e.endpoint, e.event_id, e.id, e.state, e.body, e.pruned_at
    FROM webhook_events e
    JOIN ROWS ON (e.endpoint, e.event_id) = (new.endpoint, new.event_id) AND e.conflicts_with IS NULL
    """,
    endpoint="text",
    event_id="text",
)


def store(session: Session | Connection, events: Sequence[NewEvent], same_content: SameContent) -> list[Stored]:
    """Stores the events in one statement, all or none, and returns the result of each, in order.

    Only an event that is not new costs a second query.
    """
    first_of: dict[tuple[str, str], NewEvent] = {}
    for event in events:
        first_of.setdefault(key_of(event), event)
    rows = _insert(session, _INSERT_NEW, list(first_of.values()))
    inserted = {(endpoint, event_id) for endpoint, event_id in rows.all()}
    if len(inserted) == len(events):
        return [Stored.NEW] * len(events)
    is_new = [first_of[key_of(event)] is event and key_of(event) in inserted for event in events]
    repeats = {key_of(event) for event, new in zip(events, is_new, strict=True) if not new}
    known = _known(session, repeats)
    return [
        Stored.NEW if new else _look_again(session, event, known[key_of(event)], same_content)
        for event, new in zip(events, is_new, strict=True)
    ]


def bodies(session: Session, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], bytes | None]:
    """The bodies of the events that the inbox has, by endpoint and event id; None for a pruned one."""
    return {key: None if row.pruned_at else bytes(row.body) for key, row in _known(session, set(keys)).items()}


def _known(session: Session | Connection, keys: set[tuple[str, str]]) -> dict[tuple[str, str], Row[Any]]:
    rows = _KNOWN.execute(session, sorted(keys))
    return {(row.endpoint, row.event_id): row for row in rows}


def _insert(
    session: Session | Connection, statement: Batch, events: Sequence[NewEvent], first: int | None = None
) -> Result[*tuple[Any, ...]]:
    sizes = [len(event.body) for event in events]
    rows = [
        (event.endpoint, event.event_id, event.type, event.api_version, event.quarantine_reason, event.thin,
         event.source.value, event.delivery, event.headers, start, size)
        for event, start, size in zip(events, accumulate(sizes, initial=0), sizes, strict=False)
    ]  # fmt: skip
    return statement.execute(session, rows, bodies=b"".join([event.body for event in events]), first=first)


def _look_again(session: Session | Connection, event: NewEvent, first: Row[Any], same_content: SameContent) -> Stored:
    """Tells a repeat from a conflict, and stores the conflict. Of a pruned event every repeat counts as the same."""
    if first.pruned_at or first.body == event.body or same_content(event.endpoint, first.body, event.body):
        return Stored.UNFINISHED_DUPLICATE if first.state == EventState.PENDING else Stored.DUPLICATE
    reason = OTHER_CONTENT.format(id=first.id)
    _insert(session, _INSERT_CONFLICT, [replace(event, quarantine_reason=reason)], first.id)
    return Stored.CONFLICT


def key_of(event: NewEvent) -> tuple[str, str]:
    """The key by which two deliveries are the same event."""
    return event.endpoint, event.event_id
