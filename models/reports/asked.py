"""What a report is asked for, and how it reads: set-based, over grants with their club, without test members.

The SQL of a report is written over `{grants}`, which names a grant `g` and its club `m.club_id`. `over` reads it twice:
for grants whose membership never changed its club, where a join says the club of a million of them at once, and for the
others, one by one, by the view `grant_clubs`.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Row, TextClause, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.catalogue.days import local_day
from models.catalogue.items import Item
from models.database.arrays import array
from models.errors import DayNotOver, NotFound, PeriodTooLong, ReportTooSlow, WrongPeriod

TOO_SLOW = "57014"
"""PostgreSQL's error code of a statement that took too long."""
MOST_DAYS = 366
"""Of a period."""
PERIOD = timedelta(days=90)
"""The days of a period that nobody chose, today included."""


class Asked(NamedTuple):
    """What a report is to be about. Build it by `ask`."""

    now: datetime
    clubs: Sequence[int] | None = None
    """Only these; None is all."""
    item_id: int | None = None
    day: date | None = None
    """As of the end of this local day; None is now."""
    days: int = 30
    """Within so many days; the first is today."""
    since: date = date.min
    until: date = date.min
    """The first and the last local day of a period."""
    limit: int | None = None
    """The most rows of a list of members."""

    @property
    def values(self) -> dict[str, Any]:
        """The parameters that every query has."""
        return {"now": self.now, "item": self.item_id, "clubs": None if self.clubs is None else array(self.clubs)}


def ask(
    session: Session, now: datetime, *, club_ids: Sequence[int] | None = None, club_id: int | None = None,
    item_id: int | None = None, day: date | None = None, days: int = 30, since: date | None = None,
    until: date | None = None, limit: int | None = None,
) -> Asked:  # fmt: skip
    """What is asked for, checked. `club_ids` are the clubs that the reader may see; None is all.

    Raises NotFound for another club or an unknown item, DayNotOver, WrongPeriod or PeriodTooLong.
    """
    zones = {club.id: club.time_zone for club in session.scalars(select(Club))}
    if club_id is not None and (club_id not in zones or (club_ids is not None and club_id not in club_ids)):
        raise NotFound(field="club_id", what="club", name=club_id)
    if item_id is not None and session.get(Item, item_id) is None:
        raise NotFound(field="item_id", what="item", name=item_id)
    today = min((local_day(now, zone) for zone in zones.values()), default=now.date())
    if day and day >= today:
        raise DayNotOver(day=day, latest=today - timedelta(days=1))
    until = until or max((local_day(now, zone) for zone in zones.values()), default=now.date())
    since = since or until - PERIOD + timedelta(days=1)
    if since > until:
        raise WrongPeriod(since=since, until=until)
    if (until - since).days >= MOST_DAYS:
        raise PeriodTooLong(most=MOST_DAYS)
    clubs = [club_id] if club_id is not None else club_ids
    return Asked(now, clubs, item_id, day, days, since, until, limit)


_SETTLED = """credit_grants g JOIN memberships m ON m.id = g.membership_id
    AND NOT EXISTS (SELECT FROM earlier_clubs moved WHERE moved.membership_id = m.id)"""
# OFFSET keeps the view apart: it is looked into for each of these few grants.
_OTHERS = """(
        SELECT * FROM credit_grants
        WHERE membership_id IS NULL OR membership_id IN (SELECT membership_id FROM earlier_clubs)
    ) g CROSS JOIN LATERAL (SELECT club_id FROM grant_clubs WHERE grant_id = g.id OFFSET 0) m"""


def wanted(club: str = "m.club_id") -> str:
    """SQL: grant `g` is asked for, and of no test member. `club` is the club that counts."""
    return f"""NOT EXISTS (SELECT FROM members t WHERE t.id = g.member_id AND t.is_test)
        AND (CAST(:item AS bigint) IS NULL OR g.item_id = CAST(:item AS bigint))
        AND (CAST(:clubs AS bigint[]) IS NULL OR {club} = ANY(CAST(:clubs AS bigint[])))"""


def over(rows: str) -> str:
    """SQL: these rows, where `{grants}` are all grants with their clubs."""
    return f"{rows.replace('{grants}', _SETTLED)} UNION ALL {rows.replace('{grants}', _OTHERS)}"


_FIT = text("""
    SELECT set_config('enable_seqscan', 'on', true), set_config('work_mem', '64MB', true),
           set_config('jit', 'off', true)
""")
"""Reports read whole tables, which the sessions of all other work never do."""


def run(session: Session, query: TextClause, values: dict[str, Any]) -> Sequence[Row[*tuple[Any, ...]]]:
    """The rows of a report's query. Raises ReportTooSlow."""
    try:
        session.execute(_FIT)
        return session.execute(query, values).all()
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == TOO_SLOW:
            raise ReportTooSlow from None
        raise
