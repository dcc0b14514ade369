"""When something expires, for tests: from a moment, a number of days, and a zone."""

from collections.abc import Iterable
from datetime import datetime

from models.catalogue.days import DayRange, end_of, last_usable_day, local_day


def expires_at(counted_from: datetime, days: int, zone: str, uncounted: Iterable[DayRange] = ()) -> datetime | None:
    last = last_usable_day(local_day(counted_from, zone), days, uncounted)
    return end_of(last, zone) if last else None
