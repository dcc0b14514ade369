"""What adapters say of subscriptions and mandates: their ends and pauses, which stand as proposals for memberships."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo, available_timezones

from models.payments.facts import Announced, Change
from webhooks.processors import strict
from webhooks.processors.base import Object
from webhooks.processors.events import Unusable

FIRST, LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


REPORTED_AT = "told_at"
"""The key under which an adapter keeps, with a subscription, when an event reported it."""


def noon(holder: Object, key: str, zone: str) -> datetime | None:
    """Noon of the date under `key`, in the time zone under `zone` if there is one; None without a date.

    Raises Unusable for what is no date.
    """
    text, name = strict.optional_name(holder, key), holder.get(zone)
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
        there = ZoneInfo(name) if isinstance(name, str) and name in available_timezones() else UTC
        return datetime.combine(day, time(12), there).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unusable(f"{key} is not a date") from None


def ends(reference: str, reported_at: datetime, at: datetime) -> Announced:
    """That it ends, or ended, at that moment. Raises Unusable for one that no calendar has."""
    if not FIRST <= at <= LAST:
        raise Unusable(f"its end is in the year {at.year}")
    return Announced(reference, reported_at, Change.ENDS, at)
