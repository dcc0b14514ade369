"""What members have in the end, by plain addition over what really happened: for the tests that compare.

It knows nothing of facts, shares or entitlements: it counts months, days and money, as a person at the desk would.
"""

from calendar import monthrange
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from math import ceil

DAY = timedelta(days=1)
FEE_PERCENT, FEE_MOST = 5, 1000
"""What a refund may leave and still count as all: what clubs begin with."""
FEE, BEFORE = "fee of a freeze", "before the cut-over"
"""Why a payment gives nothing, and needs no review."""


@dataclass(frozen=True)
class Plan:
    """What dues are, and what they give of each item: so many sessions for so many days (0 is for ever)."""

    dues: int
    gives: dict[str, tuple[int, int]]
    partial: str = "proportional"
    yearly: bool = False
    """For a year, and released by the month."""


@dataclass(frozen=True)
class Refund:
    """Money that went back on a day; perhaps it came back on another, perhaps it was for one member's line."""

    day: date
    amount: int
    undone_on: date | None = None
    line: str = ""


@dataclass(frozen=True)
class Payment:
    """One payment: for whom how much was billed, and for which time."""

    name: str
    day: date
    billed: dict[str, int]
    """Member (or a locker) -> the amount, before any discount."""
    paid: int
    months: int = 0
    """The whole months that it is for, from `begins` on; 0 if it does not say so."""
    days: int = 0
    """Or the days, less than a month."""
    begins: date | None = None
    refunds: tuple[Refund, ...] = ()
    is_upgrade: bool = False
    by_line: bool = False

    @property
    def total(self) -> int:
        return sum(self.billed.values())


@dataclass
class World:
    """Everything that happened."""

    plan: Plan
    payments: list[Payment]
    members: tuple[str, ...] = ("a",)
    """Those who have joined, sooner or later."""
    changes: list[tuple[date, int]] = field(default_factory=list)
    """From which day member a's dues gave how many classes."""
    locker_is_marked: bool = False
    frozen: list[tuple[str, date, date | None]] = field(default_factory=list)
    """Member, first and last frozen day; None is until further notice."""
    closed: list[tuple[str, date, date]] = field(default_factory=list)
    """Item ("all" for each), first and last closed day."""
    ended: dict[str, date] = field(default_factory=dict)
    """Member -> the last day of the membership."""
    cut_over: dict[str, date] = field(default_factory=dict)
    """Member -> the day from which on payments count; an earlier system gave what was paid before."""
    frozen_dues: str = "nothing"
    on_end: tuple[str, int] = ("keep", 0)
    late: tuple[date, int] | None = None
    """The day on which all of it was told, and after how many days that was late."""

    def is_frozen(self, who: str, day: date) -> bool:
        return any(whose == who and first <= day <= (last or day) for whose, first, last in self.frozen)

    def is_counted(self, who: str, item: str, day: date) -> bool:
        """Whether that day is neither frozen nor closed."""
        return not self.is_frozen(who, day) and not any(
            what in (item, "all") and first <= day <= last for what, first, last in self.closed
        )

    def is_open_from(self, who: str, day: date) -> bool:
        """Whether no later day counts: frozen until further notice."""
        return any(whose == who and first <= day and last is None for whose, first, last in self.frozen)

    def limit(self, who: str) -> date | None:
        """The last day on which anything of theirs can be used; None where there is none."""
        rule, days = self.on_end
        return self.ended[who] + timedelta(days=days) if who in self.ended and rule != "keep" else None

    def known_on(self, day: date) -> date:
        """From which day on that is taken into account which happened then."""
        return self.late[0] if self.late and (self.late[0] - day).days >= self.late[1] else day


Tranches = dict[tuple[str, str, date | None], int]
"""Member, item, first usable day (None is from the payment on) -> sessions."""


@dataclass
class Count:
    """What one payment came to: sessions given, those left after refunds, last usable days, reasons to look at it."""

    given: Tranches
    left: Tranches
    last_days: dict[tuple[str, str, date | None], date | None]
    reasons: set[str]
    state: str = "settled"


