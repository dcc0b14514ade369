"""How commands print: a plain table for people, JSON for programs."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click


def as_json(value: object) -> None:
    """Prints the value as JSON; times are RFC 3339 in UTC."""
    click.echo(json.dumps(value, indent=2, default=plain))


def plain(value: object) -> str:
    """What JSON has no form of: a time as RFC 3339, all else as text."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints aligned columns; numbers stand right, None is a dash. Without rows, says so."""
    if not rows:
        click.echo("  (none)")
        return
    cells = [[cell(value) for value in row] for row in rows]
    widths = [max(len(heading), *(len(row[place]) for row in cells)) for place, heading in enumerate(headings)]
    right = [all(isinstance(row[place], int | None) for row in rows) for place in range(len(headings))]
    for line in (list(headings), ["-" * width for width in widths], *cells):
        columns = zip(line, widths, right, strict=True)
        click.echo("  " + "  ".join(text.rjust(w) if r else text.ljust(w) for text, w, r in columns).rstrip())


def events_are(ids: Sequence[int]) -> str:
    """The subject of a sentence about events: `Event 19 is`, `Events 19 and 20 are`, `Events 1, 2 and 3 are`."""
    *others, last = map(str, ids)
    return f"Events {', '.join(others)} and {last} are" if others else f"Event {last} is"


@contextmanager
def progress(label: str) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal, and nothing elsewhere; told the share that is done, 0 to 1."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=1000, label=label, file=sys.stderr) as bar:
        yield lambda share: bar.update(int(share * 1000) - bar.pos)


def cell(value: object) -> str:
    """A value in a table's cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M UTC")
    return str(value)
