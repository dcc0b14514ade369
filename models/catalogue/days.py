"""PURE: local days of a club, and the midnights at which sessions expire, in UTC."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

Period = tuple[datetime, datetime]
"""From the first moment on, until before the second."""

DayRange = tuple[date, date]
"""From the first local day to the second, both included; `OPEN` is without end."""

ONE_DAY, OPEN = timedelta(days=1), date.max


def merged(ranges: Iterable[DayRange]) -> Iterator[DayRange]:
    """The same days in order, in ranges that neither overlap nor follow each other without a day between."""
    run: DayRange | None = None
    for first, last in sorted(ranges):
        if run and first - ONE_DAY <= run[1]:
            run = run[0], max(run[1], last)
            continue
        if run:
            yield run
        run = first, last
    if run:
        yield run


def last_usable_day(base: date, days: int, uncounted: Iterable[DayRange] = ()) -> date | None:
    """The local day that is the `days`-th after the base date, days that are not counted left out.

    From the 1st with 30 days it is the 31st. The ranges may overlap. None where there is no such day: nothing expires
    (0 days), or the days are not counted any more from some day on.
    """
    if not days:
        return None
    last = base + timedelta(days=days)
    for first, end in merged(one for one in uncounted if one[1] > base):
        start = max(first, base + ONE_DAY)
        if start > last:
            break
        if end == OPEN:
            return None
        last += end - start + ONE_DAY
    return last


def within(uncounted: Iterable[DayRange], first: date, last: date) -> int:
    """How many days from the first to the last lie in these ranges, each counted once."""
    return sum(max(0, (min(end, last) - max(start, first)).days + 1) for start, end in merged(uncounted))


def days_of(period: Period, time_zone: str) -> DayRange:
    """The local days of a period: from the one on which it begins to the one before it ends."""
    start, end = (local_day(moment, time_zone) for moment in period)
    return start, end - ONE_DAY


def local_day(moment: datetime, time_zone: str) -> date:
    """The local date of a moment."""
    return moment.astimezone(ZoneInfo(time_zone)).date()


# The payments of one day end on few days.
@lru_cache(1024)
def end_of(day: date, time_zone: str) -> datetime:
    """The first moment after that local day, in UTC: the midnight at which what is usable until that day expires.

    Where a clock change skips that midnight the day begins when the change does; where it repeats it, at the first.
    """
    return datetime.combine(day + timedelta(days=1), time.min, ZoneInfo(time_zone)).astimezone(UTC)


def last_day(expires_at: datetime, time_zone: str) -> date:
    """The last local day on which what expires then can be used."""
    return (expires_at - timedelta(microseconds=1)).astimezone(ZoneInfo(time_zone)).date()
