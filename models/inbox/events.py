"""The inbox: every authentic webhook event, kept before it is answered.

    pending -> processed | ignored | quarantined | dead -> (replay) -> pending

A thin event names something that has to be fetched from its processor: it is pending,
but due for fetching first, and for crediting when that is here (models/inbox/thin_events.py).

Events are stored many at a time and claimed many at a time. A claim commits at
once, with the attempt counted and the event leased, so that a worker that dies
has used up an attempt and its events come round again by themselves.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

from sqlalchemy import BigInteger, CheckConstraint, Connection, ForeignKey, Index, LargeBinary, Row, String, func, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.arrays import array, columns
from models.database.base import Base, Id, Prose, RecordedAt, Reference, one_of, prose


class EventState(StrEnum):
    """Where an event stands. Only `pending` ones are ever due."""

    PENDING = "pending"
    PROCESSED = "processed"
    IGNORED = "ignored"
    """Understood, and of no effect; the reason says why."""
    QUARANTINED = "quarantined"
    """Authentic, but contradictory or unusable: kept, shown, no effect."""
    DEAD = "dead"
    """Given up after the last try; a replay sends it through again."""


class EventSource(StrEnum):
    """How an event came to us."""

    WEBHOOK = "webhook"
    BACKFILL = "backfill"
    """We asked the processor what had happened."""


class WebhookEvent(Base):
    """One event as the processor sent it. A batch delivery is split into its events."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        Index(
            "uq_webhook_events_endpoint_event_id",
            "endpoint",
            "event_id",
            unique=True,
            postgresql_where=text("conflicts_with IS NULL"),
        ),
        Index(
            "uq_webhook_events_conflict",
            "conflicts_with",
            func.sha256(text("body")),
            unique=True,
            postgresql_where=text("conflicts_with IS NOT NULL"),
        ),
        # Those tried before apart, because they are claimed apart.
        Index(
            "ix_webhook_events_due",
            "next_attempt_at",
            postgresql_where=text("state = 'pending' AND NOT thin AND attempts = 0"),
        ),
        Index(
            "ix_webhook_events_due_again",
            "next_attempt_at",
            postgresql_where=text("state = 'pending' AND NOT thin AND attempts > 0"),
        ),
        Index(
            "ix_webhook_events_due_for_fetching",
            "endpoint",
            "next_attempt_at",
            postgresql_where=text("state = 'pending' AND thin"),
        ),
        # Received in the order of the table, which costs storing next to nothing.
        Index(
            "ix_webhook_events_received_at",
            "received_at",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
        ),
        # What was finished lately stands in few places of the table, wherever those are.
        Index(
            "ix_webhook_events_finished_at",
            "finished_at",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
        ),
        Index(
            "ix_webhook_events_troubled",
            "state",
            "id",
            postgresql_where=text("state IN ('quarantined', 'dead')"),
        ),
        # What is done with and has its body still; pruned from the old end.
        Index(
            "ix_webhook_events_prunable",
            "received_at",
            postgresql_where=text("state IN ('processed', 'ignored') AND pruned_at IS NULL AND conflicts_with IS NULL"),
        ),
        CheckConstraint(one_of("state", EventState), "state"),
        CheckConstraint(one_of("source", EventSource), "source"),
    )

    id: Mapped[Id]
    endpoint: Mapped[str] = mapped_column(String(63))
    event_id: Mapped[Reference]
    """The processor's id; where it gives none, one composed of what makes the event itself."""
    type: Mapped[Reference]
    api_version: Mapped[str | None]
    """The version of the processor's API that wrote the body, where it says so."""
    body: Mapped[bytes] = mapped_column(LargeBinary)
    source: Mapped[str] = mapped_column(server_default=EventSource.WEBHOOK.value)
    thin: Mapped[bool] = mapped_column(server_default="false")
    """What it names has still to be fetched."""
    resource: Mapped[bytes | None] = mapped_column(LargeBinary)
    """What was fetched."""
    received_at: Mapped[RecordedAt]
    state: Mapped[str] = mapped_column(server_default=EventState.PENDING.value)
    reason: Mapped[str | None] = mapped_column(Prose)
    """Why it is ignored or quarantined."""
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[RecordedAt]
    """When it is due; while it is being tried, when its lease ends."""
    error: Mapped[str | None] = mapped_column(Prose)
    """What the last try failed with, or what it waits for."""
    waits_since: Mapped[datetime | None]
    """Since when it waits for its processor, or waited last."""
    finished_at: Mapped[datetime | None]
    conflicts_with: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("webhook_events.id"))
    """The first event of the same id, whose content differs from this one's."""
    delivery: Mapped[str | None] = mapped_column(String(32))
    """The correlation id of the delivery that brought it, by which all logs speak of it: 32 hexadecimal digits."""
    headers: Mapped[str | None]
    """The delivery's headers that matter, as JSON."""
    pruned_at: Mapped[datetime | None]
    """When its body was given up, after the time for which bodies are kept."""
    let_through: Mapped[bool] = mapped_column(server_default="false")
    """A person has decided that it counts, whatever it contradicts."""

    @property
    def can_be_let_through(self) -> bool:
        """Whether a person may let it count after all: it is in quarantine, or contradicts another event in vain."""
        if self.conflicts_with is None:
            return self.state == EventState.QUARANTINED
        return self.state in {EventState.QUARANTINED, EventState.DEAD, EventState.IGNORED}

    @property
    def waits(self) -> bool:
        """Whether it waits for its processor: for an API that does not answer, or for what it names to be final."""
        return self.state == EventState.PENDING and self.thin and self.waits_since is not None

    @property
    def can_be_discarded(self) -> bool:
        """Whether a person may decide that it has no effect."""
        return self.waits or self.state in {EventState.QUARANTINED, EventState.DEAD}


