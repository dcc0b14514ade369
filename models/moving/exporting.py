"""Writing exports: files of all there is, now or as of a moment. Main verbs: `begin`, `pieces`.

A file is read with a server-side cursor from one snapshot of the database, so memory stays flat and no two rows
contradict each other. As of a moment it has what was recorded by then.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models import spreadsheet
from models.errors import NotFound
from models.moving.exports import BY_NAME, Export
from models.spreadsheet import Cell
from models.staff import actions, theirs
from models.staff.actions import Actor
from models.staff.theirs import Clubs
from models.wording import amount

BATCH = 2000
"""Rows that are in memory at once."""


def begin(session: Session, name: str, *, as_of: datetime | None, by: Actor) -> Export:
    """Find an export and log that somebody takes it away. Raises NotFound."""
    if (export := BY_NAME.get(name)) is None:
        raise NotFound(what="export", name=name)
    actions.log(session, by, "export", f"{name}, as of {as_of:%Y-%m-%d %H:%M} UTC" if as_of else name)
    return export


def pieces(
    session: Session, export: Export, now: datetime, *, as_of: datetime | None = None, club_ids: Clubs = None
) -> Iterator[str]:
    """The file, of these clubs, as CSV in pieces, without formulas; its session must not do anything else meanwhile."""
    headings = [column.name for column in export.columns]
    return spreadsheet.pieces(headings, _batches(session, export, now, as_of, club_ids))


def _batches(
    session: Session, export: Export, now: datetime, as_of: datetime | None, club_ids: Clubs
) -> Iterator[list[tuple[Cell, ...]]]:
    # Whoever takes the file may take it slowly: a pipe that somebody reads page by page.
    session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '1h'"))
    # The database's clock may be ahead of ours.
    wanted = {"at": as_of or now, "known": as_of or datetime.max.replace(tzinfo=UTC), "clubs": theirs.written(club_ids)}
    money = [place for place, column in enumerate(export.columns) if column.currency]
    rows = session.execute(
        text(export.sql),
        wanted,
        execution_options={"stream_results": True, "max_row_buffer": BATCH},
    )
    for batch in rows.partitions(BATCH):
        yield [_cells(row, money) for row in batch]


def _cells(row: Sequence[Any], money: Sequence[int]) -> tuple[Cell, ...]:
    cells = list(row[: len(row) - len(money)])
    for place, currency in zip(money, row[len(cells) :], strict=True):
        cells[place] = None if cells[place] is None else amount(cells[place], currency)
    return tuple(_cell(value) for value in cells)


def _cell(value: Any) -> Cell:
    """Dates and times by ISO 8601, times in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str | int | None) else str(value)
