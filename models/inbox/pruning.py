"""Pruning: what only grows is given up after its time, a bounded batch in each transaction.

Given up are the bodies of events that are done with, all that came with them, and the counts of old hours.
Events themselves, facts and entries stay for ever: what was once told is known again, and each entry has its causes.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

COUNTS_KEPT_DAYS = 400
"""What is usual for an endpoint is read from its last weeks; a year, for people who compare."""

# Of two events with one id both bodies are kept: they are the evidence.
_PRUNABLE = """
    SELECT id FROM webhook_events e
    WHERE state IN ('processed', 'ignored') AND pruned_at IS NULL AND conflicts_with IS NULL
      AND received_at < statement_timestamp() - make_interval(days => :keep_days)
      AND NOT EXISTS (SELECT FROM webhook_events other WHERE other.conflicts_with = e.id)
"""

_COUNT = text("SELECT count(*) FROM ({prunable}) AS old".replace("{prunable}", _PRUNABLE))

_PRUNE = text(
    """
    WITH old AS MATERIALIZED ({prunable} ORDER BY received_at LIMIT :limit FOR UPDATE SKIP LOCKED),
    errors AS (DELETE FROM event_errors WHERE event_id = ANY (ARRAY(SELECT id FROM old)))
    UPDATE webhook_events e
    SET body = '', resource = NULL, headers = NULL, pruned_at = clock_timestamp()
    FROM old WHERE e.id = old.id
""".replace("{prunable}", _PRUNABLE)
)

_PRUNE_COUNTS = text("""
    DELETE FROM delivery_counts WHERE (endpoint, hour, outcome) IN (
        SELECT endpoint, hour, outcome FROM delivery_counts
        WHERE hour < statement_timestamp() - make_interval(days => :keep_days) ORDER BY hour LIMIT :limit
    )
""")


def prune(session: Session, *, keep_days: int, limit: int) -> int:
    """Gives up the bodies, headers and failed tries of up to `limit` events, the oldest first; returns how many.

    Only of events that are processed or ignored, were received more than `keep_days` ago, and contradict no other
    and are contradicted by none. Commit, and call again while there are any.
    """
    return session.connection().execute(_PRUNE, {"keep_days": keep_days, "limit": limit}).rowcount


def prunable(session: Session, *, keep_days: int) -> int:
    """How many events `prune` would be on now, exactly. It looks at each of them."""
    events: int = session.execute(_COUNT, {"keep_days": keep_days}).scalar_one()
    return events


def prune_counts(session: Session, *, limit: int) -> int:
    """Gives up to `limit` counts of answers of hours long past up; returns how many. Commit, and call again."""
    return session.connection().execute(_PRUNE_COUNTS, {"keep_days": COUNTS_KEPT_DAYS, "limit": limit}).rowcount
