"""PURE: what a payment is worth: how many sessions of each item, and from which local day on. No I/O, no clock.

Rules, in the order in which they apply to what one membership is billed:

- What is paid before the cut-over of the membership gives nothing: an earlier system has given it.
- Nothing settled is worth nothing. What pays for a time after the end of the membership gives nothing, whenever it was
  paid; what is paid on a frozen day gives what the term says of it.
- An upgrade within a period (unused time given back, the dearer plan billed) is worth the difference of the plans for
  the rest of the period, compared with the best that was in force in that period, so that nothing is given twice.
- A period that it pays for decides, where it is known: about one interval is full, about n intervals are n times the
  whole, but never more than the money could buy; less is a part by days. What is at least the dues is full in any case.
- Otherwise the money before discounts decides: at least the dues is full, less is a part.
- A part is rounded up, and the term says what parts give. Each interval is released at once or in tranches.

What is unlike the dues is worth what the rule says, and is reported with the reason, so that staff look at it.
"""

from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import ceil
from typing import NamedTuple
from zoneinfo import ZoneInfo

from models.catalogue.days import Period, end_of, local_day
from models.catalogue.terms import FrozenDues, Interval, OnEnd, Partial, Release
from models.members.lives import UNTOUCHED, Life
from models.payments import sentences
from models.payments.references import PaymentState
from models.payments.reviews import Reason, ReviewReason
from models.wording import day_of, money

ABOUT = Fraction(1, 10)
"""By how much of an interval a period may differ from whole intervals and still count as whole."""
LONGEST = timedelta(days=366 * 5)
"""A period that is longer, or begins further from its payment, is not believed."""


Amount = int | Fraction
"""Minor units; a fraction where an amount is shared."""


