"""Acts on all events that match a filter: confirmed with their exact number, done in the background, followed here."""

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import OperationalError
from wtforms import HiddenField

from console.web import event_filter
from console.web.access import actor, database, done, needs, told, undo
from console.web.formats import house_zone, link
from console.web.reasons import BESIDE, ReasonForm
from models.errors import SppError
from models.inbox import bulk
from models.inbox.bulk import BulkAction, BulkVerb
from models.inbox.search import EventFilter, Scope
from models.staff.accounts import Role

pages = Blueprint("bulk", __name__, url_prefix="/acts")


class BulkForm(ReasonForm):
    """The reason, and the number that the person was shown."""

    count = HiddenField()


@pages.get("/")
@needs(Role.VIEWER)
def overview() -> ResponseReturnValue:
    """Every act on many events, the newest first."""
    return render_template(
        "operations/acts.html", acts=bulk.latest(database()), told=event_filter.told, zone=house_zone()
    )


@pages.route("/replay-all", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def replay_all() -> ResponseReturnValue:
    """Asks for a replay of all that match the filter of the query string, whose exact number is confirmed first."""
    return _ask(BulkVerb.REPLAY)


@pages.route("/discard-all", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def discard_all() -> ResponseReturnValue:
    """The same, to discard them."""
    return _ask(BulkVerb.DISCARD)


def _ask(verb: BulkVerb) -> ResponseReturnValue:
    _, wanted = event_filter.asked()
    if wanted is None:
        return redirect(link("operations.events.overview", **request.args))
    scope = _scope(verb, wanted)
    form = BulkForm()
    if form.validate_on_submit() and scope is not None:
        if form.count.data != str(scope.events):
            form.form_errors.append(f"It was {form.count.data} events when you were asked, and is {scope.events} now.")
        else:
            with form.refusals(BESIDE):
                act = bulk.ask(database(), verb, wanted, scope, form.text("reason"), by=actor())
        if not form.errors:
            return redirect(url_for(".show", act_id=act.id))
    form.count.data = str(scope.events) if scope else ""
    return render_template(
        "operations/ask_for_all.html", form=form, verb=verb.value, scope=scope, wanted=wanted,
        said=event_filter.told(wanted, house_zone()),
        back=link("operations.events.overview", **event_filter.query()),
    ), 422 if form.errors or scope is None else 200  # fmt: skip


def _scope(verb: BulkVerb, wanted: EventFilter) -> Scope | None:
    """The exact number; None where it could not be told in time."""
    try:
        return bulk.scope(database(), verb, wanted)
    except OperationalError:
        undo()
        return None


@pages.get("/<id:act_id>")
@needs(Role.VIEWER)
def show(act_id: int) -> ResponseReturnValue:
    """How far one act is."""
    act = database().get(BulkAction, act_id) or abort(404)
    said = event_filter.told(act.wanted, house_zone())
    return render_template("operations/act.html", act=act, said=said, zone=house_zone())


@pages.post("/<id:act_id>/cancel")
@needs(Role.OPERATOR)
def cancel(act_id: int) -> ResponseReturnValue:
    """Leaves what is not done yet as it is."""
    try:
        bulk.cancel(database(), act_id, by=actor())
        done("It is stopped. What was done already stays done.")
    except SppError as error:
        told(error)
    return redirect(url_for(".show", act_id=act_id))
