"""PURE: what makes an offer one that somebody can buy, and which numbers its session buckets can have."""

from models.errors import (
    DaysWithoutSessions,
    MaximumBelowMinimum,
    NegativeNumber,
    NumberTooLarge,
    SppError,
)
from models.wording import counted

MAX_QUANTITY = 10_000
MAX_DAYS_TO_EXPIRE = 36_500
MAX_BUCKETS = 1_000


def why_not_buyable(*, minimum: int, maximum: int, required: int, buckets: int, terms: int) -> str | None:
    """Why nobody could buy an offer of these numbers, whatever they pick; None where somebody could.

    A single session item is included, picked or not, so the minimum says nothing about it.
    """
    if not terms:
        return "it has no payment term on sale"
    if required > maximum:
        return f"it requires {counted(required, 'session item')} but allows at most {maximum}"
    if minimum > buckets and buckets != 1:
        return f"it asks for at least {counted(minimum, 'session item')} but has {buckets}"
    if buckets == 1 and maximum < 1:
        return "it includes its one session item but allows at most 0"
    return None


def check_limits(minimum: int, maximum: int) -> None:
    """Minimum required and maximum allowed session buckets.

    Raises NegativeNumber, MaximumBelowMinimum or NumberTooLarge.
    """
    if minimum < 0:
        raise NegativeNumber(what="Minimum required session buckets", value=minimum)
    if maximum < minimum:
        raise MaximumBelowMinimum(minimum=minimum, maximum=maximum)
    if maximum > MAX_BUCKETS:
        raise NumberTooLarge(what="Maximum allowed session buckets", value=maximum, limit=MAX_BUCKETS)


def bucket_terms_refused(quantity: int, days_to_expire: int) -> dict[str, SppError]:
    """What is wrong with these bucket terms, by the name of the field; nothing where they make sense."""
    refused: dict[str, SppError] = {}
    for field, what, value, limit in (
        ("quantity", "Session quantity", quantity, MAX_QUANTITY),
        ("days_to_expire", "Days to expire", days_to_expire, MAX_DAYS_TO_EXPIRE),
    ):
        if value < 0:
            refused[field] = NegativeNumber(what=what, value=value)
        elif value > limit:
            refused[field] = NumberTooLarge(what=what, value=value, limit=limit)
    if not refused and days_to_expire and not quantity:
        refused["days_to_expire"] = DaysWithoutSessions(days=days_to_expire)
    return refused
