"""What lapses next as CSV, a line per lot."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy.orm import Session

from console import spreadsheet
from models.statements import expiring

HEADINGS = ("member", "e-mail", "club", "item", "sessions", "last usable day")


def lines(session: Session, now: datetime, *, days: int, limit: int = expiring.BATCH) -> Iterator[str]:
    """The file in pieces, a batch of lots in each, the next to lapse first.

    Each batch is a transaction of its own, so that whoever takes them slowly keeps nothing open.
    """
    return spreadsheet.pieces(HEADINGS, _batches(session, now, days, limit))


def _batches(session: Session, now: datetime, days: int, limit: int) -> Iterator[list[tuple[str | int, ...]]]:
    last = None
    while lots := expiring.batch(session, now, days=days, after=last, limit=limit):
        session.commit()
        yield [(lot.member, lot.email, lot.club, lot.item, lot.sessions, lot.last_day.isoformat()) for lot in lots]
        last = lots[-1]
