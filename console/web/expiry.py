"""Expiry: what expires next, and the runs that wrote down what has expired. A person allows a stopped run, or has a
wrong one undone."""

from collections.abc import Iterator

from flask import Response, g, url_for
from wtforms import RadioField, SelectChoice

from console import expiring_csv
from console.request import actor, database, utc_now
from console.rows import row
from console.web.access import Answer, Pages, Role, club_ids
from console.web.fields import Day, query_id
from console.web.forms import ReasonForm, page, why
from models.ledger import expiry, expiry_undo
from models.ledger.expiry import ExpiryRun
from models.staff.actions import Action
from models.statements import expiring
from runtime.language import noted, say

pages = Pages("expiry", __name__, url_prefix="/expiry")

PAGE_SIZE = 25
"""Runs on one page."""
DAYS = 7


class UndoForm(ReasonForm):
    """The day until which the sessions can be used again, and the reason."""

    until = RadioField(
        "Then the sessions",
        choices=[SelectChoice("day", "can be used to the end of a day"), SelectChoice("never", "never expire")],
        default="day",
    )
    last_day = Day("Last usable day", description="Local at the club of each grant.")
    reason = why(autofocus=False)  # defined after the day, because fields stand in the order of definition

    def validate_last_day(self, field: Day) -> None:
        """Ask for a day where the sessions are to expire."""
        if self.until.data == "never":
            field.data, field.errors = None, []
        elif not any(field.raw_data or []):
            field.errors = [noted("Choose the last day on which the sessions can be used.")]


@pages.page("/", Role.VIEWER)
def overview() -> Answer:
    """The sessions that expire next, the stopped run if there is one, and all runs, newest first."""
    session, now = database(), utc_now()
    runs = expiry.page(session, limit=PAGE_SIZE, before=query_id("before"))
    acts = {act for run in runs.runs for act in (run.allowed_by, run.undone_by) if act}
    return page(
        "expiry/overview.html",
        stopped=expiry.stopped(session),
        page=runs,
        days=DAYS,
        acts={act: session.get_one(Action, act) for act in acts},
        expiring=expiring.summary(session, now, days=DAYS, club_ids=club_ids()),
        undoing=any(run.state == "undoing" for run in runs.runs),
    )


@pages.page("/expiring.csv", Role.VIEWER)
def export() -> Answer:
    """Every grant that expires within the week as CSV, streamed in batches."""
    factory, now, clubs = g.factory, utc_now(), club_ids()

    def lines() -> Iterator[str]:
        # The request's own session is over before the last line is sent.
        with factory() as session:
            yield from expiring_csv.lines(session, now, days=DAYS, club_ids=clubs)

    headers = {"Content-Disposition": f'attachment; filename="expiring-{now:%Y-%m-%d}.csv"'}
    return Response(lines(), mimetype="text/csv", headers=headers)


@pages.form("/<id:run_id>/allow", Role.OPERATOR)
def allow(run_id: int) -> Answer:
    """Let a stopped run go on."""
    run, form = row(ExpiryRun, run_id), ReasonForm()

    def act() -> tuple[str, str]:
        expiry.allow(database(), run_id, reason=form.text("reason"), by=actor())
        text = say("Run {id} goes on. What has expired is written down within a minute.", id=run_id)
        return text, url_for(".overview")

    return form.submitted(act) or page("expiry/allow.html", form=form, run=run)


@pages.form("/<id:run_id>/undo", Role.OPERATOR)
def undo(run_id: int) -> Answer:
    """Have a worker undo a run."""
    run, form = row(ExpiryRun, run_id), UndoForm()

    def act() -> tuple[str, str]:
        last_day, reason = form.last_day.data, form.text("reason")
        expiry_undo.undo(database(), run_id, last_day=last_day, reason=reason, by=actor(), now=utc_now())
        return say("Run {id} is being undone. This page shows its progress.", id=run_id), url_for(".overview")

    return form.submitted(act) or page("expiry/undo.html", form=form, run=run)
