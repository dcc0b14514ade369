"""Freezes, the end and the cut-over of a membership: each act in a window that says what moves before it is done."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

from flask import abort, request, url_for
from wtforms.validators import InputRequired, Optional

from console.request import actor, database, late_credit, utc_now
from console.web import membership_page
from console.web.access import Answer, Pages, Role
from console.web.fields import Day, day_in_range
from console.web.previews import ActForm, Preview, answered, back_words
from models.catalogue import terms
from models.catalogue.days import end_of, local_day
from models.members import cut_over as cutting
from models.members import life
from models.members.cut_over import CutOver
from models.members.life import Done, LifeAct, LifeKind
from models.members.memberships import Membership, MembershipTerms
from models.payments import living
from models.wording import day_of
from runtime.language import noted, say, say_n

pages = Pages("life", __name__, url_prefix="/<id:membership_id>")

SHOWN = 6
"""Grants that the message after an act names; the others stand on the member's page."""
NO_END = noted("Leave it empty to freeze until further notice.")


class FreezeForm(ActForm):
    """A freeze."""

    first_day = Day("First frozen day", [InputRequired("Choose the first frozen day.")])
    last_day = Day("Last frozen day", [Optional()], description=NO_END)


class FreezeEndForm(ActForm):
    """Another last day of a freeze."""

    last_day = Day("Last frozen day", [Optional()], description=NO_END)


class EndForm(ActForm):
    """The last day of a membership."""

    last_day = Day("Last day of the membership", [InputRequired("Choose the last day of the membership.")])


class CutOverForm(ActForm):
    """The local day from which on payments count."""

    credits_from = Day(
        "Payments count from this day on",
        [Optional(), day_in_range],
        description="What was paid before gives no sessions here: an earlier system has given them. Leave it empty if "
        "every payment counts.",
    )


@pages.form("/freeze", Role.MANAGER)
def freeze(membership_id: int) -> Answer:
    """Freeze it from a day on."""
    membership, form = membership_page.find(membership_id), FreezeForm.asked()
    if not request.values:
        form.first_day.data = _today(membership)

    def act(reason: str, now: datetime) -> Done:
        days = {"first": form.first_day.data, "last": form.last_day.data}
        return life.freeze(database(), membership, **days, reason=reason, by=actor(), now=now)

    def in_words() -> str:
        days = LifeAct(kind=LifeKind.FREEZE.value, first_day=form.first_day.data, last_day=form.last_day.data).days
        head = (
            say("Frozen {days}. Sessions can be used on these days, too.", days=days)
            if membership.club.use_while_frozen
            else say("Frozen {days}. Sessions cannot be used on these days.", days=days)
        )
        return f"{head} {terms.frozen_words(_terms_on(membership, form.first_day.data))}"

    return _window(membership, form, act, in_words, say("Freeze"), say("Freeze"))


@pages.form("/end", Role.MANAGER)
def end(membership_id: int) -> Answer:
    """End it after a day."""
    membership, form = membership_page.find(membership_id), EndForm.asked()
    if not request.values:
        form.last_day.data = _today(membership)

    def act(reason: str, now: datetime) -> Done:
        return life.end(database(), membership, last=form.last_day.data, reason=reason, by=actor(), now=now)

    title = say("End membership")
    return _window(membership, form, act, lambda: _ending(membership, form.last_day.data), title, title)


@pages.form("/life/<id:life_id>", Role.MANAGER)
def change(membership_id: int, life_id: int) -> Answer:
    """Give a freeze or the end another last day."""
    membership = membership_page.find(membership_id)
    known = _act_of(membership, life_id)
    is_end = known.kind == LifeKind.END
    form = EndForm.asked() if is_end else FreezeEndForm.asked()
    if not request.values:
        form.last_day.data = known.last_day

    def act(reason: str, now: datetime) -> Done:
        return life.change(database(), known, last=form.last_day.data, reason=reason, by=actor(), now=now)

    def in_words() -> str:
        if is_end:
            return _ending(membership, form.last_day.data)
        now_is = LifeAct(kind=known.kind, first_day=known.first_day, last_day=form.last_day.data).days
        return say("Frozen {days}, instead of {before}.", days=now_is, before=known.days)

    title = say("Change the last day of the membership") if is_end else say("Change the last day of the freeze")
    return _window(membership, form, act, in_words, title, say("Change last day"))


