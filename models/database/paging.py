"""Keyset pagination: a page goes on after the last row seen, so that new rows neither repeat nor hide others."""

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

Row = TypeVar("Row")


def newest_first(
    session: Session, query: Select[Row], key: InstrumentedAttribute[int], *, limit: int, before: int | None
) -> tuple[Sequence[Any], int | None]:
    """Up to `limit` rows with lower keys than `before`, and the cursor of the next page; None on the last."""
    if before is not None:
        query = query.where(key < before)
    found = session.scalars(query.order_by(key.desc()).limit(limit + 1)).all()
    return found[:limit], getattr(found[limit - 1], key.key) if len(found) > limit else None
