"""What expires next as CSV, a line per grant."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy.orm import Session

from models import spreadsheet
from models.spreadsheet import Cell
from models.staff.theirs import Clubs
from models.statements import expiring

HEADINGS = ("member", "e-mail", "club", "item", "sessions", "last usable day", "usable from")


def lines(
    session: Session, now: datetime, *, days: int, limit: int = expiring.BATCH, club_ids: Clubs = None
) -> Iterator[str]:
    """The file, of these clubs, in pieces, a batch of grants in each, the next to expire first.

    Each batch is a transaction of its own, so that a slow download keeps no transaction open.
    """
    return spreadsheet.pieces(HEADINGS, _batches(session, now, days, limit, club_ids))


def _batches(
    session: Session, now: datetime, days: int, limit: int, club_ids: Clubs
) -> Iterator[list[tuple[Cell, ...]]]:
    last = None
    while grants := expiring.batch(session, now, days=days, after=last, limit=limit, club_ids=club_ids):
        session.commit()
        yield [
            (
                grant.member, grant.email, grant.club, grant.item, grant.sessions, grant.last_day.isoformat(),
                grant.usable_from.isoformat() if grant.usable_from else None,
            )
            for grant in grants
        ]  # fmt: skip
        last = grants[-1]
