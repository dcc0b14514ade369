"""The life of a membership: freezes and its end, each with a preview of the sessions that it moves."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, TypeVar

from flask import current_app
from flask_openapi3 import Tag
from pydantic import AliasPath, Field

from console.api.fields import REASON, TIME, Answer, Body, Day, Why, field, id_of, parameter, whole
from console.api.fields import Query as Parameters
from console.api.gate import act, change, read
from console.api.paging import Listing
from console.request import MAX_ID, actor, database, late_credit, utc_now
from console.rows import row
from models.members import life
from models.members.life import Done, LifeAct, LifeKind
from models.members.memberships import Membership
from models.payments import living
from models.staff.accounts import Role

TAG = Tag(
    name="Freezes and ends",
    description="What happens to a membership after sign-up, and until when its sessions can be used because of it.",
)

FIRST = "The first frozen local day of the club."
LAST = "The last frozen local day; null or left out: until further notice."
LAST_OF_ALL = "The last local day of the membership, past or to come."
Back = Annotated[int, Field(ge=0, le=MAX_ID), whole]
EXPECTED = (
    "How many sessions that have expired can be used again: the `brought_back` of the preview. Needed where they are "
    "more than one person may give alone."
)
BROUGHT_BACK = "How many sessions that have expired can be used again."
Recording = TypeVar("Recording")
_TRIAL = "preview"
"""A preview records nothing, and so needs no reason."""


class FreezeQuery(Parameters):
    """The freeze to preview."""

    first_day: Day = parameter(FIRST, "2026-03-07")
    last_day: Day | None = parameter(LAST, "2026-03-16", default=None)


class FreezeChangeQuery(Parameters):
    """The other last day to preview."""

    last_day: Day | None = parameter(LAST, "2026-03-12", default=None)


class EndQuery(Parameters):
    """The end to preview."""

    last_day: Day = parameter(LAST_OF_ALL, "2026-03-31")


class FreezeBody(Body):
    """Days on which a membership is frozen."""

    first_day: Day = field(FIRST, "2026-03-07")
    last_day: Day | None = field(LAST, "2026-03-16", default=None)
    reason: Why = field(REASON, "She broke her arm.")
    expected: Back | None = field(EXPECTED, 12, default=None)


class FreezeChange(Body):
    """Another last day of a freeze: that it ends early, or goes on."""

    last_day: Day | None = field("The last frozen local day; null: until further notice.", "2026-03-12")
    reason: Why = field(REASON, "She is well again.")
    expected: Back | None = field(EXPECTED, 12, default=None)


class EndBody(Body):
    """The end of a membership."""

    last_day: Day = field(LAST_OF_ALL, "2026-03-31")
    reason: Why = field(REASON, "She moves away.")
    expected: Back | None = field(EXPECTED, 12, default=None)


class UndoingBody(Body):
    """Why something is undone."""

    reason: Why = field(REASON, "It was the wrong member.")
    expected: Back | None = field(EXPECTED, 12, default=None)


class Moves(Answer):
    """What an act changes of a grant."""

    item: str = field("The item's name.", "Spin")
    remaining_before: int = field("Sessions left before it.", 8, validation_alias=AliasPath("was", "remaining"))
    remaining_after: int = field("Sessions left after it.", 8, validation_alias=AliasPath("now", "remaining"))
    given_before: int = field(
        "Sessions that its payment gave before it.", 8, validation_alias=AliasPath("was", "given")
    )
    given_after: int = field("Sessions that its payment gives after it.", 8, validation_alias=AliasPath("now", "given"))
    owed_before: int = field("Used sessions that were owed before it.", 0, validation_alias=AliasPath("was", "owed"))
    owed_after: int = field(
        "Used sessions that are owed after it: the next sessions of the item repay them.",
        0,
        validation_alias=AliasPath("now", "owed"),
    )
    last_day_before: date | None = field(
        "The last local day on which they could be used before it; null: for ever.",
        "2026-03-31",
        validation_alias=AliasPath("was", "last_day"),
    )
    last_day_after: date | None = field(
        "The last local day on which they can be used after it; null: for ever.",
        "2026-04-10",
        validation_alias=AliasPath("now", "last_day"),
    )
    what: str = field(
        "The same in the words of the console.",
        "8 Spin sessions: usable until Apr 10, 2026 instead of Mar 31, 2026",
        validation_alias="words",
    )


class MovedSessions(Moves):
    """What an act has changed of a grant."""

    grant_id: int = id_of("credit grant")


class Preview(Answer):
    """What an act would move. Nothing is changed yet."""

    moves: list[Moves] = field("The grants that it would move.", [])
    brought_back: int = field(BROUGHT_BACK, 0)
    waiting: int = field("Payments that workers would settle after it, because they are too many for one request.", 0)


class Recorded(Answer):
    """An act that was recorded: its last version."""

    id: int = id_of("act; it keeps it through all changes")
    reason: str | None = field("Why, as given with the last change.", "She broke her arm.")
    recorded_by: str = field("The account or token that made the last change.", "manager@example.com")
    recorded_at: datetime = field("When the last change was recorded.", TIME)
    undone: bool = field("Whether it was undone: it counts as if it had never been.", False)


class Settled(Answer):
    """What an act has moved."""

    moved: list[MovedSessions] = field("The grants that it has moved.", [])
    brought_back: int = field(BROUGHT_BACK, 0)
    waiting: int = field("Payments that workers settle after it, because they are too many for one request.", 0)


class Freeze(Recorded):
    """Days on which a membership is frozen: they do not count for its sessions."""

    membership_id: int = id_of("membership")
    first_day: date = field(FIRST, "2026-03-07")
    last_day: date | None = field("The last frozen local day; null: until further notice.", "2026-03-16")


class RecordedFreeze(Freeze, Settled):
    """A freeze, and what the last change of it has moved."""


class End(Recorded):
    """The end of a membership."""

    membership_id: int = id_of("membership")
    last_day: date = field(LAST_OF_ALL, "2026-03-31")


class RecordedEnd(End, Settled):
    """The end of a membership, and what the last change of it has moved."""


class Freezes(Listing[Freeze]):
    """The freezes of a membership that count, by their days; all of them on one page."""


@read("/memberships/<id:membership_id>/freezes", TAG)
def list_freezes(membership: Membership) -> Freezes:
    """List the freezes of a membership, past and to come. Those that were undone are left out."""
    acts = life.in_force(database(), membership_id=membership.id)
    freezes = [one for one in acts if one.kind == LifeKind.FREEZE]
    numbers = life.numbers(database(), [one.id for one in freezes])
    return Freezes(data=[Freeze.of(one, **recorded(one, numbers[one.id])) for one in freezes], next_cursor=None)


@read("/memberships/<id:membership_id>/freezes/preview", TAG)
def preview_freeze(membership: Membership, query: FreezeQuery) -> Preview:
    """Preview a freeze: until when the sessions of the membership could be used, and what it would take or give."""
    return preview(
        lambda: life.freeze(
            database(), membership, first=query.first_day, last=query.last_day, reason=_TRIAL, by=actor(), now=utc_now()
        )
    )


@act("/memberships/<id:membership_id>/freezes", TAG, "/freezes/{id}", Role.MANAGER)
def freeze(membership: Membership, body: FreezeBody) -> RecordedFreeze:
    """Freeze a membership from a local day to another, or until further notice.

    Frozen days do not count for its sessions; days of several freezes count once. They may be past: what had expired
    meanwhile comes back. What is paid on a frozen day gives what the payment term says.
    """
    return _frozen(
        lambda: life.freeze(
            database(), membership, first=body.first_day, last=body.last_day, reason=body.reason, by=actor(),
            now=utc_now(),
        ), body.expected,
    )  # fmt: skip


@read("/freezes/<id:freeze_id>", TAG)
def get_freeze(freeze_id: int) -> Freeze:
    """Get a freeze as it is now, also one that was undone."""
    found = _freeze(freeze_id)
    return Freeze.of(found, **recorded(found))


@read("/freezes/<id:freeze_id>/preview", TAG)
def preview_freeze_change(freeze_id: int, query: FreezeChangeQuery) -> Preview:
    """Preview another last day of a freeze."""
    known = _freeze(freeze_id)
    return preview(lambda: changed(known, query.last_day, _TRIAL))


@change("/freezes/<id:freeze_id>", TAG, Role.MANAGER)
def change_freeze(freeze_id: int, body: FreezeChange) -> RecordedFreeze:
    """Give a freeze another last day: it ends early, goes on, or gets no end. Days after it count again."""
    known = _freeze(freeze_id)
    return _frozen(lambda: changed(known, body.last_day, body.reason), body.expected)


@read("/freezes/<id:freeze_id>/undoing/preview", TAG)
def preview_freeze_undoing(freeze_id: int) -> Preview:
    """Preview what it would move to undo a freeze."""
    known = _freeze(freeze_id)
    return preview(lambda: undone(known, _TRIAL))


@act("/freezes/<id:freeze_id>/undoing", TAG, "/freezes/{id}", Role.MANAGER)
def undo_freeze(freeze_id: int, body: UndoingBody) -> RecordedFreeze:
    """Undo a freeze, as if it had never been."""
    known = _freeze(freeze_id)
    return _frozen(lambda: undone(known, body.reason), body.expected)


@read("/memberships/<id:membership_id>/end", TAG)
def get_end(membership: Membership) -> End:
    """Get the end of a membership; 404 where it has none."""
    found = life.the_end(database(), membership)
    return End.of(found, **recorded(found))


@read("/memberships/<id:membership_id>/end/preview", TAG)
def preview_end(membership: Membership, query: EndQuery) -> Preview:
    """Preview the end of a membership, or another last day where it has an end already."""
    if known := life.known_end(database(), membership.id):
        return preview(lambda: changed(known, query.last_day, _TRIAL))
    return preview(
        lambda: life.end(database(), membership, last=query.last_day, reason=_TRIAL, by=actor(), now=utc_now())
    )


@act("/memberships/<id:membership_id>/end", TAG, "/memberships/{membership_id}/end", Role.MANAGER)
def end_membership(membership: Membership, body: EndBody) -> RecordedEnd:
    """End a membership after its last local day.

    Until when unused sessions can be used is as the payment term of that day says. What is paid later, for a time
    after the end, gives nothing and stands in review.
    """
    return _ended(
        lambda: life.end(database(), membership, last=body.last_day, reason=body.reason, by=actor(), now=utc_now()),
        body.expected,
    )


@change("/memberships/<id:membership_id>/end", TAG, Role.MANAGER)
def change_end(membership_id: int, body: EndBody) -> RecordedEnd:
    """Give the end of a membership another last day."""
    known = _end(membership_id)
    return _ended(lambda: changed(known, body.last_day, body.reason), body.expected)


@read("/memberships/<id:membership_id>/reopening/preview", TAG)
def preview_reopening(membership: Membership) -> Preview:
    """Preview what it would move to reopen a membership; 404 where it has no end."""
    known = life.the_end(database(), membership)
    return preview(lambda: undone(known, _TRIAL))


@act("/memberships/<id:membership_id>/reopening", TAG, "/memberships/{membership_id}", Role.MANAGER)
def reopen_membership(membership: Membership, body: UndoingBody) -> RecordedEnd:
    """Reopen a membership: its end is undone, as if it had never been; 404 where it has no end.

    What was paid since gives what it would have given.
    """
    known = life.the_end(database(), membership)
    return _ended(lambda: undone(known, body.reason), body.expected)


def preview(act: Callable[[], tuple[object, list[int]]]) -> Preview:
    """What the act would move."""
    would = living.preview(database(), act, now=utc_now(), late_credit=late_credit())
    moves = [Moves.model_validate(one) for one in would.moved]
    return Preview(moves=moves, brought_back=would.brought_back, waiting=would.waiting)


def changed(known: LifeAct, last_day: date | None, reason: str) -> Done:
    """The act with another last day. A repetition changes nothing."""
    if known.last_day == last_day and not known.undone:
        return Done(known, [])
    return life.change(database(), known, last=last_day, reason=reason, by=actor(), now=utc_now())


def undone(known: LifeAct, reason: str) -> Done:
    """The act undone."""
    return life.undo(database(), known, reason=reason, by=actor(), now=utc_now())


def recorded(version: LifeAct, number: int | None = None) -> dict[str, object]:
    """What every answer about an act says of its last version."""
    number = number or life.numbers(database(), [version.id])[version.id]
    return {"id": number, "reason": version.action.reason, "recorded_by": version.action.actor}


def check_brought_back(sessions: int, expected: int | None) -> None:
    """Refuse to bring back more expired sessions than one person may give alone and than are expected."""
    living.check_brought_back(sessions, alone_up_to=current_app.config["SPP"].adjust_alone_up_to, expected=expected)


def _frozen(act: Callable[[], Done], expected: int | None) -> RecordedFreeze:
    version, moves = settled(act, expected)
    return RecordedFreeze.of(version, **recorded(version), **moves)


def _ended(act: Callable[[], Done], expected: int | None) -> RecordedEnd:
    version, moves = settled(act, expected)
    return RecordedEnd.of(version, **recorded(version), **moves)


def settled(act: Callable[[], tuple[Recording, list[int]]], expected: int | None) -> tuple[Recording, dict[str, Any]]:
    """The act done, and settled at once. Raises BringsBack."""
    done = living.apply(database(), act, now=utc_now(), late_credit=late_credit())
    check_brought_back(done.brought_back, expected)
    moved = [MovedSessions.model_validate(one) for one in done.moved]
    return done.act, {"moved": moved, "brought_back": done.brought_back, "waiting": done.waiting}


def _freeze(number: int) -> LifeAct:
    return life.newest(database(), LifeKind.FREEZE, number)


def _end(membership_id: int) -> LifeAct:
    return life.the_end(database(), row(Membership, membership_id))
