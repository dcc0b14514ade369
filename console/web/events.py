"""Webhook events: the list, one event, and the buttons replay, discard and let through."""

import json
from collections.abc import Callable, Sequence

from flask import abort, current_app, g, request, url_for

from console import foresight
from console.request import actor, database
from console.web import event_filter
from console.web.access import Answer, Pages, Role
from console.web.event_filter import STATES
from console.web.fields import query_id
from console.web.forms import ReasonForm, page, pressed
from models.inbox import error_groups, masking, repairs, search
from models.inbox import story as event_story
from models.inbox.error_groups import ErrorGroup
from models.inbox.events import EventState, WebhookEvent
from models.inbox.search import EventFilter
from models.payments import references
from runtime.language import noted, say, stored

pages = Pages("events", __name__, url_prefix="/events")

PAGE_SIZE = 50
"""Events on one page."""
ONE_CLICK = stored("Tried again from the console.")
"""The reason in the action log for a button that asks for none."""


@pages.page("/", Role.VIEWER)
def overview() -> Answer:
    """The events that match the filter, newest first."""
    form, wanted = event_filter.asked()
    before = query_id("before")
    return page(
        "operations/events.html",
        bool(form.errors),
        form=form,
        wanted=wanted,
        page=search.page(database(), wanted, limit=PAGE_SIZE, before=before) if wanted else None,
        groups=_groups(wanted) if wanted and not before else None,
        removable=event_filter.removable(wanted) if wanted else [],
        states=STATES,
        before=before,
        query=event_filter.query,
        types=search.types(database()),
    )


def _groups(wanted: EventFilter) -> Sequence[ErrorGroup] | None:
    """The groups of the state that is wanted; None where anything else is wanted too."""
    if wanted.state not in repairs.TROUBLED or wanted != EventFilter(state=wanted.state):
        return None
    return error_groups.groups(database(), current_app.config["SPP"].endpoints, state=wanted.state)


@pages.page("/<id:event_id>", Role.VIEWER)
def show(event_id: int) -> Answer:
    """One event: its body, its tries, its payment facts, and the entries that they made."""
    return _page(event_id)


def _page(event_id: int, template: str = "event", **window: object) -> Answer:
    story = event_story.story(database(), event_id) or abort(404)
    return page(
        f"operations/{template}.html",
        story=story,
        states=STATES,
        shown=masking.shown,
        headers=json.loads(story.event.headers or "{}"),
        paid=references.paid(database(), {(story.event.endpoint, fact.payment) for fact in story.facts}),
        **window,
    )


@pages.button("/<id:event_id>/replay", Role.OPERATOR)
def replay(event_id: int) -> Answer:
    """Replay one event at once. That needs no question first, because it is idempotent."""

    def act() -> str:
        repairs.replay(database(), [event_id], ONE_CLICK, by=actor())
        return say("Event {id} is due again. A worker takes it within a second.", id=event_id)

    return pressed(act, _back(event_id))


@pages.form("/<id:event_id>/discard", Role.OPERATOR)
def discard(event_id: int) -> Answer:
    """Decide that a dead, quarantined or waiting event has no effect, with a reason."""
    return _decide(event_id, "discard", repairs.discard, noted("Event {id} has no effect."))


@pages.form("/<id:event_id>/release", Role.OPERATOR)
def release(event_id: int) -> Answer:
    """Let a quarantined event count after all, with a reason."""
    text = noted("Event {id} is due. A worker takes it within a second.")
    return _decide(event_id, "release", repairs.release, text)


def _decide(event_id: int, verb: str, decide: Callable[..., object], text: str) -> Answer:
    event, form = database().get(WebhookEvent, event_id) or abort(404), ReasonForm()

    def act() -> tuple[str, str]:
        decide(database(), [event_id], form.text("reason"), by=actor())
        return say(text, id=event_id), _back(event_id)

    can = event.can_be_let_through if verb == "release" else event.can_be_discarded
    if answer := form.submitted(act):
        return answer
    foreseen = None
    if verb == "release" and can and event.pruned_at is None:
        foreseen = foresight.of_event(g.factory, current_app.config["SPP"], database(), event)
    return _page(event_id, "decide", form=form, verb=verb, can=can, foreseen=foreseen)


def _back(event_id: int) -> str:
    """The list that the button stood in, or else the event."""
    tab = request.args.get("state", "")
    if tab in {EventState.DEAD, EventState.QUARANTINED}:
        return url_for(".overview", state=tab)
    return url_for(".show", event_id=event_id)
