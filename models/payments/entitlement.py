"""PURE: what a payment's facts entitle its member to, and until when. No I/O, no clock, no session.

A payment gives each pinned quantity once. Of that, floor(quantity x reversed / paid) is reversed: all of it when all
the money went back. Days on which money was away that came back later do not count against the days to expire.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from math import inf

from models.catalogue.days import Period
from models.payments.facts import Fact, Paid, Restored, Reversed


@dataclass(frozen=True, slots=True)
class Terms:
    """Sessions of one item that each paid dues give; 0 days to expire is never."""

    item_id: int
    quantity: int
    days_to_expire: int


_NONE = Fraction(0)


@dataclass(frozen=True, slots=True)
class Owed:
    """What one payment gives of one item: `quantity` sessions, of which `reversed` are taken back."""

    item_id: int
    quantity: int
    days_to_expire: int
    reversed: int


def payment_of(facts: Iterable[Fact]) -> Paid | None:
    """The `Paid` fact that counts, or None before there is one: the earliest, in whatever order they arrived."""
    paid = [fact for fact in facts if isinstance(fact, Paid)]
    if len(paid) < 2:
        return paid[0] if paid else None
    return min(paid, key=_precedence)


def _precedence(paid: Paid) -> tuple[datetime, str, int, str, tuple[str, ...]]:
    return paid.occurred_at, paid.payment, -paid.amount_minor, paid.currency, paid.billing_references


def entitlement(facts: Sequence[Fact], terms: Iterable[Terms]) -> list[Owed]:
    """Sessions owed per item for the payment with these facts; none before it is paid.

    Depends on the set of facts only, never on their order or repetition. A fact that contradicts the payment has no
    effect.
    """
    if payment_of(facts) is None:
        return []
    share = reversed_share(facts)
    return [
        Owed(term.item_id, term.quantity, term.days_to_expire, int(term.quantity * share) if share else 0)
        for term in terms
        if term.quantity
    ]


def reversed_share(facts: Sequence[Fact]) -> Fraction:
    """The share of the payment that went back and stayed away, 0 to 1. Overlapping causes reverse it once."""
    shares = _share_by_family(facts).values()
    return min(Fraction(1), sum(shares, Fraction(0))) if shares else _NONE


def money_reversed(facts: Sequence[Fact]) -> int:
    """How much of the payment's money went back, in minor units; 0 before there is a `Paid` fact. Not capped."""
    paid = payment_of(facts)
    shares = _share_by_family(facts).values() if paid else ()
    return int(sum(shares) * least_paid(facts)[paid.currency]) if paid else 0


def largest_share(facts: Sequence[Fact]) -> Fraction:
    """The largest share that went back for one family of causes; above 1 if that is more than was paid."""
    return max(_share_by_family(facts).values(), default=Fraction(0))


def is_of_a_refund(fact: Fact) -> bool:
    """Whether the fact is a refund or the failure of one. Only disputes may overlap refunds."""
    return isinstance(fact, Reversed | Restored) and fact.cause.startswith("refund")


def least_paid(facts: Iterable[Fact]) -> dict[str, int]:
    """By currency, the least amount of any `Paid` fact, so that a full refund of any of these takes everything back."""
    least: dict[str, int] = {}
    for fact in facts:
        if isinstance(fact, Paid):
            least[fact.currency] = min(fact.amount_minor, least.get(fact.currency, fact.amount_minor))
    return least


def contradicts(facts: Iterable[Fact], fact: Fact) -> bool:
    """Whether the fact cannot be true of the payment: it moves money in a currency that no `Paid` fact has."""
    return isinstance(fact, Reversed | Restored) and fact.currency not in {None, *least_paid(facts)}


