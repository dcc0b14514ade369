"""Webhook events: the list, one event, and the buttons replay, discard and let through."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Blueprint, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from console.request import actor, database
from console.web import event_filter
from console.web.access import needs
from console.web.event_filter import STATES
from console.web.fields import query_id
from console.web.formats import house_zone
from console.web.forms import ReasonForm, page, pressed
from models.inbox import masking, repairs, search
from models.inbox import story as event_story
from models.inbox.events import EventState, WebhookEvent
from models.staff.accounts import Role

pages = Blueprint("events", __name__, url_prefix="/events")

LISTED = 50
"""Events on one page."""
ONE_CLICK = "Tried again from the console."
"""The reason in the action log for a button that asks for none."""


@pages.get("/")
@needs(Role.VIEWER)
def overview() -> ResponseReturnValue:
    """The events that match the filter, newest first."""
    form, wanted = event_filter.asked()
    before = query_id("before")
    return render_template(
        "operations/events.html",
        form=form,
        wanted=wanted,
        page=search.page(database(), wanted, limit=LISTED, before=before) if wanted else None,
        zone=house_zone(),
        states=STATES,
        before=before,
        query=event_filter.query,
        types=search.types(database()),
        now=datetime.now(UTC),
    ), 422 if form.errors else 200


@pages.get("/<id:event_id>")
@needs(Role.VIEWER)
def show(event_id: int) -> ResponseReturnValue:
    """One event: its body, its tries, its payment facts, and the entries that they made."""
    return _page(event_id)


def _page(event_id: int, template: str = "event", **window: object) -> ResponseReturnValue:
    story = event_story.story(database(), event_id) or abort(404)
    return page(
        f"operations/{template}.html",
        story=story,
        zone=house_zone(),
        states=STATES,
        now=datetime.now(UTC),
        shown=masking.shown,
        headers=json.loads(story.event.headers or "{}"),
        **window,
    )


@pages.post("/<id:event_id>/replay")
@needs(Role.OPERATOR)
def replay(event_id: int) -> ResponseReturnValue:
    """Replay one event at once. That needs no question first, because it is idempotent."""

    def act() -> str:
        repairs.replay(database(), [event_id], ONE_CLICK, by=actor())
        return f"Event {event_id} is due again. A worker takes it within a second."

    return pressed(act, _back(event_id))


@pages.route("/<id:event_id>/discard", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def discard(event_id: int) -> ResponseReturnValue:
    """Decide that a dead, quarantined or waiting event has no effect, with a reason."""
    return _decide(event_id, "discard", repairs.discard, "has no effect.")


@pages.route("/<id:event_id>/release", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def release(event_id: int) -> ResponseReturnValue:
    """Let a quarantined event count after all, with a reason."""
    return _decide(event_id, "release", repairs.release, "is due. A worker takes it within a second.")


def _decide(event_id: int, verb: str, decide: Callable[..., object], text: str) -> ResponseReturnValue:
    event, form = database().get(WebhookEvent, event_id) or abort(404), ReasonForm()

    def act() -> tuple[str, str]:
        decide(database(), [event_id], form.text("reason"), by=actor())
        return f"Event {event_id} {text}", _back(event_id)

    can = event.can_be_let_through if verb == "release" else event.can_be_discarded
    return form.submitted(act) or _page(event_id, "decide", form=form, verb=verb, can=can)


def _back(event_id: int) -> str:
    """The list that the button stood in, or else the event."""
    listed = request.args.get("state", "")
    if listed in {EventState.DEAD, EventState.QUARANTINED}:
        return url_for(".overview", state=listed)
    return url_for(".show", event_id=event_id)
