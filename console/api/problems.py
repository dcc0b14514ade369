"""Refusals as problems, by RFC 9457. What was refused has changed nothing."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from http import HTTPStatus
from typing import Any

from flask import Response, g
from pydantic import BaseModel, JsonValue, ValidationError
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from werkzeug.exceptions import HTTPException

from console.api.fields import Answer, Body, field
from models.errors import SessionsRefused, SppError, TooFewSessions
from models.statements.why_not import Reason
from runtime.outages import DATABASE, is_away

TYPES = "/api/v1/problems/"
MEDIA_TYPE = "application/problem+json"
AGAIN = "Send the same request again in a moment: with the same Idempotency-Key it counts once."


class Fault(Answer):
    """One error in a request, and its place: a pointer, a parameter or a header, or none for the whole request."""

    detail: str = field("What is wrong.", "Input should be greater than or equal to 1")
    pointer: str | None = field("JSON pointer into the body.", "#/quantity", default=None)
    parameter: str | None = field("The query parameter.", None, default=None)
    header: str | None = field("The header.", None, default=None)


class WhyNot(Answer):
    """Why no session can be used, and the way out."""

    reason: Reason = field("The reason, for programs.", "expired")
    sentence: str = field("The reason in a sentence.", "The last 3 Spin sessions expired on Mar 31, 2026.")
    way_out: str = field("What to do about it.", "A manager can bring them back, by extending grant 1.")
    day: date | None = field("The local day that the sentence names.", "2026-03-31", default=None)
    grant_id: int | None = field("The credit grant that it is about.", 1, default=None)


class Problem(Answer):
    """The reason why a request was refused."""

    type: str = field("The type of problem: a page that explains it, or about:blank.", f"{TYPES}too-few-sessions")
    title: str = field("The type in words.", "Too few sessions")
    status: int = field("The HTTP status.", 422)
    detail: str = field("What happened and what to do.", "9 Spin sessions asked for, 8 usable: nothing was taken.")
    details: dict[str, JsonValue] = field("The values in `detail`.", {"asked": 9, "item": "Spin", "usable": 8})
    errors: list[Fault] = field("The errors in the request, one by one.", [])
    why_not: WhyNot | None = field("Where no session at all can be used: why, and the way out.", None, default=None)


class InvalidRequest(Exception):
    """The request is not as the API's description has it: `errors` says what is wrong where."""

    def __init__(self, errors: Sequence[Fault]) -> None:
        super().__init__(errors)
        self.errors = errors


@contextmanager
def within(where: str, part: type[Body] | None = None) -> Iterator[None]:
    """Place the errors of the block in a part of the body: at their field of it, or at the part as a whole."""
    try:
        yield
    except SppError as error:
        for one in _single(error):
            inside = part is not None and (one.field or "").split("/")[0] in part.model_fields
            one.field = f"{where}/{one.field}" if inside else where
        raise


def _single(error: SppError) -> list[SppError]:
    return list(error.refused.values()) if isinstance(error, SessionsRefused) else [error]


def faults(error: ValidationError, place: str) -> list[Fault]:
    """The errors in that place: a `pointer` into the body, a query `parameter` or a `header`."""
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
    status: int,
    detail: str,
    *,
    kind: type[Exception] | None = None,
    details: dict[str, Any] | None = None,
    errors: Sequence[Fault] = (),
    why_not: Mapping[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem as a response; nothing is kept of a request that ends in one."""
    problem = Problem(
        type=TYPES + name(kind) if kind else "about:blank",
        title=title(kind) if kind else HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=list(errors),
        why_not=WhyNot(**why_not) if why_not else None,
        details={key: value if isinstance(value, int | None) else str(value) for key, value in (details or {}).items()},
    )
    return Response(problem.model_dump_json(exclude_none=True), status, headers, content_type=MEDIA_TYPE)


def refused(error: SppError) -> Response:
    """An error of the rules, beside its field or parameter. A row that one of them names and that is missing is 422."""
    errors = [Fault(**place, detail=str(one)) for one in _single(error) if (place := _place(one.field))]
    status = 422 if errors and error.status == HTTPStatus.NOT_FOUND else error.status
    why_not = error.why_not if isinstance(error, TooFewSessions) else None
    return answer(status, str(error), kind=type(error), details=error.details, errors=errors, why_not=why_not)


def _place(path: str | None) -> dict[str, str]:
    """Where the request has the field: a pointer into the body or a query parameter; nothing if it has none."""
    name = (path or "").split("/")[0]
    for part, place in (("body", {"pointer": f"#/{path}"}), ("query", {"parameter": name})):
        model: BaseModel | None = g.get(part)
        if model is not None and name in type(model).model_fields:
            return place
    return {}


def invalid(error: InvalidRequest) -> Response:
    """422 with every error in the request."""
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
    """A refusal by the framework, and, as 500, our own mistake."""
    status = error.code or 500
    texts = {
        404: "There is no such path; the API's description is at /api/v1/openapi.json.",
        500: f"Something is wrong on our side. {AGAIN}",
    }
    headers = {key: value for key, value in error.get_headers() if key not in ("Content-Type", "Content-Length")}
    return answer(status, texts.get(status) or error.description or HTTPStatus(status).phrase, headers=headers)


HANDLERS = {
    SppError: refused,
    InvalidRequest: invalid,
    OperationalError: unreachable,
    NoConnection: unreachable,
    DataError: too_large,
    HTTPException: failed,
}
