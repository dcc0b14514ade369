"""Refusals as problems, by RFC 9457. What was refused has changed nothing."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from flask import Response, request
from pydantic import JsonValue, ValidationError
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from werkzeug.exceptions import HTTPException

from console.api.fields import Answer, field
from models.errors import (
    ClubInUse,
    ItemInUse,
    KeyReused,
    NameTaken,
    NotFound,
    OfferInUse,
    ReferenceTaken,
    SppError,
    TermInUse,
)
from runtime.outages import DATABASE, is_away

CONFLICTS = (KeyReused, NameTaken, ReferenceTaken, ClubInUse, ItemInUse, OfferInUse, TermInUse)
TYPES = "/api/v1/problems/"
MEDIA_TYPE = "application/problem+json"
AGAIN = "Send the same request again in a moment: with the same Idempotency-Key it counts once."


class Fault(Answer):
    """One thing that is wrong with a request, and where; one of the three places, or none where it is the whole."""

    detail: str = field("What is wrong.", "Input should be greater than or equal to 1")
    pointer: str | None = field("JSON pointer into the body.", "#/quantity", default=None)
    parameter: str | None = field("The query parameter.", None, default=None)
    header: str | None = field("The header.", None, default=None)


class Problem(Answer):
    """Why a request was refused."""

    type: str = field("Which problem: a page that explains it, or about:blank.", f"{TYPES}too-few-sessions")
    title: str = field("The same in words.", "Too few sessions")
    status: int = field("The HTTP status.", 422)
    detail: str = field("What happened and what to do.", "9 Spin sessions asked for, 8 usable: nothing was taken.")
    details: dict[str, JsonValue] = field("What `detail` speaks of.", {"asked": 9, "item": "Spin", "usable": 8})
    errors: list[Fault] = field("What is wrong with the request, one by one.", [])


class InvalidRequest(Exception):
    """The request is not as the API's description has it: `errors` says what is wrong where."""

    def __init__(self, errors: Sequence[Fault]) -> None:
        super().__init__(errors)
        self.errors = errors


class Refused(Exception):
    """The rules refuse a field of the body: their refusal, and where in the body."""

    def __init__(self, error: SppError, errors: Sequence[Fault]) -> None:
        super().__init__(error)
        self.error, self.errors = error, errors


Fields = Mapping[type[SppError], str]
"""Which field of the body each refusal is about."""


@contextmanager
def beside(fields: Fields, within: str = "#") -> Iterator[None]:
    """Puts a refusal of the rules beside the field of the body that it is about; `within` is the object's pointer."""
    try:
        yield
    except SppError as error:
        if type(error) not in fields:
            raise
        raise Refused(error, [Fault(pointer=f"{within}/{fields[type(error)]}", detail=str(error))]) from None


def faults(error: ValidationError, place: str) -> list[Fault]:
    """What is wrong in that place: a `pointer` into the body, a query `parameter` or a `header`."""
    found = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        where = "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in one["loc"])
        at = {place: f"#/{where}".removesuffix("/") if place == "pointer" else where}
        found.append(Fault(detail=one["msg"].removeprefix("Value error, "), **at))
    return found


def name(kind: type[Exception]) -> str:
    """TooFewSessions is too-few-sessions, NotASessionItem is not-a-session-item."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", kind.__name__).lower()


def title(kind: type[Exception]) -> str:
    """TooFewSessions is Too few sessions."""
    return name(kind).replace("-", " ").capitalize()


def answer(
    status: int, detail: str, *, kind: type[Exception] | None = None, details: dict[str, Any] | None = None,
    errors: Sequence[Fault] = (), headers: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    """A problem as a response; nothing is kept of a request that ends in one."""
    problem = Problem(
        type=TYPES + name(kind) if kind else "about:blank",
        title=title(kind) if kind else HTTPStatus(status).phrase,
        status=status, detail=detail, errors=list(errors),
        details={key: value if isinstance(value, int) else str(value) for key, value in (details or {}).items()},
    )  # fmt: skip
    return Response(problem.model_dump_json(exclude_none=True), status, headers, content_type=MEDIA_TYPE)


def refused(error: SppError) -> Response:
    """404 for what the path names, 409 for what something else has already, 422 for what the rules forbid."""
    status = 409 if isinstance(error, CONFLICTS) else 422
    if isinstance(error, NotFound) and error.details["name"] in (request.view_args or {}).values():
        status = 404
    return answer(status, str(error), kind=type(error), details=error.details)


def refused_field(refusal: Refused) -> Response:
    """The same, with the field; what the body names and is not there is 422."""
    status = 409 if isinstance(refusal.error, CONFLICTS) else 422
    kind, details = type(refusal.error), refusal.error.details
    return answer(status, str(refusal.error), kind=kind, details=details, errors=refusal.errors)


def invalid(error: InvalidRequest) -> Response:
    """422 with all that is wrong."""
    wrong = (f"{one.pointer or one.parameter or one.header}: {one.detail}" for one in error.errors)
    return answer(422, "; ".join(wrong), kind=InvalidRequest, errors=error.errors)


def unreachable(error: Exception) -> Response:
    """503: perhaps nothing was done, perhaps only the answer was lost; the same request can be sent again."""
    if is_away(error):
        DATABASE.failed(error, "requests")
    return answer(503, f"The database is not reachable, or busy. {AGAIN}", headers={"Retry-After": "2"})


def too_large(error: DataError) -> Response:  # noqa: ARG001 -- a handler's signature
    """422 for what the database cannot hold."""
    return answer(422, "A number or a text is too large.")


def failed(error: HTTPException) -> Response:
    """What the framework refuses, and, as 500, what we got wrong."""
    status = error.code or 500
    texts = {
        404: "There is no such path; the API's description is at /api/v1/openapi.json.",
        500: f"Something is wrong on our side. {AGAIN}",
    }
    headers = {key: value for key, value in error.get_headers() if key not in ("Content-Type", "Content-Length")}
    return answer(status, texts.get(status) or error.description or HTTPStatus(status).phrase, headers=headers)


HANDLERS = {
    SppError: refused, Refused: refused_field, InvalidRequest: invalid, OperationalError: unreachable,
    NoConnection: unreachable, DataError: too_large, HTTPException: failed,
}  # fmt: skip
