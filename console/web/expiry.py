"""Expiry: what expires next, the runs that wrote down what has expired, and the two that need a person: a stopped one
to be allowed, and a wrong one to be undone."""

from collections.abc import Iterator
from datetime import UTC, datetime

from flask import Blueprint, Response, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from wtforms import RadioField, SelectChoice
from wtforms.validators import Optional

from console import expiring_csv
from console.web.access import actor, database, done, needs
from console.web.formats import house_zone
from console.web.member_forms import Day
from console.web.member_page import number
from console.web.reasons import BESIDE, ReasonForm, why
from models.errors import DayOver, DayTooFar, NotFound
from models.ledger import expiry, expiry_undo
from models.ledger.expiry import ExpiryRun
from models.staff.accounts import Role
from models.staff.actions import Action
from models.statements import expiring

pages = Blueprint("expiry", __name__, url_prefix="/expiry")

LISTED = 25
"""Runs on one page."""
DAYS = 7


class UndoForm(ReasonForm):
    """Until when the sessions can be used again, and why."""

    until = RadioField(
        "Then the sessions",
        choices=[SelectChoice("day", "can be used to the end of a day"), SelectChoice("never", "never expire")],
        default="day",
    )
    last_day = Day("Last usable day", [Optional()], description="Local at the club of each grant.")
    reason = why(autofocus=False)  # asked after the day, as fields stand in the order of their making


@pages.get("/")
@needs(Role.VIEWER)
def overview() -> ResponseReturnValue:
    """What expires next, the stopped run if there is one, and all runs, the newest first."""
    session, now = database(), datetime.now(UTC)
    page = expiry.page(session, limit=LISTED, before=number("before"))
    acts = {act for run in page.runs for act in (run.allowed_by, run.undone_by) if act}
    return render_template(
        "expiry/overview.html", stopped=expiry.stopped(session), page=page, zone=house_zone(), days=DAYS,
        acts={act: session.get_one(Action, act) for act in acts}, expiring=expiring.summary(session, now, days=DAYS),
        undoing=any(run.state == "undoing" for run in page.runs),
    )  # fmt: skip


@pages.get("/expiring.csv")
@needs(Role.VIEWER)
def export() -> ResponseReturnValue:
    """Every grant that expires within the week, as it is read."""
    factory, now = g.factory, datetime.now(UTC)

    def lines() -> Iterator[str]:
        # The request's own session is over before the last line is sent.
        with factory() as session:
            yield from expiring_csv.lines(session, now, days=DAYS)

    headers = {"Content-Disposition": f'attachment; filename="expiring-{now:%Y-%m-%d}.csv"'}
    return Response(lines(), mimetype="text/csv", headers=headers)


@pages.route("/<id:run_id>/allow", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def allow(run_id: int) -> ResponseReturnValue:
    """Lets a stopped run go on."""
    run, form = _run(run_id), ReasonForm()
    if form.validate_on_submit():
        with form.refusals(BESIDE):
            expiry.allow(database(), run_id, reason=form.text("reason"), by=actor())
        if not form.errors:
            done(f"Run {run_id} goes on. What has expired is written down within a minute.")
            return redirect(url_for(".overview"))
    return render_template("expiry/allow.html", form=form, run=run, zone=house_zone()), 422 if form.errors else 200


@pages.route("/<id:run_id>/undo", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def undo(run_id: int) -> ResponseReturnValue:
    """Has a run undone, in the background."""
    run, form = _run(run_id), UndoForm()
    if form.validate_on_submit():
        last_day = form.last_day.data if form.until.data == "day" else None
        if form.until.data == "day" and last_day is None:
            form.last_day.errors = ["Choose the last day on which the sessions can be used."]
        else:
            with form.refusals({**BESIDE, DayOver: "last_day", DayTooFar: "last_day"}):
                expiry_undo.undo(
                    database(), run_id, last_day=last_day, reason=form.text("reason"), by=actor(), now=datetime.now(UTC)
                )
        if not form.errors:
            done(f"Run {run_id} is being undone. This page tells how far it is.")
            return redirect(url_for(".overview"))
    return render_template("expiry/undo.html", form=form, run=run, zone=house_zone()), 422 if form.errors else 200


def _run(run_id: int) -> ExpiryRun:
    run = database().get(ExpiryRun, run_id)
    if run is None:
        raise NotFound(what="expiry run", name=run_id)
    return run