def _share_by_family(facts: Sequence[Fact]) -> dict[str, Fraction]:
    """By family of causes, the share of the payment that is away.

    A cause is a family and an id ("refund of ch_1:re_1", "dispute:dp_1"), or its family alone. The latest fact of each
    cause counts; of two at the same moment, the restoration. A running total is never added to the single amounts of
    its family: the larger counts. Totals with ids of their own add up. What was restored after a total is subtracted
    from it: for the same cause, or for any cause of the family if the total's cause is the family alone.

    Causes that end in the same " of GROUP" are a group. What is restored under a cause of a group that took nothing
    itself undoes what the group's others took before, as far as it goes: a dispute won, and the reversal by which
    its money went, have ids of their own.
    """
    moves = [fact for fact in facts if isinstance(fact, (Reversed, Restored))]
    if not any(isinstance(move, Reversed) for move in moves):
        return {}
    paid = least_paid(facts)

    def share(move: Reversed | Restored) -> Fraction:
        if move.amount_minor is None:
            return Fraction(1)
        return Fraction(move.amount_minor, paid[move.currency] if move.currency else min(paid.values()))

    latest: dict[str, Reversed | Restored] = {}
    totals: set[Reversed] = set()
    singles: set[str] = set()
    for move in moves:
        if move.currency not in {None, *paid}:
            continue
        if isinstance(move, Reversed) and move.running_total:
            totals.add(move)
            continue
        if isinstance(move, Reversed):
            singles.add(move.cause)
        if move.cause not in latest or _weight(move) > _weight(latest[move.cause]):
            latest[move.cause] = move
    restored = [word for word in latest.values() if isinstance(word, Restored)]
    taken = {cause: share(word) for cause, word in latest.items() if isinstance(word, Reversed)}
    for word in sorted(restored, key=_weight):
        if word.cause not in singles and (group := _group(word.cause)):
            left = share(word)
            for cause in taken:
                if _group(cause) == group and latest[cause].occurred_at <= word.occurred_at:
                    undone = min(left, taken[cause])
                    taken[cause] -= undone
                    left -= undone
    running: dict[str, Fraction] = {}
    for total in totals:
        back = [
            share(word)
            for word in restored
            if total.cause in {word.cause, _family(word.cause)} and word.occurred_at >= total.occurred_at
        ]
        running[total.cause] = max(running.get(total.cause, Fraction(0)), share(total) - sum(back))
    return {
        family: max(
            sum((away for cause, away in taken.items() if _family(cause) == family), Fraction(0)),
            sum((away for cause, away in running.items() if _family(cause) == family != cause), Fraction(0)),
            running.get(family, Fraction(0)),
        )
        for family in {_family(cause) for cause in (*taken, *running)}
    }


def _weight(fact: Reversed | Restored) -> tuple[datetime, bool, float]:
    return fact.occurred_at, isinstance(fact, Restored), inf if fact.amount_minor is None else fact.amount_minor


def _family(cause: str) -> str:
    return cause.partition(":")[0]


def _group(cause: str) -> tuple[str, str] | None:
    family, _, named = cause.partition(":")
    _, of, group = named.partition(" of ")
    return (family, group) if of else None


def away(moments: Sequence[tuple[datetime, Fact]], quantity: int) -> list[Period]:
    """When more of `quantity` sessions were reversed than are in the end: the time for which they were taken.

    Each fact stands beside the moment from which it was known. Of a reversal that was never undone nothing is
    away in this sense. The periods do not overlap.
    """
    kinds = {type(fact) for _, fact in moments}
    if Reversed not in kinds or Restored not in kinds:
        return []

    def reversed_by(moment: datetime) -> int:
        known = [fact for at, fact in moments if at <= moment or isinstance(fact, Paid)]
        return int(quantity * reversed_share(known))

    changes = sorted({at for at, fact in moments if isinstance(fact, Reversed | Restored)})
    counts = [reversed_by(moment) for moment in changes]
    return [(start, end) for start, end, count in zip(changes, changes[1:], counts, strict=False) if count > counts[-1]]
