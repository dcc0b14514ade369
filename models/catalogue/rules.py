"""PURE: whether somebody can buy an offer, and the limits of the numbers on it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from models.errors import (
    DaysWithoutSessions,
    MaximumBelowMinimum,
    NegativeNumber,
    NumberTooLarge,
    OfferCannotBeBought,
    SppError,
    TermCannotBeBought,
)
from models.wording import joined
from runtime.language import noted, say, say_n

MAX_QUANTITY = 10_000
MAX_DAYS_TO_EXPIRE = 36_500
MAX_BUCKETS = 1_000


@dataclass(frozen=True)
class Shape:
    """The parts of an offer that decide whether it can be bought: limits, session items, payment terms on sale."""

    offer: str
    minimum: int
    maximum: int
    items: Mapping[str, bool]
    """Name of each session item -> whether it is required."""
    terms: Mapping[str, Collection[str]]
    """Name of each payment term on sale -> names of the session items of which it gives sessions."""


def why_not_buyable(shape: Shape) -> OfferCannotBeBought | None:
    """The reason why nobody could buy the offer, or not under one of its payment terms; None if all is well.

    A single session item is included, picked or not, so the minimum says nothing about it.
    """
    offer, items, minimum, maximum = shape.offer, shape.items, shape.minimum, shape.maximum
    required = [name for name, needed in items.items() if needed]
    if not shape.terms:
        return OfferCannotBeBought(offer=offer, reason="it has no payment term on sale")
    if len(required) > maximum:
        reason = say_n(
            "it requires {n} session item but allows at most {most}",
            "it requires {n} session items but allows at most {most}",
            len(required),
            most=maximum,
        )
        return OfferCannotBeBought(offer=offer, reason=reason)
    if minimum > len(items) != 1:
        reason = say_n(
            "it asks for at least {n} session item but has {has}",
            "it asks for at least {n} session items but has {has}",
            minimum,
            has=len(items),
        )
        return OfferCannotBeBought(offer=offer, reason=reason)
    if len(items) == 1 and maximum < 1:
        return OfferCannotBeBought(offer=offer, reason="it includes its one session item but allows at most 0")
    for term, used in shape.terms.items():
        if missing := [name for name in required if name not in used]:
            text = noted(
                "it gives no sessions of {items}, required at sign-up; set a session quantity, or make the item "
                "optional"
            )
            return TermCannotBeBought(offer=offer, term=term, reason=say(text, items=joined(missing)))
        if minimum > len(used) and len(items) != 1:
            reason = say_n(
                "it gives sessions of {n} session item, but at least {least} must be picked; set more session "
                "quantities, or lower the minimum",
                "it gives sessions of {n} session items, but at least {least} must be picked; set more session "
                "quantities, or lower the minimum",
                len(used),
                least=minimum,
            )
            return TermCannotBeBought(offer=offer, term=term, reason=reason)
    return None


def check_limits(minimum: int, maximum: int) -> None:
    """Check the minimum required and maximum allowed session buckets.

    Raises NegativeNumber, MaximumBelowMinimum or NumberTooLarge.
    """
    if minimum < 0:
        raise NegativeNumber(field="min_buckets", what="Minimum required session buckets", value=minimum)
    if maximum < minimum:
        raise MaximumBelowMinimum(minimum=minimum, maximum=maximum)
    if maximum > MAX_BUCKETS:
        raise NumberTooLarge(
            field="max_buckets", what="Maximum allowed session buckets", value=maximum, limit=MAX_BUCKETS
        )


def bucket_terms_refused(quantity: int, days_to_expire: int) -> dict[str, SppError]:
    """The errors of these bucket terms by field name; empty if they are valid."""
    refused: dict[str, SppError] = {}
    for field, what, value, limit in (
        ("quantity", noted("Session quantity"), quantity, MAX_QUANTITY),
        ("days_to_expire", noted("Days to expire"), days_to_expire, MAX_DAYS_TO_EXPIRE),
    ):
        if value < 0:
            refused[field] = NegativeNumber(field=field, what=what, value=value)
        elif value > limit:
            refused[field] = NumberTooLarge(field=field, what=what, value=value, limit=limit)
    if not refused and days_to_expire and not quantity:
        refused["days_to_expire"] = DaysWithoutSessions(days=days_to_expire)
    return refused
