"""Many rows as one statement's parameters: PostgreSQL array literals, for `unnest`.

The driver formats arrays element by element in Python; written out here, the same
columns take a fifth of the time, which is most of what crediting spends in Python.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import TextClause

from models.database.base import prose


class Batch:
    """Rows that a statement reads as a table, all in one round trip.

        DONE = Batch("done", id="bigint", state="text", reason="prose")
        FINISH = DONE.statement("UPDATE ... FROM {done} WHERE e.id = done.id")
        session.execute(FINISH, DONE.parameters(rows))

    A column's type is PostgreSQL's, or `prose` for text that may quote others (models/database/base.py).
    """

    def __init__(self, name: str, **types: str) -> None:
        self._name = name
        self._parameters = [f"{name}_{column}" for column in types]
        self._prose = [f"{name}_{column}" for column, kind in types.items() if kind == "prose"]
        kinds = ["text" if kind == "prose" else kind for kind in types.values()]
        arrays = [f"CAST(:{one} AS {kind}[])" for one, kind in zip(self._parameters, kinds, strict=True)]
        self._table = f"unnest({', '.join(arrays)}) AS {name} ({', '.join(types)})"

    def statement(self, sql: str) -> TextClause:
        """The statement, in which `{name}` stands for the rows."""
        return prose(sql.replace(f"{{{self._name}}}", self._table), *self._prose)

    def parameters(self, rows: Sequence[Sequence[object]]) -> dict[str, str]:
        """The rows, with their values in the order of the columns."""
        return columns(self._parameters, rows)


def columns(names: Sequence[str], rows: Sequence[Sequence[object]]) -> dict[str, str]:
    """The columns of these rows by name, each as an array literal."""
    return dict(zip(names, map(array, zip(*rows, strict=True)), strict=True)) if rows else dict.fromkeys(names, "{}")


def array(values: Iterable[object]) -> str:
    """An array literal of numbers, texts, booleans or times; None is NULL. Not for bytes, nor for nested arrays."""
    return "{" + ",".join(["NULL" if value is None else _quoted(str(value)) for value in values]) + "}"


def _quoted(text: str) -> str:
    if '"' in text or "\\" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
