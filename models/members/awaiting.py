"""Memberships that await their first payment: signed up, not ended, and no payment was ever matched to them."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import array
from models.staff import theirs
from models.staff.theirs import Clubs

LONG = timedelta(days=14)
"""After which a membership that still awaits its first payment is shown on Operations."""

PAID = """(
    EXISTS (SELECT FROM payments paid WHERE paid.membership_id = m.id
            AND paid.state IN ('settled', 'freeze_fee', 'before_cut_over'))
    OR EXISTS (SELECT FROM payment_matches paid WHERE paid.membership_id = m.id)
)"""
"""Whether a payment was matched to the membership `m`."""

_AWAITING = text(f"""
    SELECT m.id AS membership_id, n.id AS member_id, n.name AS member, n.email, o.name AS offer, c.name AS club,
           m.recorded_at AS since, m.code
    FROM memberships m
    JOIN members n ON n.id = m.member_id AND n.erased_at IS NULL AND NOT n.is_test
    JOIN offers o ON o.id = m.offer_id
    JOIN clubs c ON c.id = m.club_id
    WHERE (CAST(:ids AS bigint[]) IS NULL OR m.id = ANY(CAST(:ids AS bigint[])))
      AND (CAST(:before AS timestamptz) IS NULL OR m.recorded_at < :before)
      AND m.id > :after
      AND {theirs.membership("m.id")}
      AND m.withdrawn_at IS NULL
      AND NOT {PAID}
      AND NOT EXISTS (SELECT FROM life_in_force e WHERE e.membership_id = m.id AND e.kind = 'end')
    ORDER BY m.id
    LIMIT :limit
""")


class Awaiting(NamedTuple):
    """A membership that awaits its first payment."""

    membership_id: int
    member_id: int
    member: str
    email: str
    offer: str
    """Of the sign-up."""
    club: str
    since: datetime
    """When it was signed up."""
    code: str


def page(
    session: Session, *, now: datetime, longer_than: timedelta = LONG, after: int = 0, limit: int | None = None,
    club_ids: Clubs = None,
) -> Sequence[Awaiting]:  # fmt: skip
    """Those of these clubs that have awaited it for longer, the longest first; `after` is the id of the last seen."""
    clubs = theirs.written(club_ids)
    values = {"ids": None, "before": now - longer_than, "after": after, "limit": limit, "clubs": clubs}
    return [Awaiting(*row) for row in session.execute(_AWAITING, values)]


def of(session: Session, membership_ids: Collection[int]) -> dict[int, Awaiting]:
    """Those of these memberships that await it, by their ids."""
    values = {"ids": array(membership_ids), "before": None, "after": 0, "limit": None, "clubs": None}
    return {row.membership_id: Awaiting(*row) for row in session.execute(_AWAITING, values)}


_COUNT = text(f"""
    SELECT count(*) FROM memberships m JOIN members n ON n.id = m.member_id AND n.erased_at IS NULL AND NOT n.is_test
    WHERE m.recorded_at < :before AND m.withdrawn_at IS NULL AND NOT {PAID}
      AND NOT EXISTS (SELECT FROM life_in_force e WHERE e.membership_id = m.id AND e.kind = 'end')
""")


def count(session: Session, *, now: datetime, longer_than: timedelta = LONG) -> int:
    """How many have awaited it for longer than that."""
    found: int = session.scalars(_COUNT, {"before": now - longer_than}).one()
    return found
