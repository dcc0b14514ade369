"""What was granted, used, expired and taken back by month of the club, and that it adds up with what is outstanding.

Everything counts in the month in which it was recorded, but for expiry, which goes by the clock: so the end of a month
is what `outstanding` has as of its last day. Sessions that expire at the end of a month expire in it.

How expiry is found without looking at each moment: every session that comes onto a grant leaves it by an entry, or
expires at the grant's expiry, or at once if that is past. So each entry is matched by the same number the other way, at
the later of its own moment and the expiry. A grant whose expiry was changed has several spans; at the end of one, what
it had expired comes back, and the next says when that goes.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.catalogue.days import end_of, local_day
from models.catalogue.items import Item
from models.database.arrays import array
from models.ledger import kinds
from models.reports.asked import Asked, over, run, wanted

MONTHS = 13


class Row(NamedTuple):
    """One month of one item at one club. What leaves is positive."""

    month: date
    """Its first day."""
    club_id: int
    club: str
    item_id: int
    item: str
    opening: int
    granted: int
    adjusted: int
    """Given, brought along or taken by hand."""
    used: int
    expired: int
    taken_back: int
    """Because money went back; also what repays sessions that were used before it did."""
    closing: int


_PLACES = "width_bucket({at}, CAST(:bounds AS timestamptz[]))"
_GONE = f"(({kinds.EXPIRED}) AND NOT {kinds.OPENS})"
_WHAT = f"""CASE WHEN {kinds.USED} THEN 'used' WHEN {kinds.OPENS} AND e.fact_id IS NOT NULL THEN 'granted'
    WHEN {kinds.GONE} OR {kinds.OPENS} THEN 'adjusted' ELSE 'taken_back' END"""
_EXPIRES = "coalesce(g.expires_at, 'infinity') - interval '1 microsecond'"

# What came and went before the first month leaves nothing to it.
_MOVES = over(f"""
    SELECT m.club_id, g.item_id, {_WHAT} AS what, {_PLACES.format(at="e.recorded_at")} AS at,
           CASE WHEN g.expires_at <= :now
               THEN {_PLACES.format(at=f"greatest(e.recorded_at, {_EXPIRES})")} END AS gone_at,
           sum(e.quantity) AS quantity
    FROM {{grants}} JOIN ledger_entries e ON e.grant_id = g.id
    WHERE NOT {_GONE} AND e.quantity <> 0 AND {wanted()}
      AND (e.recorded_at >= :start OR g.expires_at IS NULL OR g.expires_at > :start
           OR g.id IN (SELECT e.grant_id FROM ledger_entries e WHERE {kinds.EXTENDS}))
    GROUP BY 1, 2, 3, 4, 5
""")

# The expiry of grants that had several, instead of what `_MOVES` says of it. Here the entries of expiry count too: what
# comes back with an extension may be less than what had expired.
_SPANS = over(f"""
    SELECT m.club_id, g.item_id, e.quantity, span.until, span.last, span.place = 1 AS is_first, {_GONE} AS is_expiry,
           e.recorded_at, greatest(e.recorded_at, span.since, span.last) AS gone_at,
           {_EXPIRES} AS last_one, greatest(e.recorded_at, {_EXPIRES}) AS gone_by_it
    FROM (
        SELECT e.grant_id, row_number() OVER grants AS place,
               CASE WHEN row_number() OVER grants = 1 THEN '-infinity' ELSE e.recorded_at END AS since,
               coalesce(e.expires_at, 'infinity') - interval '1 microsecond' AS last,
               coalesce(lead(e.recorded_at) OVER grants, 'infinity') AS until
        FROM ledger_entries e
        WHERE {kinds.DATES} AND e.grant_id IN (SELECT e.grant_id FROM ledger_entries e WHERE {kinds.EXTENDS})
        WINDOW grants AS (PARTITION BY e.grant_id ORDER BY e.id)
    ) span
    JOIN {{grants}} ON g.id = span.grant_id
    JOIN ledger_entries e ON e.grant_id = g.id AND e.quantity <> 0
    WHERE {wanted()}
