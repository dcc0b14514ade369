"""Exports of all there is, as CSV."""

from flask import Response
from flask_openapi3 import Tag

from console import exported
from console.api.fields import AsOfQuery
from console.api.files import download
from models.moving.exports import EXPORTS, Export
from models.staff.accounts import Role

TAG = Tag(
    name="Exports",
    description="Everything there is as CSV, now or as of a moment: UTF-8, commas, days and times by ISO 8601. What a "
    "spreadsheet would compute gets an apostrophe before it. Each download stands in the action log.",
)


def _serve(export: Export) -> None:
    columns = "; ".join(f"`{column.name}`: {column.about.rstrip('.')}" for column in export.columns)
    about = f"{export.about} Columns: {columns}."

    @download(f"/exports/{export.name}.csv", TAG, Role.MANAGER, name=f"export_{export.name}", about=about)
    def file(query: AsOfQuery) -> Response:
        return exported.answer(export.name, query.as_of)


for one in EXPORTS:
    _serve(one)
