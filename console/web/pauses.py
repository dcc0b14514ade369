"""Pausing an endpoint's events, and resuming them."""

from collections.abc import Callable

from flask import url_for

from console.request import actor, database
from console.web.access import Answer, Pages, Role
from console.web.formats import endpoints
from console.web.forms import ReasonForm, page
from models.errors import NotFound
from models.inbox import pauses
from runtime.language import noted, say

pages = Pages("pauses", __name__, url_prefix="/endpoints")


@pages.form("/<name>/pause", Role.OPERATOR)
def pause(name: str) -> Answer:
    """Hold an endpoint's events back; receiving goes on."""
    return _ask(name, "pause", pauses.pause, noted("{name} is paused. Its webhooks are still received and kept."))


@pages.form("/<name>/resume", Role.OPERATOR)
def resume(name: str) -> Answer:
    """Let its events be processed again."""
    text = noted("{name} goes on. A worker takes what has waited within a second.")
    return _ask(name, "resume", pauses.resume, text)


def _ask(name: str, verb: str, change: Callable[..., None], text: str) -> Answer:
    paused = [pause.endpoint for pause in pauses.paused(database())]
    if name not in [*endpoints(), *paused]:
        raise NotFound(what="endpoint", name=name[:63])
    form = ReasonForm()

    def act() -> tuple[str, str]:
        change(database(), name, form.text("reason"), by=actor())
        return say(text, name=name), url_for("operations.overview")

    possible = (name in paused) == (verb == "resume")
    return form.submitted(act) or page("operations/pause.html", form=form, verb=verb, name=name, possible=possible)
