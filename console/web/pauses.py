"""Pausing an endpoint's events, and resuming them."""

from collections.abc import Callable

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from console.request import actor, database
from console.web import billing
from console.web.access import needs
from console.web.forms import ReasonForm, page
from models.errors import NotFound
from models.inbox import pauses
from models.staff.accounts import Role

pages = Blueprint("pauses", __name__, url_prefix="/endpoints")


@pages.route("/<name>/pause", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def pause(name: str) -> ResponseReturnValue:
    """Hold an endpoint's events back; receiving goes on."""
    return _ask(name, "pause", pauses.pause, "is paused. Its webhooks are still received and kept.")


@pages.route("/<name>/resume", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def resume(name: str) -> ResponseReturnValue:
    """Let its events be processed again."""
    return _ask(name, "resume", pauses.resume, "goes on. A worker takes what has waited within a second.")


def _ask(name: str, verb: str, change: Callable[..., None], text: str) -> ResponseReturnValue:
    paused = [pause.endpoint for pause in pauses.paused(database())]
    if name not in [*billing.endpoints(), *paused]:
        raise NotFound(what="endpoint", name=name[:63])
    form = ReasonForm()

    def act() -> tuple[str, str]:
        change(database(), name, form.text("reason"), by=actor())
        return f"{name} {text}", url_for("operations.overview")

    possible = (name in paused) == (verb == "resume")
    return form.submitted(act) or page("operations/pause.html", form=form, verb=verb, name=name, possible=possible)
