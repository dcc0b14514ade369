"""Commands about moving in: import people, balances, list, show, undo, template."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import click
from sqlalchemy.orm import Session

from console.cli import show
from console.cli.installed import Failed, database, opened, operator, reason_option
from console.cli.moments import DAY
from models.errors import UnknownColumns
from models.moving import imports, working
from models.moving.columns import COLUMNS, Kind, template
from models.moving.imports import Fault, Import, ImportState, Total, Verdict
from models.wording import counted

SHOWN = 100
"""So many different faults are printed; with --json, so many refused rows, and so many in conflict."""

_file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_map = click.option(
    "--map", "mapped", multiple=True, metavar="THEIRS=OURS", help="A column's name in the file, and ours; or THEIRS=."
)
_write = click.option("--write", "is_written", is_flag=True, help="Write it, if nothing is refused or in conflict.")
_why = click.option("--reason", help="Needed with --write; kept in the action log.")


@click.group("import", invoke_without_command=True)
@click.pass_context
@show.json_option
def import_group(context: click.Context) -> None:
    """Bring people or opening balances along from a CSV file; list, show or undo imports.

    Nothing is written without --write: each row is judged, and what would change is shown.
    """
    if not context.invoked_subcommand:
        context.invoke(list_imports)


@import_group.command("people")
@_file
@_map
@click.option("--credits-from", type=DAY, help="The cut-over, for rows that say none: payments count from then on.")
@_write
@_why
@show.json_option
def people(
    file: Path, mapped: tuple[str, ...], credits_from: date | None, is_written: bool, reason: str | None
) -> None:
    """Import members and their memberships from FILE, a row per membership."""
    _import(Kind.PEOPLE, file, mapped, credits_from, is_written, reason)


@import_group.command("balances")
@_file
@_map
@_write
@_why
@show.json_option
def balances(file: Path, mapped: tuple[str, ...], is_written: bool, reason: str | None) -> None:
    """Import the sessions that members have left from FILE, a row per member, item and last usable day."""
    _import(Kind.BALANCES, file, mapped, None, is_written, reason)


def _import(
    kind: Kind, file: Path, mapped: tuple[str, ...], credits_from: date | None, is_written: bool, reason: str | None
) -> None:
    mapping = dict(_pair(text) for text in mapped)
    if is_written and not reason:
        raise click.UsageError("Give --reason with --write.")
    with opened() as (loaded, make):
        endpoints = [endpoint.name for endpoint in loaded.endpoints]
        with file.open("rb") as stream, make.begin() as session:
            made = imports.upload(
                session, kind, stream, file_name=file.name, by=operator(), credits_from=credits_from, mapping=mapping
            )
            if unknown := made.unknown_columns:
                raise Failed(_unknown(unknown, made.missing_columns))
        working.finish(make, made.id, endpoints=endpoints)
        with make.begin() as session:
            made = imports.the_import(session, made.id)
            if is_written and not made.why_not_written:
                imports.write(session, made.id, expected=made.new_rows, reason=reason or "", by=operator())
        working.finish(make, made.id, endpoints=endpoints)
        with make.begin() as session:
            made = imports.the_import(session, made.id)
            report = _report(session, made)
            wrong, is_done = made.refused_rows + made.conflict_rows, made.state == ImportState.WRITTEN
            problem = made.problem
            if not is_done:  # what was only tried keeps nobody's data, also where nobody reads on
                imports.discard(session, made.id, by=operator())
    _show(report)
    if made.new_rows and not (is_written or wrong):
        click.echo("Nothing was written. Add --write and --reason to write it.", err=True)
    if wrong:
        raise Failed(f"{counted(wrong, 'row')} refused or in conflict: nothing was written.")
    if is_written and problem:
        raise Failed(problem)


def _unknown(columns: Sequence[str], missing: Sequence[str]) -> str:
    """What to do about columns that are not known; as an example one that is missing."""
    error = UnknownColumns(columns=", ".join(map(repr, columns)))
    ours = missing[0] if missing else "OURS"
    return f'{error} For example --map "{columns[0]}={ours}", or --map "{columns[0]}=" to leave it out.'


def _pair(text: str) -> tuple[str, str]:
    theirs, equals, ours = text.rpartition("=")
    if not equals or not theirs:
        raise click.BadParameter(f"{text!r} is not of the form THEIRS=OURS")
    return theirs, ours


@import_group.command("list")
@show.json_option
def list_imports() -> None:
    """List the imports, the newest first."""
    with database() as session:
        rows = [
            {
                "id": one.id, "kind": one.kind, "file": one.file_name, "state": one.state, "rows": one.rows,
                "new": one.new_rows, "the same": one.same_rows, "conflict": one.conflict_rows,
                "refused": one.refused_rows, "by": one.asked_by, "uploaded": one.uploaded_at, "problem": one.problem,
            }
            for one in imports.latest(session)
        ]  # fmt: skip
    show.listing(
        rows, "id", "kind", "file", "state", "rows", "new", "the same", "conflict", "refused", "by", "uploaded"
    )


@import_group.command("show")
@click.argument("number", type=click.IntRange(min=1), metavar="ID")
@show.json_option
def show_import(number: int) -> None:
    """Show an import: what became of it, its totals, and the rows that are refused or in conflict."""
    with database() as session:
        report = _report(session, imports.the_import(session, number))
    _show(report)


@import_group.command("undo")
@click.argument("number", type=click.IntRange(min=1), metavar="ID")
@reason_option
@show.json_option
def undo(number: int, reason: str) -> None:
    """Undo all that an import wrote, while nothing of it was used."""
    with opened() as (loaded, make):
        with make.begin() as session:
            imports.undo(session, number, reason=reason, by=operator())
        working.finish(make, number, endpoints=[endpoint.name for endpoint in loaded.endpoints])
        with make.begin() as session:
            made = imports.the_import(session, number)
            state, problem, rows = made.state, made.problem, made.new_rows
    if state != ImportState.UNDONE:
        raise Failed(problem or f"Import {number} is {state}.")
    show.answer({"import": number, "state": state}, f"Import {number} is undone: {counted(rows, 'row')}.")


@import_group.command("template")
@click.argument("kind", type=click.Choice([kind.value for kind in Kind]))
@click.option("--explain", is_flag=True, help="Say what each column takes, instead.")
@show.json_option
def print_template(kind: str, explain: bool) -> None:
    """Print a file to begin with: its columns, and a row of examples."""
    if not explain:
        click.echo(template(Kind(kind)), nl=False)
        return
    rows = [
        {"column": one.name, "required": one.required, "takes": one.takes, "example": one.example}
        for one in COLUMNS[Kind(kind)]
    ]
    show.listing(rows, "column", "required", "takes", "example")


class Report(NamedTuple):
    """All that is said of an import."""

    answer: dict[str, Any]
    """For --json."""
    totals: Sequence[Total]
    faults: Sequence[Fault]
    """What is wrong, each once."""


def _report(session: Session, made: Import) -> Report:
    totals = imports.totals(session, made.id)
    wrong = [
        {"row": row.number, "verdict": row.verdict, "email": row.email, **problem._asdict()}
        for verdict in (Verdict.REFUSED, Verdict.CONFLICT)
        for row in imports.rows(session, made.id, verdict=verdict, limit=SHOWN)
        for problem in row.problems
    ]  # fmt: skip
    counts = {
        "new": made.new_rows, "same": made.same_rows, "conflict": made.conflict_rows, "refused": made.refused_rows,
    }  # fmt: skip
    answer = {
        "import": made.id, "kind": made.kind, "file": made.file_name, "state": made.state, "rows": made.rows,
        **counts, "problem": made.problem, "totals": [one._asdict() for one in totals], "problems": wrong,
    }  # fmt: skip
    return Report(answer, totals, imports.faults(session, made.id, limit=SHOWN + 1))


def _show(report: Report) -> None:
    said = report.answer
    if show.as_json(said):
        return
    click.echo(f"Import {said['import']}, {said['file']}: {said['state']}, {counted(said['rows'], 'row')}.")
    click.echo(", ".join(f"{said[name]:,} {name}" for name in ("new", "same", "conflict", "refused")))
    if said["problem"]:
        click.echo(said["problem"])
    show.table(["club", "offer or item", "verdict", "rows", "sessions"], [list(one) for one in report.totals])
    if report.faults:
        click.echo("What has to be mended:")
        show.table(
            ["rows", "how many", "column", "why"],
            [[one.where, one.rows, one.column, one.message] for one in report.faults[:SHOWN]],
        )
        if len(report.faults) > SHOWN:
            click.echo(f"These are the first {SHOWN}; mend them, and try the file again.")
