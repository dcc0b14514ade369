"""The owner's reports, as JSON and as CSV."""

from collections.abc import Mapping
from typing import Any, get_type_hints

from flask import Response
from flask_openapi3 import Tag
from pydantic import BaseModel, create_model

from console import reported
from console.api.fields import Answer, Day, Id, Query, field, parameter
from console.api.files import download
from console.api.gate import read
from console.bounds import club_ids
from console.request import database, utc_now
from models.reports.asked import Asked, ask
from models.reports.known import REPORTS, Report
from models.staff.accounts import Role

TAG = Tag(name="Reports", description="What the ledger says about the gym. Test members never count.")
MOST_DAYS = 366

_EVERY: Mapping[str, Any] = {
    "club_id": (Id | None, parameter("Only this club.", 1, default=None)),
    "item_id": (Id | None, parameter("Only this item.", 1, default=None)),
}
_ASKED: Mapping[str, Any] = {
    "day": (Day | None, parameter("As of the end of this local day; without it, now.", None, default=None)),
    "days": (int, parameter("Within so many days; the first is today.", 30, default=30, ge=1, le=MOST_DAYS)),
    "since": (Day | None, parameter("The first local day.", None, default=None)),
    "until": (Day | None, parameter("The last local day; without it, today.", None, default=None)),
}


class Reports(Answer):
    """The reports that there are."""

    data: list[str] = field("Their names: `GET /reports/NAME`, and `/reports/NAME.csv`.", [one.name for one in REPORTS])


@read("/reports", TAG, Role.MANAGER)
def list_reports() -> Reports:
    """List the reports."""
    return Reports(data=[one.name for one in REPORTS])


def _asked(query: BaseModel) -> Asked:
    return ask(database(), utc_now(), club_ids=club_ids(), **dict(query))


def _serve(report: Report) -> None:
    name, title = report.name.replace("-", "_"), "".join(part.capitalize() for part in report.name.split("-"))
    hints = get_type_hints(report.row)
    columns: dict[str, Any] = {
        column: (hints[column], field(description.about, description.example))
        for column, description in report.columns.items()
    }
    row = create_model(f"{title}Row", __base__=Answer, __doc__=report.about, **columns)
    rows = create_model(
        f"{title}Report",
        __base__=Answer,
        __doc__=report.about,
        data=(list[row], field("The rows.", [])),  # type: ignore[valid-type]
    )
    asks = {one: _ASKED[one] for one in _ASKED if one in report.asks}
    query_model = create_model(f"{title}Query", __base__=Query, __doc__=report.about, **_EVERY, **asks)

    def show(query: BaseModel) -> Answer:
        return rows.model_validate({"data": [row.of(one) for one in report.rows(database(), _asked(query))]})

    show.__name__, show.__doc__ = f"report_{name}", report.about
    show.__annotations__ = {"query": query_model, "return": rows}
    read(f"/reports/{report.name}", TAG, Role.MANAGER)(show)

    def file(query: BaseModel) -> Response:
        return reported.answer(report, _asked(query))

    file.__annotations__ = {"query": query_model, "return": Response}
    download(f"/reports/{report.name}.csv", TAG, Role.MANAGER, name=f"download_report_{name}", about=report.about)(file)


for one in REPORTS:
    _serve(one)
