"""Holding an endpoint's events back, and letting them go on."""

from collections.abc import Callable

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from console.web import billing
from console.web.access import actor, database, done, needs
from console.web.reasons import BESIDE, ReasonForm
from models.errors import NotFound
from models.inbox import pauses
from models.staff.accounts import Role

pages = Blueprint("pauses", __name__, url_prefix="/endpoints")


@pages.route("/<name>/pause", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def pause(name: str) -> ResponseReturnValue:
    """Lets nothing of the endpoint be processed for a while; receiving goes on."""
    return _turn(name, "pause", pauses.pause, "is paused. Its webhooks are still received and kept.")


@pages.route("/<name>/resume", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def resume(name: str) -> ResponseReturnValue:
    """Lets its events be processed again."""
    return _turn(name, "resume", pauses.resume, "goes on. A worker takes what has waited within a second.")


def _turn(name: str, verb: str, act: Callable[..., None], text: str) -> ResponseReturnValue:
    known = [*billing.endpoints(), *(pause.endpoint for pause in pauses.paused(database()))]
    if name not in known:
        raise NotFound(what="endpoint", name=name[:63])
    form = ReasonForm()
    if form.validate_on_submit():
        with form.refusals(BESIDE):
            act(database(), name, form.text("reason"), by=actor())
        if not form.errors:
            done(f"{name} {text}")
            return redirect(url_for("operations.overview"))
    status = 422 if form.errors else 200
    return render_template("operations/pause.html", form=form, verb=verb, name=name), status
