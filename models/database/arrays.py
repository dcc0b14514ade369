"""Many rows as one statement's parameters: PostgreSQL array literals, for `unnest`.

The driver formats arrays element by element in Python. Written out here, the same columns take a fifth of the time,
which is most of what crediting spends in Python.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Result
from sqlalchemy.orm import Session

from models.database.base import prose

NUMBERS = {"bigint", "int"}


class Batch:
    """A statement over many rows at once. `ROWS` in its text is a table `new` with these columns, of these types.

    A type is PostgreSQL's, or `prose` for text that may quote others (models/database/base.py).
    """

    def __init__(self, sql: str, **types: str) -> None:
        arrays = ", ".join(f"CAST(:{name} AS {kind.replace('prose', 'text')}[])" for name, kind in types.items())
        self._columns = [(name, _plain if kind in NUMBERS else array) for name, kind in types.items()]
        rows = f"unnest({arrays}) AS new ({', '.join(types)})"
        self._statement = prose(sql.replace("ROWS", rows), *(name for name, kind in types.items() if kind == "prose"))

    def execute(
        self, session: Session | Connection, rows: Sequence[Sequence[object]], **values: object
    ) -> Result[*tuple[Any, ...]]:
        """Run the statement with these rows, whose order of columns is that of `types`, and further parameters."""
        return session.execute(self._statement, {**self._arrays(rows), **values})

    def _arrays(self, rows: Sequence[Sequence[object]]) -> dict[str, str]:
        """Each name with its column of the rows, as an array literal to be cast."""
        columns = zip(*rows, strict=True) if rows else [()] * len(self._columns)
        return {name: write(column) for (name, write), column in zip(self._columns, columns, strict=True)}


def _plain(values: Iterable[object]) -> str:
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def array(values: Iterable[object]) -> str:
    """An array literal of numbers, texts, booleans or times; None is NULL. Not for bytes or nested arrays."""
    column = list(values)
    if column and None not in column:
        # All at once, unless one of them has to be escaped: that is a third of the work.
        joined = '","'.join(map(str, column))
        if "\\" not in joined and joined.count('"') == 2 * len(column) - 2:
            return f'{{"{joined}"}}'
    return "{" + ",".join(["NULL" if value is None else _quoted(str(value)) for value in column]) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
