"""The closures of a club: what is in force, how far the work for it is, and closing it after a preview."""

from collections.abc import Callable
from datetime import date, timedelta

from flask import abort, request, url_for
from wtforms import RadioField
from wtforms.validators import InputRequired

from console.request import actor, database, utc_now
from console.rows import row
from console.web.access import Answer, Pages, Role
from console.web.fields import Day, part_of
from console.web.forms import page
from console.web.previews import ActForm, Preview, answered, back_words
from models.catalogue.clubs import Club
from models.catalogue.days import local_day
from models.errors import NotChanged
from models.members import closure_walk, life
from models.members.life import SCOPES, Done, LifeAct, LifeKind, Scope
from models.payments import living
from models.wording import counted
from runtime.language import say, say_n

pages = Pages("closures", __name__, url_prefix="/<id:club_id>/closures")

SHOWN_FOR = timedelta(days=2 * 366)
"""So long after its last day a closure is listed."""


class ClosureEndForm(ActForm):
    """Another last day of a closure."""

    last_day = Day("Last closed day", [InputRequired("Choose the last closed day.")])


class ClosureForm(ActForm):
    """A closure."""

    scope = RadioField("What is closed", choices={str(one): SCOPES[one] for one in SCOPES}, default=Scope.CLASS.value)
    first_day = Day("First closed day", [InputRequired("Choose the first closed day.")])
    last_day = Day("Last closed day", [InputRequired("Choose the last closed day.")])


@pages.page("/", Role.VIEWER)
def overview(club_id: int) -> Answer:
    """The closures of the club."""
    return _page(row(Club, club_id))


@pages.form("/new", Role.MANAGER)
def new(club_id: int) -> Answer:
    """Close the club."""
    club, form = row(Club, club_id), ClosureForm.asked()

    def act(reason: str) -> Done:
        days = {"first": form.first_day.data, "last": form.last_day.data}
        scope = Scope(form.scope.data)
        return life.close(database(), club, scope=scope, **days, reason=reason, by=actor(), now=utc_now())

    def in_words() -> Preview:
        closure = _closure(club, Scope(form.scope.data), form.first_day.data, form.last_day.data)
        head = say_n(
            "{club} is closed {days}: {n} day does not count for {sessions}.",
            "{club} is closed {days}: {n} days do not count for {sessions}.",
            _days(closure), **_named(club, closure),
        )  # fmt: skip
        return _preview(closure, head, _days(closure), more=True)

    title = say("Close the club")
    return _window(club, form, act, in_words, title, title)


@pages.form("/<id:closure_id>", Role.MANAGER)
def change(club_id: int, closure_id: int) -> Answer:
    """Give a closure another last day."""
    club, form = row(Club, club_id), ClosureEndForm.asked()
    known = _find(club, closure_id)
    if not request.values:
        form.last_day.data = known.last_day

    def act(reason: str) -> Done:
        return life.change(database(), known, last=form.last_day.data, reason=reason, by=actor(), now=utc_now())

    def in_words() -> Preview:
        closure = _closure(club, Scope(known.scope or ""), known.first_day, form.last_day.data)
        more = _days(closure) - _days(known)
        if not more:
            raise NotChanged(field="last_day")
        named = {"before": known.days, **_named(club, closure)}
        if more > 0:
            head = say_n(
                "{club} is closed {days}, instead of {before}: {n} day more does not count for {sessions}.",
                "{club} is closed {days}, instead of {before}: {n} days more do not count for {sessions}.",
                more, **named,
            )  # fmt: skip
        else:
            head = say_n(
                "{club} is closed {days}, instead of {before}: {n} day counts again for {sessions}.",
                "{club} is closed {days}, instead of {before}: {n} days count again for {sessions}.",
                -more, **named,
            )  # fmt: skip
        return _preview(closure, head, abs(more), more=more > 0)

    return _window(club, form, act, in_words, say("Change the last day of the closure"), say("Change last day"))


@pages.form("/<id:closure_id>/undo", Role.MANAGER)
def undo(club_id: int, closure_id: int) -> Answer:
    """Undo a closure."""
    club, form = row(Club, club_id), ActForm.asked()
    known = _find(club, closure_id)

    def act(reason: str) -> Done:
        return life.undo(database(), known, reason=reason, by=actor(), now=utc_now())

    def in_words() -> Preview:
        head = say_n(
            "{club} is not closed {days}: {n} day counts again for {sessions}.",
            "{club} is not closed {days}: {n} days count again for {sessions}.",
            _days(known), **_named(club, known),
        )  # fmt: skip
        return _preview(known, head, _days(known), more=False)

    return _window(club, form, act, in_words, say("Undo the closure"), say("Undo closure"))


def _closure(club: Club, scope: Scope, first: date | None, last: date | None) -> LifeAct:
    """A closure to look at. Raises what recording it would raise about its days."""
    closure = LifeAct(kind=LifeKind.CLOSURE.value, club_id=club.id, scope=scope.value, first_day=first, last_day=last)
    life.check_days(closure, local_day(utc_now(), club.time_zone))
    return closure


def _days(closure: LifeAct) -> int:
    return (closure.last_day - closure.first_day).days + 1 if closure.first_day and closure.last_day else 0


def _named(club: Club, closure: LifeAct) -> dict[str, str]:
    """What sentences about a closure name."""
    return {"club": club.name, "days": closure.days, "sessions": say(SCOPES[closure.scope or ""]).lower()}


def _preview(closure: LifeAct, head: str, days: int, *, more: bool) -> Preview:
    """What it comes to that so many days count no more, or again."""
    reached = living.reach(database(), closure, utc_now())
    move = say(
        "{grants} of {members}: {days} each",
        grants=counted(reached.grants, "grant"), members=counted(reached.members, "member"), days=counted(days, "day"),
    )  # fmt: skip
    if not reached.grants:
        move = say("No sessions move")
    return Preview(head, [move, *back_words(reached.brought_back if more else 0, most=True)])


def _find(club: Club, closure_id: int) -> LifeAct:
    known = database().get(LifeAct, closure_id)
    return known if known and known.club_id == club.id else abort(404)


def _window(
    club: Club, form: ActForm, act: Callable[[str], Done], in_words: Callable[[], Preview], title: str, verb: str
) -> Answer:
    """The window of an act; or the act, once its preview was read. What it moves is left to the sweep."""

    def planned(reason: str, *, preview: bool) -> Preview:
        words = in_words()
        if not preview:
            act(reason)
        return words

    answer, preview = answered(form, planned, url_for(".overview", club_id=club.id), shown=1)
    window = {"act_form": form, "preview": preview, "title": title, "verb": verb}
    return answer or _page(club, "closure", **window)


def _page(club: Club, template: str = "closures", /, **window: object) -> Answer:
    session, today = database(), local_day(utc_now(), club.time_zone)
    closures = [(one.last_day or today, one) for one in life.in_force(session, club_id=club.id)]
    over = [one for last, one in reversed(closures) if today - SHOWN_FOR < last < today]
    return page(
        f"clubs/{template}.html",
        club=club,
        scopes=SCOPES,
        today=today,
        coming=[one for last, one in closures if last >= today],
        over=part_of(over, "over"),
        all_over=len(over),
        history=part_of(life.history(session, club_id=club.id), "recorded"),
        waiting=closure_walk.waiting(session),
        **window,
    )
