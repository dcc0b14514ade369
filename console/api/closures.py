"""Closures: days on which a club is closed. They do not count for the sessions of its members."""

from datetime import date

from console.api.fields import REASON, Answer, Body, Day, Why, field, id_of, parameter
from console.api.fields import Query as Parameters
from console.api.gate import act, change, read
from console.api.life import (
    EXPECTED,
    TAG,
    Back,
    Recorded,
    UndoingBody,
    changed,
    check_brought_back,
    recorded,
    undone,
)
from console.api.paging import Listing
from console.request import actor, database, utc_now
from models.catalogue.clubs import Club
from models.catalogue.days import ONE_DAY, local_day
from models.members import closure_walk, life
from models.members.life import LifeAct, LifeKind, Scope
from models.payments import living
from models.staff.accounts import Role

SCOPE = "The sessions for which its days do not count: `class`, `personal_training` or `all`."
FIRST = "The first closed local day."
LAST = "The last closed local day."


class ClosureQuery(Parameters):
    """The closure to preview."""

    scope: Scope = parameter(SCOPE, "class", default=Scope.CLASS)
    first_day: Day = parameter(FIRST, "2026-12-24")
    last_day: Day = parameter(LAST, "2026-12-26")


class ClosureBody(Body):
    """Days on which a club is closed."""

    scope: Scope = field(SCOPE, "class", default=Scope.CLASS)
    first_day: Day = field(FIRST, "2026-12-24")
    last_day: Day = field(LAST, "2026-12-26")
    reason: Why = field(REASON, "Holidays.")
    expected: Back | None = field(EXPECTED, 12, default=None)


class ClosureChange(Body):
    """Another last day of a closure."""

    last_day: Day = field(LAST, "2026-12-27")
    reason: Why = field(REASON, "The paint is not dry yet.")
    expected: Back | None = field(EXPECTED, 12, default=None)


class ClosurePreview(Answer):
    """What a closure would reach. Nothing is changed yet."""

    club_id: int = id_of("club")
    days: int = field("How many days it has: by as many at most, sessions can be used longer.", 3)
    grants: int = field("The grants with sessions left that it could move.", 900)
    members: int = field("Whose they are.", 412)
    sessions: int = field("Sessions left on them.", 5130)
    brought_back: int = field("How many sessions that have expired could be used again.", 0)


class Closure(Recorded):
    """Days on which a club is closed."""

    club_id: int = id_of("club")
    scope: Scope = field(SCOPE, "class")
    first_day: date = field(FIRST, "2026-12-24")
    last_day: date = field(LAST, "2026-12-26")
    waiting: int = field(
        "Payments that workers have yet to settle again, after this or any other change; 0 when all days are right.", 0
    )


class Closures(Listing[Closure]):
    """The closures of a club that count, by their days; all of them on one page."""


@read("/clubs/<id:club_id>/closures", TAG)
def list_closures(club: Club) -> Closures:
    """List the closures of a club, past and to come. Those that were undone are left out."""
    acts = life.in_force(database(), club_id=club.id)
    numbers, waiting = life.numbers(database(), [one.id for one in acts]), closure_walk.waiting(database())
    return Closures(data=[_shown(one, numbers[one.id], waiting) for one in acts], next_cursor=None)


@read("/clubs/<id:club_id>/closures/preview", TAG)
def preview_closure(club: Club, query: ClosureQuery) -> ClosurePreview:
    """Preview a closure: how many grants it could move, and whose they are."""
    first, last = query.first_day, query.last_day
    reached = living.reach(database(), _wish(club, query.scope, first, last), utc_now())
    return ClosurePreview(club_id=club.id, days=(last - first + ONE_DAY).days, **reached._asdict())


@act("/clubs/<id:club_id>/closures", TAG, "/closures/{id}", Role.MANAGER)
def close_club(club: Club, body: ClosureBody) -> Closure:
    """Close a club from a local day to another. Workers settle what that moves; `waiting` says how much is left."""
    first, last = body.first_day, body.last_day
    back = living.reach(database(), _wish(club, body.scope, first, last), utc_now()).brought_back
    check_brought_back(back, body.expected)
    done = life.close(
        database(), club, scope=body.scope, first=first, last=last, reason=body.reason, by=actor(), now=utc_now()
    )
    return _shown(done.act)


@read("/closures/<id:closure_id>", TAG)
def get_closure(closure_id: int) -> Closure:
    """Get a closure as it is now, also one that was undone, and how much of it waits to be settled."""
    return _shown(_closure(closure_id))


@change("/closures/<id:closure_id>", TAG, Role.MANAGER)
def change_closure(closure_id: int, body: ClosureChange) -> Closure:
    """Give a closure another last day."""
    known = _closure(closure_id)
    if known.first_day and known.club and known.last_day and body.last_day > known.last_day:
        wish = _wish(known.club, Scope(known.scope or ""), known.first_day, body.last_day)
        check_brought_back(living.reach(database(), wish, utc_now()).brought_back, body.expected)
    return _shown(changed(known, body.last_day, body.reason).act)


@act("/closures/<id:closure_id>/undoing", TAG, "/closures/{id}", Role.MANAGER)
def undo_closure(closure_id: int, body: UndoingBody) -> Closure:
    """Undo a closure, as if it had never been: every day becomes what it was."""
    return _shown(undone(_closure(closure_id), body.reason).act)


def _wish(club: Club, scope: Scope, first: date, last: date) -> LifeAct:
    """A closure to look at. Raises what recording it would raise about its days."""
    wish = LifeAct(kind=LifeKind.CLOSURE.value, club_id=club.id, scope=scope.value, first_day=first, last_day=last)
    life.check_days(wish, local_day(utc_now(), club.time_zone))
    return wish


def _closure(number: int) -> LifeAct:
    return life.newest(database(), LifeKind.CLOSURE, number)


def _shown(version: LifeAct, number: int | None = None, waiting: int | None = None) -> Closure:
    waiting = closure_walk.waiting(database()) if waiting is None else waiting
    return Closure.of(version, **recorded(version, number), waiting=waiting)
