"""What an act on the life of a membership does to its sessions: shown before it is done, and settled with it.

Main verbs: `preview` and `apply`. Both settle at once the payments that the act lets settle again. A closure of a whole
club is left to the worker's sweep, which walks over its payments (`models/members/closure_walk.py`).
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.days import ONE_DAY
from models.database.arrays import array
from models.errors import BringsBack
from models.ledger import kinds
from models.members.closure_walk import REACHED
from models.members.life import Done, LifeAct
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
    brought_back: int = 0
    """Sessions that had expired, and can be used again."""

    @property
    def words(self) -> str:
        """`8 Class sessions: usable until Feb 10, 2026 instead of Jan 31, 2026`."""
        parts = []
        if self.remaining_after != self.remaining_before:
            parts.append(f"{self.remaining_after} instead of {self.remaining_before}")
        if self.after != self.before:
            after = f"until {day_of(self.after)}" if self.after else "without an end"
            before = day_of(self.before) if self.before else "without an end"
            parts.append(f"usable {after} instead of {before if self.after else f'until {before}'}")
        return f"{sessions_of(self.item, self.remaining_before or self.remaining_after)}: {', '.join(parts)}"


class Outcome(NamedTuple):
    """An act, the grants that it moved, and how many payments it leaves to the sweep instead."""

    act: LifeAct
    moved: list[MovedGrant]
    waiting: int

    @property
    def brought_back(self) -> int:
        """How many sessions had expired, and can be used again."""
        return sum(one.brought_back for one in self.moved)


_GRANTS = text("""
    SELECT g.id, i.name, g.remaining, coalesce(g.expires_at <= :now, false),
           CAST((g.expires_at - interval '1 microsecond') AT TIME ZONE c.time_zone AS date) AS last_day
    FROM credit_grants g JOIN items i ON i.id = g.item_id JOIN grant_clubs c ON c.grant_id = g.id
    WHERE g.payment_id IN (SELECT id FROM payments WHERE root_id = ANY(CAST(:roots AS bigint[])))
    ORDER BY g.effective_at, g.id
""")


def apply(session: Session, act: Callable[[], Done], *, now: datetime, late_credit: timedelta) -> Outcome:
    """Do the act, and settle what it changes."""
    done, payments = act()
    if len(payments) > _AT_ONCE:
        return Outcome(done, [], len(payments))
    before = _grants(session, payments, now)
    settlement.settle(session, payments, now=now, late_credit=late_credit)
    moved = [
        MovedGrant(
            grant_id, new.item, old.remaining, new.remaining, old.last_day, new.last_day,
            new.remaining if old.is_expired and not new.is_expired else 0,
        )
        for grant_id, new in _grants(session, payments, now).items()
        if (old := before.get(grant_id, new._replace(remaining=0))) != new
    ]  # fmt: skip
    return Outcome(done, moved, 0)


def check_brought_back(sessions: int, *, alone_up_to: int, expected: int | None) -> None:
    """Refuse to bring back more expired sessions than one person may give alone, unless that number was expected.

    Raises BringsBack.
    """
    if sessions > alone_up_to and sessions != expected:
        raise BringsBack(sessions=sessions, limit=alone_up_to)


def preview(session: Session, act: Callable[[], Done], *, now: datetime, late_credit: timedelta) -> Outcome:
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
    is_expired: bool
    last_day: date | None


def _grants(session: Session, roots: Sequence[int], now: datetime) -> dict[int, _GrantNow]:
    rows = session.execute(_GRANTS, {"roots": array(roots), "now": now})
    return {grant_id: _GrantNow(*row) for grant_id, *row in rows}


class Reach(NamedTuple):
    """What a closure would reach: grants that can still be used, and whose they are."""

    grants: int
    members: int
    sessions: int
    brought_back: int
    """Sessions that have expired, and could be used again."""


# Closed days carry a grant further by as many days at most.
_REACH = text(f"""
    SELECT count(*) FILTER (WHERE left_over > 0 AND is_live),
           count(DISTINCT member_id) FILTER (WHERE left_over > 0 AND is_live),
           CAST(coalesce(sum(left_over) FILTER (WHERE is_live), 0) AS bigint),
           CAST(coalesce(sum(left_over) FILTER (WHERE NOT is_live), 0) AS bigint)
    FROM (
        SELECT g.member_id, g.expires_at > :now AS is_live, CASE
            WHEN g.expires_at > :now THEN g.remaining
            ELSE (
                SELECT greatest(0, least(
                    g.remaining - coalesce(sum(e.quantity) FILTER (WHERE {kinds.EXPIRED}), 0),
                    g.quantity - g.reversed + coalesce(sum(e.quantity) FILTER (WHERE {kinds.USED}), 0)))
                FROM ledger_entries e WHERE e.grant_id = g.id
            ) END AS left_over
        FROM (
            SELECT CAST(:club AS bigint) AS club_id, CAST(:scope AS text) AS scope, CAST(:first AS date) AS first_day
        ) a {REACHED}
        WHERE g.expires_at > CAST(:now AS timestamptz) - make_interval(days => CAST(:days AS int))
    ) reached
""")


def reach(session: Session, closure: LifeAct, now: datetime) -> Reach:
    """The grants that a closure can move: those that can be used on its first local day or later."""
    days = (closure.last_day - closure.first_day + ONE_DAY).days if closure.first_day and closure.last_day else 0
    values = {"club": closure.club_id, "scope": closure.scope, "first": closure.first_day, "days": days, "now": now}
    return Reach(*session.execute(_REACH, values).one())
