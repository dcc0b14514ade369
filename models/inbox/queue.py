"""The queue: workers claim due events, and finish or fail them; people replay or discard them.

A claim commits at once, with the attempt counted and the event leased, so that a worker that dies has used up an
attempt and its events come round again by themselves.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import Batch, array
from models.database.base import prose
from models.inbox.events import EventState


class Claimed(NamedTuple):
    """An event that belongs to its worker until the lease ends."""

    id: int
    endpoint: str
    event_id: str
    type: str
    body: bytes
    attempts: int
    resource: bytes | None
    delivery: str | None
    let_through: bool


_DUE = """FROM webhook_events
        WHERE state = 'pending' AND {which} AND next_attempt_at <= clock_timestamp()
          AND endpoint <> ALL (ARRAY(SELECT endpoint FROM pauses))
        ORDER BY next_attempt_at"""

# Materialized, because a plan that evaluates the subquery per event would take more than the limit.
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
    """Takes due events, the oldest first. Commit at once, before trying them.

    Takes up to `limit` new events or, with `retried`, a single one that was tried before,
    so that an event which kills its worker takes no other with it.
    """
    statement, most = (_CLAIM_RETRIED, 1) if retried else (_CLAIM_FRESH, limit)
    rows = session.execute(statement, {"limit": most, "lease_s": lease_s}).all()
    return sorted(Claimed(*row) for row in rows)


_PENDING = {
    "fresh": "NOT thin AND attempts = 0",
    "retried": "NOT thin AND attempts > 0",
    "thin": "thin",
}
# Longer than this from now no wait lasts that began by the present clock.
_LONGEST_S = """greatest(:lease_s, 1.5 * least(:cap_s, greatest(:base_s * 2.0 ^ least(attempts, 60),
                        extract(epoch FROM statement_timestamp() - coalesce(waits_since, statement_timestamp())))))"""
_TOO_LATE = ", ".join(
    f"""{name} AS MATERIALIZED (
        SELECT id FROM webhook_events
        WHERE state = 'pending' AND {which}
          AND next_attempt_at > statement_timestamp() + make_interval(secs => {_LONGEST_S})
        FOR UPDATE SKIP LOCKED
    )"""
    for name, which in _PENDING.items()
)
_TRUST_CLOCK = text(f"""
    WITH {_TOO_LATE}
    UPDATE webhook_events SET next_attempt_at = clock_timestamp()
    WHERE id IN ({" UNION ALL ".join(f"SELECT id FROM {name}" for name in _PENDING)})
""")


def trust_clock(session: Session, *, lease_s: float, base_s: float, cap_s: float) -> int:
    """Makes due what no wait could have made due so late: the clock was ahead then, and was set back since.

    Without it, such an event would wait until the clock has caught up. Returns how many these were.
    """
    values = {"lease_s": lease_s, "base_s": base_s, "cap_s": cap_s}
    return session.connection().execute(_TRUST_CLOCK, values).rowcount


def is_crowded(session: Session, events: int) -> bool:
    """Whether at least this many events are due for crediting."""
    return bool(session.scalar(_WAITING, {"others": events - 1}))


class Outcome(NamedTuple):
    """The end state of an event."""

    id: int
    state: EventState
    reason: str | None = None


_FINISH = Batch(
    """
    UPDATE webhook_events e
    SET state = new.state, reason = new.reason, error = NULL, finished_at = clock_timestamp()
    FROM ROWS
    WHERE e.id = new.id AND e.state = 'pending'
    """,
    id="bigint",
    state="text",
    reason="prose",
)


def finish(session: Session, outcomes: Sequence[Outcome]) -> None:
    """Marks events as done, in the transaction that did their work."""
    _FINISH.execute(session, outcomes)


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
    """Records the error of a try and schedules the next; the last try makes a dead letter. Returns the new state.

    Call it in a transaction of its own, after the failed one was rolled back. The
    wait doubles from `base_s` up to `cap_s`, times a jitter of 0.5 to 1.5. Returns
    None if another worker finished the event meanwhile.
    """
    values = {"id": event_id, "error": error, "max_attempts": max_attempts, "base_s": base_s, "cap_s": cap_s}
    state = session.scalar(_FAIL, values)
    return EventState(state) if state else None


_DISCARD = text("""
    UPDATE webhook_events
    SET state = 'ignored', reason = concat_ws('; ', 'discarded: ' || :why, coalesce(reason, error)),
        finished_at = clock_timestamp(), bulk_action_id = coalesce(CAST(:act AS bigint), bulk_action_id)
    WHERE id = ANY(CAST(:ids AS bigint[]))
      AND (state IN ('quarantined', 'dead') OR (state = 'pending' AND thin AND waits_since IS NOT NULL))
    RETURNING id
""")


def discard(session: Session, ids: Sequence[int], why: str, *, act: int | None = None) -> list[int]:
    """Gives quarantined, dead or waiting events no effect, as a person decided. Returns the ids of those changed.

    `act` is the bulk action that they are part of.
    """
    return sorted(session.scalars(_DISCARD, {"ids": array(ids), "why": why, "act": act}))


_REPLAY = text("""
    UPDATE webhook_events
    SET state = 'pending', attempts = 0, next_attempt_at = clock_timestamp(),
        thin = thin OR (resource IS NOT NULL AND state <> 'processed'), let_through = let_through OR :let_through,
        reason = NULL, error = NULL, waits_since = NULL, finished_at = NULL,
        bulk_action_id = coalesce(CAST(:act AS bigint), bulk_action_id)
    WHERE id = ANY(CAST(:ids AS bigint[])) AND (conflicts_with IS NULL OR :let_through) AND pruned_at IS NULL
    RETURNING id
""")


def replay(session: Session, ids: Sequence[int], *, let_through: bool = False, act: int | None = None) -> list[int]:
    """Makes events due again, whatever their state. Returns the ids of those that now are.

    Harmless for an event that had its effect, because payments are settled by difference. The resource of one
    without effect is fetched again. With `let_through` they count even if they contradict the first event of
    their id, or their payment. Pruned events are left out. `act` is the bulk action that they are part of.
    """
    return sorted(session.scalars(_REPLAY, {"ids": array(ids), "let_through": let_through, "act": act}))
