"""Imports: a file is uploaded and judged, then imported as a whole by a person who saw what it would do; or undone."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from flask import Response, abort, request, url_for
from flask_wtf.file import FileField, FileRequired
from markupsafe import Markup
from wtforms import HiddenField, RadioField, SelectChoice, SelectField
from wtforms.validators import Optional

from console.request import MAX_FILE_BYTES, actor, database, takes_file
from console.web.access import Answer, Pages, Role
from console.web.fields import Day, day_in_range, query_id
from console.web.forms import Form, ReasonForm, page, pressed
from models.moving import columns, imports
from models.moving.columns import COLUMNS, Kind
from models.moving.imports import Import, ImportState, Total, Verdict
from runtime.language import Texts, noted, say

pages = Pages("imports", __name__, url_prefix="/imports")

PAGE_SIZE = 50
"""Rows on one page."""
MOST_FAULTS = 20
"""So many different faults on a page."""
NOT_SAID = "?"
KINDS: Texts = {Kind.PEOPLE: "People and memberships", Kind.BALANCES: "Opening balances"}


class UploadForm(Form):
    """A file, and what it is about."""

    kind = RadioField("What the file has", choices=[SelectChoice(str(kind), label) for kind, label in KINDS.items()])
    file = FileField(
        "File", [FileRequired(noted("Choose a file."))], render_kw={"accept": ".csv,.tsv,.txt,text/csv"},
        description="CSV in UTF-8 with commas, semicolons or tabs, up to {most} MB. The command spp import takes larger"
        " ones.",
    )  # fmt: skip
    credits_from = Day(
        "Payments count from",
        [Optional(), day_in_range],
        description="Of people: the local day from which payments give sessions here. What was paid earlier was counted"
        " in the earlier system. A row can say another day.",
    )


class WriteForm(ReasonForm):
    """The reason, and the number of rows that the person was shown."""

    count = HiddenField()


def _columns_form(made: Import) -> Form:
    """A choice for each column of the file: which of ours it is, or that it is left out. Names stay as they are."""
    ours = [
        SelectChoice(one.key, one.name, {"translate": "no"})
        if one.required
        else SelectChoice(one.key, say("{column} (optional)", column=one.name))
        for one in _ours(made)
    ]

    class ColumnsForm(Form):
        """Which column is which."""

    for place, key in enumerate(made.keys):
        choices = [SelectChoice("", say("Leave out"))]
        if key is None:
            choices.insert(0, SelectChoice(NOT_SAID, say("Choose")))
        field = SelectField(choices=lambda first=choices: [*first, *ours], default=NOT_SAID if key is None else key)
        setattr(ColumnsForm, f"column{place}", field)
    form = ColumnsForm()
    for place, name in enumerate(made.header):
        form[f"column{place}"].label.text = Markup('<span translate="no">{}</span>').format(name)
    return form


def _ours(made: Import) -> Sequence[columns.Column]:
    return COLUMNS[Kind(made.kind)]


class Line(NamedTuple):
    """The rows of one club and one offer or item, by their verdicts; of balances, the new sessions."""

    club: str | None
    what: str | None
    rows: dict[str, int]
    sessions: int


@pages.page("/", Role.MANAGER)
def overview() -> Answer:
    """The latest imports."""
    return page("imports/list.html", imports=imports.latest(database()), kinds=KINDS)


@pages.page("/template-<name>.csv", Role.MANAGER)
def template(name: str) -> Answer:
    """A file to begin with."""
    if name not in list(Kind):
        abort(404)
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(columns.template(Kind(name)), mimetype="text/csv", headers=headers)


@pages.form("/new", Role.MANAGER)
@takes_file
def new() -> Answer:
    """Upload a file. A worker judges it next; nothing is written yet."""
    form = UploadForm(kind=request.args.get("kind", Kind.PEOPLE.value))
    form.file.description = form.file.description.format(most=MAX_FILE_BYTES >> 20)

    def act() -> tuple[str, str]:
        made = imports.upload(
            database(), Kind(form.kind.data), form.file.data.stream, file_name=form.file.data.filename or "",
            credits_from=form.credits_from.data, by=actor(),
        )  # fmt: skip
        return "", url_for(".show", import_id=made.id)

    return form.submitted(act) or page("imports/new.html", form=form, kinds=KINDS, columns=COLUMNS)


@pages.page("/<id:import_id>", Role.MANAGER)
def show(import_id: int) -> Answer:
    """How far an import is, what it would do, and which rows stand in its way."""
    return _shown(_the(import_id))


def _shown(made: Import, **forms: Form) -> Answer:
    session = database()
    wanted = _verdict(made)
    found = imports.rows(session, made.id, limit=PAGE_SIZE + 1, verdict=wanted, after=query_id("after") or 0)
    counts = {
        Verdict.NEW: made.new_rows, Verdict.CONFLICT: made.conflict_rows, Verdict.REFUSED: made.refused_rows,
        Verdict.SAME: made.same_rows,
    }  # fmt: skip
    faults = imports.faults(session, made.id, limit=MOST_FAULTS + 1) if made.state == ImportState.JUDGED else []
    writing = forms.get("writing") or WriteForm(count=made.new_rows)
    mapping = forms.get("mapping") or (_columns_form(made) if made.state == ImportState.UNMAPPED else None)
    return page(
        "imports/import.html",
        any(form.errors for form in forms.values()),
        made=made,
        kinds=KINDS,
        counts=counts,
        wanted=wanted,
        lines=lines(imports.totals(session, made.id)),
        faults=faults[:MOST_FAULTS],
        further_faults=len(faults) > MOST_FAULTS,
        rows=found[:PAGE_SIZE],
        further=found[PAGE_SIZE - 1].number if len(found) > PAGE_SIZE else None,
        writing=writing,
        mapping=mapping,
    )


def _verdict(made: Import) -> Verdict | None:
    """The verdict whose rows the page shows: the one asked for, or else the first that stands in the way."""
    asked = request.args.get("verdict")
    if asked is not None:
        return Verdict(asked) if asked in list(Verdict) else None
    if made.state != ImportState.JUDGED:
        return None
    return Verdict.REFUSED if made.refused_rows else Verdict.CONFLICT if made.conflict_rows else None


def lines(totals: Sequence[Total]) -> list[Line]:
    """The totals in a line per club and offer or item."""
    rows: defaultdict[tuple[str | None, str | None], dict[str, int]] = defaultdict(dict)
    sessions: defaultdict[tuple[str | None, str | None], int] = defaultdict(int)
    for one in totals:
        rows[one.club, one.what][one.verdict] = one.rows
        if one.verdict == Verdict.NEW:
            sessions[one.club, one.what] += one.sessions or 0
    return [Line(*place, by_verdict, sessions[place]) for place, by_verdict in rows.items()]


@pages.button("/<id:import_id>/columns", Role.MANAGER)
def choose_columns(import_id: int) -> Answer:
    """Say which column is which, for this file and the next ones."""
    made = _the(import_id)
    form = _columns_form(made)

    def act() -> tuple[str, str]:
        chosen = {name: form[f"column{place}"].data for place, name in enumerate(made.header)}
        imports.map_columns(
            database(), import_id, {name: key for name, key in chosen.items() if key != NOT_SAID}, by=actor()
        )
        return "", url_for(".show", import_id=import_id)

    return form.submitted(act) or _shown(made, mapping=form)


@pages.button("/<id:import_id>/write", Role.MANAGER)
def write(import_id: int) -> Answer:
    """Have a worker import all new rows, whose number the person was shown."""
    form = WriteForm()

    def act() -> tuple[str, str]:
        expected = int(form.count.data) if form.count.data and form.count.data.isdecimal() else 0
        imports.write(database(), import_id, expected=expected, reason=form.text("reason"), by=actor())
        return "", url_for(".show", import_id=import_id)

    if answer := form.submitted(act):
        return answer
    made = _the(import_id)
    form.count.data = str(made.new_rows)
    return _shown(made, writing=form)


@pages.button("/<id:import_id>/judge-again", Role.MANAGER)
def judge_again(import_id: int) -> Answer:
    """Have a worker judge the rows again."""

    def act() -> str:
        imports.judge_again(database(), import_id, by=actor())
        return say("Its rows are judged again.")

    return pressed(act, url_for(".show", import_id=import_id))


@pages.button("/<id:import_id>/discard", Role.MANAGER)
def discard(import_id: int) -> Answer:
    """Delete the rows of a file of which nothing is written."""

    def act() -> str:
        imports.discard(database(), import_id, by=actor())
        return say("Import {id} is discarded: its rows are deleted, nothing of it was written.", id=import_id)

    return pressed(act, url_for(".overview"))


@pages.form("/<id:import_id>/undo", Role.MANAGER)
def undo(import_id: int) -> Answer:
    """Have a worker undo an import, unless something of it was used."""
    made, form = _the(import_id), ReasonForm()

    def act() -> tuple[str, str]:
        imports.undo(database(), import_id, reason=form.text("reason"), by=actor())
        return "", url_for(".show", import_id=import_id)

    found = lines(imports.totals(database(), import_id))
    return form.submitted(act) or page("imports/undo.html", form=form, made=made, kinds=KINDS, lines=found)


def _the(import_id: int) -> Import:
    return imports.the_import(database(), import_id)
