"""PURE: CSV for spreadsheets, for every export: each field in quotes, and no text that one would take for a formula.

After OWASP's "CSV Injection". A formula is made harmless wherever a cell might begin: at the start of the text, and
after each character by which some program or country separates cells.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO

Cell = str | int | None

_SEPARATORS = r";,|\t\r\n"
# Blanks, marks that nobody sees, and quotes; and = + - @ with their wide and small forms.
_SKIPPED = r"[\s\"\x00-\x1f\x7f-\xa0\u200b-\u200f\u2060\ufeff]*"
_BEGINS = r"[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]"
_FORMULA = re.compile(f"(?:^|(?<=[{_SEPARATORS}]))(?={_SKIPPED}{_BEGINS})")
_HARMLESS = re.compile(f"(?:^|(?<=[{_SEPARATORS}]))'(?={_SKIPPED}{_BEGINS})")


def pieces(headings: Sequence[str], batches: Iterable[Iterable[Sequence[Cell]]]) -> Iterator[str]:
    """The file in pieces, one of each batch of rows and its headings before the first; lines end as RFC 4180 has it."""
    text = StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(headings)
    for batch in batches:
        writer.writerows([plain(cell) if isinstance(cell, str) else cell for cell in row] for row in batch)
        yield _taken(text)
    yield _taken(text)


def plain(text: str) -> str:
    """The text with an apostrophe before all that a spreadsheet would compute."""
    return _FORMULA.sub("'", text)


def as_written(text: str) -> str:
    """The text before `plain` made it harmless."""
    return _HARMLESS.sub("", text)


def _taken(text: StringIO) -> str:
    piece = text.getvalue()
    text.seek(0)
    text.truncate()
    return piece
