"""Imports: a file is uploaded and judged row by row, then written as a whole or not at all; or undone."""

from datetime import date, datetime
from typing import Annotated

from flask import Response
from flask_openapi3 import Tag
from pydantic import Field
from sqlalchemy import select

from console.api.fields import REASON, TIME, Answer, Body, Day, Expected, Why, field, id_of, parameter
from console.api.fields import Query as Parameters
from console.api.files import File, download, upload
from console.api.gate import act, read
from console.api.paging import Listing, PageQuery, cursor, page
from console.request import actor, database
from models.moving import columns, imports
from models.moving.columns import Kind
from models.moving.imports import Import as Made
from models.moving.imports import ImportState, Verdict
from models.staff.accounts import Role

TAG = Tag(
    name="Imports",
    description="People, memberships and opening balances from an earlier system, as CSV. A worker judges every row of "
    "a file first; then all of it is written, or nothing.",
)

AT = "/imports/{id}"


class UploadQuery(Parameters):
    """What a file is about."""

    kind: Kind = parameter("What the file has: `people` (and memberships) or `balances`.", "people")
    credits_from: Day | None = parameter(
        "Of people: the local day from which payments count here, where a row does not say it.",
        "2026-12-01",
        default=None,
    )
    file_name: Annotated[str, Field(min_length=1, max_length=200)] | None = parameter(
        "The name to show; of a form, that of the file.", "members.csv", default=None
    )


class RowsQuery(PageQuery):
    """The rows to list."""

    verdict: Verdict | None = parameter("Only those with this verdict.", "refused", default=None)


class Columns(Body):
    """Which column of the file is which."""

    mapping: dict[str, str] = field(
        "The name of a column of the file -> the name of ours, or an empty text to leave it out. Kept for the next "
        "file of its kind.",
        {"Mail": "email", "Shoe size": ""},
        max_length=100,
    )


class Writing(Body):
    """The confirmation that a file is to be written."""

    expected: Expected = field("The number of new rows that you have seen.", 2000)
    reason: Why = field(REASON, "We move in.")


class Undoing(Body):
    """The confirmation that an import is to be undone."""

    reason: Why = field(REASON, "It was the file of last month.")


class Total(Answer):
    """Rows of one club and one offer or item with the same verdict."""

    club: str | None = field("The club.", "Downtown")
    what: str | None = field("The offer; of balances, the item.", "Gold")
    verdict: Verdict = field("`new`, `same` (here already), `conflict` or `refused`.", "new")
    rows: int = field("How many.", 2000)
    sessions: int | None = field("Of balances: the sessions that are left.", None)


class Import(Answer):
    """A file, and what became of it."""

    id: int = id_of("import")
    kind: Kind = field("What the file has.", "people")
    file_name: str = field("Its name.", "members.csv")
    credits_from: date | None = field("From which local day payments count, where a row does not say it.", "2026-12-01")
    state: ImportState = field(
        "`unmapped` (say which columns are which), `judging`, `judged`, `writing`, `written`, `undoing`, `undone`, "
        "`discarded` or `failed`. Ask again while it ends in ing.",
        "judged",
    )
    problem: str | None = field("What went wrong last.", None)
    unknown_columns: list[str] = field("Columns of the file that are not known yet.", [])
    rows: int = field("Its rows.", 2000)
    done: int = field("Those that are done, of what is being done now.", 2000)
    new_rows: int = field("Rows that would be written.", 2000)
    same_rows: int = field("Rows that are here already.", 0)
    conflict_rows: int = field("Rows that are here already with something else.", 0)
    refused_rows: int = field("Rows that cannot be written.", 0)
    why_not_written: str | None = field("Why it cannot be written; null if it can.", None)
    asked_by: str = field("Who uploaded it, or asked last for something.", "ada@example.com")
    uploaded_at: datetime = field("When it was uploaded.", TIME)
    finished_at: datetime | None = field("When it was written, undone, discarded or given up.", None)


class ImportWithTotals(Import):
    """A file, and what it would do or did."""

    totals: list[Total] = field("Its rows by club, by offer or item, and by verdict.", [])


class Imports(Listing[Import]):
    """Imports, the newest first."""


class RowProblem(Answer):
    """What is wrong with a row, or differs from what is here."""

    column: str = field("The column.", "offer")
    message: str = field("What is wrong, and what to do.", "There is no offer 'Silver'.")


