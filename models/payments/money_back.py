"""PURE: what was paid by a payment's facts, and how much of it went back. No I/O, no clock, no session.

Money reversed is summed per cause; the latest fact of a cause counts, by the processor's clock. What is left of a
refund less a fee of the processor counts as gone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from math import inf
from typing import NamedTuple

from models.catalogue.days import Period
from models.payments.facts import Fact, LineRefunded, Paid, Restored, Reversed
from models.payments.shares import Share

CREDIT_NOTE = "credit note"
"""The family of causes by which money is given back outside the processor."""
NOTHING, _ALL = Fraction(0), Fraction(1)


class FeeKept(NamedTuple):
    """What a refund may leave and still count as all of the payment: at most a percentage, and at most an amount."""

    percent: int
    most_minor: int


NO_FEE = FeeKept(0, 0)


def first_paid(facts: Iterable[Fact]) -> Paid | None:
    """The earliest `Paid` fact, in whatever order they arrived; None before there is one."""
    return min((fact for fact in facts if isinstance(fact, Paid)), key=_precedence, default=None)


def payment_of(facts: Iterable[Fact]) -> Paid | None:
    """What was paid by these facts, in whatever order they arrived; None before there is a `Paid` fact.

    Of several facts about one part of the payment the earliest counts; parts add up. All references are kept, those of
    the earliest fact first.
    """
    paid = [fact for fact in facts if isinstance(fact, Paid)]
    if len(paid) < 2:
        return paid[0] if paid else None
    paid.sort(key=_precedence)
    parts = list({one.part: one for one in reversed(paid)}.values())
    parts.sort(key=_precedence)
    first, balance = parts[0], any(one.settled_minor is not None for one in parts)
    return replace(
        first,
        amount_minor=sum(one.amount_minor for one in parts),
        settled_minor=sum(one.settled for one in parts) if balance else None,
        due_minor=sum(one.due for one in parts) if any(one.due_minor is not None for one in parts) else None,
        lines=tuple(line for one in parts for line in one.lines),
        covers=next((one.covers for one in parts if one.covers), None),
        billing_references=_joined(one.billing_references for one in paid),
        payer=_joined(one.payer for one in paid),
    )


def _joined(each: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reference for references in each for reference in references))


def _precedence(paid: Paid) -> tuple[object, ...]:
    # Of two that say the same otherwise, the one that says more of the shape counts.
    content = repr(paid)
    return paid.occurred_at, paid.payment, -paid.settled, paid.currency, paid.billing_references, -len(content), content


def without_failed_parts(facts: Sequence[Fact]) -> Sequence[Fact]:
    """The facts without the parts of the payment that came to nothing (a capture that failed), unless all did."""
    parts = {fact.part for fact in facts if isinstance(fact, Paid)}
    if len(parts) < 2:
        return facts
    failed = {_id(cause) for cause in causes_in_force(facts)} & parts
    if not failed or failed == parts:
        return facts
    return [
        fact
        for fact in facts
        if not (isinstance(fact, Paid) and fact.part in failed)
        and not (isinstance(fact, Reversed | Restored) and _id(fact.cause) in failed)
    ]


def reversed_share(facts: Sequence[Fact], of: Share | None = None, fee_kept: FeeKept = NO_FEE) -> Fraction:
    """The part of the payment, or of a membership's share of it, that went back and stayed away, 0 to 1.

    Overlapping causes reverse it once. What is left of a refund less a fee counts as gone.
    """
    facts = without_failed_parts(facts)
    back = _share(facts)
    if not back or kept_as_fee(facts, fee_kept):
        return _ALL if back else back
    whole = sum(least_paid(facts).values())
    by_line = by_line_of(facts) if of and of.lines and of.part and back < 1 else {}
    if not by_line or of is None:
        return back
    own = sum(minor for line, minor in by_line.items() if line in of.lines)
    rest = max(NOTHING, back * whole - sum(by_line.values()))
    return min(_ALL, (own + rest * of.part) / (whole * of.part))


def kept_as_fee(facts: Sequence[Fact], fee_kept: FeeKept) -> int:
    """What refunds left that counts as a fee of the processor, in minor units; 0 where they left none, or too much."""
    facts = without_failed_parts(facts)
    left = (1 - _share(facts)) * sum(least_paid(facts).values())
    share = left / (sum(least_paid(facts).values()) or 1)
    return int(left) if share <= Fraction(fee_kept.percent, 100) and left <= fee_kept.most_minor else 0


def _share(facts: Sequence[Fact]) -> Fraction:
    shares = _share_by_family(facts).values()
    return min(_ALL, sum(shares, NOTHING)) if shares else NOTHING


def by_line_of(facts: Sequence[Fact]) -> dict[str, int]:
    """By line of the payment, how much of the refunds that are in force was for it. Other lines do not count."""
    lines = {line.id for fact in facts if isinstance(fact, Paid) for line in fact.lines}
    named = {(fact.refund, fact.line): fact for fact in facts if isinstance(fact, LineRefunded) and fact.line in lines}
    if not named:
        return {}
    refunds = {_id(cause) for cause in causes_in_force(facts)}
    back: defaultdict[str, int] = defaultdict(int)
    for (refund, line), fact in named.items():
        if refund in refunds:
            back[line] += fact.amount_minor
    return dict(back)


def causes_in_force(facts: Sequence[Fact]) -> set[str]:
    """The causes for which money is away."""
    latest: dict[str, Reversed | Restored] = {}
    for move in facts:
        if isinstance(move, Reversed | Restored) and (
            move.cause not in latest or _weight(move) > _weight(latest[move.cause])
        ):
            latest[move.cause] = move
    return {cause for cause, move in latest.items() if isinstance(move, Reversed)}


def money_reversed(facts: Sequence[Fact]) -> int:
    """How much of the payment's money went back, in minor units; 0 before there is a `Paid` fact. Not capped."""
    facts = without_failed_parts(facts)
    paid = payment_of(facts)
    shares = _share_by_family(facts).values() if paid else ()
    return int(sum(shares) * least_paid(facts)[paid.currency]) if paid else 0


