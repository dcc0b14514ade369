"""Routes whose body or whose answer is a file of CSV."""

import inspect
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple, cast, get_type_hints

from flask import Response, request
from flask_openapi3 import Tag
from pydantic import BaseModel
from werkzeug.exceptions import UnsupportedMediaType

from console.api.fields import Answer
from console.api.gate import (
    ALWAYS,
    BODIES,
    MODELS,
    WRITES,
    admit,
    answered,
    api,
    given_in,
    needs,
    path_ids,
    path_of,
    refusals,
    rows_at,
)
from console.api.problems import Fault, InvalidRequest
from console.request import open_to_all, takes_file
from models.staff.accounts import Role
from models.staff.tokens import TokenScope

CSV = {"text/csv": {"schema": {"type": "string"}}}
FORM = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}, "required": ["file"]}
UPLOADS: dict[str, object] = {}
"""For the description, what the body of each operation that takes a file is."""


class File(NamedTuple):
    """A file that was sent."""

    stream: BinaryIO
    name: str


def download(rule: str, tag: Tag, role: Role, *, name: str, about: str) -> Callable[[Callable[..., Response]], None]:
    """Register a GET route that answers with CSV, for tokens of either scope whose owner has that role."""

    def register(route: Callable[..., Response]) -> None:
        hints: dict[str, Any] = get_type_hints(route)
        hints.pop("return")
        path = path_ids(hints)
        models: dict[str, type[BaseModel]] = {one: kind for one, kind in hints.items() if issubclass(kind, BaseModel)}

        statuses = {*ALWAYS, 403, *({404} if path else ())}

        def gated(**ids: int) -> Response:
            admit((role,), TokenScope.READ)
            return route(**given_in(models), **rows_at(path, ids))

        gated.__name__ = name
        gated.__annotations__ = {**models, "path": path_of(path)} if path else models
        api.get(
            rule,
            tags=[tag],
            responses={200: {"description": "The file.", "content": CSV}, **refusals(statuses)},
            summary=name.replace("_", " ").capitalize(),
            description=f"{about} {needs((role,), TokenScope.READ)}",
        )(open_to_all(gated))

    return register


def upload(rule: str, tag: Tag, at: str, role: Role) -> Callable[[Callable[[Any, File], Answer]], None]:
    """Register a POST route that takes CSV, as the body or in a form, for tokens that may write."""

    def register(route: Callable[[Any, File], Answer]) -> None:
        hints = get_type_hints(route)
        models, answer = {"query": hints["query"]}, hints["return"]

        def gated() -> Response:
            admit((role,), TokenScope.WRITE)
            return answered(route(given_in(models)["query"], _file()), at)

        gated.__name__, gated.__annotations__ = route.__name__, models
        MODELS.add((answer, "serialization"))
        UPLOADS[route.__name__] = {"required": True, "content": {**CSV, "multipart/form-data": {"schema": FORM}}}
        summary, _, more = inspect.cleandoc(route.__doc__ or "").partition("\n\n")
        api.post(
            rule,
            tags=[tag],
            responses={201: answer, **refusals({*ALWAYS, *WRITES, *BODIES})},
            summary=summary.rstrip("."),
            description=f"{more.replace(chr(10), ' ')} {needs((role,), TokenScope.WRITE)}",
        )(open_to_all(takes_file(gated)))

    return register


def _file() -> File:
    if request.mimetype == "text/csv":
        return File(BytesIO(request.get_data(cache=False)), "")
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send the file as text/csv, or as the field `file` of multipart/form-data.")
    sent = request.files.get("file")
    if sent is None:
        raise InvalidRequest([Fault(pointer="#/file", detail="Send the file in this field.")])
    return File(cast("BinaryIO", sent.stream), sent.filename or "")
