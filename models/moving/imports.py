"""Imports: a file's rows, stored until they are written, and what people decide about them.

Main verbs: `upload` and `write`. What takes long (judging, writing, undoing) is asked for here and done by a worker
(models/moving/working.py). The action log has a line for the writing and for the undoing, with counts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import BinaryIO, NamedTuple

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from models.database.naming import visible
from models.errors import (
    ColumnsMissing,
    ColumnTwice,
    CountChanged,
    ImportNotWritable,
    NoRows,
    NoSuchColumn,
    NotFound,
    UnknownColumns,
    WrongState,
)
from models.moving import columns, files
from models.moving.columns import COLUMNS, Kind
from models.moving.tables import BEFORE_WRITING, ImportRow
from models.moving.tables import Import as Import
from models.moving.tables import ImportState as ImportState
from models.moving.tables import Verdict as Verdict
from models.staff import actions
from models.staff.actions import Actor
from models.wording import joined
from runtime.language import noted, say, stored

KEEP_DAYS = 30
TOO_OLD = stored("It was not written within {days} days.")
"""How long the rows of a file that is not written are kept."""


# Copying lasts as long as the file; the default is for statements of a request.
_PATIENT = text("SELECT set_config('statement_timeout', '10min', true)")
_COPY = "COPY import_rows (import_id, number, cells) FROM STDIN"


def upload(
    session: Session, kind: Kind, stream: BinaryIO, *, file_name: str, by: Actor, credits_from: date | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Import:  # fmt: skip
    """Store the rows of a CSV file; a worker judges them next. Nothing is kept of a file that cannot be read.

    `mapping` says what columns of other names are: their name -> our name, or "" to leave one out. The mapping
    of the last file of that kind counts as well. An unknown column leaves the import unmapped. Raises UnreadableFile
    or NoSuchColumn.
    """
    header, rows = files.read(stream)
    known = {**_last_mapping(session, kind), **_checked(kind, mapping or {})}
    theirs = {columns.plain(name) for name in header}
    made = Import(
        kind=kind.value, file_name=visible(file_name)[:200] or "file.csv", header=header,
        mapping={name: key for name, key in known.items() if columns.plain(name) in theirs},
        credits_from=credits_from, state=ImportState.UNMAPPED.value, rows=0, asked_by=by.name[:200],
        origin=by.origin[:64],
    )  # fmt: skip
    with session.begin_nested():
        session.add(made)
        session.flush()
        made.rows = _store(session, made.id, rows)
        if not made.rows:
            raise NoRows
        _go_on(made)
        session.flush()
    return made


def _store(session: Session, import_id: int, rows: Iterator[files.Row]) -> int:
    """Copy the rows as they are read, so that a file of any size takes no memory."""
    session.execute(_PATIENT)
    raw = session.connection().connection.driver_connection
    assert raw is not None  # noqa: S101 -- narrows the type
    stored = 0
    with raw.cursor().copy(_COPY) as copy:
        for number, cells in rows:
            copy.write_row((import_id, number, json.dumps(cells, ensure_ascii=False)))
            stored += 1
    return stored


def _last_mapping(session: Session, kind: Kind) -> dict[str, str]:
    latest_of = select(Import.mapping).where(Import.kind == kind.value, Import.mapping != {})
    return session.scalar(latest_of.order_by(Import.id.desc()).limit(1)) or {}


def _checked(kind: Kind, mapping: Mapping[str, str]) -> dict[str, str]:
    """The mapping with our columns by their names. Raises NoSuchColumn."""
    ours = {columns.plain(column.key): column.name for column in COLUMNS[kind]}
    for wanted in mapping.values():
        if wanted.strip() and columns.plain(wanted) not in ours:
            raise NoSuchColumn(name=wanted, known=", ".join(ours.values()))
    return {theirs: ours.get(columns.plain(wanted), "") for theirs, wanted in mapping.items()}


def _go_on(made: Import) -> None:
    """To judging, if it is known what its columns are. Raises ColumnTwice or ColumnsMissing."""
    keys = made.keys
    for key in filter(None, keys):
        if keys.count(key) > 1:
            twice = joined([repr(name) for name, one in zip(made.header, keys, strict=True) if one == key])
            raise ColumnTwice(columns=twice, name=columns.plain(key))
    if made.unknown_columns:
        return
    if missing := made.missing_columns:
        raise ColumnsMissing(columns=", ".join(missing))
    made.state = ImportState.JUDGING.value


def map_columns(session: Session, import_id: int, mapping: Mapping[str, str], *, by: Actor) -> Import:
    """Say of columns which they are: their name -> our name, or "" to leave one out. Then its rows are judged.

    Raises WrongState once it is being written, NoSuchColumn, UnknownColumns, ColumnTwice, ColumnsMissing or NotFound.
    """
    made = _locked(session, import_id, noted("mapped"), ImportState.UNMAPPED, ImportState.JUDGED, ImportState.FAILED)
    before = made.mapping, made.state
    try:
        made.mapping = {**made.mapping, **_checked(Kind(made.kind), mapping)}
        if unknown := made.unknown_columns:
            raise UnknownColumns(columns=", ".join(unknown))
        _go_on(made)
    except Exception:
        made.mapping, made.state = before
        raise
    _ask(made, ImportState.JUDGING, by)
    session.flush()
    return made


def judge_again(session: Session, import_id: int, *, by: Actor) -> Import:
    """Judge its rows again, after what they name was mended here. Raises WrongState or NotFound."""
    made = _locked(session, import_id, noted("judged again"), ImportState.JUDGED, ImportState.FAILED)
    _ask(made, ImportState.JUDGING, by)
    session.flush()
    return made


def write(session: Session, import_id: int, *, expected: int, reason: str, by: Actor) -> Import:
    """Write all of its new rows, or none: a worker does it next, after it has judged them once more.

    `expected` is the number of new rows that the person has seen. Raises ImportNotWritable, CountChanged,
    ReasonMissing, TextTooLong or NotFound.
    """
    why = actions.reason_given(reason)
    made = _locked(session, import_id, noted("written"))
    if refusal := made.why_not_written:
        raise ImportNotWritable(number=import_id, why=refusal)
    if made.new_rows != expected:
        raise CountChanged(expected=expected, found=made.new_rows)
    made.reason = why
    _ask(made, ImportState.WRITING, by)
    session.flush()
    return made


def undo(session: Session, import_id: int, *, reason: str, by: Actor) -> Import:
    """Undo all that it wrote: a worker does it next, unless something of it was used by then.

    Raises WrongState, ReasonMissing, TextTooLong or NotFound.
    """
    why = actions.reason_given(reason)
    made = _locked(session, import_id, noted("undone"), ImportState.WRITTEN)
    made.reason = why
    _ask(made, ImportState.UNDOING, by)
    session.flush()
    return made


def discard(session: Session, import_id: int, *, by: Actor) -> Import:
    """Delete its rows, of which nothing is written. Raises WrongState or NotFound."""
    made = _locked(session, import_id, noted("discarded"), *BEFORE_WRITING)
    made.asked_by, made.origin = by.name[:200], by.origin[:64]
    _discard(session, made, None)
    return made


def _discard(session: Session, made: Import, why: str | None) -> None:
    session.execute(delete(ImportRow).where(ImportRow.import_id == made.id))
    made.state, made.problem = ImportState.DISCARDED.value, why
    made.finished_at = session.scalars(select(func.clock_timestamp())).one()
    session.flush()


def prune(session: Session, *, limit: int = 1) -> int:
    """Discard up to `limit` imports that were uploaded weeks ago and not written. Commit, and call until it is 0."""
    old = select(Import).where(
        Import.state.in_(BEFORE_WRITING),
        Import.uploaded_at < func.statement_timestamp() - func.make_interval(0, 0, 0, KEEP_DAYS),
    )
    found = session.scalars(old.order_by(Import.id).limit(limit).with_for_update(skip_locked=True)).all()
    for made in found:
        _discard(session, made, TOO_OLD.format(days=KEEP_DAYS))
    return len(found)


def _ask(made: Import, state: ImportState, by: Actor) -> None:
    made.state, made.asked_by, made.origin = state.value, by.name[:200], by.origin[:64]
    made.done, made.attempts, made.problem = 0, 0, None


def _locked(session: Session, import_id: int, verb: str, *states: ImportState) -> Import:
    made = session.get(Import, import_id, with_for_update=True, populate_existing=True)
    if made is None:
        raise NotFound(what="import", name=import_id)
    if states and made.state not in states:
        raise WrongState(what=say("Import {id}", id=import_id), state=made.state, verb=verb)
    return made


def the_import(session: Session, import_id: int) -> Import:
    """That import. Raises NotFound."""
    made = session.get(Import, import_id, populate_existing=True)
    if made is None:
        raise NotFound(what="import", name=import_id)
    return made


def latest(session: Session, *, limit: int = 100) -> Sequence[Import]:
    """The latest imports, the newest first."""
    return session.scalars(select(Import).order_by(Import.id.desc()).limit(limit)).all()


class Problem(NamedTuple):
    """What is wrong with a row, or differs from what is here: the column, and what to do."""

    column: str
    message: str


class RowLine(NamedTuple):
    """A row for people to look at; once written, only its number and what it made."""

    number: int
    verdict: str | None
    email: str | None
    name: str | None
    problems: list[Problem]
    member_id: int | None
    membership_id: int | None
    grant_id: int | None


def rows(
    session: Session, import_id: int, *, limit: int, verdict: Verdict | None = None, after: int = 0
) -> list[RowLine]:
    """Up to `limit` rows behind that number, in their order: all, or those with that verdict."""
    keys = the_import(session, import_id).keys
    query = select(ImportRow).where(ImportRow.import_id == import_id, ImportRow.number > after)
    if verdict:
        query = query.where(ImportRow.verdict == verdict.value)
    return [_line(row, keys) for row in session.scalars(query.order_by(ImportRow.number).limit(limit))]


def _line(row: ImportRow, keys: Sequence[str | None]) -> RowLine:
    values = dict(zip(keys, row.cells or (), strict=False))
    problems = [Problem(**one) for one in row.problems or ()]
    return RowLine(
        row.number, row.verdict, values.get("email"), values.get("name"), problems, row.member_id, row.membership_id,
        row.grant_id,
    )  # fmt: skip


class Fault(NamedTuple):
    """What is wrong with one or more rows in the same way, or differs in the same way."""

    verdict: str
    column: str
    message: str
    rows: int
    """How many rows."""
    numbers: Sequence[int]
    """The first of them, in their order."""

    @property
    def where(self) -> str:
        """The numbers of the rows: `2-101, 105`, and `...` behind them if there are more."""
        runs: list[list[int]] = []
        for number in self.numbers:
            if runs and runs[-1][-1] == number - 1:
                runs[-1][1:] = [number]
            else:
                runs.append([number])
        ranges = ["-".join(map(str, run)) for run in runs[:_RUNS]]
        return ", ".join(ranges + ["..."] * (len(runs) > _RUNS or self.rows > len(self.numbers)))


_RUNS = 10
"""So many runs of rows are named."""

_FAULTS = text("""
    SELECT r.verdict, wrong."column", wrong.message, count(*) AS rows,
           (array_agg(r.number ORDER BY r.number))[1:10000] AS numbers
    FROM import_rows r CROSS JOIN LATERAL jsonb_to_recordset(r.problems) AS wrong ("column" text, message text)
    WHERE r.import_id = :id AND r.verdict IN ('refused', 'conflict') AND r.problems IS NOT NULL
    GROUP BY r.verdict, wrong."column", wrong.message
    ORDER BY r.verdict DESC, min(r.number), wrong."column", wrong.message
    LIMIT :limit
""")


def faults(session: Session, import_id: int, *, limit: int) -> list[Fault]:
    """Up to `limit` of what is wrong, each once with all of its rows; what is refused first."""
    return [Fault(*row) for row in session.execute(_FAULTS, {"id": import_id, "limit": limit})]


class Total(NamedTuple):
    """Rows of one club and one offer or item that have the same verdict; of balances, the sessions that are left."""

    club: str | None
    what: str | None
    verdict: str
    rows: int
    sessions: int | None


def totals(session: Session, import_id: int) -> list[Total]:
    """The rows by club, by offer or item, and by verdict. What a refused row does not say is None."""
    row = ImportRow
    count = func.count()
    query = select(row.club, row.what, row.verdict, count, func.sum(row.sessions))
    query = query.where(row.import_id == import_id, row.verdict.is_not(None)).group_by(row.club, row.what, row.verdict)
    ordered = query.order_by(row.club.nulls_last(), row.what.nulls_last(), row.verdict)
    return [Total._make(line) for line in session.execute(ordered)]