class EventError(Base):
    """A try of an event that failed, and what with."""

    __tablename__ = "event_errors"

    id: Mapped[Id]
    event_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("webhook_events.id"), index=True)
    attempt: Mapped[int]
    failed_at: Mapped[RecordedAt]
    error: Mapped[str] = mapped_column(Prose)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An authentic event on its way into the inbox. With a reason, it goes into quarantine."""

    endpoint: str
    event_id: str
    type: str
    body: bytes
    api_version: str | None = None
    quarantine_reason: str | None = None
    thin: bool = False
    source: EventSource = EventSource.WEBHOOK
    delivery: str | None = None
    """None for what was never delivered: we asked for it."""
    headers: str | None = None


class Stored(StrEnum):
    """What became of an event on arrival."""

    NEW = "new"
    DUPLICATE = "duplicate"
    UNFINISHED_DUPLICATE = "unfinished_duplicate"
    """Known and still pending: worth ringing for."""
    CONFLICT = "conflict"
    """The same id with other content: quarantined beside the first, which stands."""


class SameContent(Protocol):
    """Tells whether two bodies of one event id say the same, as the endpoint's processor sees it."""

    def __call__(self, endpoint: str, first: bytes, second: bytes) -> bool: ...


class Claimed(NamedTuple):
    """An event that is ours until its lease ends."""

    id: int
    endpoint: str
    event_id: str
    type: str
    body: bytes
    attempts: int
    resource: bytes | None
    delivery: str | None
    let_through: bool


# The bodies come as one value, cut up here: the driver is slow at arrays of bytes.
_INSERT = prose(
    """
    INSERT INTO webhook_events
        (endpoint, event_id, type, api_version, thin, source, delivery, headers, body, state, reason, finished_at)
    SELECT endpoint, event_id, type, api_version, thin, source, delivery, headers,
           substring(CAST(:bodies AS bytea) FROM start + 1 FOR size),
           CASE WHEN reason IS NULL THEN 'pending' ELSE 'quarantined' END, reason,
           CASE WHEN reason IS NULL THEN NULL ELSE clock_timestamp() END
    FROM unnest(CAST(:endpoints AS text[]), CAST(:event_ids AS text[]), CAST(:types AS text[]),
                CAST(:api_versions AS text[]), CAST(:reasons AS text[]), CAST(:thin AS boolean[]),
                CAST(:sources AS text[]), CAST(:deliveries AS text[]), CAST(:headers AS text[]),
                CAST(:starts AS int[]), CAST(:sizes AS int[]))
         AS new (endpoint, event_id, type, api_version, reason, thin, source, delivery, headers, start, size)
    ON CONFLICT (endpoint, event_id) WHERE conflicts_with IS NULL DO NOTHING
    RETURNING endpoint, event_id
""",
    "reasons",
)

_KNOWN = text("""
    SELECT e.endpoint, e.event_id, e.id, e.state, e.body, e.pruned_at
    FROM webhook_events e
    JOIN unnest(CAST(:endpoints AS text[]), CAST(:event_ids AS text[])) AS known (endpoint, event_id)
      ON (e.endpoint, e.event_id) = (known.endpoint, known.event_id) AND e.conflicts_with IS NULL
""")

