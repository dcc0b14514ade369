"""A member's statement over local days, to read, to print, and as CSV: by item what it began with, what moved, what is
left, and every entry in the order in which things happened. Read only. Main verb: `of_member`.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from models import spreadsheet
from models.catalogue import days
from models.catalogue.clubs import Club
from models.catalogue.days import ONE_DAY
from models.errors import DaysBackwards
from models.ledger import kinds
from models.members.memberships import Member
from models.spreadsheet import Cell
from models.statements import entry_wording, statement
from models.statements.statement import EntryLine
from models.wording import day_of
from runtime.language import in_english, say

UNBOUNDED = 10**9
MOST = 2000
"""Entries on one printed statement. The CSV has all."""


class Moved(NamedTuple):
    """The sessions of one item over the days of a statement. What it began with and the five sums give `left`."""

    item_id: int
    item: str
    before: int
    given: int
    used: int
    """Redeemed and not returned."""
    expired: int
    """And not brought back."""
    taken_back: int
    """By refunds and disputes, and not given again."""
    otherwise: int
    """Taken by hand, or used up by a shortfall."""

    @property
    def left(self) -> int:
        """What there was at the end, coming sessions among them."""
        return self.before + self.given - self.used - self.expired - self.taken_back - self.otherwise


class Sheet(NamedTuple):
    """The statement. Its days are local at `time_zone`, that of the member's last membership."""

    member: Member
    club: Club | None
    time_zone: str
    first_day: date | None
    """None is from the beginning."""
    last_day: date | None
    """None is until now."""
    as_of: datetime | None
    items: Sequence[Moved]
    entries: Sequence[EntryLine]
    """The first thing that happened first; with `is_cut`, only the newest."""
    is_cut: bool

    def period(self, today: date) -> str:
        """`Nov 1, 2026 to Nov 30, 2026`, or `Everything until Nov 30, 2026`; without a last day, until today."""
        last = day_of(self.last_day or today)
        if self.first_day is None:
            return say("Everything until {last}", last=last)
        return say("{first} to {last}", first=day_of(self.first_day), last=last)


_MOVED = text(f"""
    WITH entered AS (
        SELECT g.item_id, e.*, {kinds.OPENS} AS opens, {kinds.USED} AS uses, {kinds.EXPIRED} AS expires,
               {kinds.TAKES_BACK} AS takes_back, e.occurred_at < coalesce(CAST(:since AS timestamptz), '-infinity')
               AS is_before
        FROM credit_grants g JOIN ledger_entries e ON e.grant_id = g.id
        WHERE g.member_id = :member AND e.recorded_at <= coalesce(CAST(:at AS timestamptz), 'infinity')
          AND e.occurred_at < coalesce(CAST(:until AS timestamptz), 'infinity')
          AND g.item_id = coalesce(CAST(:item AS bigint), g.item_id)
          AND g.id = coalesce(CAST(:grant AS bigint), g.id)
    )
    SELECT i.id, i.name, coalesce(sum(e.quantity) FILTER (WHERE is_before), 0),
           coalesce(sum(e.quantity) FILTER (WHERE NOT is_before AND opens), 0),
           coalesce(-sum(e.quantity) FILTER (WHERE NOT is_before AND uses), 0),
           coalesce(-sum(e.quantity) FILTER (WHERE NOT is_before AND expires), 0),
           coalesce(-sum(e.quantity) FILTER (WHERE NOT is_before AND takes_back), 0),
           coalesce(-sum(e.quantity) FILTER (WHERE NOT (is_before OR opens OR uses OR expires OR takes_back)), 0)
    FROM entered e JOIN items i ON i.id = e.item_id
    GROUP BY i.id, i.name
    ORDER BY i.name
""")


def of_member(
    session: Session, member: Member, *, first_day: date | None = None, last_day: date | None = None,
    item_id: int | None = None, grant_id: int | None = None, as_of: datetime | None = None, most: int | None = None,
    house_zone: str = "UTC",
) -> Sheet:  # fmt: skip
    """The member's statement from the first local day to the last, both included; of all items, unless told otherwise.

    `most` is of entries, of which it then has the newest. With `as_of`, what was recorded by then; `house_zone` counts
    for a member without a membership. Raises DaysBackwards.
    """
    if first_day and last_day and last_day < first_day:
        raise DaysBackwards(first=first_day, last=last_day)
    club = member.memberships[-1].club if member.memberships else None
    zone = club.time_zone if club else house_zone
    since = days.end_of(first_day - ONE_DAY, zone) if first_day else None
    until = days.end_of(last_day, zone) if last_day else None
    span = {"since": since, "until": until}
    moved = session.execute(_MOVED, {"member": member.id, "at": as_of, "item": item_id, "grant": grant_id, **span})
    found = statement.page(
        session, member.id, limit=most or UNBOUNDED, as_of=as_of, item_id=item_id, grant_id=grant_id, since=since,
        until=until,
    )  # fmt: skip
    return Sheet(
        member, club, zone, first_day, last_day, as_of, [Moved(*row) for row in moved], found.entries[::-1],
        found.older is not None,
    )  # fmt: skip


HEADINGS = (
    "happened", "recorded", "what", "item", "sessions", "balance", "grant", "left of the grant", "last usable day",
    "payment", "endpoint", "by", "class", "trainer", "club", "note",
)  # fmt: skip


@in_english
def csv(sheet: Sheet) -> Iterator[str]:
    """It as CSV, a line for each entry, in English; times by ISO 8601 in the club's zone, with their offset."""
    return spreadsheet.pieces(HEADINGS, [[_line(entry, sheet.time_zone) for entry in sheet.entries]])


def file_name(sheet: Sheet, now: datetime) -> str:
    """`statement-12-2026-11-30.csv`: of member 12, made that day."""
    return f"statement-{sheet.member.id}-{days.local_day(now, sheet.time_zone)}.csv"


def _line(entry: EntryLine, zone: str) -> tuple[Cell, ...]:
    there = ZoneInfo(zone)
    happened, recorded = (
        moment.astimezone(there).isoformat(timespec="seconds") for moment in (entry.occurred_at, entry.recorded_at)
    )
    last = days.last_day(entry.expires_at, zone).isoformat() if entry.expires_at else None
    return (
        happened, recorded, entry_wording.entry_in_words(entry), entry.item, entry.quantity, entry.balance,
        entry.grant_id, entry.grant_balance, last, entry.payment, entry.endpoint, entry.actor,
        entry.class_name or entry.class_reference, entry.trainer, entry.club, entry_wording.note_in_words(entry),
    )  # fmt: skip
