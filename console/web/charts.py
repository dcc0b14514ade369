"""PURE: numbers over time as SVG paths, which a template draws in the page's own colours."""

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.language import Texts, grouped, noted, say

WIDTH, HEIGHT = 600, 120
"""The drawing, in its own units."""


_TOTALS: Texts = {"received": "{n} received", "credited": "{n} credited"}


@dataclass(frozen=True)
class Series:
    """One line: its name and its path."""

    name: str
    path: str
    area: str
    """The path closed along the bottom."""
    total: int

    @property
    def total_words(self) -> str:
        """`1,200 received`"""
        return say(_TOTALS[self.name], n=grouped(self.total))


@dataclass(frozen=True)
class Chart:
    """Several series on one scale."""

    series: Sequence[Series]
    top: int
    """The value of the upper edge."""
    every: str
    """The time that a value is of: `minute`."""
    first: str
    """The labels of the left and the right edge."""
    last: str

    @property
    def scale(self) -> str:
        """`max 100 a minute`"""
        return say(noted("max {n} an hour") if self.every == "hour" else noted("max {n} a minute"), n=grouped(self.top))

    @property
    def in_words(self) -> str:
        """What it shows, for people who do not see it."""
        sums = ", ".join(one.total_words for one in self.series)
        return say(
            "{sums} from {first} to {last}; {scale}", sums=sums, first=self.first, last=self.last, scale=self.scale
        )


def chart(every: str, first: str, last: str, **series: Sequence[int]) -> Chart:
    """The series, each with as many values as the others, one for each minute or hour, from the left to the right."""
    top = _round_up(max((value for values in series.values() for value in values), default=0))
    return Chart([_series(name, values, top) for name, values in series.items()], top, every, first, last)


def _series(name: str, values: Sequence[int], top: int) -> Series:
    step = WIDTH / max(len(values) - 1, 1)
    points = [f"{place * step:.1f},{HEIGHT - HEIGHT * value / top:.1f}" for place, value in enumerate(values)]
    path = "M" + " L".join(points) if points else ""
    return Series(name, path, f"{path} L{WIDTH},{HEIGHT} L0,{HEIGHT} Z" if points else "", sum(values))


def _round_up(value: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50, ... that is not less."""
    size = 1
    while True:
        for step in (1, 2, 5):
            if step * size >= value:
                return step * size
        size *= 10
