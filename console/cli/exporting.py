"""The command that exports."""

from datetime import UTC, datetime
from typing import IO

import click

from console.cli import show
from console.cli.installed import opened, operator
from console.cli.moments import MOMENT
from models.moving import exporting
from models.moving.exports import BY_NAME, EXPORTS


@click.command()
@click.argument("what", type=click.Choice([*BY_NAME]), required=False)
@click.option("--as-of", type=MOMENT, help="What was recorded by then. By default now.")
@click.option("--to", type=click.File("w", encoding="utf-8"), default="-", metavar="FILE", help="By default stdout.")
@show.json_option
def export(what: str | None, as_of: datetime | None, to: IO[str]) -> None:
    """Write members, grants, payments or others as CSV; without WHAT, list the files that there are."""
    if what is None:
        files = [
            {"file": one.name, "about": one.about, "columns": {column.name: column.about for column in one.columns}}
            for one in EXPORTS
        ]
        show.listing(files, "file", "what it has")
        return
    with opened() as (_, make), make.begin() as session:
        wanted = exporting.begin(session, what, as_of=as_of, by=operator())
        for piece in exporting.pieces(session, wanted, datetime.now(UTC), as_of=as_of):
            to.write(piece)
