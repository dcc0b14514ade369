"""Reading a CSV file strictly, a row at a time: every fault is an error that names the row.

Rows are numbered as spreadsheets do: the first row, with the names of the columns, is row 1; they do not show a line
`sep=;` above it. A file is UTF-8, with or without a byte order mark, and separated by commas, semicolons or tabs. The
limits bound what one row can take of memory.
"""

import csv
from collections.abc import Iterator
from itertools import count
from typing import BinaryIO, NamedTuple

from models.errors import (
    CellTooLong,
    EmptyFile,
    FileTooLarge,
    FormulaInCell,
    LineTooLong,
    NotReadable,
    NotUtf8,
    QuoteNotClosed,
    RowOfOtherLength,
    TooManyColumns,
    TooManyRows,
)
from runtime.language import noted, say

MAX_BYTES, MAX_ROWS, MAX_COLUMNS = 200 << 20, 500_000, 100
MAX_LINE, MAX_CELL = 64 << 10, 2_000
"""Bytes of a line, characters of a cell."""
_BOM = b"\xef\xbb\xbf"
_DELIMITERS = ",;\t"
_CONTROL = {chr(code) for code in range(32)} - set("\t\r\n")


class Row(NamedTuple):
    """One row: its number in a spreadsheet, and its cells."""

    number: int
    cells: list[str]


def read(stream: BinaryIO) -> tuple[list[str], Iterator[Row]]:
    """The names of the columns, and the rows that are not empty, each with as many cells as there are columns.

    Raises an UnreadableFile, also while the rows are read.
    """
    lines = _lines(stream)
    try:
        first = next(lines, "")
        delimiter = _named_delimiter(first)
        first = next(lines, "") if delimiter else first
    except _Fault as fault:
        raise fault.named(1) from None
    if not first.strip():
        raise EmptyFile
    rows = _rows(_chained(first, lines), delimiter or _delimiter(first))
    header = [name.strip() for name in next(rows).cells]
    while header and not header[-1]:
        header.pop()
    if len(header) > MAX_COLUMNS:
        raise TooManyColumns(limit=MAX_COLUMNS, columns=len(header))
    if "" in header:
        raise NotReadable(row=1, why=say("column {n} has no name", n=header.index("") + 1))
    return header, _checked(rows, len(header))


def _checked(rows: Iterator[Row], columns: int) -> Iterator[Row]:
    for number, (place, cells) in enumerate((row for row in rows if any(map(str.strip, row.cells))), start=1):
        if number > MAX_ROWS:
            raise TooManyRows(limit=f"{MAX_ROWS:,}")
        while len(cells) > columns and not cells[-1].strip():
            cells.pop()
        if len(cells) != columns:
            raise RowOfOtherLength(row=place, cells=len(cells), columns=columns)
        yield Row(place, cells)


def _rows(lines: Iterator[str], delimiter: str) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    for number in count(1):
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            why = str(error)
            if "end of data" in why or "field limit" in why:
                raise QuoteNotClosed(row=number) from None
            if "new-line" in why:
                why = noted("it has a line break of an old kind in it")
            raise NotReadable(row=number, why=why) from None
        except _Fault as fault:
            raise fault.named(number) from None
        for cell in cells:
            _check(cell, number)
        yield Row(number, cells)


def _check(cell: str, number: int) -> None:
    if len(cell) > MAX_CELL:
        raise CellTooLong(row=number, limit=f"{MAX_CELL:,}", length=f"{len(cell):,}")
    if cell.startswith(("=", "@")):
        raise FormulaInCell(row=number, begins=cell[:20])
    if not cell.isprintable() and not _CONTROL.isdisjoint(cell):
        raise NotReadable(row=number, why="it has a control character in it")


class _Fault(Exception):
    """A line that cannot be read, before it is known of which row it is."""

    def __init__(self, kind: type[LineTooLong | NotUtf8]) -> None:
        self._kind = kind

    def named(self, row: int) -> LineTooLong | NotUtf8:
        return self._kind(row=row, limit=f"{MAX_LINE:,}")


def _lines(stream: BinaryIO) -> Iterator[str]:
    size = 0
    while raw := stream.readline(MAX_LINE + 1):
        if not size:
            if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise NotUtf8(row=1)
            raw = raw.removeprefix(_BOM) or b"\n"
        size += len(raw)
        if size > MAX_BYTES:
            raise FileTooLarge(limit=MAX_BYTES >> 20)
        if len(raw) > MAX_LINE:
            raise _Fault(LineTooLong)
        try:
            yield raw.decode()
        except UnicodeDecodeError:
            raise _Fault(NotUtf8) from None


def _chained(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _named_delimiter(line: str) -> str | None:
    """What a line `sep=;` above the columns says, as Excel writes and reads it. Raises NotReadable for others."""
    name, _, named = line.rstrip("\r\n").partition("=")
    if name.strip('" ').lower() != "sep":
        return None
    named = named.strip('" ') or named
    if len(named) != 1 or named not in _DELIMITERS:
        raise NotReadable(row=1, why=f"it is separated by {named!r}. Save it with commas, semicolons or tabs")
    return named


def _delimiter(header: str) -> str:
    """What separates most of the names of the columns: spreadsheets of many countries write semicolons."""
    outside = "".join(header.split('"')[::2])
    return max(_DELIMITERS, key=outside.count)
