"""PURE: local days of a club, and the midnights at which sessions expire, in UTC."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

Period = tuple[datetime, datetime]
"""From the first moment on, until before the second."""


def expires_at(
    counted_from: datetime, days_to_expire: int, time_zone: str, away: Iterable[Period] = ()
) -> datetime | None:
    """The moment at which sessions expire, in UTC: the midnight that ends the last usable local day. None is never.

    The last usable day is `days_to_expire` after the local date of `counted_from` at
    the club: from the 1st with 30 days, the 31st. Local days that lie in the periods `away`,
    from the day on which one begins to the day before it ends, are not counted. Where a clock change
    skips that midnight the day begins when the change does; where it repeats it, at the first.
    """
    if not days_to_expire:
        return None
    zone = ZoneInfo(time_zone)
    first = counted_from.astimezone(zone).date()
    last = first + timedelta(days=days_to_expire)
    for start, end in sorted(away):
        begins, ends = max(first, start.astimezone(zone).date()), end.astimezone(zone).date()
        if begins <= last:
            last += max(ends - begins, timedelta(0))
    return end_of(last, time_zone)


def local_day(moment: datetime, time_zone: str) -> date:
    """The local date of a moment."""
    return moment.astimezone(ZoneInfo(time_zone)).date()


# The payments of one day end on few days.
@lru_cache(1024)
def end_of(day: date, time_zone: str) -> datetime:
    """The first moment after that local day, in UTC."""
    return datetime.combine(day + timedelta(days=1), time.min, ZoneInfo(time_zone)).astimezone(UTC)


def last_day(expires_at: datetime, time_zone: str) -> date:
    """The last local day on which what expires then can be used."""
    return (expires_at - timedelta(microseconds=1)).astimezone(ZoneInfo(time_zone)).date()
