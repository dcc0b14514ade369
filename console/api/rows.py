"""Rows that a request names by their ids."""

from typing import TypeVar

from console.web.access import database
from models.database.base import Base
from models.errors import NotFound

Row = TypeVar("Row", bound=Base)


def row(table: type[Row], what: str, wanted: int, *, lock: bool = False) -> Row:
    """The row of that id; with `lock`, nobody else changes it meanwhile. Raises NotFound, which names it as `what`."""
    found = database().get(table, wanted, with_for_update=lock or None)
    if found is None:
        raise NotFound(what=what, name=wanted)
    return found
