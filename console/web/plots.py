"""PURE: columns and heat maps as SVG shapes, which a template draws in the page's own colours."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 600, 160
"""Of columns, in their own units."""
COLOURS = 6


class Box(NamedTuple):
    """One rectangle of a series, and the value that it stands for."""

    x: float
    y: float
    width: float
    height: float
    value: int


class Part(NamedTuple):
    """One series: its name, its colour by number, its boxes and their sum."""

    name: str
    colour: int
    boxes: Sequence[Box]
    total: int


class Columns(NamedTuple):
    """Stacked columns, one for each label: what came stands above the line, what went below it."""

    labels: Sequence[str]
    parts: Sequence[Part]
    line: float
    """Where 0 is."""
    most: int
    """The highest column; what went, if that is more."""


def columns(
    labels: Sequence[str], came: Mapping[str, Sequence[int]], went: Mapping[str, Sequence[int]] | None = None
) -> Columns:
    """The columns of these series, each with one value for each label. Values below 0 are drawn the other way."""
    series = [(name, list(values)) for name, values in came.items()]
    series += [(name, [-value for value in values]) for name, values in (went or {}).items()]
    up = [sum(max(values[place], 0) for _, values in series) for place in range(len(labels))]
    down = [sum(max(-values[place], 0) for _, values in series) for place in range(len(labels))]
    above, below = max(up, default=0), max(down, default=0)
    scale = HEIGHT / max(above + below, 1)
    step, line = WIDTH / max(len(labels), 1), above * scale
    tops, bottoms = [line] * len(labels), [line] * len(labels)
    parts = []
    for number, (name, values) in enumerate(series):
        boxes = []
        for place, value in enumerate(values):
            height = abs(value) * scale
            if value > 0:
                tops[place] -= height
            if value:
                y = tops[place] if value > 0 else bottoms[place]
                x = place * step + step * 0.12
                boxes.append(Box(round(x, 2), round(y, 2), round(step * 0.76, 2), round(height, 2), value))
            if value < 0:
                bottoms[place] += height
        parts.append(Part(name, number % COLOURS, boxes, abs(sum(values))))
    return Columns(labels, parts, round(line, 2), max(above, below))


class Cell(NamedTuple):
    """One field of a heat map: its column, its row, and how dark it is, 0 to 1."""

    column: int
    row: int
    shade: float
    value: int


def heat(values: Mapping[tuple[int, int], int]) -> list[Cell]:
    """By (column, row); the most is the darkest."""
    most = max(values.values(), default=0) or 1
    return [Cell(column, row, round(value / most, 2), value) for (column, row), value in sorted(values.items())]
