"""Lists in pages. A cursor names the last row that was seen, so pages neither repeat nor skip rows as others come."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Select, true
from sqlalchemy.orm import InstrumentedAttribute

from console.api.fields import Answer, Cursor, Id, Limit, Query, field, parameter
from console.api.problems import Fault, InvalidRequest
from console.request import database

Row = TypeVar("Row", bound=Answer)
Table = TypeVar("Table")

_ID = TypeAdapter(Id)


class PageQuery(Query):
    """Which part of a list."""

    cursor: Cursor | None = parameter("`next_cursor` of the page before; none for the first page.", None, default=None)
    limit: Limit = parameter("The most that one page has.", 50, default=50)

    def last_seen(self, what: str) -> int | None:
        """The id in the cursor; None for the first page. Raises InvalidRequest for any but a cursor of this list."""
        if self.cursor is None:
            return None
        try:
            kind, _, text = urlsafe_b64decode(self.cursor + "==").decode("ascii").partition(" ")
            if kind == what:
                return _ID.validate_json(text)
        except (ValueError, ValidationError):
            pass
        raise wrong_cursor()


class Listing(Answer, Generic[Row]):
    """A part of a list."""

    data: list[Row] = field("This page.", [])
    next_cursor: str | None = field("`cursor` of the page after this one; null on the last.", "bWVtYmVycyA1MA")


def wrong_cursor() -> InvalidRequest:
    """What to raise for a cursor that does not fit the list."""
    return InvalidRequest([Fault(parameter="cursor", detail="Give the next_cursor of a page of this list.")])


def cursor(what: str, last: int | None) -> str | None:
    """The cursor that goes on after the row with that id; None for none."""
    return None if last is None else urlsafe_b64encode(f"{what} {last}".encode()).decode().rstrip("=")


def page(
    rows: Select[Table], by: InstrumentedAttribute[int], query: PageQuery, show: Callable[[Table], Row]
) -> dict[str, Any]:
    """A page of these rows by their ids, the lowest first: `data` and `next_cursor`."""
    what = by.class_.__tablename__
    later = rows.order_by(by).where(by > (query.last_seen(what) or 0))
    found, last = _part(later, by, query.limit)
    return {"data": [show(row) for row in found], "next_cursor": cursor(what, last)}


def newest(rows: Select[Table], by: InstrumentedAttribute[int], query: PageQuery) -> tuple[Sequence[Table], str | None]:
    """A page of these rows by their ids, the highest first, and the cursor of the next."""
    what = by.class_.__tablename__
    seen = query.last_seen(what)
    earlier = rows.order_by(by.desc()).where(by < seen if seen else true())
    found, last = _part(earlier, by, query.limit)
    return found, cursor(what, last)


def _part(
    rows: Select[Table], by: InstrumentedAttribute[int], limit: int
) -> tuple[Sequence[Table], int | None]:  # fmt: skip
    """The first rows of these, and the id of the last where more follow."""
    found: Sequence[Table] = database().scalars(rows.limit(limit + 1)).all()
    return found[:limit], getattr(found[limit - 1], by.key) if len(found) > limit else None
