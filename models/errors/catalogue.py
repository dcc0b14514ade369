"""Clubs, items, offers and their terms."""

from collections.abc import Mapping
from typing import Any

from models.errors.base import SppError


class MaximumBelowMinimum(SppError, field="max_buckets"):
    """Maximum allowed session buckets ({maximum}) cannot be less than minimum required ({minimum})."""


class NegativeNumber(SppError):
    """{what} cannot be negative (it is {value})."""


class NotASessionItem(SppError, field="item_id"):
    """{item!r} is not a scheduler bucket: it has no sessions."""


class ItemAlreadyAdded(SppError, field="item_id"):
    """{item!r} is already a session bucket of {offer!r}."""


class ListedTwice(SppError, field="item_id"):
    """The {what} {name} is in the list twice: name it once."""


class DaysWithoutSessions(SppError, field="days_to_expire"):
    """Days to expire is {days} but session quantity is 0: set both to 0 for an item not used under this term."""


class NumberTooLarge(SppError):
    """{what} can be at most {limit} (it is {value})."""


class OfferCannotBeBought(SppError):
    """Nobody could buy {offer!r}: {reason}."""


class TermCannotBeBought(OfferCannotBeBought, field="payment_term_id"):
    """Nobody could buy {offer!r} under its payment term {term!r}: {reason}."""


class WrongState(SppError, field="state"):
    """{what} is {state}, so it cannot be {verb}."""


class CountChanged(SppError, field="expected", status=409):
    """There are {found} now, not the {expected} that you confirmed: look at them again."""


class NameTaken(SppError, field="name", status=409):
    """There is already {what} {name!r}: choose another name."""


class ItemRetired(SppError, field="item_id"):
    """{item!r} is retired: bring it back before adding it to an offer."""


class SessionTypeMissing(SppError, field="session_type"):
    """Say what the sessions are good for: class or personal training."""


class ClubsMissing(SppError, field="club_ids"):
    """Choose at least one club where the sessions are good."""


class ItemInUse(SppError, field="kind", status=409):
    """{item!r} is in use ({uses}): {advice}."""


class TermInUse(SppError, status=409):
    """{term!r} was bought by {memberships}: retire it instead."""


class OfferInUse(SppError, status=409):
    """{offer!r} was bought by {memberships}: it can be retired, but not deleted."""


class ClubInUse(SppError, field="currency", status=409):
    """{club!r} has {memberships}, so {consequence}."""


class SessionsRefused(SppError):
    """Nothing was saved. {reasons}"""

    def __init__(self, refused: Mapping[tuple[Any, str], SppError], **details: Any) -> None:
        self.refused = refused
        super().__init__(**details)


class WrongCurrencyCode(SppError, field="currency"):
    """{code!r} is not a currency that dues can be paid in: give its three letters, such as USD."""


class WrongTimeZone(SppError, field="time_zone"):
    """{name!r} is not a time zone: give its IANA name, such as America/Chicago."""


class NotAnAmount(SppError, field="dues_minor"):
    """{text!r} is not an amount in {currency}: type it like {example}."""


class IntervalTooLong(SppError, field="interval_count"):
    """Dues can fall due {most} at most (it is every {count})."""


class PaymentLinkUnusable(SppError, field="payment_link"):
    """A payment link is an address that begins with https://, without blanks, of at most {limit} characters."""


class NotReleased(SppError, field="release"):
    """Sessions are released {how} only of {needs}, and these fall due {every}: choose another release or interval."""


class ReleaseTimesMissing(SppError, field="release_times"):
    """Say how many times sessions are released for each payment: 2 to {most} (it is {value})."""


class OnEndDaysMissing(SppError, field="on_end_days"):
    """Say for how many days after the end sessions can be used: 1 to {most} (it is {value})."""
