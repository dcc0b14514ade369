"""What an act on the life of a membership does to its sessions: shown before it is done, and settled with it.

Main verbs: `preview` and `apply`. Both settle at once the payments that the act lets settle again. A closure of a whole
club is left to the worker's sweep, which walks over its payments (`models/members/closure_walk.py`).
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.days import ONE_DAY
from models.database.arrays import array
from models.errors import BringsBack
from models.ledger import kinds
from models.members.closure_walk import REACHED
from models.members.life import LifeAct
from models.payments import settlement
from models.wording import day_of, sessions_of
from runtime.language import noted, say

_AT_ONCE = 500
"""So many payments are settled with the act; more are left to the sweep."""


class GrantNow(NamedTuple):
    """What an act can change of a grant."""

    remaining: int
    last_day: date | None
    """The last usable local day; None is never."""
    is_expired: bool
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
            parts.append(say("{now} instead of {before} left", now=now.remaining, before=was.remaining))
        if now.given != was.given:
            payment = say("the payment of {day} gives {now} instead of {before}", day=day_of(self.paid_on),
                          now=now.given, before=was.given)  # fmt: skip
            parts.append(payment)
        if now.owed != was.owed:
            owed = noted("{now} used ones are owed: the next sessions repay them")
            if was.owed:
                owed = noted("{now} used ones are owed instead of {before}: the next sessions repay them")
            parts.append(say(owed, now=now.owed, before=was.owed))
        if now.last_day != was.last_day and (was.remaining or now.remaining):
            parts.append(_until(was.last_day, now.last_day))
        return f"{sessions_of(self.item, was.remaining or now.remaining)}: {', '.join(parts)}"

    @property
    def shows(self) -> bool:
        """Whether people see a difference: not the last day of a grant without sessions."""
        was, now = self.was, self.now
        return bool(was.remaining or now.remaining) or (was.given, was.owed) != (now.given, now.owed)

    @property
    def brought_back(self) -> int:
        """Sessions that had expired, and can be used again."""
        return self.now.remaining if self.was.is_expired and not self.now.is_expired else 0


def _until(before: date | None, now: date | None) -> str:
    if now is None:
        return say("usable without an end instead of until {before}", before=day_of(before))
    if before is None:
        return say("usable until {now} instead of without an end", now=day_of(now))
    return say("usable until {now} instead of {before}", now=day_of(now), before=day_of(before))


Act = TypeVar("Act")


class Outcome(NamedTuple, Generic[Act]):
    """An act, the grants that it moved, and how many payments it leaves to the sweep instead."""

    act: Act
    moved: list[MovedGrant]
    waiting: int

    @property
    def brought_back(self) -> int:
        """How many sessions had expired, and can be used again."""
        return sum(one.brought_back for one in self.moved)


_GRANTS = text("""
    SELECT g.id, i.name, CAST(paid.paid_at AT TIME ZONE c.time_zone AS date) AS paid_on, g.remaining,
           CAST((g.expires_at - interval '1 microsecond') AT TIME ZONE c.time_zone AS date) AS last_day,
           coalesce(g.expires_at <= :now, false) AS is_expired, g.quantity - g.reversed AS given, g.shortfall
    FROM credit_grants g JOIN items i ON i.id = g.item_id JOIN grant_clubs c ON c.grant_id = g.id
    JOIN payments p ON p.id = g.payment_id
    JOIN paid_payments paid ON paid.id = p.root_id
    WHERE g.payment_id IN (SELECT id FROM payments WHERE root_id = ANY(CAST(:roots AS bigint[])))
    ORDER BY g.effective_at, g.id
""")


def apply(
    session: Session, act: Callable[[], tuple[Act, list[int]]], *, now: datetime, late_credit: timedelta
) -> Outcome[Act]:
    """Do the act, which returns the payments that it lets settle again, and settle them."""
    done, payments = act()
    if len(payments) > _AT_ONCE:
        return Outcome(done, [], len(payments))
    before = {grant_id: known for (grant_id, *_), known in _grants(session, payments, now)}
    settlement.settle(session, payments, now=now, late_credit=late_credit)
    moved = [
        MovedGrant(*grant, was, known)
        for grant, known in _grants(session, payments, now)
        if (was := before.get(grant[0], known._replace(remaining=0, given=0, owed=0))) != known
    ]
    return Outcome(done, [one for one in moved if one.shows], 0)


def check_brought_back(sessions: int, *, alone_up_to: int, expected: int | None) -> None:
    """Refuse to bring back more expired sessions than one person may give alone, unless that number was expected.

    Raises BringsBack.
    """
    if sessions > alone_up_to and sessions != expected:
        raise BringsBack(sessions=sessions, limit=alone_up_to)


def preview(
    session: Session, act: Callable[[], tuple[Act, list[int]]], *, now: datetime, late_credit: timedelta
) -> Outcome[Act]:
    """What `apply` would return; its act is in no database. Changes nothing; raises what the act raises."""
    trial = session.begin_nested()
    try:
        return apply(session, act, now=now, late_credit=late_credit)
    finally:
        trial.rollback()
        session.expire_all()


def _grants(session: Session, roots: Sequence[int], now: datetime) -> list[tuple[tuple[int, str, date], GrantNow]]:
    """Each grant of the payments: its id, item and day of payment, and how it is."""
    rows = session.execute(_GRANTS, {"roots": array(roots), "now": now}).all()
    return [((grant_id, item, paid_on), GrantNow(*known)) for grant_id, item, paid_on, *known in rows]


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