def largest_share(facts: Sequence[Fact]) -> Fraction:
    """The largest share that went back for one family of causes; above 1 if that is more than was paid."""
    return max(_share_by_family(facts).values(), default=Fraction(0))


def is_of_a_refund(fact: Fact) -> bool:
    """Whether the fact is a refund or the failure of one. Disputes, and what may be one, can overlap refunds."""
    return isinstance(fact, Reversed | Restored) and fact.cause.startswith("refund")


def least_paid(facts: Iterable[Fact]) -> dict[str, int]:
    """By currency, the least that was paid by any fact of each part, so that a full refund of it takes everything."""
    least: dict[tuple[str, str], int] = {}
    for fact in facts:
        if isinstance(fact, Paid):
            key = fact.currency, fact.part
            least[key] = min(fact.settled, least.get(key, fact.settled))
    whole: defaultdict[str, int] = defaultdict(int)
    for (currency, _), amount in least.items():
        whole[currency] += amount
    return dict(whole)


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
            # Of several payments that add up, all of the one that it names.
            own = least_paid(
                fact for fact in facts if isinstance(fact, Paid) and fact.part and fact.payment == move.payment
            )
            return Fraction(sum(own.values()), sum(paid.values())) if own else Fraction(1)
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


def _id(cause: str) -> str:
    return cause.partition(":")[2].partition(" of ")[0]


def _family(cause: str) -> str:
    return cause.partition(":")[0]


def _group(cause: str) -> tuple[str, str] | None:
    family, _, named = cause.partition(":")
    _, of, group = named.partition(" of ")
    return (family, group) if of else None


def away(moments: Sequence[tuple[datetime, Fact]], reversed_by: Callable[[Sequence[Fact]], int]) -> list[Period]:
    """When more sessions of a grant were reversed than are in the end: the time for which they were taken.

    Each fact stands beside the moment from which it was known; `reversed_by` says how many sessions of the grant facts
    reverse. Of a reversal that was never undone nothing is away in this sense. The periods do not overlap.
    """
    kinds = {type(fact) for _, fact in moments}
    if Reversed not in kinds or Restored not in kinds:
        return []

    def count_at(moment: datetime) -> int:
        return reversed_by([fact for at, fact in moments if at <= moment or not isinstance(fact, Reversed | Restored)])

    changes = sorted({at for at, fact in moments if isinstance(fact, Reversed | Restored)})
    counts = [count_at(moment) for moment in changes]
    return [(start, end) for start, end, count in zip(changes, changes[1:], counts, strict=False) if count > counts[-1]]
