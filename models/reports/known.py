"""PURE: the table of reports: what each says, what it can be asked, and its columns. Pages, API and command follow."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from models.errors import NotFound
from models.reports import busy_hours, expiring, months, nothing_left, outstanding, used_share
from models.reports.asked import Asked
from models.spreadsheet import Cell
from models.staff import actions
from models.staff.actions import Actor
from models.wording import amount
from runtime.language import noted


class Column(NamedTuple):
    """One column: what it says, and an example."""

    about: str
    example: Any


class Report(NamedTuple):
    """One report. Its columns are the fields of its rows, in order."""

    name: str
    title: str
    about: str
    asks: frozenset[str]
    """What can be chosen beside club and item: the names of fields of `Asked`."""
    columns: dict[str, Column]
    row: type[Any]
    rows: Callable[[Session, Asked], Sequence[Any]]


_CLUB = {"club_id": Column("The id of the club.", 1), "club": Column("The club.", "Downtown")}
_ITEM = {"item_id": Column("The id of the item.", 1), "item": Column("The item.", "Spin")}
_MEMBER = {
    "member_id": Column("The id of the member.", 1),
    "member": Column("The member's name.", "Ada Archer"),
    "email": Column("The member's e-mail address.", "ada@example.com"),
}
_MONTH = {"month": Column("The first day of the month, local at the club.", "2026-03-01")}

REPORTS = (
    Report(
        "outstanding",
        noted("Sessions outstanding"),
        noted("Sessions that members still have, by club, item and age, with what was paid for them."),
        frozenset({"day"}),
        {
            **_CLUB, **_ITEM,
            "sessions": Column("Sessions that can be used now or later.", 120),
            "to_30": Column("Of these, usable for at most 30 days.", 80),
            "to_60": Column("Usable for 31 to 60 days.", 20),
            "to_90": Column("Usable for 61 to 90 days.", 10),
            "older": Column("Usable for more than 90 days.", 5),
            "coming": Column("Not usable yet.", 5),
            "value_minor": Column("What their payments paid for them, in minor units.", 106800),
            "currency": Column("The currency of that.", "USD"),
            "without_value": Column("Sessions whose value is not known: given by hand, or brought along.", 0),
        },
        outstanding.Row,
        outstanding.rows,
    ),
    Report(
        "months",
        noted("By month"),
        noted("Sessions granted, used, expired and taken back in each of the last 13 months, by club and item."),
        frozenset(),
        {
            **_MONTH, **_CLUB, **_ITEM,
            "opening": Column("Outstanding when the month began.", 100),
            "granted": Column("Given by payments.", 80),
            "adjusted": Column("Given, brought along or taken by hand.", 0),
            "used": Column("Used and not returned.", 50),
            "expired": Column("Expired, less what came back.", 8),
            "taken_back": Column("Taken because money went back, less what was given again.", 2),
            "closing": Column("Outstanding when the month was over: opening + granted + adjusted - used - expired - "
                              "taken back.", 120),
        },
        months.Row,
        months.rows,
    ),
    Report(
        "expiring",
        noted("Expiring"),
        noted("Sessions that expire soon, and whose they are, the soonest first."),
        frozenset({"days", "limit"}),
        {
            "last_day": Column("The last local day on which they can be used.", "2026-03-31"),
            **_MEMBER, **_CLUB, **_ITEM,
            "sessions": Column("Sessions.", 3),
        },
        expiring.Row,
        expiring.rows,
    ),
    Report(
        "nothing-left",
        noted("Members with nothing left"),
        noted("Members whose membership goes on, and who have no session to use now or later."),
        frozenset({"limit"}),
        {
            **_MEMBER,
            "membership_id": Column("The id of the membership that goes on.", 1),
            **_CLUB,
            "offer": Column("The offer that it has.", "Gold"),
            "last_used": Column("The local day on which the last session was used.", "2026-03-20"),
            "last_expired": Column("The last day of the sessions that expired last.", "2026-02-28"),
            "next_dues": Column("The local day on which the next dues are expected, if that is known.", "2026-04-01"),
        },
        nothing_left.Row,
        nothing_left.rows,
    ),
    Report(
        "busy-hours",
        noted("When sessions are used"),
        noted("Sessions used by weekday and hour of the club, without what was given back."),
        frozenset({"since", "until"}),
        {
            "weekday": Column("The day of the week: 1 is Monday, 7 is Sunday.", 1),
            "hour": Column("The hour, local at the club: 0 to 23.", 18),
            "sessions": Column("Sessions used in that hour.", 40),
        },
        busy_hours.Row,
        busy_hours.rows,
    ),
    Report(
        "used-share",
        noted("What became of paid sessions"),
        noted("What became of the sessions that payments gave in each of the last 13 months, by club and item."),
        frozenset(),
        {
            **_MONTH, **_CLUB, **_ITEM,
            "granted": Column("Given by payments in that month.", 80),
            "used": Column("Of these, used.", 60),
            "expired": Column("Expired unused.", 8),
            "taken_back": Column("Taken because money went back, or by hand.", 2),
            "left": Column("Still there.", 10),
            "used_percent": Column("Used, in percent of those given.", 75),
        },
        used_share.Row,
        used_share.rows,
    ),
)  # fmt: skip
BY_NAME = {report.name: report for report in REPORTS}


def find(name: str) -> Report:
    """The report of that name. Raises NotFound."""
    if (report := BY_NAME.get(name)) is None:
        raise NotFound(what="report", name=name)
    return report


def cells(report: Report, rows: Sequence[Any]) -> tuple[list[str], list[list[Cell]]]:
    """A report as a spreadsheet has it: headings and rows, with amounts as people write them."""
    headings = [name.removesuffix("_minor").replace("_", " ") for name in report.columns]
    return headings, [[_cell(name, row) for name in report.columns] for row in rows]


def _cell(name: str, row: Any) -> Cell:
    value = getattr(row, name)
    if name.endswith("_minor"):
        return amount(value, row.currency)
    return value if isinstance(value, str | int | None) else str(value)


def log_taken(session: Session, report: Report, *, by: Actor) -> None:
    """Log that somebody takes the report away as a file."""
    actions.log(session, by, "export", f"report {report.name}")
