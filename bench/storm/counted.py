"""What members must have in the end, by plain addition; it shares nothing with `models/`.

A *place* is a membership and the member who bought it. Places are numbered; of merged members, one owns several.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta

DUES_MINOR = 8900
PLANS = {"Term": {"Class": 10, "Training": 2}, "Small": {"Class": 4, "Training": 1}}
"""Payment term -> item -> the sessions that a payment of the dues gives."""
DAYS = {"Class": 30, "Training": 60}
"""Item -> days to use what dues give."""
ITEMS = [*DAYS]
Key = tuple[int, str]
"""Place, or its owner, and item."""


@dataclass
class Counted:
    """What was acknowledged so far. The caller holds a lock around each call."""

    moved: Counter[Key] = field(default_factory=Counter)
    """Sessions used (minus), returned, given by hand or brought along (plus)."""
    paid_on: defaultdict[int, list[date]] = field(default_factory=lambda: defaultdict(list))
    """Place -> the local days of payments that stay, also of a place that is nobody's yet."""
    plans: defaultdict[int, dict[date, str]] = field(default_factory=lambda: defaultdict(dict))
    """Place -> the plans chosen since, each from its day on; before the first of these it is "Term"."""
    frozen: dict[int, tuple[int, date, date]] = field(default_factory=dict)
    """Freeze -> place, first day, last day."""
    owners: dict[int, int] = field(default_factory=dict)
    """Place -> the place whose member has it since they were merged."""
    here: set[int] = field(default_factory=set)
    """Places that somebody has."""
    lost_for_good: int = 0
    """Payments of references that nobody will ever have."""
    events: Counter[str] = field(default_factory=Counter)
    """Endpoint -> different events told."""

    def owner(self, place: int) -> int:
        """The place whose member has this one."""
        while place in self.owners:
            place = self.owners[place]
        return place

    def left(self) -> Counter[Key]:
        """Sessions that each owner has, less those that they owe."""
        found: Counter[Key] = Counter()
        for place in self.here:
            for item in ITEMS:
                gives = (PLANS[self._plan(place, day)][item] for day in self.paid_on[place])
                found[self.owner(place), item] += self.moved[place, item] + sum(gives)
        return found

    def unmatched(self) -> int:
        """Payments that are nobody's by now."""
        return self.lost_for_good + sum(len(paid) for place, paid in self.paid_on.items() if place not in self.here)

    def last_days(self, place: int) -> Counter[tuple[str, date]]:
        """Item and last usable day of each grant that dues gave to the place: days that are not frozen count."""
        frozen = [(first, last) for who, first, last in self.frozen.values() if who == place]
        return Counter((item, _after(day, DAYS[item], frozen)) for day in self.paid_on[place] for item in ITEMS)

    def _plan(self, place: int, day: date) -> str:
        chosen = self.plans[place]
        since = max((one for one in chosen if one <= day), default=None)
        return chosen[since] if since else "Term"


def _after(day: date, days: int, frozen: list[tuple[date, date]]) -> date:
    while days:
        day += timedelta(days=1)
        days -= not any(first <= day <= last for first, last in frozen)
    return day
