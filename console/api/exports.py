"""Exports of all there is, as CSV."""

from flask import Response
from flask_openapi3 import Tag

from console import exported
from console.api.fields import AsOfQuery
from console.api.gate import download
from models.moving.exports import EXPORTS
from models.staff.accounts import Role

TAG = Tag(
    name="Exports",
    description="Everything there is as CSV, now or as of a moment: UTF-8, commas, days and times by ISO 8601. What a "
    "spreadsheet would compute gets an apostrophe before it. Each download stands in the action log.",
)


def _serve(name: str) -> None:
    def export(query: AsOfQuery) -> Response:
        return exported.answer(name, query.as_of)

    download(f"/exports/{name}.csv", TAG, Role.MANAGER, next(one for one in EXPORTS if one.name == name))(export)


for one in EXPORTS:
    _serve(one.name)
