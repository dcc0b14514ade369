"""PURE: what a payment's facts entitle memberships to. No I/O, no clock, no session.

Of the sessions that a membership's share of a payment gives, floor(quantity x reversed / paid) are reversed, the last
tranches first: all of them when all the money went back. A tranche that would begin after the end of its membership is
reversed as a whole. Days on which money was away that came back later do not count
against the days to expire.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from models.catalogue.days import DayRange, end_of, last_usable_day
from models.catalogue.terms import OnEnd
from models.members.lives import UNTOUCHED, Life
from models.payments import sentences
from models.payments.facts import Fact, Noted, Paid
from models.payments.money_back import (
    CREDIT_NOTE,
    NO_FEE,
    NOTHING,
    FeeKept,
    by_line_of,
    causes_in_force,
    payment_of,
    reversed_share,
    without_failed_parts,
)
from models.payments.references import PaymentState
from models.payments.reviews import Reason, ReviewReason
from models.payments.shares import Division, Matches, divide
from models.payments.worth import Amount, Terms, in_force, worth
from models.wording import money


class Buyer(NamedTuple):
    """What a membership's share of a payment is judged by: all its terms, and its club's days and rules."""

    versions: list[Terms]
    zone: str
    fee_kept: FeeKept = NO_FEE
    life: Life = UNTOUCHED
    credits_from: datetime | None = None
    """The cut-over: what was paid before it gives nothing; None where everything counts."""

    def last_usable_day(self, item_id: int, base: date, days: int, away: Sequence[DayRange] = ()) -> date | None:
        """Until which local day sessions of that item can be used, whose days count from the base date on.

        Frozen and closed days, and those on which their money was away, do not count; the end of the membership is the
        limit that its terms say. None is never.
        """
        uncounted = (*self.life.frozen, *self.life.closed.get(item_id, ()), *away)
        last, limit = last_usable_day(base, days, uncounted), self.limit
        return min(last, limit) if last and limit else last or limit

    @property
    def limit(self) -> date | None:
        """The last local day on which anything can be used; None where there is no such day."""
        ended = self.life.ended
        if ended is None:
            return None
        terms = in_force(self.versions, end_of(ended, self.zone) - timedelta(microseconds=1))
        return None if terms.on_end == OnEnd.KEEP else ended + timedelta(days=terms.on_end_days or 0)


class Owed(NamedTuple):
    """What a payment gives a membership of one item in one tranche; `reversed` of the sessions are taken back."""

    membership_id: int
    item_id: int
    tranche: int
    starts: date | None
    """The local day from which it is usable; None is from the payment on."""
    quantity: int
    days_to_expire: int
    reversed: int

    @property
    def key(self) -> tuple[int | None, int, int]:
        """What there is one grant for: membership, item and tranche."""
        return self.membership_id, self.item_id, self.tranche


class Entitlement(NamedTuple):
    """What a payment gives, the lines that are nobody's, and why staff should look at it."""

    owed: list[Owed]
    division: Division
    reasons: list[Reason]
    gives_nothing: PaymentState | None = None
    """The state of a payment of which all rightly gives nothing; None where any of it may give something."""
    before_cut_over: frozenset[int] = frozenset()
    """The memberships whose cut-over was after the payment."""


