"""A report as a file, as the answer to a request of pages or API."""

from flask import Response

from console.request import actor, database, utc_now
from models import spreadsheet
from models.reports import known
from models.reports.asked import Asked
from models.reports.known import Report


def answer(report: Report, asked: Asked) -> Response:
    """The whole report as CSV; the action log says who took it."""
    session = database()
    headings, rows = known.cells(report, report.rows(session, asked._replace(limit=None)))
    known.log_taken(session, report, by=actor())
    headers = {"Content-Disposition": f'attachment; filename="{report.name}-{asked.day or utc_now():%Y-%m-%d}.csv"'}
    return Response("".join(spreadsheet.pieces(headings, [rows])), mimetype="text/csv", headers=headers)
