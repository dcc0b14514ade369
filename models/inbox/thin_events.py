"""Thin events: what they name has to be fetched from their processor before they can be interpreted.

    pending, thin -> fetched -> interpreted and credited like any other
                 \\-> waits: the API does not answer, or what it tells is not final yet; fetched again

A wait uses up no tries, however long it lasts, and each is about as long as all before it together: what is final in
seconds is seen in seconds, and what takes days is asked for once an hour.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import Batch, array
from models.database.base import prose
from models.inbox.queue import CLAIM_THIN, Claimed


def claim(session: Session, endpoint: str, *, lease_s: float) -> Claimed | None:
    """Takes the thin event of that endpoint which has been due for fetching longest; commit at once."""
    row = session.execute(CLAIM_THIN, {"endpoint": endpoint, "limit": 1, "lease_s": lease_s}).one_or_none()
    return Claimed(*row) if row else None


# The error stays until it is finished, so that a wait which goes on is one error and not many.
_FETCHED = text("""
    UPDATE webhook_events SET thin = false, resource = :resource, attempts = 0, next_attempt_at = clock_timestamp()
    WHERE id = :id AND state = 'pending' AND thin
""")


def fetched(session: Session, event_id: int, resource: bytes) -> None:
    """Keeps what a thin event names, which makes it due for crediting."""
    session.execute(_FETCHED, {"id": event_id, "resource": resource})


class Waiting(NamedTuple):
    """An event that has to wait for its processor, and why, in words."""

    id: int
    why: str


_WAITED_S = "extract(epoch FROM clock_timestamp() - coalesce(e.waits_since, clock_timestamp()))::float8"
_WAITS = f"""waits_since = coalesce(e.waits_since, clock_timestamp()), next_attempt_at = clock_timestamp()
            + make_interval(secs => greatest(:base_s, least(:cap_s, {_WAITED_S})) * (0.5 + random()))"""

_WAIT = Batch(
    """
    WITH known AS (
        SELECT e.id, e.error AS formerly, new.why
        FROM webhook_events e
        JOIN ROWS ON new.id = e.id
        WHERE e.state = 'pending'
        ORDER BY e.id FOR UPDATE OF e
    ), waits AS (
        UPDATE webhook_events e
        SET thin = true, resource = NULL, error = known.why, attempts = greatest(e.attempts - 1, 0), {waits}
        FROM known WHERE e.id = known.id
        RETURNING e.id, e.attempts + 1 AS attempt, known.why, known.formerly
    )
    INSERT INTO event_errors (event_id, attempt, error)
    SELECT id, attempt, why FROM waits WHERE why IS DISTINCT FROM formerly
    """.replace("{waits}", _WAITS),
    id="bigint",
    why="prose",
)


def wait(session: Session, waiting: Sequence[Waiting], *, base_s: float, cap_s: float) -> None:
    """Has claimed events fetched again after a while: `base_s`, then growing up to `cap_s`, times 0.5 to 1.5.

    Takes the claim's try back. Why it waits stands among the event's tries, once for each new reason.
    """
    if waiting:
        _WAIT.execute(session, waiting, base_s=base_s, cap_s=cap_s)


_WAIT_ALL = prose(
    """
    UPDATE webhook_events e SET error = :why, {waits}
    WHERE endpoint = :endpoint AND state = 'pending' AND thin AND next_attempt_at <= clock_timestamp()
""".replace("{waits}", _WAITS),
    "why",
)


def wait_all(session: Session, endpoint: str, why: str, *, base_s: float, cap_s: float) -> int:
    """Has all events of an endpoint that are due for fetching wait, as `wait` does; how many these are."""
    values = {"endpoint": endpoint, "why": why, "base_s": base_s, "cap_s": cap_s}
    return session.connection().execute(_WAIT_ALL, values).rowcount


_ORPHANS = text("""
    UPDATE webhook_events
    SET error = 'its endpoint is not in SPP_ENDPOINTS: add it again, and it is fetched', waits_since = clock_timestamp()
    WHERE state = 'pending' AND thin AND waits_since IS NULL AND endpoint <> ALL (CAST(:endpoints AS text[]))
""")


def explain_orphans(session: Session, endpoints: Iterable[str]) -> None:
    """Says why they wait of events of an endpoint that is not one of these: nobody fetches for it."""
    session.execute(_ORPHANS, {"endpoints": array(endpoints)})


class Fetched(NamedTuple):
    """An event without effect, and what its processor answered then."""

    id: int
    type: str
    body: bytes
    resource: bytes


_HASTEN = text("""
    UPDATE webhook_events SET next_attempt_at = clock_timestamp()
    WHERE endpoint = :endpoint AND event_id = ANY(CAST(:event_ids AS text[])) AND conflicts_with IS NULL
      AND state = 'pending' AND thin AND waits_since IS NOT NULL
""")

_IGNORED = text("""
    SELECT id, type, body, resource FROM webhook_events
    WHERE endpoint = :endpoint AND event_id = ANY(CAST(:event_ids AS text[])) AND conflicts_with IS NULL
      AND state = 'ignored' AND resource IS NOT NULL AND pruned_at IS NULL AND reason NOT LIKE 'discarded: %'
    ORDER BY id
""")


def hasten(session: Session, endpoint: str, event_ids: Iterable[str]) -> int:
    """Ends the waits of those of these events that wait, so that they are fetched now; how many these are."""
    values = {"endpoint": endpoint, "event_ids": array(event_ids)}
    return session.connection().execute(_HASTEN, values).rowcount


def ignored(session: Session, endpoint: str, event_ids: Iterable[str]) -> list[Fetched]:
    """Those of these events that were ignored, by no person, for what was fetched."""
    rows = session.execute(_IGNORED, {"endpoint": endpoint, "event_ids": array(event_ids)})
    return [Fetched(row.id, row.type, bytes(row.body), bytes(row.resource)) for row in rows]
