"""Pruning: deletes old data that only grows, a bounded batch in each transaction.

Deleted are the bodies, headers and failed tries of finished events, and the counts of old hours. The events themselves,
facts and entries are kept for ever, so that a repeat is recognized and each entry has its causes. An event whose
payment stands in review keeps its body, because it says who paid.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.payments.recorded import FACTS_PER_EVENT

COUNTS_KEPT_DAYS = 400
"""Silence detection needs the last weeks; people compare with the year before."""

# Of two events with one id both bodies are kept: they are the evidence.
_PRUNABLE = f"""
    SELECT id FROM webhook_events e
    WHERE state IN ('processed', 'ignored') AND pruned_at IS NULL AND conflicts_with IS NULL
      AND received_at < statement_timestamp() - make_interval(days => :keep_days)
      AND NOT EXISTS (SELECT FROM webhook_events other WHERE other.conflicts_with = e.id)
      AND NOT EXISTS (
          SELECT FROM payment_facts f JOIN payments p ON p.id = f.payment_id
          JOIN payment_reviews r ON r.payment_id = p.root_id AND r.answered_by IS NULL
          WHERE f.id >= e.id * {FACTS_PER_EVENT} AND f.id < (e.id + 1) * {FACTS_PER_EVENT}
      )
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
    """Deletes the bodies, headers and failed tries of up to `limit` events, the oldest first. Returns the number.

    Only of events that are processed or ignored, were received more than `keep_days` ago, and are neither part of a
    conflict nor about a payment in review. Commit, and call again until it returns 0.
    """
    return session.connection().execute(_PRUNE, {"keep_days": keep_days, "limit": limit}).rowcount


def prunable(session: Session, *, keep_days: int) -> int:
    """The exact number of events that `prune` would handle. Reads each of them."""
    events: int = session.execute(_COUNT, {"keep_days": keep_days}).scalar_one()
    return events


def prune_counts(session: Session, *, limit: int) -> int:
    """Deletes up to `limit` counts of old hours. Returns the number. Commit, and call again."""
    return session.connection().execute(_PRUNE_COUNTS, {"keep_days": COUNTS_KEPT_DAYS, "limit": limit}).rowcount
