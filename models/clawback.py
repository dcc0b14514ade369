"""PURE: how a lot gives up sessions whose money went back, and gets them again.

A clawback takes what remains, leaves what had lapsed, and what was used becomes
shortfall. A reinstatement undoes that in the opposite order: it cancels shortfall
first, then what had been left, and gives back the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from models.catalogue import ShortfallPolicy
from models.ledger import EntryKind, Move


@dataclass(slots=True)
class Lot:
    """A grant as it stands while its moves are planned; `apply` keeps it in step with them."""

    id: int
    payment_id: int
    member_id: int
    item_id: int
    quantity: int
    remaining: int
    shortfall: int
    reversed: int
    expires_at: datetime | None
    # What its entries come to so far; read only for lots whose `reversed` has to change.
    lapsed: int = 0
    clawed_back: int = 0
    repaid: int = 0

    def apply(self, move: Move) -> Move:
        """Books the move on this lot and hands it on."""
        self.remaining += move.quantity
        self.shortfall += move.shortfall
        self.reversed += move.reversed
        if move.kind == EntryKind.EXPIRY:
            self.lapsed -= move.quantity
        return move


def reverse(
    lot: Lot, target: int, *, policy: str, fact_id: int, occurred_at: datetime, now: datetime
) -> Iterator[Move]:
    """The moves that bring `lot.reversed` to `target`: none where it is there already."""
    if target > lot.reversed:
        yield from _claw_back(lot, target - lot.reversed, policy, fact_id, occurred_at, now)
    elif target < lot.reversed:
        yield lot.apply(_reinstate(lot, lot.reversed - target, fact_id, occurred_at))


def _claw_back(
    lot: Lot, quantity: int, policy: str, fact_id: int, occurred_at: datetime, now: datetime
) -> Iterator[Move]:
    if lot.remaining and lot.expires_at is not None and lot.expires_at <= now:
        # It had lapsed by the clock; writing that down first keeps a late expiry job from mattering.
        yield lot.apply(Move(lot.id, EntryKind.EXPIRY, -lot.remaining, lot.expires_at))
    taken = min(quantity, lot.remaining)
    left = min(quantity - taken, max(0, lot.lapsed - _left_before(lot)))
    used = quantity - taken - left
    notes = []
    if left:
        notes.append(f"{left} had lapsed")
    if used:
        forgiven = policy == ShortfallPolicy.FORGIVE
        notes.append(f"{used} already used, forgiven by the club" if forgiven else f"{used} already used: shortfall")
    yield lot.apply(
        Move(
            lot.id,
            EntryKind.CLAWBACK,
            -taken,
            occurred_at,
            shortfall=0 if policy == ShortfallPolicy.FORGIVE else used,
            reversed=quantity,
            fact_id=fact_id,
            note="; ".join(notes) or None,
        )
    )


def _reinstate(lot: Lot, quantity: int, fact_id: int, occurred_at: datetime) -> Move:
    cancelled = min(quantity, lot.shortfall)
    left = min(quantity - cancelled, _left_before(lot))
    notes = []
    if cancelled:
        notes.append(f"{cancelled} of shortfall cancelled")
    if left:
        notes.append(f"{left} had lapsed or been forgiven")
    return Move(
        lot.id,
        EntryKind.REINSTATEMENT,
        quantity - cancelled - left,
        occurred_at,
        shortfall=-cancelled,
        reversed=-quantity,
        fact_id=fact_id,
        note="; ".join(notes) or None,
    )


def _left_before(lot: Lot) -> int:
    """Reversed sessions that were neither taken, nor repaid since, nor are owed: lapsed, or forgiven."""
    return lot.reversed - lot.shortfall - lot.clawed_back - lot.repaid


def repay(lot: Lot, debts: list[Lot], occurred_at: datetime) -> Iterator[Move]:
    """The moves by which a new lot repays open shortfalls, oldest first, as far as it goes."""
    for debt in debts:
        paid = min(lot.remaining, debt.shortfall)
        if paid and debt is not lot:
            yield lot.apply(
                Move(
                    lot.id,
                    EntryKind.DEBT_REPAYMENT,
                    -paid,
                    occurred_at,
                    note=f"repays shortfall of grant {debt.id}",
                )
            )
            yield debt.apply(
                Move(
                    debt.id,
                    EntryKind.DEBT_REPAYMENT,
                    0,
                    occurred_at,
                    shortfall=-paid,
                    note=f"by grant {lot.id}",
                )
            )
