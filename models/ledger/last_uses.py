"""What a member used lately, for the desk's choice of what they use now. Read only."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import array
from models.members.memberships import with_merged

LOOKED_AT = 10
"""Redemptions that make a habit."""


class Use(NamedTuple):
    """A redemption of which nothing was returned."""

    item_id: int
    item: str
    quantity: int
    occurred_at: datetime


_LAST = text("""
    SELECT r.item_id, i.name, r.quantity, r.occurred_at
    FROM redemptions r JOIN items i ON i.id = r.item_id
    WHERE r.member_id = ANY(CAST(:members AS bigint[])) AND r.undoes IS NULL
      AND NOT EXISTS (SELECT FROM redemptions back WHERE back.undoes = r.id)
    ORDER BY r.occurred_at DESC, r.id DESC
    LIMIT :limit
""")


def last_uses(session: Session, member_id: int, limit: int = LOOKED_AT) -> Sequence[Use]:
    """The member's last redemptions, the latest first."""
    members = array(with_merged(session, member_id))
    return [Use(*row) for row in session.execute(_LAST, {"members": members, "limit": limit})]


def usual_item(uses: Sequence[Use], usable: Sequence[int]) -> int | None:
    """Of the usable items the one that was used most often lately, the latest of equal ones; without any, the first."""
    often = Counter(use.item_id for use in uses if use.item_id in usable)
    return next((item for item, _ in often.most_common(1)), next(iter(usable), None))
