"""PURE: which grants a redemption draws on.

Soonest expiry first, never-expiring last; for equal expiry, free grants before paid ones, then the oldest.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

NEVER = datetime.max.replace(tzinfo=UTC)


class UsableGrant(NamedTuple):
    """A grant with sessions that can be used now."""

    grant_id: int
    remaining: int
    effective_at: datetime
    expires_at: datetime | None
    paid_for: bool
    """True if a payment gave it, False if a person did."""
    membership_id: int | None = None
    """The membership whose dues gave it."""


class Draw(NamedTuple):
    """Sessions taken from one grant."""

    grant_id: int
    quantity: int


def draw(grants: Iterable[UsableGrant], quantity: int) -> list[Draw] | None:
    """The draws that make up `quantity`, in burn order; None if the grants hold fewer."""
    draws = []
    for grant in sorted(grants, key=_place):
        if quantity == 0:
            break
        taken = min(quantity, grant.remaining)
        draws.append(Draw(grant.grant_id, taken))
        quantity -= taken
    return draws if quantity == 0 else None


def _place(grant: UsableGrant) -> tuple[datetime, bool, datetime, int]:
    return grant.expires_at or NEVER, grant.paid_for, grant.effective_at, grant.grant_id