_INSERT_CONFLICT = text("""
    INSERT INTO webhook_events
        (endpoint, event_id, type, api_version, thin, source, delivery, headers, body, state, reason, finished_at,
         conflicts_with)
    VALUES (:endpoint, :event_id, :type, :api_version, :thin, :source, :delivery, :headers, :body, 'quarantined',
            :reason, clock_timestamp(), :first)
    ON CONFLICT DO NOTHING
""")


def store(session: Session | Connection, events: Sequence[NewEvent], same_content: SameContent) -> list[Stored]:
    """Stores the events in one statement, all or none; says of each, in order, what became of it.

    The unique index decides what is new. Only an event that is not new costs a
    second look, which tells a repeat from a conflict.
    """
    first_of: dict[tuple[str, str], NewEvent] = {}
    for event in events:
        first_of.setdefault(key_of(event), event)
    inserted = _insert(session, list(first_of.values()))
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
    """The bodies of those of these events, by endpoint and event id, that the inbox has; None where it was pruned."""
    return {key: None if row.pruned_at else bytes(row.body) for key, row in _known(session, set(keys)).items()}


def _known(session: Session | Connection, keys: set[tuple[str, str]]) -> dict[tuple[str, str], Row[Any]]:
    rows = session.execute(_KNOWN, columns(("endpoints", "event_ids"), sorted(keys)))
    return {(row.endpoint, row.event_id): row for row in rows}


def _insert(session: Session | Connection, events: Sequence[NewEvent]) -> set[tuple[str, str]]:
    """Inserts what is new; its keys."""
    sizes = [len(event.body) for event in events]
    rows = [
        (event.endpoint, event.event_id, event.type, event.api_version, event.quarantine_reason, event.thin,
         event.source.value, event.delivery, event.headers, start, size)
        for event, start, size in zip(events, accumulate(sizes, initial=0), sizes, strict=False)
    ]  # fmt: skip
    names = (
        "endpoints", "event_ids", "types", "api_versions", "reasons", "thin", "sources", "deliveries", "headers",
        "starts", "sizes",
    )  # fmt: skip
    values = {**columns(names, rows), "bodies": b"".join([event.body for event in events])}
    return {(endpoint, event_id) for endpoint, event_id in session.execute(_INSERT, values).all()}


def _look_again(session: Session | Connection, event: NewEvent, first: Row[Any], same_content: SameContent) -> Stored:
    """Tells a repeat from a conflict, which is stored beside the first. Of what was pruned, all is a repeat."""
    if first.pruned_at or first.body == event.body or same_content(event.endpoint, first.body, event.body):
        return Stored.UNFINISHED_DUPLICATE if first.state == EventState.PENDING else Stored.DUPLICATE
    session.execute(
        _INSERT_CONFLICT,
        {
            "endpoint": event.endpoint,
            "event_id": event.event_id,
            "type": event.type,
            "api_version": event.api_version,
            "thin": event.thin,
            "source": event.source.value,
            "delivery": event.delivery,
            "headers": event.headers,
            "body": event.body,
            "reason": f"the same id with other content than event {first.id}, which stands",
            "first": first.id,
        },
    )
    return Stored.CONFLICT


def key_of(event: NewEvent) -> tuple[str, str]:
    """What makes two deliveries the same event."""
    return event.endpoint, event.event_id


_DUE = """FROM webhook_events
        WHERE state = 'pending' AND {which} AND next_attempt_at <= clock_timestamp()
          AND endpoint <> ALL (ARRAY(SELECT endpoint FROM pauses))
        ORDER BY next_attempt_at"""

# Materialized: a plan that looked for what is due once per event would take more than the limit.
_CLAIM = """
    WITH due AS MATERIALIZED (
        SELECT id {due}
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE webhook_events e
    SET attempts = e.attempts + 1, next_attempt_at = clock_timestamp() + make_interval(secs => :lease_s)
    FROM due
    WHERE e.id = due.id
    RETURNING e.id, e.endpoint, e.event_id, e.type, e.body, e.attempts, e.resource, e.delivery,
              e.let_through
"""
_WAITING = text(f"SELECT true {_DUE.format(which='NOT thin')} OFFSET :others LIMIT 1")
_CLAIM_FRESH, _CLAIM_RETRIED, CLAIM_THIN = (
    text(_CLAIM.format(due=_DUE.format(which=which)))
    for which in ("NOT thin AND attempts = 0", "NOT thin AND attempts > 0", "thin AND endpoint = :endpoint")
)