@pages.form("/life/<id:life_id>/undo", Role.MANAGER)
def undo(membership_id: int, life_id: int) -> Answer:
    """Undo a freeze, or reopen a membership."""
    membership, form = membership_page.find(membership_id), ActForm.asked()
    known = _act_of(membership, life_id)

    def act(reason: str, now: datetime) -> Done:
        return life.undo(database(), known, reason=reason, by=actor(), now=now)

    if known.kind == LifeKind.END:
        head = say("The membership goes on, as if it had not ended on {day}.", day=day_of(known.last_day))
        return _window(membership, form, act, lambda: head, say("Reopen the membership"), say("Reopen"))
    head = say("As if it had never been frozen {days}.", days=known.days)
    return _window(membership, form, act, lambda: head, say("Undo the freeze"), say("Undo freeze"))


@pages.form("/cut-over", Role.MANAGER)
def cut_over(membership_id: int) -> Answer:
    """Say from which day on its payments count."""
    membership, form = membership_page.find(membership_id), CutOverForm.asked()
    if not request.values and membership.credits_from:
        form.credits_from.data = local_day(membership.credits_from, membership.club.time_zone)

    def act(reason: str, now: datetime) -> CutOver:
        day = form.credits_from.data
        moment = cutting.beginning_of(membership, day) if day else None
        return cutting.set_cut_over(database(), membership, moment, reason=reason, by=actor(), now=now)

    def in_words() -> str:
        day = form.credits_from.data
        return cutting.words(cutting.beginning_of(membership, day) if day else None, membership.club.time_zone)

    return _window(membership, form, act, in_words, say("Cut-over"), say("Set cut-over"))


def _today(membership: Membership) -> date:
    return local_day(membership.member.clock(utc_now()), membership.club.time_zone)


def _ending(membership: Membership, last: date) -> str:
    head = say("The last day of the membership is {day}.", day=day_of(last))
    return f"{head} {terms.ended_words(_terms_on(membership, last))}"


def _terms_on(membership: Membership, day: date) -> MembershipTerms:
    """Its terms at the end of that local day."""
    return membership.terms_at(end_of(day, membership.club.time_zone) - timedelta(microseconds=1))


def _act_of(membership: Membership, life_id: int) -> LifeAct:
    known = database().get(LifeAct, life_id)
    return known if known and known.membership_id == membership.id else abort(404)


def _window(
    membership: Membership, form: ActForm, act: Callable[[str, datetime], tuple[object, list[int]]],
    in_words: Callable[[], str], title: str, verb: str,
) -> Answer:  # fmt: skip
    """The window of an act, with what `act` comes to; or the act, once its preview was read."""

    def planned(reason: str, *, preview: bool) -> Preview:
        now, how = utc_now(), living.preview if preview else living.apply
        outcome = how(database(), lambda: act(reason, now), now=now, late_credit=late_credit())
        _, moved, waiting = outcome
        words = [*back_words(outcome.brought_back), *(one.words for one in moved)] or [say("No sessions move")]
        if waiting:
            words = [
                say_n(
                    "{n} payment is settled again in the background: look again in a minute",
                    "{n} payments are settled again in the background: look again in a minute",
                    waiting,
                )
            ]
        return Preview(in_words(), words)

    to = url_for("memberships.show", membership_id=membership.id, _anchor="life")
    answer, preview = answered(form, planned, to, shown=SHOWN)
    window = {"act_form": form, "preview": preview, "title": title, "verb": verb}
    return answer or membership_page.page(membership, "life", **window)
