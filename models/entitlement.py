"""PURE: what a payment's facts entitle its member to. No I/O, no clock, no session.

A payment gives each pinned quantity once. Of that, the floor of quantity x
reversed / paid is reversed: all of it when all the money went back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import inf
from zoneinfo import ZoneInfo

from models.facts import Fact, Linked, Paid, Restored, Reversed


@dataclass(frozen=True, slots=True)
class Terms:
    """Sessions of one item that paid dues give; days to expire 0 means never."""

    item_id: int
    quantity: int
    days_to_expire: int


@dataclass(frozen=True, slots=True)
class Owed:
    """What one payment comes to for one item: `quantity` given, `reversed` of them taken back again."""

    item_id: int
    quantity: int
    days_to_expire: int
    reversed: int


def payment_of(facts: Iterable[Fact]) -> Paid | None:
    """The one payment that the facts speak of, or None while it was not told.

    Where it was told more than once, the earliest counts, whatever arrived first.
    """
    paid = [fact for fact in facts if isinstance(fact, Paid)]
    if len(paid) < 2:
        return paid[0] if paid else None
    return min(paid, key=_precedence)


def _precedence(paid: Paid) -> tuple[datetime, str, int, str, tuple[str, ...]]:
    return paid.occurred_at, paid.payment, -paid.amount_minor, paid.currency, paid.billing_references


def entitlement(facts: Sequence[Fact], terms: Iterable[Terms]) -> list[Owed]:
    """Sessions owed per item for the payment that these facts tell of; none while it was not paid.

    Depends on the set of facts only, never on their order or number of tellings.
    What contradicts the payment has no effect on it.
    """
    paid = payment_of(facts)
    if paid is None:
        return []
    reversed_minor = min(paid.amount_minor, _reversed_minor(paid, facts)) if len(facts) > 1 else 0
    return [
        Owed(
            term.item_id,
            term.quantity,
            term.days_to_expire,
            term.quantity * reversed_minor // paid.amount_minor,
        )
        for term in terms
        if term.quantity
    ]


def money_reversed(facts: Sequence[Fact]) -> int:
    """How much of the payment's money went back, in minor units and as told; 0 while it was not told to be paid."""
    paid = payment_of(facts)
    return _reversed_minor(paid, facts) if paid else 0


def contradicts(paid: Paid, fact: Fact) -> bool:
    """Whether the fact cannot be true of this payment: it speaks of another currency."""
    return not isinstance(fact, Linked) and fact.currency is not None and fact.currency != paid.currency


def _reversed_minor(paid: Paid, facts: Iterable[Fact]) -> int:
    """Money gone back, summed over causes; more than was paid where causes overlap.

    A cause is a family and an id ("refund of ch_1:re_1", "dispute:dp_1"). The latest
    word on each counts, and at the same moment the restoration. A running total has
    its family alone as its cause ("refund of ch_1") and is never added to the single
    amounts: the larger counts, less what was restored after the total was told.
    """
    latest: dict[str, Reversed | Restored] = {}
    totals: set[Reversed] = set()
    for fact in facts:
        if not isinstance(fact, Reversed | Restored) or contradicts(paid, fact):
            continue
        if isinstance(fact, Reversed) and fact.running_total:
            totals.add(fact)
        elif fact.cause not in latest or _weight(fact) > _weight(latest[fact.cause]):
            latest[fact.cause] = fact
    single: dict[str, int] = {}
    for cause, word in latest.items():
        if isinstance(word, Reversed):
            amount = paid.amount_minor if word.amount_minor is None else word.amount_minor
            single[_family(cause)] = single.get(_family(cause), 0) + amount
    restored = [word for word in latest.values() if isinstance(word, Restored)]
    for total in totals:
        family = _family(total.cause)
        back = sum(
            word.amount_minor or 0
            for word in restored
            if _family(word.cause) == family and word.occurred_at >= total.occurred_at
        )
        amount = paid.amount_minor if total.amount_minor is None else total.amount_minor
        single[family] = max(single.get(family, 0), amount - back)
    return sum(single.values())


def _weight(fact: Reversed | Restored) -> tuple[datetime, bool, float]:
    return fact.occurred_at, isinstance(fact, Restored), inf if fact.amount_minor is None else fact.amount_minor


def _family(cause: str) -> str:
    return cause.partition(":")[0]


def expires_at(counted_from: datetime, days_to_expire: int, time_zone: str) -> datetime | None:
    """When sessions lapse, in UTC: the midnight that ends the last usable local day. None is never.

    The last usable day is `days_to_expire` after the local date of `counted_from` at
    the club: from the 1st with 30 days, the 31st. Where a clock change skips that
    midnight the day begins when the change does; where it repeats it, at the first.
    """
    if not days_to_expire:
        return None
    day = counted_from.astimezone(ZoneInfo(time_zone)).date()
    return end_of(day + timedelta(days=days_to_expire), time_zone)


def end_of(day: date, time_zone: str) -> datetime:
    """The first moment after that local day, in UTC."""
    return datetime.combine(day + timedelta(days=1), time.min, ZoneInfo(time_zone)).astimezone(UTC)


def last_day(expires_at: datetime, time_zone: str) -> date:
    """The last local day on which what lapses then can be used."""
    return (expires_at - timedelta(microseconds=1)).astimezone(ZoneInfo(time_zone)).date()
