"""What lapses next as CSV, for spreadsheets: text that one would take for a formula gets an apostrophe."""

import csv
from collections.abc import Iterator
from datetime import datetime
from io import StringIO

from sqlalchemy.orm import Session

from models import lapsing

HEADINGS = ("member", "e-mail", "club", "item", "sessions", "last usable day")


def lines(session: Session, now: datetime, *, days: int, limit: int = lapsing.BATCH) -> Iterator[str]:
    """The file in pieces, a batch of lots in each, the next to lapse first; lines end as RFC 4180 has it.

    Each batch is a transaction of its own, so that whoever takes them slowly keeps nothing open.
    """
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADINGS)
    last = None
    while lots := lapsing.batch(session, now, days=days, after=last, limit=limit):
        session.commit()
        for lot in lots:
            names = map(plain, (lot.member, lot.email, lot.club, lot.item))
            writer.writerow([*names, lot.sessions, lot.last_day.isoformat()])
        yield _taken(text)
        last = lots[-1]
    yield _taken(text)


def plain(cell: str) -> str:
    """The text such that no spreadsheet computes it."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _taken(text: StringIO) -> str:
    piece = text.getvalue()
    text.seek(0)
    text.truncate()
    return piece