class Row(Answer):
    """One row of a file."""

    number: int = field("As spreadsheets number it: the names of the columns are row 1.", 1733)
    verdict: Verdict | None = field("Its verdict; null until it is judged.", "refused")
    email: str | None = field("Whose it is; null once the file is written, or if it cannot be read.", "ann@example.com")
    name: str | None = field("As above.", "Ann Archer")
    problems: list[RowProblem] = field("What is wrong with it, or differs from what is here.", [])
    member_id: int | None = id_of("member, where it is here")
    membership_id: int | None = id_of("membership, where it is here")
    grant_id: int | None = id_of("credit grant, where it is here")


class Rows(Listing[Row]):
    """Rows of a file, by their number."""


@upload("/imports", TAG, AT, Role.MANAGER)
def upload_import(query: UploadQuery, file: File) -> Import:
    """Upload a file.

    Send it as text/csv, or as the field `file` of a form. It is judged next: nothing is written yet. A file that cannot
    be read is refused, with the row. Uploading the same file again harms nothing: what is here already is the same.
    """
    name = query.file_name or file.name
    made = imports.upload(
        database(), query.kind, file.stream, file_name=name, credits_from=query.credits_from, by=actor()
    )
    return Import.of(made)


@read("/imports", TAG, Role.MANAGER)
def list_imports(query: PageQuery) -> Imports:
    """List the imports, the newest first."""
    found, further = page(select(Made), Made.id, query, newest=True)
    return Imports(data=[Import.of(one) for one in found], next_cursor=further)


@read("/imports/<id:import_id>", TAG, Role.MANAGER)
def get_import(import_id: int) -> ImportWithTotals:
    """Get an import: how far it is, and what it would do, or did."""
    made = imports.the_import(database(), import_id)
    totals = [Total(**one._asdict()) for one in imports.totals(database(), import_id)]
    return ImportWithTotals.of(made, totals=totals)


@read("/imports/<id:import_id>/rows", TAG, Role.MANAGER)
def list_import_rows(import_id: int, query: RowsQuery) -> Rows:
    """List the rows of an import, each with its verdict and what is wrong with it."""
    made = imports.the_import(database(), import_id)
    after = query.last_seen("import_rows") or 0
    found = imports.rows(database(), made.id, limit=query.limit + 1, verdict=query.verdict, after=after)
    last = found[query.limit - 1].number if len(found) > query.limit else None
    shown = [
        Row.of(one, problems=[RowProblem(**problem._asdict()) for problem in one.problems])
        for one in found[: query.limit]
    ]
    return Rows(data=shown, next_cursor=cursor("import_rows", last))


@act("/imports/<id:import_id>/columns", TAG, AT, Role.MANAGER)
def choose_import_columns(import_id: int, body: Columns) -> Import:
    """Say which column of the file is which. Then its rows are judged."""
    return Import.of(imports.map_columns(database(), import_id, body.mapping, by=actor()))


@act("/imports/<id:import_id>/judging", TAG, AT, Role.MANAGER)
def judge_import_again(import_id: int) -> Import:
    """Judge the rows again, after what they name was mended here."""
    return Import.of(imports.judge_again(database(), import_id, by=actor()))


@act("/imports/<id:import_id>/writing", TAG, AT, Role.MANAGER)
def write_import(import_id: int, body: Writing) -> Import:
    """Write all new rows, or none. A worker does it next."""
    return Import.of(imports.write(database(), import_id, expected=body.expected, reason=body.reason, by=actor()))


@act("/imports/<id:import_id>/undoing", TAG, AT, Role.MANAGER)
def undo_import(import_id: int, body: Undoing) -> Import:
    """Undo all that an import wrote.

    A worker does it next, unless something of it was used or changed since: then `problem` names the rows.
    """
    return Import.of(imports.undo(database(), import_id, reason=body.reason, by=actor()))


@act("/imports/<id:import_id>/discarding", TAG, AT, Role.MANAGER)
def discard_import(import_id: int) -> Import:
    """Delete the rows of a file of which nothing is written."""
    return Import.of(imports.discard(database(), import_id, by=actor()))


def _serve_template(kind: Kind) -> None:
    about = f"A file of {kind.noun} to begin with: the names of all columns, and a row of examples."

    @download(f"/import-templates/{kind}.csv", TAG, Role.MANAGER, name=f"get_{kind}_template", about=about)
    def template() -> Response:
        return Response(columns.template(kind), mimetype="text/csv")


for one in Kind:
    _serve_template(one)
