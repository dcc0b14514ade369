"""PURE: which grants a redemption draws on.

Soonest expiry first, never-expiring last; of equal expiry what was free before what was paid for, then the oldest.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

NEVER = datetime.max.replace(tzinfo=UTC)


class UsableLot(NamedTuple):
    """A grant with sessions that can be used now."""

    grant_id: int
    remaining: int
    effective_at: datetime
    expires_at: datetime | None
    paid_for: bool
    """Whether a payment gave it, and not a person."""


class Draw(NamedTuple):
    """Sessions taken from one grant."""

    grant_id: int
    quantity: int


def draw(lots: Iterable[UsableLot], quantity: int) -> list[Draw] | None:
    """The draws that make up `quantity`, in burn order; None where the lots hold fewer."""
    draws = []
    for lot in sorted(lots, key=_place):
        if quantity == 0:
            break
        taken = min(quantity, lot.remaining)
        draws.append(Draw(lot.grant_id, taken))
        quantity -= taken
    return draws if quantity == 0 else None


def _place(lot: UsableLot) -> tuple[datetime, bool, datetime, int]:
    return lot.expires_at or NEVER, lot.paid_for, lot.effective_at, lot.grant_id
