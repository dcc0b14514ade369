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


class GrantNow(NamedTuple):
    """What an act can change of a grant."""

    remaining: int
    last_day: date | None
    """The last usable local day; None is never."""
    given: int
    """Sessions that its payment gives: those whose money or worth is gone do not count."""
    owed: int
    """Used sessions that it does not give any more, and that the next sessions of the item repay."""


class MovedGrant(NamedTuple):
    """A grant that an act changes, as it was and as it is."""

    grant_id: int
    item: str
    paid_on: date
    was: GrantNow
    now: GrantNow

    @property
    def words(self) -> str:
        """`8 Class sessions: usable until Feb 10, 2026 instead of Jan 31, 2026`."""
        was, now = self.was, self.now
        parts = []
        if now.remaining != was.remaining:
            parts.append(f"{now.remaining} instead of {was.remaining} left")
        if now.given != was.given:
            payment = f"the payment of {day_of(self.paid_on)}"
            parts.append(f"{payment} gives {now.given} instead of {was.given}")
        if now.owed != was.owed:
            parts.append(f"{now.owed} used ones are owed instead of {was.owed}: the next sessions repay them")
        if now.last_day != was.last_day and (was.remaining or now.remaining):
            after = f"until {day_of(now.last_day)}" if now.last_day else "without an end"
            before = day_of(was.last_day) if was.last_day else "without an end"
            parts.append(f"usable {after} instead of {before if now.last_day else f'until {before}'}")
        return f"{sessions_of(self.item, was.remaining or now.remaining)}: {', '.join(parts)}"

    @property
    def shows(self) -> bool:
        """Whether people see a difference: not the last day of a grant without sessions."""
        return bool(self.was.remaining or self.now.remaining) or self.was[2:] != self.now[2:]


class Outcome(NamedTuple):
    """An act, the grants that it moved, and how many payments it leaves to the sweep instead."""

    act: Any
    """The `LifeAct`, or whatever else was done."""
    moved: list[MovedGrant]
    waiting: int


_GRANTS = text("""
    SELECT g.id, i.name, CAST(paid.paid_at AT TIME ZONE c.time_zone AS date) AS paid_on, g.remaining,
           CAST((g.expires_at - interval '1 microsecond') AT TIME ZONE c.time_zone AS date) AS last_day,
           g.quantity - g.reversed AS given, g.shortfall
    FROM credit_grants g JOIN items i ON i.id = g.item_id JOIN grant_clubs c ON c.grant_id = g.id
    JOIN payments p ON p.id = g.payment_id
    JOIN paid_payments paid ON paid.id = p.root_id
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
    before = {grant_id: now for (grant_id, *_), now in _grants(session, payments)}
    settlement.settle(session, payments, now=now, late_credit=late_credit)
    moved = [
        MovedGrant(*grant, was, now)
        for grant, now in _grants(session, payments)
        if (was := before.get(grant[0], GrantNow(0, now.last_day, 0, 0))) != now
    ]
    return Outcome(done, [one for one in moved if one.shows], 0)


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


def _grants(session: Session, roots: Sequence[int]) -> list[tuple[tuple[int, str, date], GrantNow]]:
    """Each grant of the payments: its id, item and day of payment, and how it is."""
    rows = session.execute(_GRANTS, {"roots": array(roots)}).all()
    return [((grant_id, item, paid_on), GrantNow(*now)) for grant_id, item, paid_on, *now in rows]


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
