"""Output of commands: text and tables for people, JSON for programs."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import click

_ASKED, _ZONE = "console.cli.json", "console.cli.zone"


def _ask(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    # A context's meta is shared with subcommands, so `spp user --json list` works as well.
    context.meta[_ASKED] = asked or context.meta.get(_ASKED, False)


json_option = click.option("--json", is_flag=True, expose_value=False, callback=_ask, help="Print JSON.")


def as_json(value: object) -> bool:
    """Print the value as JSON if the command has --json; whether it has. Times are RFC 3339 in UTC."""
    asked: bool = click.get_current_context().meta.get(_ASKED, False)
    if asked:
        click.echo(json.dumps(value, indent=2, default=plain))
    return asked


def answer(value: object, *lines: str) -> None:
    """Print the value as JSON with --json, and the lines without."""
    if not as_json(value):
        click.echo("\n".join(lines))


def listing(rows: Sequence[Mapping[str, Any]], *headings: str) -> None:
    """Print rows as JSON or as a table. Values beyond the headings are only in the JSON."""
    if not as_json(rows):
        table(headings, [list(row.values())[: len(headings)] for row in rows])


def plain(value: object) -> str:
    """The JSON form of a value that JSON has none for: RFC 3339 in UTC for a time, text for everything else."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print aligned columns: numbers to the right, None as a dash. Without rows, print (none)."""
    if not rows:
        click.echo("  (none)")
        return
    cells = [[cell(value) for value in row] for row in rows]
    widths = [max(len(heading), *(len(row[place]) for row in cells)) for place, heading in enumerate(headings)]
    right = [all(isinstance(row[place], int | None) for row in rows) for place in range(len(headings))]
    for line in (list(headings), ["-" * width for width in widths], *cells):
        columns = zip(line, widths, right, strict=True)
        click.echo("  " + "  ".join(text.rjust(w) if r else text.ljust(w) for text, w, r in columns).rstrip())


@contextmanager
def zone_from(house: Callable[[], str]) -> Iterator[None]:
    """Write times in the zone that `house` returns, within the block and, where it ends without an error, after it."""
    meta = click.get_current_context().meta
    meta[_ZONE] = cache(house)
    yield
    if not meta.get(_ASKED, False):
        meta[_ZONE]()


def _zone() -> str:
    context = click.get_current_context(silent=True)
    return context.meta.get(_ZONE, lambda: "UTC")() if context else "UTC"


def moment(value: datetime, zone: str | None = None) -> str:
    """`2026-11-03 16:05 CST`: a time in the zone, or in that of the first club."""
    from models.wording import short_zone

    zone = zone or _zone()
    return f"{value.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {short_zone(value, zone)}"


def cell(value: object) -> str:
    """A value in a table's cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value)
    return str(value)


@contextmanager
def progress(label: str) -> Iterator[Callable[[float], None]]:
    """A progress bar on a terminal, and nothing elsewhere. Call the yielded function with the share done, 0 to 1."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=1000, label=label, file=sys.stderr) as bar:
        yield lambda share: bar.update(int(min(share, 1.0) * 1000) - bar.pos)
