"""PURE: a payment divided among the memberships that it pays for, and what of it is placed nowhere.

By its lines, where they name references that memberships have; a reference that several memberships have is divided
equally among them. A payment without such lines goes to whom it names as a whole. Lines that are marked as not dues
belong to nobody.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from fractions import Fraction
from typing import NamedTuple

from models.payments.facts import Line, Paid
from models.payments.worth import Amount, Bill

MOST_TAX = Fraction(3, 2)
"""What is paid with tax, at most, over the same without."""

Matches = Mapping[str, Sequence[int]]
"""Reference -> the memberships that have it."""


class Share(NamedTuple):
    """The part of a payment that is for one membership."""

    membership_id: int
    bill: Bill
    lines: frozenset[str]
    """The ids of its lines; empty where the payment has none that can be told apart."""
    part: Amount
    """Which part of what was billed it is, 0 to 1: it gets that part of money that goes back."""


class Division(NamedTuple):
    """The shares of a payment, and the lines that are placed nowhere and not marked as not dues."""

    shares: tuple[Share, ...] = ()
    unplaced: tuple[Line, ...] = ()
    is_dues: bool = True
    """False where everything that was billed is marked as not dues."""
    adds_up: bool = True
    """False where its lines come to another amount than was paid: its amount decides then."""


def divide(paid: Paid, matches: Matches, not_dues: AbstractSet[str] = frozenset()) -> Division:
    """Divide what was paid. Without any match there are no shares."""
    if not not_dues.isdisjoint(paid.billing_references):
        return Division(is_dues=False)
    whole = _owners(paid.billing_references or paid.payer, matches)
    if not paid.lines:
        return Division(tuple(_share(paid, owner, (), _part(1, 1, len(whole))) for owner in whole))
    placed = [(line, _owners(line.references, matches)) for line in paid.lines if not_dues.isdisjoint(line.references)]
    if not placed:
        return Division(is_dues=False)
    by_line = any(owners for _, owners in placed)
    if not by_line:
        # Nothing tells the lines apart by membership: they are all for whom the payment names.
        placed = [(line, whole) for line, _ in placed]
    billed, adds_up = sum(line.amount_minor for line in paid.lines) or 1, _adds_up(paid)
    shares = []
    for owner in dict.fromkeys(owner for _, owners in placed for owner in owners):
        own = [(line, _part(line.amount_minor, 1, len(owners))) for line, owners in placed if owner in owners]
        part = _part(sum(amount for _, amount in own), billed)
        share = _share(paid, owner, own, min(max(part, 0), 1), by_line=by_line)
        if not adds_up:
            share = share._replace(bill=share.bill._replace(due_minor=paid.due * share.part, is_upgrade=False))
        shares.append(share)
    unplaced = tuple(line for line, owners in placed if shares and not owners and line.amount_minor > 0)
    return Division(tuple(shares), unplaced, adds_up=adds_up)


def _adds_up(paid: Paid) -> bool:
    """Whether its lines can be what was paid. Tax may stand on top of them, and discounts, where there is a due."""
    billed = sum(line.amount_minor for line in paid.lines)
    return paid.due_minor is not None or paid.settled <= billed * MOST_TAX <= paid.settled * MOST_TAX


def _owners(references: Sequence[str], matches: Matches) -> Sequence[int]:
    return next((found for reference in references if (found := matches.get(reference))), ())


def _part(amount: Amount, of: int, among: int = 1) -> Amount:
    """An amount divided, as a whole number where it is one: fractions are slow."""
    if amount == of and among == 1:
        return 1
    return amount if of == among == 1 else Fraction(amount) / of / among


def _share(
    paid: Paid, owner: int, lines: Sequence[tuple[Line, Amount]], part: Amount, *, by_line: bool = False
) -> Share:
    # Unused time that is given back for another plan, and nothing but parts of the period: an upgrade.
    upgrade = any(line.amount_minor < 0 for line, _ in lines) and all(line.proration for line, _ in lines)
    regular = [(line, amount) for line, amount in lines if not line.proration] or lines
    due = sum(amount for _, amount in regular) if lines else paid.due * part
    periods = [line.covers for line, _ in regular if line.covers]
    covers = (min(start for start, _ in periods), max(end for _, end in periods)) if periods else paid.covers
    payer_only = not paid.billing_references and not by_line
    bill = Bill(paid.occurred_at, paid.currency, paid.settled * part, due, covers, upgrade, payer_only)
    return Share(owner, bill, frozenset(line.id for line, _ in lines if line.id), part)
