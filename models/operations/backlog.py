"""The backlog of the inbox and of payments at this moment, by endpoint (NULL: all together).

Each of these is found by its partial index, however long the history is.
"""

from sqlalchemy import text

from models.payments.reviews import ReviewReason

_WAITING = text("""
    WITH pending AS (
        SELECT endpoint, next_attempt_at, error, false AS thin, NULL::timestamptz AS waits_since
        FROM webhook_events WHERE state = 'pending' AND NOT thin AND attempts = 0
        UNION ALL
        SELECT endpoint, next_attempt_at, error, false, NULL
        FROM webhook_events WHERE state = 'pending' AND NOT thin AND attempts > 0
        UNION ALL
        SELECT endpoint, next_attempt_at, error, true, waits_since
        FROM webhook_events WHERE state = 'pending' AND thin
    ), seen AS (
        SELECT p.*, p.next_attempt_at <= clock_timestamp() AS due, q.endpoint IS NOT NULL AS paused
        FROM pending p LEFT JOIN pauses q ON q.endpoint = p.endpoint
    )
    SELECT endpoint, count(*) FILTER (WHERE due AND NOT paused) AS due,
           extract(epoch FROM clock_timestamp() - min(next_attempt_at) FILTER (WHERE due AND NOT paused))::float8
               AS oldest_due_s,
           count(*) FILTER (WHERE due AND paused) AS paused_due,
           count(*) FILTER (WHERE error IS NOT NULL AND NOT due) AS retrying, count(*) FILTER (WHERE thin) AS thin,
           count(*) FILTER (WHERE waits_since IS NOT NULL AND NOT paused) AS waiting,
           extract(epoch FROM clock_timestamp() - min(waits_since) FILTER (WHERE NOT paused))::float8
               AS longest_waiting_s
    FROM seen GROUP BY GROUPING SETS ((endpoint), ())
""")

_TROUBLED = text("""
    SELECT endpoint, count(*) FILTER (WHERE state = 'dead') AS dead,
           count(*) FILTER (WHERE state = 'quarantined') AS quarantined
    FROM webhook_events WHERE state IN ('quarantined', 'dead') GROUP BY GROUPING SETS ((endpoint), ())
""")

_REASONS = (
    ReviewReason.UNMATCHED, ReviewReason.HELD, ReviewReason.NOTHING, ReviewReason.EXTRA, ReviewReason.FROZEN,
    ReviewReason.ENDED, ReviewReason.ERASED, ReviewReason.PAYER_ONLY,
)  # fmt: skip
"""Those of payments that gave no sessions; each is a figure of its own."""

_IN_REVIEW = text(f"""
    SELECT endpoint, count(*) AS in_review,
           {", ".join(f"count(*) FILTER (WHERE '{one}' = ANY(reasons)) AS {one}" for one in _REASONS)},
           extract(epoch FROM clock_timestamp() - min(since) FILTER (WHERE 'unmatched' = ANY(reasons)))::float8
               AS oldest_unmatched_s,
           extract(epoch FROM clock_timestamp() - min(since))::float8 AS oldest_in_review_s
    FROM (
        SELECT p.endpoint, min(r.recorded_at) AS since, array_agg(r.reason) AS reasons
        FROM payment_reviews r JOIN payments p ON p.id = r.payment_id
        WHERE r.answered_by IS NULL GROUP BY p.id
    ) open
    GROUP BY GROUPING SETS ((endpoint), ())
""")

NOW = (_WAITING, _TROUBLED, _IN_REVIEW)
