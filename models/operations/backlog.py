"""The backlog of the inbox and of payments at this moment, by endpoint (NULL: all together).

Each of these is found by its partial index, however long the history is.
"""

from sqlalchemy import text

from models.payments.reviews import ReviewReason

OLDEST_DUE_S, FAILING_S, WAITING_S = 30, 5 * 60, 24 * 60 * 60
"""How long an event may be due, be tried again after failures, and wait for its processor, before that is too long."""

_WAITING = text(f"""
    WITH pending AS (
        SELECT endpoint, next_attempt_at, error, received_at, false AS thin, NULL::timestamptz AS waits_since
        FROM webhook_events WHERE state = 'pending' AND NOT thin AND attempts = 0
        UNION ALL
        SELECT endpoint, next_attempt_at, error, received_at, false, NULL
        FROM webhook_events WHERE state = 'pending' AND NOT thin AND attempts > 0
        UNION ALL
        SELECT endpoint, next_attempt_at, error, received_at, true, waits_since
        FROM webhook_events WHERE state = 'pending' AND thin
    ), looked_at AS (
        SELECT p.*, p.next_attempt_at <= clock_timestamp() AS due, q.endpoint IS NOT NULL AS paused,
               q.endpoint IS NULL AND p.error IS NOT NULL AND p.waits_since IS NULL
                   AND p.received_at < clock_timestamp() - make_interval(secs => {FAILING_S}) AS failing
        FROM pending p LEFT JOIN pauses q ON q.endpoint = p.endpoint
    ), seen AS (
        SELECT *, NOT paused AND (
                   next_attempt_at < clock_timestamp() - make_interval(secs => {OLDEST_DUE_S}) OR failing
                   OR coalesce(waits_since < clock_timestamp() - make_interval(secs => {WAITING_S}), false)
               ) AS late
        FROM looked_at
    )
    SELECT endpoint, count(*) FILTER (WHERE due AND NOT paused) AS due,
           extract(epoch FROM clock_timestamp() - min(next_attempt_at) FILTER (WHERE due AND NOT paused))::float8
               AS oldest_due_s,
           count(*) FILTER (WHERE due AND paused) AS paused_due,
           count(*) FILTER (WHERE error IS NOT NULL AND NOT due) AS retrying, count(*) FILTER (WHERE thin) AS thin,
           count(*) FILTER (WHERE waits_since IS NOT NULL AND NOT paused) AS waiting,
           extract(epoch FROM clock_timestamp() - min(waits_since) FILTER (WHERE NOT paused))::float8
               AS longest_waiting_s,
           count(*) FILTER (WHERE failing) AS failing,
           extract(epoch FROM clock_timestamp() - min(received_at) FILTER (WHERE failing))::float8 AS longest_failing_s,
           count(*) FILTER (WHERE late) AS late,
           extract(epoch FROM clock_timestamp() - min(least(received_at, next_attempt_at)) FILTER (WHERE late))::float8
               AS oldest_late_s
    FROM seen GROUP BY GROUPING SETS ((endpoint), ())
""")

_TROUBLED = text("""
    SELECT endpoint, count(*) FILTER (WHERE state = 'dead') AS dead,
           extract(epoch FROM clock_timestamp() - min(received_at) FILTER (WHERE state = 'dead'))::float8
               AS oldest_dead_s,
           count(*) FILTER (WHERE state = 'quarantined') AS quarantined,
           extract(epoch FROM clock_timestamp() - min(received_at) FILTER (WHERE state = 'quarantined'))::float8
               AS oldest_quarantined_s
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
