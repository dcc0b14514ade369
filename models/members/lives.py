"""What counts of the lives of memberships when days are counted. Main verb: `read`."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from models.catalogue.days import OPEN, DayRange, merged
from models.database.arrays import array
from models.members.life import LifeKind, until_words
from models.wording import day_of
from runtime.language import say


class Life(NamedTuple):
    """What happened to a membership: the days that do not count, and its last day."""

    frozen: tuple[DayRange, ...] = ()
    closed: Mapping[int, tuple[DayRange, ...]] = MappingProxyType({})
    """By item."""
    ended: date | None = None

    def is_frozen(self, day: date) -> bool:
        """Whether that local day is frozen."""
        return any(first <= day <= last for first, last in self.frozen)

    def frozen_days(self, day: date) -> DayRange | None:
        """The frozen days without a gap that this day is one of, or the next to come; None where there are none."""
        return next(merged(one for one in self.frozen if one[1] >= day), None)

    def frozen_until(self, day: date) -> date | None:
        """Until which local day it is frozen without a break; None if it is not frozen that day, `OPEN` without end."""
        run = self.frozen_days(day)
        return run[1] if run and run[0] <= day else None

    def words(self, today: date) -> list[str]:
        """How it stands and what is to come, as people say it: `Frozen until Jan 16, 2026`, `Ends on Jan 31, 2026`."""
        words = []
        if run := self.frozen_days(today):
            first, last = run
            if first <= today:
                words.append(say("Frozen until {until}", until=until_words(last)))
            elif last == OPEN:
                words.append(say("Frozen from {day} on", day=day_of(first)))
            else:
                words.append(say("Frozen from {first} to {last}", first=day_of(first), last=day_of(last)))
        if self.ended:
            is_over, day = self.ended < today, day_of(self.ended)
            words.append(say("Ended on {day}", day=day) if is_over else say("Ends on {day}", day=day))
        return words


UNTOUCHED = Life()


class Lives(NamedTuple):
    """The acts that count, by membership and by club."""

    frozen: Mapping[int, list[DayRange]]
    ended: Mapping[int, date]
    closed: Mapping[int, Mapping[int, tuple[DayRange, ...]]]

    def of(self, membership_id: int, club_id: int) -> Life:
        """The life of one membership."""
        frozen, closed = self.frozen.get(membership_id, ()), self.closed.get(club_id, {})
        ended = self.ended.get(membership_id)
        if not (frozen or closed or ended):
            return UNTOUCHED
        return Life(tuple(frozen), closed, ended)


AS_OF = """(
        SELECT a.* FROM life_acts a
        WHERE NOT a.undone AND a.recorded_at <= CAST(:now AS timestamptz) AND NOT EXISTS (
            SELECT FROM life_acts later WHERE later.replaces = a.id AND later.recorded_at <= CAST(:now AS timestamptz)
        )
    )"""
"""SQL: the acts that counted, as they were known at the moment `:now`. `life_in_force` has those of today."""


def _lives(acts: str) -> TextClause:
    return text(f"""
    SELECT kind, membership_id, NULL AS item_id, first_day, last_day
    FROM {acts} of_members WHERE membership_id = ANY(CAST(:ids AS bigint[]))
    UNION ALL
    SELECT a.kind, a.club_id, i.id, a.first_day, a.last_day
    FROM {acts} a JOIN items i ON a.scope IN ('all', i.session_type)
    WHERE a.kind = 'closure' AND i.session_type IS NOT NULL
      AND a.club_id = ANY (ARRAY(
          SELECT club_id FROM memberships WHERE id = ANY(CAST(:ids AS bigint[]))
          UNION ALL SELECT club_id FROM earlier_clubs WHERE membership_id = ANY(CAST(:ids AS bigint[]))
      ))
""")


_LIVES, _LIVES_AS_OF = _lives("life_in_force"), _lives(AS_OF)


def read(session: Session, membership_ids: Collection[int], *, as_of: datetime | None = None) -> Lives:
    """What counts of the lives of these memberships, and of the closures of their clubs.

    With `as_of`, what this function returned at that moment.
    """
    frozen: defaultdict[int, list[DayRange]] = defaultdict(list)
    closed: defaultdict[int, defaultdict[int, list[DayRange]]] = defaultdict(lambda: defaultdict(list))
    ended: dict[int, date] = {}
    statement, values = _LIVES, {"ids": array(membership_ids)}
    if as_of:
        statement, values = _LIVES_AS_OF, {**values, "now": as_of.isoformat()}
    for kind, owner, item_id, first, last in session.execute(statement, values):
        match kind:
            case LifeKind.FREEZE:
                frozen[owner].append((first, last or OPEN))
            case LifeKind.CLOSURE:
                closed[owner][item_id].append((first, last))
            case _:
                ended[owner] = last
    every = {club: {item: tuple(ranges) for item, ranges in items.items()} for club, items in closed.items()}
    return Lives(frozen, ended, every)
