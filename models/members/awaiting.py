"""Memberships that await their first payment: signed up, not ended, and no payment was ever matched to them."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import locks
from models.database.arrays import array
from models.errors import NoneChosen, NotRemovable
from models.staff import actions, theirs
from models.staff.actions import Actor
from models.staff.theirs import Clubs

LONG = timedelta(days=14)
"""After which a membership that still awaits its first payment is shown on Operations."""

REMOVABLE = timedelta(days=30)
"""After which it is offered for removal."""

PAID = """(
    EXISTS (SELECT FROM payments paid WHERE paid.membership_id = m.id
            AND paid.state IN ('settled', 'freeze_fee', 'before_cut_over'))
    OR EXISTS (SELECT FROM payment_matches paid WHERE paid.membership_id = m.id)
)"""
"""Whether a payment was matched to the membership `m`."""

AWAITS = f"""NOT {PAID}
      AND NOT EXISTS (SELECT FROM life_in_force e WHERE e.membership_id = m.id AND e.kind = 'end')"""
"""Whether the membership `m` awaits its first payment."""

COUNTS = "m.withdrawn_at IS NULL AND n.erased_at IS NULL AND NOT n.is_test"
"""Whether the membership `m` of the member `n` counts among those that gyms live on."""

_WAITING = f"{COUNTS} AND {AWAITS}"

_AWAITING = text(f"""
    SELECT m.id AS membership_id, n.id AS member_id, n.name AS member, n.email, o.name AS offer, c.name AS club,
           m.recorded_at AS since, m.code
    FROM memberships m
    JOIN members n ON n.id = m.member_id
    JOIN offers o ON o.id = m.offer_id
    JOIN clubs c ON c.id = m.club_id
    WHERE (CAST(:ids AS bigint[]) IS NULL OR m.id = ANY(CAST(:ids AS bigint[])))
      AND (CAST(:before AS timestamptz) IS NULL OR m.recorded_at < :before)
      AND m.id > :after
      AND {theirs.membership("m.id")}
      AND {_WAITING}
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


def of(session: Session, membership_ids: Collection[int], club_ids: Clubs = None) -> dict[int, Awaiting]:
    """Those of these memberships, and of these clubs, that await it, by their ids."""
    clubs = theirs.written(club_ids)
    values = {"ids": array(membership_ids), "before": None, "after": 0, "limit": None, "clubs": clubs}
    return {row.membership_id: Awaiting(*row) for row in session.execute(_AWAITING, values)}


_COUNT = text(f"""
    SELECT count(*) FROM memberships m JOIN members n ON n.id = m.member_id
    WHERE m.recorded_at < :before AND {_WAITING} AND {theirs.membership("m.id")}
""")


def count(session: Session, *, now: datetime, longer_than: timedelta = LONG, club_ids: Clubs = None) -> int:
    """How many of these clubs have awaited it for longer than that."""
    asked = {"before": now - longer_than, "clubs": theirs.written(club_ids)}
    found: int = session.scalars(_COUNT, asked).one()
    return found


def withdrawal(memberships: str) -> str:
    """SQL: parts of a WITH that withdraw the memberships of a query of ids. Their billing references are free again."""
    return f"""withdrawn AS (
        UPDATE memberships SET withdrawn_at = :now WHERE id IN ({memberships})
    ), free AS (
        DELETE FROM billing_references WHERE membership_id IN ({memberships})
    )"""


_LOCK = text("SELECT member_id FROM memberships WHERE id = :membership FOR NO KEY UPDATE")
_HELD = text("SELECT EXISTS (SELECT FROM payments WHERE membership_id = :membership)")
_REMOVE = text(f"WITH {withdrawal('SELECT CAST(:membership AS bigint)')} SELECT")


def remove(session: Session, membership_id: int, *, reason: str, by: Actor, now: datetime) -> Awaiting:
    """Withdraw a membership that has awaited its first payment for 30 days: nothing shows or finds it any more.

    Raises ReasonMissing, TextTooLong or NotRemovable.
    """
    reason = actions.reason_given(reason)
    locks.change(session)  # no payment finds it meanwhile
    session.execute(_LOCK, {"membership": membership_id})
    found, held = of(session, [membership_id]).get(membership_id), {"membership": membership_id}
    if found is None or found.since > now - REMOVABLE or session.scalar(_HELD, held):
        raise NotRemovable(membership=membership_id, days=REMOVABLE.days)
    session.execute(_REMOVE, {**held, "now": now})
    subject = f"membership {membership_id}, which never had a payment"
    actions.log(session, by, "remove membership", subject, member_id=found.member_id, reason=reason)
    return found


def remove_all(
    session: Session, membership_ids: Collection[int], *, reason: str, by: Actor, now: datetime, club_ids: Clubs = None
) -> list[Awaiting]:
    """Withdraw all of these, of these clubs, or none. Raises NoneChosen, and what `remove` raises."""
    ids = sorted(set(membership_ids))
    if not ids:
        raise NoneChosen
    theirs_too = of(session, ids, club_ids)
    for one in ids:
        if one not in theirs_too:
            raise NotRemovable(membership=one, days=REMOVABLE.days)
    return [remove(session, one, reason=reason, by=by, now=now) for one in ids]
