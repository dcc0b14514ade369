"""What an act on the life of a membership does to its sessions: shown before it is done, and settled with it.

Main verbs: `preview` and `apply`. Both settle at once the payments that the act lets settle again. A closure of a whole
club is left to the worker's sweep, which settles it in batches; `waiting` says how much is left.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import array
from models.payments import settlement
from models.wording import day_of, sessions_of

_AT_ONCE = 500
"""So many payments are settled with the act; more are left to the sweep."""


class MovedGrant(NamedTuple):
    """A grant whose last usable local day, or whose quantity, an act changes."""

    grant_id: int
    item: str
    remaining_before: int
    remaining_after: int
    before: date | None
    """None is never."""
    after: date | None

    @property
    def words(self) -> str:
        """`8 Class sessions: usable until Feb 10, 2026 instead of Jan 31, 2026`."""
        said = []
        if self.remaining_after != self.remaining_before:
            said.append(f"{self.remaining_after} instead of {self.remaining_before}")
        if self.after != self.before:
            after = f"until {day_of(self.after)}" if self.after else "without an end"
            before = day_of(self.before) if self.before else "without an end"
            said.append(f"usable {after} instead of {before if self.after else f'until {before}'}")
        return f"{sessions_of(self.item, self.remaining_before or self.remaining_after)}: {', '.join(said)}"


class Outcome(NamedTuple):
    """An act, the grants that it moved, and how many payments it leaves to the sweep instead."""

    act: Any
    """The `LifeAct`, or whatever else was done."""
    moved: list[MovedGrant]
    waiting: int


_GRANTS = text("""
    SELECT g.id, i.name, g.remaining,
           CAST((g.expires_at - interval '1 microsecond') AT TIME ZONE c.time_zone AS date) AS last_day
    FROM credit_grants g JOIN items i ON i.id = g.item_id JOIN grant_clubs c ON c.grant_id = g.id
    WHERE g.payment_id IN (SELECT id FROM payments WHERE root_id = ANY(CAST(:roots AS bigint[])))
    ORDER BY g.effective_at, g.id
""")


def apply(
    session: Session, act: Callable[[], tuple[Any, list[int]]], *, now: datetime, late_credit: timedelta
) -> Outcome:
    """Do the act, and settle what it changes."""
    done, payments = act()
    if len(payments) > _AT_ONCE:
        return Outcome(done, [], len(payments))
    before = _grants(session, payments)
    settlement.settle(session, payments, now=now, late_credit=late_credit)
    moved = [
        MovedGrant(grant_id, new.item, old.remaining, new.remaining, old.last_day, new.last_day)
        for grant_id, new in _grants(session, payments).items()
        if (old := before.get(grant_id, new._replace(remaining=0))) != new
    ]
    return Outcome(done, moved, 0)


def preview(
    session: Session, act: Callable[[], tuple[Any, list[int]]], *, now: datetime, late_credit: timedelta
) -> Outcome:
    """What `apply` would return; its act is in no database. Changes nothing; raises what the act raises."""
    trial = session.begin_nested()
    try:
        return apply(session, act, now=now, late_credit=late_credit)
    finally:
        trial.rollback()
        session.expire_all()


class _GrantNow(NamedTuple):
    """A grant as it is."""

    item: str
    remaining: int
    last_day: date | None


def _grants(session: Session, roots: Sequence[int]) -> dict[int, _GrantNow]:
    rows = session.execute(_GRANTS, {"roots": array(roots)})
    return {grant_id: _GrantNow(*row) for grant_id, *row in rows}


_WAITING = text("SELECT count(*) FROM payments WHERE settle_again")


def waiting(session: Session) -> int:
    """How many payments the sweep has yet to settle again."""
    return int(session.scalars(_WAITING).one())


class Reach(NamedTuple):
    """What a closure would reach: grants that can still be used, and whose they are."""

    grants: int
    members: int
    sessions: int


_REACH = text("""
    SELECT count(*), count(DISTINCT g.member_id), CAST(coalesce(sum(g.remaining), 0) AS bigint)
    FROM credit_grants g
    JOIN memberships m ON m.id = g.membership_id AND m.club_id = :club
    JOIN clubs c ON c.id = :club
    JOIN items i ON i.id = g.item_id AND :scope IN ('all', i.session_type)
    WHERE g.remaining > 0 AND g.expires_at > CAST(CAST(:first AS date) AS timestamp) AT TIME ZONE c.time_zone
""")


def reach(session: Session, club_id: int, scope: str, first: date) -> Reach:
    """The grants with sessions left that can be used on that local day or later, which a closure from it on moves."""
    return Reach(*session.execute(_REACH, {"club": club_id, "scope": scope, "first": first}).one())
