"""The owner's reports."""

from datetime import UTC, date, datetime

import click

from console.cli import show
from console.cli.installed import database, operator
from console.cli.lookups import named
from models import spreadsheet
from models.catalogue.clubs import Club
from models.catalogue.items import Item
from models.reports import known
from models.reports.asked import PERIOD, ask
from models.reports.known import BY_NAME, REPORTS

DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.argument("name", type=click.Choice([*BY_NAME]), required=False)
@click.option("--club", help="Only this club.")
@click.option("--item", help="Only this item.")
@click.option("--day", type=DAY, help="Of what is outstanding: at the end of this local day. By default now.")
@click.option("--days", type=click.IntRange(1, 366), default=30, help="Of what expires: within so many days.")
@click.option("--since", type=DAY, help=f"Of busy hours: from this day. By default {PERIOD.days} days back.")
@click.option("--until", type=DAY, help="To this day. By default today.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV.")
@show.json_option
def report(
    name: str | None, club: str | None, item: str | None, day: datetime | None, days: int, since: datetime | None,
    until: datetime | None, as_csv: bool,
) -> None:  # fmt: skip
    """Show a report of the owner's; without NAME, list the reports that there are."""
    if name is None:
        show.listing([{"report": one.name, "about": one.about} for one in REPORTS], "report", "what it says")
        return
    wanted = known.find(name)
    with database() as session:
        asked = ask(
            session, datetime.now(UTC), days=days, day=_day(day), since=_day(since), until=_day(until),
            club_id=named(session, Club, club).id if club else None,
            item_id=named(session, Item, item).id if item else None,
        )  # fmt: skip
        rows = wanted.rows(session, asked)
        headings, cells = known.cells(wanted, rows)
        if as_csv:
            known.log_taken(session, wanted, by=operator())
            click.echo("".join(spreadsheet.pieces(headings, [cells])), nl=False)
        elif not show.as_json([{column: getattr(row, column) for column in wanted.columns} for row in rows]):
            show.table(headings, cells)


def _day(value: datetime | None) -> date | None:
    return value.date() if value else None
