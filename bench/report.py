"""What was measured, set beside what the project promises."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median

TARGETS = {
    "verify_us": (20.0, 10.0),
    "receive_over_tutorial": (4.0, 8.0),
    "receive_over_bare": (0.18, 0.33),
    "answer_p99_ms": (50.0, 20.0),
    "credit_over_tutorial": (15.0, 30.0),
    "credit_over_sql": (0.25, 0.5),
    "credit_tranches_per_s": (5_000.0, 15_000.0),
    "closure_grants_per_s": (2_000.0, 5_000.0),
    "import_rows_per_s": (500.0, 2_000.0),
    "import_rss_growth": (1.3, 1.1),
    "visible_p99_over_tutorial": (2.0, 1.0),
    "expire_over_sql": (0.5, 0.8),
    "cost_growth": (1.3, 1.1),
    "web_rss_mb": (120.0, 90.0),
    "worker_rss_mb": (200.0, 120.0),
    "member_page_ms": (100.0, 50.0),
    "search_ms": (100.0, 50.0),
    "suggest_p99_ms": (100.0, 50.0),
    "members_page_ms": (100.0, 50.0),
}
"""Name -> floor and aim. Where the aim is the smaller, less is better."""


@dataclass(frozen=True)
class Series:
    """One peer's figures, a value per round."""

    peer: str
    unit: str
    values: list[float]

    @property
    def median(self) -> float:
        return median(self.values)

    def __str__(self) -> str:
        spread = f"{_short(min(self.values))}..{_short(max(self.values))}"
        return f"{self.peer} {_short(self.median)} {self.unit} ({spread})"


@dataclass(frozen=True)
class Result:
    """One named number, and the absolute figures it comes from."""

    name: str
    value: float
    series: tuple[Series, ...]
    note: str = ""

    @property
    def verdict(self) -> str:
        """`aim`, `floor` or `MISSED`: the best of the two that the value reaches."""
        floor, aim = TARGETS[self.name]
        sign = 1 if aim > floor else -1
        if sign * self.value >= sign * aim:
            return "aim"
        return "floor" if sign * self.value >= sign * floor else "MISSED"


def ratio(name: str, ours: Series, other: Series, note: str = "") -> Result:
    """Our median over the other's."""
    return Result(name, ours.median / other.median, (ours, other), note)


def table(results: list[Result]) -> str:
    """The results as plain text, one line each, absolute medians and their spread at the end."""
    rows = [("name", "value", "floor", "aim", "reached", "medians (smallest..largest round)")]
    for result in results:
        floor, aim = TARGETS[result.name]
        told = "; ".join([*map(str, result.series), *([result.note] if result.note else [])])
        rows.append((result.name, _short(result.value), f"{floor:g}", f"{aim:g}", result.verdict, told))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = []
    for name, *numbers, told in rows:
        cells = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells, told]))
    return "\n".join(lines)


def write(results: list[Result], file: Path, *, keep: bool) -> None:
    """Writes name -> number; with `keep`, names that were not measured this time stay as they were."""
    numbers = json.loads(file.read_text()) if keep and file.exists() else {}
    numbers |= {result.name: float(f"{result.value:.4g}") for result in results}
    ordered = {name: numbers[name] for name in TARGETS if name in numbers}
    file.write_text(json.dumps(ordered, indent=2) + "\n")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
