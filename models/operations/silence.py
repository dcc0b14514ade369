"""Silence: an endpoint that is quiet for longer than its own history and the expected dues calendar allow.

A processor that stops sending causes no error. The only sign is that dues were expected and nothing came.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import array
from models.members.settling_again import payments_of
from runtime.settings import Endpoint

HISTORY = timedelta(days=35)
ENOUGH_HISTORY = timedelta(days=14)
"""With less, only the calendar counts."""
LONGER_THAN_EVER = 1.5
AT_LEAST = timedelta(hours=6)
GRACE, GRACE_WITHOUT_HISTORY = timedelta(hours=12), timedelta(hours=24)
"""How late dues may be."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Silence:
    """An endpoint whose dues were expected, and from which nothing comes."""

    endpoint: str
    since: datetime | None
    """When its last event came, to the hour; None if none is known."""
    expected: datetime
    """When dues of one of its memberships were to come."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether an endpoint's history lets it be quiet as it is now, and how late dues may be before that is silence."""

    quiet: bool
    grace: timedelta


def allowance(heard: Sequence[datetime], now: datetime) -> Allowance:
    """What the history says: `heard` are the hours of the last 35 days in which something came, in order, UTC.

    An hour counts to its end. Quiet is what lasts 1.5 times as long as anything in the history, and 6 hours.
    """
    if not heard or now - heard[0] < ENOUGH_HISTORY:
        return Allowance(True, GRACE_WITHOUT_HISTORY)
    gaps = (later - (earlier + _HOUR) for earlier, later in pairwise(heard))
    longest = max(gaps, default=timedelta(0))
    return Allowance(now - (heard[-1] + _HOUR) > max(LONGER_THAN_EVER * longest, AT_LEAST), GRACE)


_HEARD = text("""
    SELECT endpoint, array_agg(DISTINCT hour ORDER BY hour) AS hours
    FROM delivery_counts
    WHERE endpoint = ANY(CAST(:endpoints AS text[])) AND hour >= CAST(:since AS timestamptz)
      AND outcome IN ('new', 'duplicate', 'unfinished_duplicate', 'conflict')
    GROUP BY endpoint
""")

NEXT_DUE = """
    CASE WHEN {interval} IN ('month', 'year') AND date_trunc('month', {paid} + interval '1 day') > {paid}
         THEN date_trunc('month', {paid} + {step}) + interval '1 month - 1 day' + ({paid} - date_trunc('day', {paid}))
         ELSE {paid} + {step} END
""".replace("{step}", "make_interval(years => CASE {interval} WHEN 'year' THEN {count} ELSE 0 END, "
            "months => CASE {interval} WHEN 'month' THEN {count} ELSE 0 END, "
            "weeks => CASE {interval} WHEN 'week' THEN {count} ELSE 0 END)")  # fmt: skip
"""SQL for the local time of the dues after those paid at the local time {paid}.

Dues of the last day of a month are due by the last day of theirs: who pays on the 31st pays on the 28th of
February, and on the 31st of March again.
"""

# The first that is found will do, so that many memberships make this no slower.
_EXPECTED = text(f"""
    SELECT expected AT TIME ZONE dues.time_zone FROM (
        SELECT m.id AS membership_id, c.time_zone,
               {NEXT_DUE.format(paid="paid", interval="t.interval", count="t.interval_count")} AS expected
        FROM (
            SELECT membership_id, min(recorded_at) AS known_at FROM billing_references
            WHERE endpoint = :endpoint GROUP BY membership_id
        ) billed
        JOIN memberships m ON m.id = billed.membership_id
        JOIN LATERAL (
            SELECT interval, interval_count FROM membership_terms v
            WHERE v.membership_id = m.id AND v.since <= CAST(:now AS timestamptz)
            ORDER BY v.since DESC, v.id DESC LIMIT 1
        ) t ON t.interval <> 'once'
        JOIN clubs c ON c.id = m.club_id
        CROSS JOIN LATERAL (
            SELECT coalesce(max(f.occurred_at), billed.known_at) AT TIME ZONE c.time_zone AS paid
            FROM (
                {payments_of("m.id")}
            ) its
            JOIN payments part ON part.root_id = its.id
            JOIN payment_facts f ON f.payment_id = part.id AND f.kind = 'paid'
        ) last
    ) dues
    WHERE expected AT TIME ZONE dues.time_zone > coalesce(CAST(:heard AS timestamptz), '-infinity')
      AND expected AT TIME ZONE dues.time_zone <= CAST(:until AS timestamptz)
      -- Who is frozen or has ended on that day owes nothing then.
      AND NOT EXISTS (
          SELECT FROM life_in_force a
          WHERE a.membership_id = dues.membership_id
            AND CASE a.kind WHEN 'end' THEN CAST(expected AS date) > a.last_day
                ELSE CAST(expected AS date) BETWEEN a.first_day AND coalesce(a.last_day, 'infinity') END
      )
    LIMIT 1
""")


def silences(session: Session, endpoints: Iterable[Endpoint], now: datetime) -> list[Silence]:
    """The live endpoints that are silent now, in order; test endpoints have no dues."""
    names = [endpoint.name for endpoint in endpoints if endpoint.mode == "live"]
    rows = session.execute(_HEARD, {"endpoints": array(names), "since": now - HISTORY})
    history: dict[str, list[datetime]] = {row.endpoint: row.hours for row in rows}
    found = []
    for name in names:
        heard = history.get(name, [])
        last = heard[-1] if heard else None
        allowed = allowance(heard, now)
        if not allowed.quiet or (last and now - last < allowed.grace):
            continue
        until = now - allowed.grace
        expected = session.scalar(_EXPECTED, {"endpoint": name, "heard": last, "until": until, "now": now})
        if expected is not None:
            found.append(Silence(name, last, expected))
    return found
