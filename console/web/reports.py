"""Reports for the owner: each with its filter, a plot and its table, and as CSV."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, NamedTuple

from babel.dates import format_date, get_day_names
from flask import request
from sqlalchemy import select
from wtforms import SelectChoice, SelectField
from wtforms.validators import Optional

from console import reported
from console.bounds import club_ids, theirs
from console.request import database, utc_now
from console.web.access import Answer, Pages, Role, needs
from console.web.fields import Day, chosen_id, day_in_range
from console.web.formats import house_zone, short_day, words
from console.web.forms import QueryForm, page
from console.web.plots import Columns, columns, heat
from models.catalogue.clubs import Club
from models.catalogue.days import local_day
from models.catalogue.items import Item
from models.errors import SppError
from models.reports import months
from models.reports.asked import Asked, ask
from models.reports.known import REPORTS, Report
from models.statements import expiring
from runtime.language import Texts, locale, noted, say

pages = Pages("reports", __name__, url_prefix="/reports")

SHOWN = 100
"""Rows of a list of members on its page."""
AGES: Texts = {"to_30": "0 to 30 days", "to_60": "31 to 60 days", "to_90": "61 to 90 days", "older": "Over 90 days"}
HIDDEN = {"club_id", "item_id", "member_id", "membership_id", "email", "currency", "without_value"}
"""Columns that a page says otherwise."""


_DAYS: Mapping[int, str] = {7: noted("7 days"), 30: noted("30 days"), 90: noted("90 days")}


class FilterForm(QueryForm):
    """What a report is asked for; sent with GET."""

    own_names: ClassVar = {"club_id": "club", "item_id": "item"}

    club = SelectField("Club", validate_choice=False)
    item = SelectField("Item", validate_choice=False)
    day = Day("As of the end of", [Optional(), day_in_range], description="Empty: now.")
    days = SelectField(
        "Within", choices=[SelectChoice(str(days), text) for days, text in _DAYS.items()], default="30",
    )  # fmt: skip
    since = Day("From", [Optional(), day_in_range])
    until = Day("Until", [Optional(), day_in_range])


@pages.page("/", Role.MANAGER)
def overview() -> Answer:
    """Every report with what it says."""
    return page("reports/list.html", reports=REPORTS)


def _serve(report: Report) -> None:
    @pages.route(f"/{report.name}", endpoint=report.name.replace("-", "_"))
    @needs(Role.MANAGER)
    def show() -> Answer:
        form = _form(report)
        asked = _asked(form, report)
        if asked is None:
            return page("reports/report.html", True, report=report, form=form, rows=None, reports=REPORTS)
        rows = report.rows(database(), asked)
        drawn = PLOTS[report.name](rows, asked) if report.name in PLOTS else None
        return page(
            "reports/report.html",
            report=report,
            form=form,
            asked=asked,
            rows=rows[:SHOWN] if "limit" in report.asks else rows,
            more="limit" in report.asks and len(rows) > SHOWN,
            plot=drawn,
            totals=months.totals(rows) if report.name == "months" else None,
            hidden=HIDDEN,
            ages=AGES,
            reports=REPORTS,
            weekdays=[get_day_names("abbreviated", locale=locale())[day] for day in range(7)],
        )

    @pages.route(f"/{report.name}.csv", endpoint=f"{report.name.replace('-', '_')}_csv")
    @needs(Role.MANAGER)
    def download() -> Answer:
        form = _form(report)
        asked = _asked(form, report)
        if asked is None:
            return page("reports/report.html", True, report=report, form=form, rows=None, reports=REPORTS)
        return reported.answer(report, asked)


def _form(report: Report) -> FilterForm:
    form = FilterForm(request.args)
    for name in {"day", "days", "since", "until"} - report.asks:
        del form[name]
    session = database()
    clubs = session.scalars(theirs(select(Club)).order_by(Club.name))
    items = session.scalars(select(Item).order_by(Item.name))
    form.club.choices = [SelectChoice("", say("All")), *(SelectChoice(str(one.id), one.name) for one in clubs)]
    form.item.choices = [SelectChoice("", say("All")), *(SelectChoice(str(one.id), one.name) for one in items)]
    return form


def _asked(form: FilterForm, report: Report) -> Asked | None:
    """What the form asks for; None where it is wrong."""
    if not form.validate():
        return None
    chosen: dict[str, Any] = {
        f"{name}_id": chosen_id(form[name].data) if form[name].data else None for name in ("club", "item")
    }
    chosen |= {name: form[name].data for name in ("day", "since", "until") if name in form}
    if "days" in form:
        chosen["days"] = int(form.days.data)
    try:
        most = SHOWN + 1 if "limit" in report.asks else None
        return ask(database(), utc_now(), club_ids=club_ids(), limit=most, **chosen)
    except SppError as error:
        form.refuse(error)
        return None


def _by_age(rows: Sequence[Any], _: Asked) -> Columns:
    items: defaultdict[str, list[int]] = defaultdict(lambda: [0] * 5)
    for row in rows:
        for place, name in enumerate([*AGES, "coming"]):
            items[row.item][place] += getattr(row, name)
    return columns([*map(say, AGES.values()), say("Coming")], items)


def _by_month(rows: Sequence[Any], _: Asked) -> Columns:
    by = months.totals(rows)
    labels = [format_date(row.month, "MMM", locale()) for row in by]
    came = {say("Granted"): [row.granted for row in by], say("Adjusted"): [row.adjusted for row in by]}
    went = {name: [getattr(row, name) for row in by] for name in ("used", "expired", "taken_back")}
    return columns(labels, came, {words(name): values for name, values in went.items()})


def _shares(rows: Sequence[Any], _: Asked) -> Columns:
    names = ("used", "expired", "taken_back", "left")
    by: defaultdict[Any, Counter[str]] = defaultdict(Counter)
    for row in rows:
        by[row.month].update({name: getattr(row, name) for name in names})
    labels = [format_date(month, "MMM", locale()) for month in sorted(by)]
    return columns(labels, {words(name): [by[month][name] for month in sorted(by)] for name in names})


def _by_day(_: Sequence[Any], asked: Asked) -> Columns:
    sessions = expiring.by_day(database(), asked.now, days=asked.days, club_ids=asked.clubs, item_id=asked.item_id)
    today = local_day(asked.now, house_zone())
    return columns([short_day(today + timedelta(days=day)) for day in range(asked.days)], {say("Sessions"): sessions})


class Heat(NamedTuple):
    """A heat map: its cells, and its first and last hour."""

    cells: Sequence[Any]
    first: int
    last: int


def _hours(rows: Sequence[Any], _: Asked) -> Heat:
    hours = [row.hour for row in rows] or [0]
    return Heat(heat({(row.weekday, row.hour): row.sessions for row in rows}), min(hours), max(hours))


PLOTS: dict[str, Callable[[Sequence[Any], Asked], Columns | Heat]] = {
    "outstanding": _by_age,
    "months": _by_month,
    "used-share": _shares,
    "expiring": _by_day,
    "busy-hours": _hours,
}
for one in REPORTS:
    _serve(one)
