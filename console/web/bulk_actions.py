"""Bulk actions on all events that match a filter: their exact number is confirmed first, a worker does them."""

from typing import Any

from flask import abort, current_app, flash, g, redirect, request, url_for
from sqlalchemy.exc import OperationalError
from wtforms import HiddenField

from console import foresight
from console.request import actor, database, undo
from console.web import event_filter
from console.web.access import Answer, Pages, Role
from console.web.formats import link
from console.web.forms import ReasonForm, page, pressed
from models.inbox import bulk, bulk_outcome
from models.inbox.bulk import BulkAction, BulkVerb
from models.inbox.events import WebhookEvent
from models.inbox.search import EventFilter, Scope
from models.wording import counted
from runtime.language import say

pages = Pages("bulk", __name__, url_prefix="/acts")


class BulkForm(ReasonForm):
    """The reason, and the number that the person was shown."""

    count = HiddenField()
    scope: Scope | None = None

    def validate(self, extra_validators: Any = None) -> bool:
        """Also refuse a number that is not the one of now."""
        valid: bool = super().validate(extra_validators)
        if self.scope and self.count.data != str(self.scope.events):
            text = say(
                "You were asked about {number}, and now it is {events}.",
                number=self.count.data, events=counted(self.scope.events, "event"),
            )  # fmt: skip
            self.form_errors.append(text)
        return valid and not self.form_errors


@pages.page("/", Role.VIEWER)
def overview() -> Answer:
    """Every bulk action, newest first."""
    return page("operations/acts.html", acts=bulk.latest(database()), in_words=event_filter.in_words)


@pages.form("/replay-all", Role.OPERATOR)
def replay_all() -> Answer:
    """Ask for a replay of all that match the filter of the query string, once their exact number is confirmed."""
    return _ask(BulkVerb.REPLAY)


@pages.form("/discard-all", Role.OPERATOR)
def discard_all() -> Answer:
    """Ask to discard all that match, once their exact number is confirmed."""
    return _ask(BulkVerb.DISCARD)


@pages.form("/release-all", Role.OPERATOR)
def release_all() -> Answer:
    """Ask to let all through that match, once their exact number is confirmed."""
    return _ask(BulkVerb.RELEASE)


def _ask(verb: BulkVerb) -> Answer:
    _, wanted = event_filter.asked()
    if "chosen" in request.args and not request.args.getlist("id"):
        flash(say("Choose some events first: check the boxes before them."), "danger")
        wanted = None
    if wanted is None:
        return redirect(link("operations.events.overview", **event_filter.query()))
    form = BulkForm()
    form.scope = scope = _scope(verb, wanted)

    def act(scope: Scope) -> tuple[str, str]:
        asked = bulk.ask(database(), verb, wanted, scope, form.text("reason"), by=actor())
        return "", url_for(".show", act_id=asked.id)

    if scope and (answer := form.submitted(lambda: act(scope))):
        return answer
    form.count.data = str(scope.events) if scope else ""
    back, which = link("operations.events.overview", **event_filter.query()), event_filter.in_words(wanted)
    question: dict[str, Any] = {"verb": verb.value, "scope": scope, "which": which, "back": back}
    if scope and scope.events:
        question["example"] = database().get(WebhookEvent, scope.up_to)
        if verb == BulkVerb.RELEASE:
            question["foresight"] = foresight.of_group(g.factory, current_app.config["SPP"], database(), wanted)
    return page("operations/ask_for_all.html", bool(form.errors) or scope is None, form=form, **question)


def _scope(verb: BulkVerb, wanted: EventFilter) -> Scope | None:
    """The exact number; None where counting took too long."""
    try:
        return bulk.scope(database(), verb, wanted)
    except OperationalError:
        undo()
        return None


@pages.page("/<id:act_id>", Role.VIEWER)
def show(act_id: int) -> Answer:
    """The progress of one bulk action."""
    act = database().get(BulkAction, act_id) or abort(404)
    parts = bulk_outcome.outcome(database(), act)
    settled = bulk_outcome.is_settled(act, parts)
    return page("operations/act.html", act=act, which=event_filter.in_words(act.wanted), parts=parts, settled=settled)


@pages.button("/<id:act_id>/cancel", Role.OPERATOR)
def cancel(act_id: int) -> Answer:
    """Stop a bulk action; the events that it has not reached stay as they are."""

    def act() -> str:
        bulk.cancel(database(), act_id, by=actor())
        return say("It is stopped. What was done already stays done.")

    return pressed(act, url_for(".show", act_id=act_id))
