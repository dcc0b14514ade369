"""An export as the answer to a request of pages or API."""

from collections.abc import Iterator
from datetime import datetime

from flask import Response, g

from console.bounds import club_ids
from console.request import actor, database, utc_now
from models.moving import exporting


def answer(name: str, as_of: datetime | None) -> Response:
    """The file of that name, now or as of a moment, as CSV. Raises NotFound."""
    export = exporting.begin(database(), name, as_of=as_of, by=actor())
    factory, now, clubs = g.factory, utc_now(), club_ids()

    def pieces() -> Iterator[str]:
        # The request's own session is over before the first line is read.
        with factory() as session:
            yield from exporting.pieces(session, export, now, as_of=as_of, club_ids=clubs)

    headers = {"Content-Disposition": f'attachment; filename="{name}-{as_of or now:%Y-%m-%d}.csv"'}
    return Response(pieces(), mimetype="text/csv", headers=headers)
