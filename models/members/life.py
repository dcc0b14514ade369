"""The life of a membership: freezes, the closures of its club, its end. Main verbs: `freeze`, `end`, `close`.

Each is an act with local days of the club, a reason and a person. Acts are kept for ever: a change of one is a further
act that replaces it, and so is its undoing. They post nothing themselves; settling the payments that they return posts
what they come to, in whatever order acts and payments were recorded.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, exists, select, text
from sqlalchemy.orm import Mapped, Session, aliased, joinedload, mapped_column, relationship

from models.catalogue.clubs import Club
from models.catalogue.days import OPEN, local_day
from models.database import locks
from models.database.arrays import array
from models.database.base import Base, Id, RecordedAt, one_of
from models.errors import (
    AlreadyEnded,
    DaysBackwards,
    EndsTooEarly,
    LastDayMissing,
    NotChanged,
    NotFound,
    TooLong,
    WrongState,
    YearWrong,
)
from models.members import closure_walk, settling_again
from models.members.memberships import Membership, lock_member
from models.staff import actions
from models.staff.actions import Action, Actor
from models.wording import day_of
from runtime.language import Texts, in_english, noted, say

MAX_FREEZE, MAX_CLOSURE, MAX_YEARS = timedelta(days=3 * 366), timedelta(days=366), 5


class LifeKind(StrEnum):
    """What an act is about."""

    FREEZE = "freeze"
    CLOSURE = "closure"
    END = "end"


class Scope(StrEnum):
    """Of which sessions the days of a closure do not count."""

    ALL = "all"
    CLASS = "class"
    PERSONAL_TRAINING = "personal_training"


SCOPES: Texts = {Scope.CLASS: "Classes", Scope.PERSONAL_TRAINING: "Personal training", Scope.ALL: "All sessions"}
"""Each as people call it."""

_DONE: Texts = {LifeKind.FREEZE: "Frozen", LifeKind.CLOSURE: "Closed for {scope}", LifeKind.END: "Ended"}
_CHANGED: Texts = {
    LifeKind.FREEZE: "Freeze changed",
    LifeKind.CLOSURE: "Closure changed",
    LifeKind.END: "End changed",
}
_UNDONE: Texts = {LifeKind.FREEZE: "Freeze undone", LifeKind.CLOSURE: "Closure undone", LifeKind.END: "Reopened"}
_THIS: Texts = {LifeKind.FREEZE: "This freeze", LifeKind.CLOSURE: "This closure", LifeKind.END: "This end"}


class LifeAct(Base):
    """One version of a freeze, a closure or an end. A trigger refuses every change."""

    __tablename__ = "life_acts"
    __table_args__ = (
        CheckConstraint(one_of("kind", LifeKind), "kind"),
        CheckConstraint(one_of("scope", Scope), "scope"),
        CheckConstraint(
            "CASE kind WHEN 'closure' THEN club_id IS NOT NULL AND membership_id IS NULL AND scope IS NOT NULL"
            " ELSE membership_id IS NOT NULL AND club_id IS NULL AND scope IS NULL END",
            "whose",
        ),
        CheckConstraint(
            "CASE kind WHEN 'end' THEN first_day IS NULL AND last_day IS NOT NULL ELSE first_day IS NOT NULL"
            " AND (kind = 'freeze' OR last_day IS NOT NULL) AND first_day <= last_day END",
            "days",
        ),
    )

    id: Mapped[Id]
    kind: Mapped[str]
    membership_id: Mapped[int | None] = mapped_column(ForeignKey("memberships.id"), index=True)
    club_id: Mapped[int | None] = mapped_column(ForeignKey("clubs.id"), index=True)
    """Of a closure."""
    scope: Mapped[str | None]
    first_day: Mapped[date | None]
    """The first frozen or closed local day; an end has none."""
    last_day: Mapped[date | None]
    """The last frozen or closed local day, or the last of the membership. NULL: frozen until further notice."""
    replaces: Mapped[int | None] = mapped_column(ForeignKey("life_acts.id"), unique=True)
    """The version before this one."""
    undone: Mapped[bool] = mapped_column(default=False)
    """This version undoes the act, which counts as if it had never been."""
    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id"))
    recorded_at: Mapped[RecordedAt]

    action: Mapped[Action] = relationship()
    membership: Mapped[Membership | None] = relationship()
    club: Mapped[Club | None] = relationship()

    @property
    def what(self) -> str:
        """What was done, in words: `Frozen`, `Freeze changed`, `Reopened`, `Closed for classes`."""
        if self.undone:
            return say(_UNDONE[self.kind])
        if self.replaces:
            return say(_CHANGED[self.kind])
        return say(_DONE[self.kind], scope=say(SCOPES[self.scope or Scope.ALL]).lower())

    @property
    def days(self) -> str:
        """Its days in words: `from Jan 7 to Jan 16, 2026`."""
        if self.kind == LifeKind.END:
            return say("last day {day}", day=day_of(self.last_day))
        if self.last_day is None:
            return say("from {day} on", day=day_of(self.first_day))
        return say("from {first} to {last}", first=day_of(self.first_day), last=day_of(self.last_day))


def until_words(last: date) -> str:
    """Until when a freeze lasts: `Jan 16, 2026`, or `further notice`."""
    return say("further notice") if last == OPEN else day_of(last)


_LATER = aliased(LifeAct)
_IN_FORCE = select(LifeAct).where(~LifeAct.undone, ~exists().where(_LATER.replaces == LifeAct.id))


def in_force(session: Session, *, membership_id: int | None = None, club_id: int | None = None) -> Sequence[LifeAct]:
    """The acts of a membership, or the closures of a club, that count; by their days."""
    query = _IN_FORCE.where(_owned_by(membership_id, club_id)).options(joinedload(LifeAct.action))
    return session.scalars(query.order_by(LifeAct.first_day, LifeAct.last_day, LifeAct.id)).all()


def history(session: Session, *, membership_id: int | None = None, club_id: int | None = None) -> Sequence[LifeAct]:
    """Every act of a membership, or every closure of a club, with its changes and undoings; the newest first."""
    every = (
        select(LifeAct)
        .where(_owned_by(membership_id, club_id))
        .options(joinedload(LifeAct.action))
        .order_by(LifeAct.id.desc())
    )
    return session.scalars(every).all()


def _owned_by(membership_id: int | None, club_id: int | None) -> ColumnElement[bool]:
    return LifeAct.club_id == club_id if club_id else LifeAct.membership_id == membership_id


class Done(NamedTuple):
    """An act that was recorded, and the payments that it lets settle again (by the sweep, or at once).

    Those of a closure are not listed: the sweep walks over them (`closure_walk.py`).
    """

    act: LifeAct
    payments: list[int]


def freeze(
    session: Session, membership: Membership, *, first: date, last: date | None, reason: str, by: Actor, now: datetime
) -> Done:
    """Freeze a membership from the first local day to the last; without a last one, until further notice.

    Days of several freezes count once. Raises DaysBackwards, YearWrong, TooLong, MemberErased, ReasonMissing or
    TextTooLong.
    """
    act = LifeAct(kind=LifeKind.FREEZE.value, membership_id=membership.id, first_day=first, last_day=last)
    return _record(session, act, "freeze", reason, by, now)


def end(session: Session, membership: Membership, *, last: date, reason: str, by: Actor, now: datetime) -> Done:
    """End a membership after its last local day, which may be past or to come.

    What becomes of unused sessions is as its terms of that day say. Raises AlreadyEnded, EndsTooEarly, and as `freeze`.
    """
    locks.change(session)
    if known := known_end(session, membership.id):
        raise AlreadyEnded(day=known.last_day)
    act = LifeAct(kind=LifeKind.END.value, membership_id=membership.id, last_day=last)
    return _record(session, act, "end membership", reason, by, now)


def close(
    session: Session, club: Club, *, scope: Scope, first: date, last: date, reason: str, by: Actor, now: datetime
) -> Done:
    """Close a club from the first local day to the last: those days do not count for sessions of that scope.

    Raises as `freeze`.
    """
    act = LifeAct(kind=LifeKind.CLOSURE.value, club_id=club.id, scope=scope.value, first_day=first, last_day=last)
    return _record(session, act, "close club", reason, by, now)


def change(session: Session, act: LifeAct, *, last: date | None, reason: str, by: Actor, now: datetime) -> Done:
    """Give an act that counts another last day: a freeze that ends early or goes on, a membership's later end.

    Raises NotChanged, WrongState for one that does not count any more, LastDayMissing, and as `freeze` and `end`.
    """
    if last == act.last_day:
        raise NotChanged(field="last_day")
    return _replace(session, act, "change", LifeAct(last_day=last, first_day=act.first_day), reason, by, now)


def undo(session: Session, act: LifeAct, *, reason: str, by: Actor, now: datetime) -> Done:
    """Undo an act that counts, as if it had never been: to reopen a membership, undo its end. Raises WrongState."""
    version = LifeAct(first_day=act.first_day, last_day=act.last_day, undone=True)
    return _replace(session, act, "undo", version, reason, by, now)


def _replace(
    session: Session, act: LifeAct, verb: str, version: LifeAct, reason: str, by: Actor, now: datetime
) -> Done:
    locks.change(session)
    if act.undone or session.scalar(select(exists().where(LifeAct.replaces == act.id))):
        done = {"change": noted("changed"), "undo": noted("undone")}[verb]
        raise WrongState(what=_THIS[act.kind], state="changed or undone by now", verb=done)
    version.kind, version.membership_id, version.club_id = act.kind, act.membership_id, act.club_id
    version.scope, version.replaces = act.scope, act.id
    return _record(session, version, f"{verb} {act.kind}", reason, by, now)


def _record(session: Session, act: LifeAct, verb: str, reason: str, by: Actor, now: datetime) -> Done:
    reason = actions.reason_given(reason)
    owner = session.get_one(Club, act.club_id) if act.club_id else session.get_one(Membership, act.membership_id)
    club, whose = (owner, f"club {owner.name}") if isinstance(owner, Club) else (owner.club, f"membership {owner.id}")
    if not act.undone:
        began = local_day(owner.versions[0].since, club.time_zone) if isinstance(owner, Membership) else None
        check_days(act, local_day(now, club.time_zone), began)
    locks.change(session)
    member_id = lock_member(session, owner.member_id).id if isinstance(owner, Membership) else None
    days = in_english(lambda: act.days)()
    act.action_id = actions.log(session, by, verb, f"{whose}, {days}", member_id=member_id, reason=reason)
    session.add(act)
    session.flush()
    if act.club_id:
        closure_walk.begin(session, act.id, act.replaces)
        return Done(act, [])
    return Done(act, settling_again.of_memberships(session, [(act.membership_id or 0, None)]))


def check_year(field: str, day: date | None, today: date) -> None:
    """Refuse a day that is years away, and so mistyped. Raises YearWrong."""
    if day and abs((day - today).days) > MAX_YEARS * 366:
        raise YearWrong(field=field, day=day, years=MAX_YEARS)


def check_days(act: LifeAct, today: date, began: date | None = None) -> None:
    """Refuse days that make no sense; `began` is the first day of the membership.

    Raises LastDayMissing, DaysBackwards, YearWrong, TooLong or EndsTooEarly.
    """
    first, last = act.first_day, act.last_day
    if last is None and act.kind != LifeKind.FREEZE:
        raise LastDayMissing
    for field, day in (("first_day", first), ("last_day", last)):
        check_year(field, day, today)
    if act.kind == LifeKind.END and last and began and last < began:
        raise EndsTooEarly(first=began, last=last)
    if not (first and last):
        return
    if last < first:
        raise DaysBackwards(first=first, last=last)
    if act.kind == LifeKind.CLOSURE and last - first >= MAX_CLOSURE:
        raise TooLong(what="A closure", first=first, last=last, limit=say("a year"))
    if last - first >= MAX_FREEZE:
        raise TooLong(what="A freeze", first=first, last=last, limit=say("three years"))


_FIRST = text("""
    WITH RECURSIVE back AS (
        SELECT id AS version, id, replaces FROM life_acts WHERE id = ANY(CAST(:ids AS bigint[]))
        UNION ALL SELECT b.version, a.id, a.replaces FROM back b JOIN life_acts a ON a.id = b.replaces
    )
    SELECT version, id FROM back WHERE replaces IS NULL
""")


def numbers(session: Session, versions: Iterable[int]) -> dict[int, int]:
    """By the id of each version, the number that the act keeps through its changes: the id of its first version."""
    found = session.execute(_FIRST, {"ids": array(versions)})
    return {row.version: row.id for row in found}


def newest(session: Session, kind: LifeKind, number: int) -> LifeAct:
    """The last version of the act of that kind, undone or not; any of its versions names it. Raises NotFound."""
    act = session.get(LifeAct, number)
    while act and (later := session.scalar(select(LifeAct).where(LifeAct.replaces == act.id))):
        act = later
    if act is None or act.kind != kind:
        raise NotFound(what=kind.value, name=number)
    return act


def known_end(session: Session, membership_id: int) -> LifeAct | None:
    """The end of the membership that counts; None where it goes on."""
    return next((act for act in in_force(session, membership_id=membership_id) if act.kind == LifeKind.END), None)


def the_end(session: Session, membership: Membership) -> LifeAct:
    """The end of the membership that counts. Raises NotFound."""
    if act := known_end(session, membership.id):
        return act
    raise NotFound(what="end of membership", name=membership.id)
