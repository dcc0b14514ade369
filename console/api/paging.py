"""Lists in pages by keyset: a cursor names the last row of a page, so pages neither repeat nor skip rows."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

from console.api.fields import Answer, Cursor, Limit, Query, field, parameter
from console.api.problems import Fault, InvalidRequest
from console.request import database, parse_id

Row = TypeVar("Row", bound=Answer)
Table = TypeVar("Table")


class PageQuery(Query):
    """The part of a list."""

    cursor: Cursor | None = parameter("`next_cursor` of the page before; none for the first page.", None, default=None)
    limit: Limit = parameter("The most rows on one page.", 50, default=50)

    def last_seen(self, what: str) -> int | None:
        """The id in the cursor; None for the first page. Raises InvalidRequest for the cursor of another list."""
        if self.cursor is None:
            return None
        try:
            kind, _, text = urlsafe_b64decode(self.cursor + "==").decode("ascii").partition(" ")
        except ValueError:
            raise wrong_cursor() from None
        last = parse_id(text)
        if kind != what or last is None:
            raise wrong_cursor()
        return last


class Listing(Answer, Generic[Row]):
    """A page of a list."""

    data: list[Row] = field("This page.", [])
    next_cursor: str | None = field("`cursor` of the page after this one; null on the last.", "bWVtYmVycyA1MA")


def wrong_cursor() -> InvalidRequest:
    """The error for a cursor that does not fit the list."""
    return InvalidRequest([Fault(parameter="cursor", detail="Give the next_cursor of a page of this list.")])


def cursor(what: str, last: int | None) -> str | None:
    """The cursor that goes on after the row with that id; None on the last page."""
    return None if last is None else urlsafe_b64encode(f"{what} {last}".encode()).decode().rstrip("=")


def page(
    rows: Select[Table], by: InstrumentedAttribute[int], query: PageQuery, *, newest: bool = False
) -> tuple[Sequence[Table], str | None]:
    """A page of these rows by id, the lowest or the newest first, and the cursor of the next page."""
    what = by.class_.__tablename__
    if (seen := query.last_seen(what)) is not None:
        rows = rows.where(by < seen if newest else by > seen)
    ordered = rows.order_by(by.desc() if newest else by).limit(query.limit + 1)
    found: Sequence[Table] = database().scalars(ordered).all()
    last = getattr(found[query.limit - 1], by.key) if len(found) > query.limit else None
    return found[: query.limit], cursor(what, last)