class ItemTerms(NamedTuple):
    """Sessions of one item that each release gives; 0 days to expire is never."""

    item_id: int
    quantity: int
    days_to_expire: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What was pinned for a membership since a moment: its dues, and what they give.

    Two that say the same are equal, whenever they began.
    """

    since: datetime = field(compare=False)
    dues_minor: int
    interval: str = Interval.MONTH
    interval_count: int = 1
    partial: str = Partial.PROPORTIONAL
    release: str = Release.AT_ONCE
    release_times: int | None = None
    items: tuple[ItemTerms, ...] = ()
    frozen_dues: str = FrozenDues.NOTHING
    on_end: str = OnEnd.KEEP
    on_end_days: int | None = None

    def after(self, day: date, intervals: int) -> date:
        """The day so many intervals later; the day of the month is kept where the month has it."""
        count = intervals * self.interval_count
        match self.interval:
            case Interval.WEEK:
                return day + timedelta(weeks=count)
            case Interval.YEAR:
                return _months_after(day, 12 * count)
            case _:
                return _months_after(day, count)


class Bill(NamedTuple):
    """What one membership is billed by a payment: all of it, or its share."""

    paid_at: datetime
    currency: str
    settled_minor: Amount
    due_minor: Amount
    """Before discounts."""
    covers: Period | None = None
    is_upgrade: bool = False
    """Unused time of one plan is given back, and the rest of the period billed at another price."""
    payer_only: bool = False
    """Only its payer is known: nothing says that it is dues."""
    beside_dues: bool = False
    """Another payment of the same membership was its dues, less than a day before or after."""


class Tranche(NamedTuple):
    """Sessions of one item, usable from a local day on; None is from the payment on."""

    item_id: int
    starts: date | None
    quantity: int
    days_to_expire: int

    @property
    def number(self) -> int:
        """Its number among the grants of the payment: 0, or its day as 20260228."""
        return self.starts.year * 10_000 + self.starts.month * 100 + self.starts.day if self.starts else 0


def first_day(tranche: int) -> date | None:
    """The local day on which the tranche of that number begins; None for what is usable from the payment on."""
    return date(tranche // 10_000, tranche // 100 % 100, tranche % 100) if tranche else None


class Worth(NamedTuple):
    """The sessions that a bill is worth, and why staff should look at it."""

    tranches: tuple[Tranche, ...]
    reasons: tuple[Reason, ...]
    gives_nothing: PaymentState | None = None
    """Why it rightly gives nothing, as the state of a payment of which it is all."""


def worth(
    bill: Bill, versions: Sequence[Terms], zone: str, life: Life = UNTOUCHED, credits_from: datetime | None = None
) -> Worth:
    """What the bill is worth under the terms of its membership; `versions` are all of them, in order of time.

    `credits_from` is the cut-over: what was paid before it gives nothing. Without one, everything counts.
    """
    if credits_from and bill.paid_at < credits_from:
        return Worth((), (), PaymentState.BEFORE_CUT_OVER)
    terms = in_force(versions, bill.paid_at)
    if bill.settled_minor <= 0:
        return Worth((), ())
    covers, reasons = _believed(bill)
    if life is not UNTOUCHED and (judged := _at_its_time(bill, covers, terms, zone, life)):
        return judged
    if bill.is_upgrade and covers and (upgraded := _upgrade(covers, terms, versions, zone)) is not None:
        billed = money(int(bill.due_minor), bill.currency)
        what = sentences.PLAN_CHANGE.format(billed=billed)
        return Worth(upgraded, () if upgraded or not terms.items else (Reason(ReviewReason.NOTHING, what),))
    local = ZoneInfo(zone)
    first, end = [moment.astimezone(local).date() for moment in covers] if covers else (None, None)
    paid_on = bill.paid_at.astimezone(local).date()
    judged = _judged(
        terms, paid_on, first, end, bill.settled_minor, bill.due_minor, bill.currency, bill.payer_only, bill.beside_dues
    )
    return Worth(judged.tranches, (*reasons, *judged.reasons)) if reasons else judged


def _at_its_time(bill: Bill, covers: Period | None, terms: Terms, zone: str, life: Life) -> Worth | None:
    """What it is worth because of the day on which it was paid; None where that day is like any other."""
    paid_on, billed = local_day(bill.paid_at, zone), money(int(bill.due_minor), bill.currency)
    begins = local_day(covers[0], zone) if covers else paid_on
    if life.ended and begins > life.ended:
        what = sentences.ENDED_BEFORE if begins != paid_on else sentences.ENDED
        days = {"paid": day_of(paid_on), "begins": day_of(begins), "ended": day_of(life.ended)}
        return Worth((), (Reason(ReviewReason.ENDED, what.format(billed=billed, **days)),))
    if not life.is_frozen(paid_on) or terms.frozen_dues == FrozenDues.FULL:
        return None
    if terms.frozen_dues == FrozenDues.PART:
        return _judged(
            replace(terms, partial=Partial.PROPORTIONAL), paid_on, None, None, bill.settled_minor, bill.due_minor,
            bill.currency, bill.payer_only, bill.beside_dues,
        )  # fmt: skip
    if max(bill.due_minor, bill.settled_minor) < terms.dues_minor:
        return Worth((), (), PaymentState.FREEZE_FEE)
    what = sentences.FROZEN.format(billed=billed, paid=day_of(paid_on))
    return Worth((), (Reason(ReviewReason.FROZEN, what),))


# On the first of the month thousands of bills are the same, but for the member.
@lru_cache(4096)
def _judged(
    terms: Terms, paid_on: date, first: date | None, end: date | None, settled: Amount, due: Amount, currency: str,
    payer_only: bool, beside_dues: bool,
) -> Worth:  # fmt: skip
    """By the local days on which it was paid, and from which until before which it pays."""
    intervals, covered = _intervals(terms, first, end, settled, due)
    billed, dues = money(int(due), currency), money(terms.dues_minor, currency)
    if beside_dues and first is None and intervals < 1:
        what = sentences.BESIDE.format(billed=billed, dues=dues)
        return Worth((), (Reason(ReviewReason.EXTRA, what),))
    reasons = _unlike(terms, intervals, covered, settled, due, billed, dues)
    if payer_only and (reasons or intervals != 1):
        what = sentences.PAYER_ONLY.format(billed=billed, dues=dues)
        return Worth((), (Reason(ReviewReason.PAYER_ONLY, what),))
    return Worth(tuple(_released(terms, intervals, first or paid_on, paid_on)), reasons)


def in_force(versions: Sequence[Terms], moment: datetime) -> Terms:
    """The terms in force then; before the first, the first."""
    return next((terms for terms in reversed(versions) if terms.since <= moment), versions[0])


def _believed(bill: Bill) -> tuple[Period | None, tuple[Reason, ...]]:
    if bill.covers is None:
        return None, ()
    start, end = bill.covers
    if timedelta(0) < end - start <= LONGEST and abs(start - bill.paid_at) <= LONGEST:
        return bill.covers, ()
    first, last = map(day_of, bill.covers)
    what = sentences.ODD_PERIOD.format(first=first, last=last)
    return None, (Reason(ReviewReason.SHAPE, what),)


def _intervals(
    terms: Terms, first: date | None, end: date | None, settled: Amount, due: Amount
) -> tuple[Fraction, Fraction]:
    """How many intervals it pays for, of how many that it covers; less than 1 is a part."""
    if first is None or end is None or terms.interval == Interval.ONCE:
        # Tax may stand on top of what was due; a discount below it.
        paid_for = min(_by_money(max(due, settled), terms), Fraction(1))
        return paid_for, paid_for
    by_money, covered = _by_money(due, terms), _covered(first, end, terms)
    if covered < 1 and by_money >= 1:
        return Fraction(1), Fraction(1)
    return min(covered, Fraction(max(1, int(by_money + ABOUT)))), covered


def _by_money(amount: Amount, terms: Terms) -> Fraction:
    # In whole minor units: half a cent of a shared payment buys nothing.
    return Fraction(int(amount), terms.dues_minor) if terms.dues_minor else Fraction(1)


def _covered(first: date, end: date, terms: Terms) -> Fraction:
    """The intervals from the first day until before the end; about a whole number of them is that number."""
    whole = 0
    while (following := terms.after(first, whole + 1)) <= end:
        whole += 1
    start = terms.after(first, whole)
    rest = Fraction((end - start).days, (following - start).days)
    if rest >= 1 - ABOUT:
        return Fraction(whole + 1)
    return Fraction(whole) if whole and rest <= ABOUT else whole + rest


def _unlike(
    terms: Terms, intervals: Fraction, covered: Fraction, settled: Amount, due: Amount, billed: str, dues: str
) -> tuple[Reason, ...]:
    """How it differs from the dues."""
    expected = terms.dues_minor * intervals
    if intervals < covered:
        times = {"covered": f"{float(covered):.3g}", "given": f"{float(intervals):.3g}"}
        return (Reason(ReviewReason.LESS, sentences.FEWER.format(billed=billed, dues=dues, **times)),)
    if intervals < 1:
        share = f"{float(intervals):.0%}"
        part = Reason(ReviewReason.PART, sentences.PART.format(billed=billed, share=share, dues=dues))
        if terms.partial != Partial.NONE:
            return (part,)
        return part, Reason(ReviewReason.NOTHING, sentences.NO_PARTS)
    if max(due, settled) < expected:
        return (Reason(ReviewReason.LESS, sentences.LESS.format(billed=billed, dues=dues)),)
    if min(due, settled) > expected:
        return (Reason(ReviewReason.MORE, sentences.MORE.format(billed=billed, dues=dues)),)
    return ()


def _released(terms: Terms, intervals: Fraction, first: date, paid_on: date) -> Iterator[Tranche]:
    """The tranches of so many intervals. Those that have begun when it is paid are one, from the payment on."""
    quantities: dict[tuple[int, date | None], int] = {}
    for each in range(ceil(intervals)):
        share = min(Fraction(1), intervals - each)
        if share < 1:
            share = {Partial.FULL: Fraction(1), Partial.NONE: Fraction(0)}.get(Partial(terms.partial), share)
        days = list(_days(terms, terms.after(first, each), terms.after(first, each + 1)))
        if each == 0 and terms.release != Release.WEEKLY:
            days[0] = min(days[0], paid_on)
        for item in terms.items:
            left = ceil(item.quantity * len(days) * share)
            for day in days:
                given, left = min(left, item.quantity), left - min(left, item.quantity)
                key = item.item_id, None if day <= paid_on else day
                quantities[key] = quantities.get(key, 0) + given
    lasting = {item.item_id: item.days_to_expire for item in terms.items}
    for (item_id, starts), given in quantities.items():
        if given:
            yield Tranche(item_id, starts, given, lasting[item_id])


def _days(terms: Terms, first: date, end: date) -> Iterator[date]:
    """The days of the interval on which sessions are released."""
    match terms.release:
        case Release.MONTHLY:
            months = 0
            while (day := _months_after(first, months)) < end:
                yield day
                months += 1
        case Release.WEEKLY:
            monday = first + timedelta(days=-first.weekday() % 7)
            yield from (monday + timedelta(weeks=n) for n in range(-(-(end - monday).days // 7)))
        case Release.TIMES:
            times = terms.release_times or 1
            yield from (first + timedelta(days=(end - first).days * n // times) for n in range(times))
        case _:
            yield first


def _upgrade(covers: Period, terms: Terms, versions: Sequence[Terms], zone: str) -> tuple[Tranche, ...] | None:
    """The difference for the rest of the period; None where no change of plan is known that explains it."""
    local = ZoneInfo(zone)
    first, end = (moment.astimezone(local).date() for moment in covers)
    begun = end - (terms.after(first, 1) - first)
    begins = end_of(begun - timedelta(days=1), zone)
    before = [earlier for earlier, later in pairwise(versions) if earlier.since < terms.since and later.since > begins]
    if not before:
        return None
    if terms.partial == Partial.NONE:
        return ()
    rest = min(Fraction(1), Fraction((end - first).days, (end - begun).days))
    best: dict[int, int] = {}
    for version in before:
        for item in version.items:
            best[item.item_id] = max(item.quantity, best.get(item.item_id, 0))
    more = {item: ceil((item.quantity - best.get(item.item_id, 0)) * rest) for item in terms.items}
    return tuple(Tranche(item.item_id, None, given, item.days_to_expire) for item, given in more.items() if given > 0)


def _months_after(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