def months_after(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def classes_on(world: World, day: date) -> int:
    classes = world.plan.gives["classes"][0]
    for since, quantity in world.changes:
        if since <= day:
            classes = quantity
    return classes


def count(world: World) -> dict[str, Count]:
    """Payment -> what it came to."""
    alone = {payment.name: _given(world, payment, frozenset()) for payment in world.payments}
    counts = {}
    for payment in world.payments:
        beside = frozenset(
            who
            for other in world.payments
            if other is not payment and abs(other.day - payment.day) <= DAY and _is_dues(alone[other.name][1])
            for who in _owners(world, other)
        )
        given, reasons = _given(world, payment, beside)
        left = _left(world, payment, given, payment.refunds, date.max)
        last_days = _last_days(world, payment, given, left)
        state = "freeze_fee" if FEE in reasons else "before_cut_over" if BEFORE in reasons else "settled"
        counts[payment.name] = Count(given, left, last_days, reasons - {FEE, BEFORE}, state)
    return counts


def _is_dues(reasons: set[str]) -> bool:
    return not reasons & {"part", "extra", "nothing", "frozen", "ended", FEE, BEFORE}


def _owners(world: World, payment: Payment) -> dict[str, Fraction]:
    """Member -> what of the bill is theirs."""
    if payment.by_line:
        return {who: Fraction(amount) for who, amount in payment.billed.items() if who in world.members}
    owners = [who for who in world.members if who in payment.billed]
    return {who: Fraction(payment.total, len(owners)) for who in owners}


def _given(world: World, payment: Payment, beside_dues: frozenset[str]) -> tuple[Tranches, set[str]]:
    plan, tranches, reasons, told = world.plan, Tranches(), set[str](), payment
    fees = cut = 0
    for who, due in _owners(world, told).items():
        payment, partial = told, plan.partial
        paid = payment.paid * due / payment.total
        if who in world.cut_over and payment.day < world.cut_over[who]:
            cut += 1
            if _went_back(world, payment, who, due):
                reasons.add("cut_over")
            continue
        if who in world.ended and min(payment.day, payment.begins or payment.day) > world.ended[who]:
            reasons.add("ended")
            continue
        if world.is_frozen(who, payment.day) and world.frozen_dues == "nothing":
            is_fee = max(due, paid) < plan.dues
            fees += is_fee
            reasons |= set() if is_fee else {"frozen"}
            continue
        if world.is_frozen(who, payment.day) and world.frozen_dues == "part":
            payment, partial = replace(payment, months=0, days=0, begins=None), "proportional"
        if payment.is_upgrade:
            if more := _upgrade(world, payment) if plan.partial != "none" else 0:
                tranches[who, "classes", None] = more
            else:
                reasons.add("nothing")
            continue
        wanted = payment.months or 1
        if payment.months:
            bought = min(wanted, max(1, int(due / plan.dues + Fraction(1, 10))))
            part = Fraction(1)
        else:
            bought = 1
            part = Fraction(payment.days, 31) if payment.days else max(due, paid) / plan.dues
            if due >= plan.dues or (part >= Fraction(9, 10) and payment.days):
                part = Fraction(1)
            part = min(part, Fraction(1))
        if part < 1 and who in beside_dues and told.begins is None:
            reasons.add("extra")
            continue
        if part < 1:
            reasons.add("part")
            part = {"full": Fraction(1), "none": Fraction(0), "proportional": part}[partial]
        elif bought < wanted or max(due, paid) < plan.dues * bought:
            reasons.add("less")
        elif min(due, paid) > plan.dues * bought:
            reasons.add("more")
        begins = payment.begins or payment.day
        for item, (quantity, _) in plan.gives.items():
            each = classes_on(world, payment.day) if item == "classes" else quantity
            starts = [months_after(begins, month) for month in range(12 if plan.yearly else bought)]
            left = ceil(each * len(starts) * part)
            for month, day in enumerate(starts):
                now = month == 0 or day <= payment.day
                key = who, item, None if now else day
                if gives := min(each, left):
                    tranches[key] = tranches.get(key, 0) + gives
                left -= gives
    payment = told
    if cut + fees and cut + fees == len(_owners(world, payment)):
        if cut:
            return tranches, {BEFORE} | (reasons & {"cut_over"})
        reasons.add(FEE)
    if payment.by_line and any(
        who not in world.members and not (who == "locker" and world.locker_is_marked) for who in payment.billed
    ):
        reasons.add("unplaced")
    if any(one.line and one.line not in world.members and not one.undone_on for one in payment.refunds):
        reasons.add("not_dues_refund")
    if sum(one.amount for one in payment.refunds if not one.undone_on) > payment.paid:
        reasons.add("noted")
    return tranches, reasons


def _went_back(world: World, payment: Payment, who: str, due: Fraction) -> bool:
    """Whether any money of the member's part went back and stayed away, to the cent."""
    away = [one for one in payment.refunds if not one.undone_on]
    back, mine = min(sum(one.amount for one in away), payment.paid), due / payment.total
    if payment.by_line and back < payment.paid and (lines := [one for one in away if one.line]):
        own = sum(one.amount for one in lines if one.line == who)
        return own + max(0, back - sum(one.amount for one in lines)) * mine > 0
    return back * mine > 0


def _upgrade(world: World, payment: Payment) -> int:
    """The more classes for the days that are left of March, beside the most that any plan in March gave before."""
    best, now = 0, 0
    for day in (date(2024, 3, number) for number in range(1, payment.day.day + 1)):
        classes = classes_on(world, day)
        if classes != now:
            best, now = max(best, now), classes
    return max(0, ceil(Fraction((now - best) * (31 - payment.day.day + 1), 31)))


def _left(world: World, payment: Payment, given: Tranches, refunds: tuple[Refund, ...], until: date) -> Tranches:
    """What is left when the refunds up to that day count: the last tranches go first."""
    away = [one for one in refunds if one.day <= until and not (one.undone_on and one.undone_on <= until)]
    back = min(Fraction(1), Fraction(sum(one.amount for one in away), payment.paid))
    kept = (1 - back) * payment.paid
    if back and kept * 100 <= FEE_PERCENT * payment.paid and kept <= FEE_MOST:
        back = Fraction(1)
    result = Tranches()
    for who, due in _owners(world, payment).items():
        share = back
        mine = due / payment.total
        lines = [one for one in away if one.line]
        if lines and back < 1 and payment.by_line:
            rest = max(Fraction(0), back * payment.paid - sum(one.amount for one in lines))
            own = sum(one.amount for one in lines if one.line == who)
            share = min(Fraction(1), (own + rest * mine) / (payment.paid * mine))
        for item in world.plan.gives:
            tranches = [key for key in given if key[:2] == (who, item)]
            tranches.sort(key=lambda key: key[2] or date.min, reverse=True)
            gone = int(sum(given[key] for key in tranches) * share)
            for key in tranches:
                taken = min(gone, given[key])
                result[key] = given[key] - taken
                gone -= taken
    return result


def _last_days(
    world: World, payment: Payment, given: Tranches, left: Tranches
) -> dict[tuple[str, str, date | None], date | None]:
    """Counted day by day, until none is left or the membership's end is reached.

    A day at whose end sessions are away that come back does not count, nor does a frozen or closed one.
    """
    refunds = tuple(
        replace(one, day=world.known_on(one.day), undone_on=one.undone_on and world.known_on(one.undone_on))
        for one in payment.refunds
    )
    result: dict[tuple[str, str, date | None], date | None] = {}
    for key in given:
        who, item, first = key
        remaining, limit = world.plan.gives[item][1], world.limit(who)
        day: date | None = (first or world.known_on(payment.day)) if remaining else None
        while day and remaining:
            day += DAY
            if world.is_open_from(who, day):
                day = None
            elif world.is_counted(who, item, day):
                remaining -= not _left(world, payment, given, refunds, day)[key] < left[key]
        result[key] = min((one for one in (day, limit) if one), default=None)
    return result
