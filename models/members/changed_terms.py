"""PURE: the terms of a membership beside those that its offer has now, and how they differ, in words."""

from collections.abc import Mapping
from typing import NamedTuple

from models.wording import Given


class Compared(NamedTuple):
    """One session item: what paid dues give of it by the membership's terms, and by the offer's current ones."""

    item_id: int
    item: str
    pinned: Given | None
    """None where the membership does not have it."""
    current: Given | None
    """None where the offer does not have it any more."""

    @property
    def differs(self) -> bool:
        """Whether moving the membership to the current terms, with the same items, would change anything."""
        return self.pinned is not None and self.pinned[1:] != (self.current or (None, 0, 0))[1:]

    @property
    def difference(self) -> str:
        """`2 more sessions; 45 days to expire instead of 30`."""
        if self.current is None:
            return "Not in the offer any more"
        if self.pinned is None:
            return "Not picked"
        parts = []
        if more := self.current.quantity - self.pinned.quantity:
            parts.append(f"{abs(more)} {'more' if more > 0 else 'fewer'} session{'s' * (abs(more) != 1)}")
        if self.pinned.quantity and self.current.quantity and self.current.days_to_expire != self.pinned.days_to_expire:
            parts.append(f"{lasting(self.current.days_to_expire)} instead of {lasting(self.pinned.days_to_expire)}")
        return "; ".join(parts) or "The same"


def lasting(days_to_expire: int) -> str:
    """`30 days`, or `never expiring`."""
    return f"{days_to_expire} day{'s' * (days_to_expire != 1)}" if days_to_expire else "never expiring"


def compare(pinned: Mapping[int, Given], current: Mapping[int, Given]) -> list[Compared]:
    """Every item of either, by name; both are by item id."""
    both = {**current, **pinned}
    lines = [
        Compared(item_id, given.item, pinned.get(item_id), current.get(item_id)) for item_id, given in both.items()
    ]
    return sorted(lines, key=lambda line: (line.pinned is None, line.item))
