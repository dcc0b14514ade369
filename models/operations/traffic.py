"""Recent traffic by endpoint (NULL: all together), and over time for a chart. Read only, by block range indexes.

Duplicates and bad signatures are counted by the clock's hours: their last hour is this one and the one before.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

_MINUTE = """
    SELECT endpoint, count(*) AS {what}_minute FROM webhook_events
    WHERE {when} > now() - make_interval(mins => 1) AND {which} GROUP BY GROUPING SETS ((endpoint), ())
"""

LAST_MINUTE = (
    text(_MINUTE.format(what="received", when="received_at", which="true")),
    text(_MINUTE.format(what="credited", when="finished_at", which="state = 'processed'")),
)

_RECEIVED = text("""
    SELECT endpoint, count(*) FILTER (WHERE received_at > now() - make_interval(hours => 1)) AS received_hour,
           count(*) AS received_day
    FROM webhook_events WHERE received_at > now() - make_interval(days => 1) GROUP BY GROUPING SETS ((endpoint), ())
""")

# Times to credit are of what was received in the window, so that what an outage held up long ago does not count now.
_CREDITED = text("""
    WITH lately AS (
        SELECT endpoint, finished_at > now() - make_interval(hours => 1) AS hour,
               source = 'webhook' AND received_at > now() - make_interval(days => 1) AS posted,
               source = 'webhook' AND received_at > now() - make_interval(hours => 1) AS posted_lately,
               extract(epoch FROM finished_at - received_at)::float8 AS took_s
        FROM webhook_events WHERE finished_at > now() - make_interval(days => 1) AND state = 'processed'
    )
    SELECT endpoint, count(*) FILTER (WHERE hour) AS credited_hour, count(*) AS credited_day,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY took_s) FILTER (WHERE posted_lately) AS p50_hour_s,
           percentile_cont(0.99) WITHIN GROUP (ORDER BY took_s) FILTER (WHERE posted_lately) AS p99_hour_s,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY took_s) FILTER (WHERE posted) AS p50_day_s,
           percentile_cont(0.99) WITHIN GROUP (ORDER BY took_s) FILTER (WHERE posted) AS p99_day_s
    FROM lately GROUP BY GROUPING SETS ((endpoint), ())
""")

_ANSWERED = text("""
    WITH counts AS (
        SELECT endpoint, count, outcome IN ('duplicate', 'unfinished_duplicate') AS again,
               outcome = 'bad_signature' AS forged,
               hour >= date_trunc('hour', now() - make_interval(hours => 1), 'UTC') AS lately
        FROM delivery_counts WHERE hour >= date_trunc('hour', now() - make_interval(days => 1), 'UTC')
    )
    SELECT endpoint, sum(count)::bigint AS answered_day,
           coalesce(sum(count) FILTER (WHERE lately), 0)::bigint AS answered_hour,
           coalesce(sum(count) FILTER (WHERE again), 0)::bigint AS duplicates_day,
           coalesce(sum(count) FILTER (WHERE again AND lately), 0)::bigint AS duplicates_hour,
           coalesce(sum(count) FILTER (WHERE forged), 0)::bigint AS bad_signatures_day,
           coalesce(sum(count) FILTER (WHERE forged AND lately), 0)::bigint AS bad_signatures_hour
    FROM counts GROUP BY GROUPING SETS ((endpoint), ()) HAVING sum(count) IS NOT NULL
""")

LAST_DAY = (_RECEIVED, _CREDITED, _ANSWERED)


class Moved(NamedTuple):
    """The traffic of one minute or hour, of all endpoints together."""

    at: datetime
    """When it began, UTC."""
    received: int
    credited: int


_OVER_TIME = text("""
    SELECT step, coalesce(r.events, 0), coalesce(c.events, 0)
    FROM generate_series(date_bin(CAST(:step AS interval), CAST(:since AS timestamptz), 'epoch'), now(),
                         CAST(:step AS interval)) AS step
    LEFT JOIN (
        SELECT date_bin(CAST(:step AS interval), received_at, 'epoch') AS step, count(*) AS events
        FROM webhook_events WHERE received_at >= date_bin(CAST(:step AS interval), CAST(:since AS timestamptz), 'epoch')
        GROUP BY 1
    ) r USING (step)
    LEFT JOIN (
        SELECT date_bin(CAST(:step AS interval), finished_at, 'epoch') AS step, count(*) AS events
        FROM webhook_events
        WHERE finished_at >= date_bin(CAST(:step AS interval), CAST(:since AS timestamptz), 'epoch')
          AND state = 'processed'
        GROUP BY 1
    ) c USING (step)
    ORDER BY step
""")


def minutes(session: Session, since: datetime) -> Sequence[Moved]:
    """Every minute from the one of `since` to this one, which is not over; also those in which nothing moved."""
    return [Moved(*row) for row in session.execute(_OVER_TIME, {"since": since, "step": "1 minute"})]


def hours(session: Session, since: datetime) -> Sequence[Moved]:
    """Every hour from the one of `since` to this one, which is not over."""
    return [Moved(*row) for row in session.execute(_OVER_TIME, {"since": since, "step": "1 hour"})]
