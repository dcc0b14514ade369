"""What members must have in the end, by plain addition; it shares nothing with `models/`."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta

DUES_MINOR = 8900
GIVES = {"Class": (10, 30), "Training": (2, 60)}
"""What dues give: item -> sessions, and days to use them."""
Key = tuple[int, str]
"""Member and item."""


@dataclass
class Counted:
    """What was acknowledged so far. The caller holds a lock around each call."""

    left: Counter[Key] = field(default_factory=Counter)
    """Sessions that a member has, less those that they owe."""
    paid_on: defaultdict[int, list[date]] = field(default_factory=lambda: defaultdict(list))
    """Member -> the local days of payments that stay."""
    frozen: dict[int, tuple[int, date, date]] = field(default_factory=dict)
    """Freeze -> member, first day, last day."""
    unmatched: int = 0
    """Payments of references that nobody has."""

    def payment(self, member: int, on: date) -> None:
        """Dues that stay with the gym."""
        self.paid_on[member].append(on)
        for item, (sessions, _) in GIVES.items():
            self.left[member, item] += sessions

    def move(self, member: int, item: str, sessions: int) -> None:
        """Sessions used (minus), returned or given by hand (plus)."""
        self.left[member, item] += sessions

    def last_days(self, member: int) -> Counter[tuple[str, date]]:
        """Item and last usable day of each grant that dues gave the member: the days that are not frozen count."""
        mine = [(first, last) for who, first, last in self.frozen.values() if who == member]
        found: Counter[tuple[str, date]] = Counter()
        for day in self.paid_on[member]:
            for item, (_, days) in GIVES.items():
                found[item, _after(day, days, mine)] += 1
        return found


def _after(day: date, days: int, frozen: list[tuple[date, date]]) -> date:
    while days:
        day += timedelta(days=1)
        days -= not any(first <= day <= last for first, last in frozen)
    return day