""")
_MENDED = f"""
    SELECT club_id, item_id, 'expired' AS what, place AS at, NULL AS gone_at, CAST(sum(moved) AS bigint) AS quantity
    FROM (
        SELECT s.club_id, s.item_id, {_PLACES.format(at="m.at")} AS place, m.moved
        FROM ({_SPANS}) s CROSS JOIN LATERAL (
            VALUES (s.gone_at, -s.quantity, s.last < :now AND s.gone_at < s.until),
                   (s.until, s.quantity, s.last < :now AND s.gone_at < s.until AND s.until < 'infinity'),
                   (s.recorded_at, s.quantity, s.is_first AND s.is_expiry),
                   (s.gone_by_it, s.quantity, s.is_first AND NOT s.is_expiry AND s.last_one < :now)
        ) m (at, moved, counts)
        WHERE m.counts
    ) mended
    GROUP BY 1, 2, 4
"""
_FLOWS = text(f"SELECT * FROM ({_MOVES}) moves UNION ALL {_MENDED}")


def rows(session: Session, asked: Asked) -> list[Row]:
    """The last months by club and item, the present one included; those in which there was nothing are left out."""
    clubs = {club.id: club for club in session.scalars(select(Club).order_by(Club.name))}
    items = {item.id: item for item in session.scalars(select(Item).order_by(Item.name))}
    latest = max((local_day(asked.now, club.time_zone) for club in clubs.values()), default=asked.now.date())
    months = _months(latest.replace(day=1))
    zones = {club.time_zone for club in clubs.values()}
    bounds = sorted({end_of(month - timedelta(days=1), zone) for month in months for zone in zones})
    if not bounds:
        return []
    # The month of a place: of what is recorded from one bound until the next.
    place_of = {
        zone: [-1, *(months.index(day) if (day := _month(bound, zone)) in months else -1 for bound in bounds)]
        for zone in zones
    }
    moved: defaultdict[tuple[int, int], list[defaultdict[str, int]]] = defaultdict(
        lambda: [defaultdict(int) for _ in range(MONTHS + 1)]
    )
    values = {**asked.values, "bounds": array(bounds), "start": bounds[0]}
    for row in run(session, _FLOWS, values):
        of, places = moved[row.club_id, row.item_id], place_of[clubs[row.club_id].time_zone]
        of[places[row.at]][row.what] += row.quantity
        if row.gone_at is not None:
            of[places[row.gone_at]]["expired"] -= row.quantity
    return [
        row
        for club in clubs.values() for item in items.values() if (club.id, item.id) in moved
        for row in _of(club, item, months, moved[club.id, item.id])
    ]  # fmt: skip


def _months(last: date) -> list[date]:
    months = [last]
    while len(months) < MONTHS:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return months[::-1]


def _of(club: Club, item: Item, months: Sequence[date], moved: Sequence[defaultdict[str, int]]) -> Iterator[Row]:
    left = sum(moved[-1].values())
    for month, of in zip(months, moved, strict=False):
        opening, left = left, left + sum(of.values())
        if opening or any(of.values()):
            yield Row(
                month, club.id, club.name, item.id, item.name, opening, of["granted"], of["adjusted"], -of["used"],
                -of["expired"], -of["taken_back"], left,
            )  # fmt: skip


def _month(moment: datetime, zone: str) -> date:
    return moment.astimezone(ZoneInfo(zone)).date().replace(day=1)


def totals(found: Sequence[Row]) -> list[Row]:
    """The same by month alone."""
    by_month: defaultdict[date, list[Row]] = defaultdict(list)
    for row in found:
        by_month[row.month].append(row)
    return [
        Row(month, 0, "", 0, "", *(sum(values) for values in list(zip(*of, strict=True))[5:]))
        for month, of in sorted(by_month.items())
    ]