def entitlement(
    facts: Sequence[Fact], matches: Matches, buyers: Mapping[int, Buyer], not_dues: AbstractSet[str] = frozenset(),
    beside_dues: AbstractSet[int] = frozenset(),
) -> Entitlement:  # fmt: skip
    """What the payment with these facts gives each membership that it is for; nothing before it is paid.

    `matches` has the memberships of its references, `buyers` each of these memberships, `not_dues` the references that
    are marked as not dues, `beside_dues` the memberships whose dues another payment paid on the same day. Depends on
    the set of facts only, never on their order or repetition. A fact that contradicts the payment has no effect.
    """
    facts = without_failed_parts(facts)
    paid = payment_of(facts)
    if paid is None:
        return Entitlement([], Division(), [])
    division = divide(paid, matches, not_dues)
    owed: list[Owed] = []
    reasons: list[Reason] = []
    nothing: dict[int, PaymentState] = {}
    cut_over_back: Amount = 0
    for share in division.shares:
        buyer = buyers[share.membership_id]
        bill = share.bill
        if share.membership_id in beside_dues:
            bill = bill._replace(beside_dues=True)
        judged = worth(bill, buyer.versions, buyer.zone, buyer.life, buyer.credits_from)
        reasons += judged.reasons
        if judged.gives_nothing:
            nothing[share.membership_id] = judged.gives_nothing
        if judged.gives_nothing == PaymentState.BEFORE_CUT_OVER:
            cut_over_back += bill.settled_minor * reversed_share(facts, share)
            continue
        back = reversed_share(facts, share, buyer.fee_kept) if len(facts) > 1 else NOTHING
        given: defaultdict[int, list[Owed]] = defaultdict(list)
        for one in judged.tranches:
            given[one.item_id].append(
                Owed(share.membership_id, one.item_id, one.number, one.starts, one.quantity, one.days_to_expire, 0)
            )
        for tranches in given.values():
            kept = _taken_back(tranches, back) if back else tranches
            owed += _until(buyer.life.ended, kept) if buyer.life.ended else kept
        if not any(judged) and in_force(buyer.versions, paid.occurred_at).items:
            reasons.append(Reason(ReviewReason.NOTHING, sentences.NOTHING_BY_TERM))
    if cut_over_back:
        what = sentences.CUT_OVER.format(went=money(int(cut_over_back), paid.currency))
        reasons.append(Reason(ReviewReason.CUT_OVER, what))
    cut_over = frozenset(owner for owner, why in nothing.items() if why == PaymentState.BEFORE_CUT_OVER)
    # A line that is nobody's yet may give something to a membership that comes later.
    is_all = bool(division.shares) and len(nothing) == len(division.shares) and not division.unplaced
    state = (PaymentState.BEFORE_CUT_OVER if cut_over else PaymentState.FREEZE_FEE) if is_all else None
    looked_at = _to_look_at(facts, paid, division)
    if state == PaymentState.BEFORE_CUT_OVER:
        looked_at = [one for one in looked_at if one.reason in _OF_REFUNDS]
    return Entitlement(owed, division, reasons + looked_at, state, cut_over)


_OF_REFUNDS = frozenset({ReviewReason.NOT_DUES_REFUND, ReviewReason.OUTSIDE})


def _taken_back(tranches: list[Owed], share: Fraction) -> list[Owed]:
    """The same with their reversed sessions, the last tranche's first."""
    left = int(sum(one.quantity for one in tranches) * share)
    taken = []
    for one in sorted(tranches, key=lambda one: -one.tranche):
        back = min(left, one.quantity)
        left -= back
        taken.append(one._replace(reversed=back))
    return taken[::-1]


def _until(ended: date, tranches: list[Owed]) -> list[Owed]:
    """The same; all of those that begin after the end of the membership are taken back."""
    return [one._replace(reversed=one.quantity) if one.starts and one.starts > ended else one for one in tranches]


def _to_look_at(facts: Sequence[Fact], paid: Paid, division: Division) -> list[Reason]:
    """Why staff should look at the payment, whatever it is worth."""
    reasons = []
    if division.unplaced:
        lines = " and ".join(
            sentences.LINE.format(
                amount=money(line.amount_minor, paid.currency),
                references=", ".join(line.references) or sentences.WITHOUT_REFERENCE,
            )
            for line in division.unplaced
        )
        reasons.append(Reason(ReviewReason.UNPLACED, sentences.UNPLACED.format(lines=lines)))
    if not division.adds_up:
        billed, settled = (
            money(it, paid.currency) for it in (sum(one.amount_minor for one in paid.lines), paid.settled)
        )
        what = sentences.LINES_DIFFER.format(billed=billed, settled=settled)
        reasons.append(Reason(ReviewReason.SHAPE, what))
    if paid.settled > paid.amount_minor:
        used = money(paid.settled - paid.amount_minor, paid.currency)
        reasons.append(Reason(ReviewReason.BALANCE, sentences.FROM_BALANCE.format(used=used)))
    if len(facts) == 1:
        return reasons
    ours = {line for share in division.shares for line in share.lines}
    if other := {line: back for line, back in by_line_of(facts).items() if line not in ours}:
        back = money(sum(other.values()), paid.currency)
        reasons.append(Reason(ReviewReason.NOT_DUES_REFUND, sentences.NOT_DUES_REFUND.format(back=back)))
    if any(cause.startswith(f"{CREDIT_NOTE}:") for cause in causes_in_force(facts)):
        reasons.append(Reason(ReviewReason.OUTSIDE, sentences.OUTSIDE))
    if noted := sorted({fact.what for fact in facts if isinstance(fact, Noted)}):
        reasons.append(Reason(ReviewReason.NOTED, "; ".join(noted)))
    return reasons