def claim(session: Session, *, retried: bool, limit: int, lease_s: float) -> list[Claimed]:
    """Takes due events, oldest first; commit at once, before trying them.

    Takes up to `limit` events never tried before or, with `retried`, one that was:
    it comes alone, so that an event which kills its worker takes no other with it.
    """
    statement, most = (_CLAIM_RETRIED, 1) if retried else (_CLAIM_FRESH, limit)
    rows = session.execute(statement, {"limit": most, "lease_s": lease_s}).all()
    return sorted(Claimed(*row) for row in rows)


def is_crowded(session: Session, events: int) -> bool:
    """Whether at least so many events are due for crediting."""
    return bool(session.scalar(_WAITING, {"others": events - 1}))


class Outcome(NamedTuple):
    """How an event ended."""

    id: int
    state: EventState
    reason: str | None = None


_FINISH = prose(
    """
    UPDATE webhook_events e
    SET state = done.state, reason = done.reason, error = NULL, finished_at = clock_timestamp()
    FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:reasons AS text[])) AS done (id, state, reason)
    WHERE e.id = done.id AND e.state = 'pending'
""",
    "reasons",
)


def finish(session: Session, outcomes: Sequence[Outcome]) -> None:
    """Marks events as done, in the transaction that did their work."""
    session.execute(_FINISH, columns(("ids", "states", "reasons"), outcomes))


_FAIL = prose(
    """
    WITH failed AS (
        UPDATE webhook_events
        SET error = :error, waits_since = NULL,
            state = CASE WHEN attempts >= :max_attempts THEN 'dead' ELSE state END,
            finished_at = CASE WHEN attempts >= :max_attempts THEN clock_timestamp() END,
            next_attempt_at = clock_timestamp()
                + make_interval(secs => least(:cap_s, :base_s * 2.0 ^ least(attempts - 1, 60)) * (0.5 + random()))
        WHERE id = :id AND state = 'pending'
        RETURNING id, attempts, state
    ), kept AS (
        INSERT INTO event_errors (event_id, attempt, error) SELECT id, attempts, :error FROM failed
    )
    SELECT state FROM failed
""",
    "error",
)


def fail(
    session: Session, event_id: int, error: str, *, max_attempts: int, base_s: float, cap_s: float
) -> EventState | None:
    """Keeps why a try failed, and says when the next is due; the last try makes a dead letter.

    Call it in a transaction of its own, after the failed one was rolled back. The
    wait doubles from `base_s` up to `cap_s`, times a jitter of 0.5 to 1.5. None
    means that somebody else finished the event meanwhile.
    """
    values = {"id": event_id, "error": error, "max_attempts": max_attempts, "base_s": base_s, "cap_s": cap_s}
    state = session.scalar(_FAIL, values)
    return EventState(state) if state else None


_DISCARD = text("""
    UPDATE webhook_events
    SET state = 'ignored', reason = concat_ws('; ', 'discarded: ' || :why, coalesce(reason, error)),
        finished_at = clock_timestamp()
    WHERE id = ANY(CAST(:ids AS bigint[]))
      AND (state IN ('quarantined', 'dead') OR (state = 'pending' AND thin AND waits_since IS NOT NULL))
    RETURNING id
""")


def discard(session: Session, ids: Sequence[int], why: str) -> list[int]:
    """A person's decision that quarantined, dead or waiting events have no effect; says which now have none."""
    return sorted(session.scalars(_DISCARD, {"ids": array(ids), "why": why}))


_REPLAY = text("""
    UPDATE webhook_events
    SET state = 'pending', attempts = 0, next_attempt_at = clock_timestamp(),
        thin = thin OR (resource IS NOT NULL AND state <> 'processed'), let_through = let_through OR :let_through,
        reason = NULL, error = NULL, waits_since = NULL, finished_at = NULL
    WHERE id = ANY(CAST(:ids AS bigint[])) AND (conflicts_with IS NULL OR :let_through) AND pruned_at IS NULL
    RETURNING id
""")


def replay(session: Session, ids: Sequence[int], *, let_through: bool = False) -> list[int]:
    """Sends events through the same path again, whatever their state; says which are now due.

    Harmless for an event that had its effect: effects are settled by difference. What was
    fetched for one that had none is fetched again. With `let_through` they count whatever they contradict: the
    first of their id, or their payment. One whose body was pruned has nothing to be read again.
    """
    return sorted(session.scalars(_REPLAY, {"ids": array(ids), "let_through": let_through}))
