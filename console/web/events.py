"""Webhook events: found, looked into, sent through again, or laid aside."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from console.web import event_filter
from console.web.access import actor, database, done, needs, told
from console.web.event_filter import STATES
from console.web.formats import house_zone
from console.web.member_page import number
from console.web.reasons import BESIDE, ReasonForm
from models.errors import SppError
from models.inbox import masking, repairs, search
from models.inbox import story as event_story
from models.inbox.events import EventState, WebhookEvent
from models.staff.accounts import Role

pages = Blueprint("events", __name__, url_prefix="/events")

LISTED = 50
"""Events on one page."""
ONE_CLICK = "Tried again from the console."
"""The reason that is kept where nobody is asked for one."""


@pages.get("/")
@needs(Role.VIEWER)
def overview() -> ResponseReturnValue:
    """The events that are asked for, the newest first."""
    form, wanted = event_filter.asked()
    before = number("before")
    page = search.page(database(), wanted, limit=LISTED, before=before) if wanted else None
    return render_template(
        "operations/events.html", form=form, wanted=wanted, page=page, zone=house_zone(), states=STATES, before=before,
        query=event_filter.query, types=event_filter.types(), now=datetime.now(UTC),
    ), 422 if form.errors else 200  # fmt: skip


@pages.get("/<id:event_id>")
@needs(Role.VIEWER)
def show(event_id: int) -> ResponseReturnValue:
    """One event: its body, its tries, what it told and what that did."""
    return _page(event_id)


def _page(event_id: int, template: str = "event", status: int = 200, **window: object) -> ResponseReturnValue:
    story = event_story.story(database(), event_id) or abort(404)
    return render_template(
        f"operations/{template}.html", story=story, zone=house_zone(), states=STATES, now=datetime.now(UTC),
        shown=masking.shown, headers=json.loads(story.event.headers or "{}"), **window,
    ), status  # fmt: skip


@pages.post("/<id:event_id>/replay")
@needs(Role.OPERATOR)
def replay(event_id: int) -> ResponseReturnValue:
    """Sends it through the same path again, at once; that asks for nothing, because it does no harm."""
    try:
        repairs.replay(database(), [event_id], ONE_CLICK, by=actor())
        done(f"Event {event_id} is due again. A worker takes it within a second.")
    except SppError as error:
        told(error)
    return redirect(_back(event_id))


@pages.route("/<id:event_id>/discard", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def discard(event_id: int) -> ResponseReturnValue:
    """Decides that a dead, quarantined or waiting event has no effect, with a reason."""
    return _decide(event_id, "discard", repairs.discard, "has no effect.")


@pages.route("/<id:event_id>/release", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def release(event_id: int) -> ResponseReturnValue:
    """Lets a quarantined event count after all, with a reason."""
    return _decide(event_id, "release", repairs.release, "is due. A worker takes it within a second.")


def _decide(event_id: int, verb: str, act: Callable[..., object], text: str) -> ResponseReturnValue:
    event = database().get(WebhookEvent, event_id) or abort(404)
    form = ReasonForm()
    if form.validate_on_submit():
        with form.refusals(BESIDE):
            act(database(), [event_id], form.text("reason"), by=actor())
        if not form.errors:
            done(f"Event {event_id} {text}")
            return redirect(_back(event_id))
    can = event.can_be_let_through if verb == "release" else event.can_be_discarded
    return _page(event_id, "decide", 422 if form.errors else 200, form=form, verb=verb, can=can)


def _back(event_id: int) -> str:
    """To the list that a button stood in, and else to the event."""
    listed = request.args.get("state", "")
    if listed in {EventState.DEAD, EventState.QUARANTINED}:
        return url_for(".overview", state=listed)
    return url_for(".show", event_id=event_id)
