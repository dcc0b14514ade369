"""Payment facts: what a webhook event means for a payment, in terms that no processor owns.

Each fact names its payment by the processor's reference; the endpoint is that of the event. Facts are kept for ever and
never change. An entitlement is a function of their set, so it does not matter when, in which order or how often they
arrive.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from models.catalogue.days import Period


class Line(NamedTuple):
    """One line of what was billed: what for, how much, for which period."""

    references: tuple[str, ...]
    """What the processor calls it by: the subscription or mandate first, then item, price and product."""
    amount_minor: int
    """Before discounts; negative where unused time is given back."""
    covers: Period | None = None
    quantity: int = 1
    proration: bool = False
    """Its amount is for a part of the period that the price is for."""
    id: str = ""
    """By which a refund names the line."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment that may be a member's dues.

    What the processor does not say is None or empty. Amounts are in minor units of ISO 4217.
    """

    payment: str
    occurred_at: datetime
    amount_minor: int
    """The money that was paid: by card, from a bank account, in cash."""
    currency: str
    billing_references: tuple[str, ...] = ()
    """The subscription, mandate or order that it names; the most specific first. They alone decide whose it is."""
    payer: tuple[str, ...] = ()
    """The customer or shopper. Decides whose it is only where there are no billing references."""
    covers: Period | None = None
    """The period that it pays for, in UTC: from the start on, until before the end."""
    due_minor: int | None = None
    """The dues before discounts; None where they are not told apart from what was paid."""
    settled_minor: int | None = None
    """The money and what was taken from the payer's own balance; None where no balance was used."""
    lines: tuple[Line, ...] = ()
    part: str = ""
    """Names one of several payments that add up to this one (captures, a gift card and a card)."""

    @property
    def settled(self) -> int:
        """What was paid, the payer's own balance included."""
        return self.amount_minor if self.settled_minor is None else self.settled_minor

    @property
    def due(self) -> int:
        """What was billed before discounts, as far as it is known."""
        return self.settled if self.due_minor is None else self.due_minor


@dataclass(frozen=True, slots=True)
class Reversed:
    """Money of a payment went back, for a cause that has its own id (a refund, a dispute)."""

    payment: str
    occurred_at: datetime
    cause: str
    amount_minor: int | None = None
    """None: all of it."""
    currency: str | None = None
    running_total: bool = False
    """The amount is all that was refunded so far; each later fact has a larger total."""


@dataclass(frozen=True, slots=True)
class Restored:
    """Money that had gone back for a cause is there again: a refund failed, a dispute was won."""

    payment: str
    occurred_at: datetime
    cause: str
    amount_minor: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Linked:
    """Two references name the same payment."""

    payment: str
    occurred_at: datetime
    other: str


@dataclass(frozen=True, slots=True)
class LineRefunded:
    """Of the money that a refund took, this much was for one line of the payment."""

    payment: str
    occurred_at: datetime
    refund: str
    """The id of the refund, as it ends the `cause` of a `Reversed`."""
    line: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that staff should look at, in one sentence for them; it changes no sessions by itself."""

    payment: str
    occurred_at: datetime
    what: str


@dataclass(frozen=True, slots=True)
class Replaced:
    """A billing reference (not a payment) was replaced by another at the processor: a mandate, a subscription."""

    payment: str
    """The old reference, where other facts name the payment."""
    occurred_at: datetime
    other: str
    """The new reference."""


@dataclass(frozen=True, slots=True)
class DuesFailed:
    """An attempt to collect dues failed. It says what is owed, and changes no sessions and no payment."""

    payment: str
    """What a later success would name: the bill. Where each try is a payment of its own: that try."""
    occurred_at: datetime
    billing_references: tuple[str, ...] = ()
    payer: tuple[str, ...] = ()
    """The customer or shopper. Decides whose dues they are only where there are no billing references."""
    amount_minor: int | None = None
    currency: str | None = None
    is_one_try: bool = False
    """Another try is another payment: a later one for the same reference pays these dues."""
    closed: bool = False
    """No attempt: nothing is owed any more, and nobody tries again (the bill is void)."""


class Change(StrEnum):
    """What a processor may announce of a subscription or mandate."""

    ENDS = "ends"
    """It ended, or will: nothing is collected after that moment."""
    GOES_ON = "goes_on"
    """An end that was to come was taken back."""
    PAUSED = "paused"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True)
class Announced:
    """What the processor says of a subscription or mandate (not a payment). It changes nothing by itself."""

    payment: str
    """The billing reference, where other facts name the payment."""
    occurred_at: datetime
    what: Change
    at: datetime | None = None
    """Of an end: its moment, which may be to come."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A membership's code came back with a billing reference (not a payment): that reference is to be the membership's.

    It changes no sessions by itself; `claims.py` says when it counts.
    """

    payment: str
    """The billing reference, where other facts name the payment."""
    occurred_at: datetime
    code: str
    from_link: bool = False
    """The payer could have edited the code: it came by a link, or through the payer's browser."""
    amount_minor: int | None = None
    """The first payment before discounts, where the processor says it beside the code."""
    currency: str | None = None


Fact = Paid | Reversed | Restored | Linked | LineRefunded | Noted | Replaced | DuesFailed | Announced | Claimed


F = TypeVar("F", bound=Fact, covariant=True)


class KnownFact(NamedTuple, Generic[F]):
    """A recorded fact: its id, the fact, and when it was recorded."""

    id: int
    fact: F
    recorded_at: datetime
