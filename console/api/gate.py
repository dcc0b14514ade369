"""The way into the API: a bearer token with the scope that the route needs, and its request read strictly.

A route is a function whose annotations say what it takes; `read` and `write` register it, describe it,
and turn what it returns into an answer. Cookies mean nothing here, so nothing here needs a CSRF token.
"""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast, get_type_hints

from flask import Response, g, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import JsonSchemaMode
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, Unauthorized, UnsupportedMediaType

from console.api.fields import Answer
from console.api.problems import MEDIA_TYPE, InvalidRequest, Problem, faults
from console.web import access
from models import staff, tokens
from models.actions import Actor
from models.staff import Role
from models.tokens import ApiToken, TokenScope

PREFIX = "/api/v1"
MEANINGS = {
    400: "The body is not JSON.",
    401: "No valid token: it is missing, unknown or revoked, or its owner's account is disabled.",
    403: "The token may not write: its scope is read, or its owner's role is viewer.",
    404: "What the path names does not exist.",
    409: "The idempotency key was used with other content, or the billing reference belongs to another membership.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "The request is not as described, or the rules refuse it: see type.",
    500: "Something is wrong on our side: send the same request again, with the same key.",
    503: "The database is not reachable, or busy: send the same request again, with the same key.",
}
"""What each refusal means."""
_ALWAYS, _WRITES = (401, 422, 500, 503), (400, 403, 409, 413, 415)


class Made(NamedTuple):
    """An answer to an act, where it can be read again, and whether an earlier request with the same key did it."""

    answer: Answer
    location: str
    replayed: bool = False


Route = Callable[..., Answer | Made]
MODELS: set[tuple[type[BaseModel], JsonSchemaMode]] = {(Problem, "serialization")}
"""What the routes take and give, for the description."""


class _Api(APIBlueprint):  # type: ignore[misc]
    @staticmethod
    def create_view_func(func: Route, *_: Any, **__: Any) -> Route:
        """Leaves reading the request to us: the library would convert strings to numbers and unpack strings of JSON."""
        return func


api = _Api(
    "api", "console.api", url_prefix=PREFIX, static_folder="static",
    abp_security=[{"token": []}], operation_id_callback=lambda *, name, path, method: name,  # noqa: ARG005
)  # fmt: skip


def read(rule: str, answer: type[Answer], tag: Tag) -> Callable[[Route], Route]:
    """A GET route, for tokens of either scope."""
    return _route("get", TokenScope.READ, rule, answer, tag)


def write(rule: str, answer: type[Answer], tag: Tag) -> Callable[[Route], Route]:
    """A POST route, for tokens that may write; committed when it answers, or nothing of it is kept."""
    return _route("post", TokenScope.WRITE, rule, answer, tag)


def _route(method: str, scope: TokenScope, rule: str, answer: type[Answer], tag: Tag) -> Callable[[Route], Route]:
    refusals = _ALWAYS + (() if method == "get" else _WRITES) + ((404,) if "<" in rule else ())
    MODELS.add((answer, "serialization"))
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses: dict[int, object] = {200 if method == "get" else 201: answer}
    responses |= {status: {"description": MEANINGS[status], "content": problem} for status in sorted(refusals)}

    def register(route: Route) -> Route:
        summary, _, more = inspect.cleandoc(route.__doc__ or "").partition("\n\n")
        gated = _gate(route, scope)
        if body := gated.__annotations__.get("body"):
            MODELS.add((body, "validation"))
        add = getattr(api, method)(
            rule, tags=[tag], summary=summary.rstrip("."), description=more.replace("\n", " "), responses=responses
        )
        add(access.open_to_all(gated))
        return route

    return register


def _gate(route: Route, scope: TokenScope) -> Callable[..., Response]:
    takes = get_type_hints(route)

    def gated(**path: int) -> Response:
        _admit(scope)
        arguments: dict[str, BaseModel] = {}
        if "path" in takes:
            arguments["path"] = takes["path"](**path)
        try:
            for part, take in (("header", _header), ("query", _query), ("body", _body)):
                if part in takes:
                    arguments[part] = take(takes[part])
        except ValidationError as error:
            place = {"header": "header", "query": "parameter", "body": "pointer"}[part]
            raise InvalidRequest(faults(error, place)) from None
        return _answer(route(**arguments))

    gated.__name__, gated.__annotations__ = route.__name__, takes  # what the description is made of
    return gated


def _admit(scope: TokenScope) -> None:
    given = request.authorization
    text = given.token if given is not None and given.type == "bearer" else None
    token = tokens.verify(access.database(), text, datetime.now(UTC)) if text else None
    if token is None:
        raise Unauthorized(
            "Send a valid API token: Authorization: Bearer spp_... An admin makes one in the console.",
            www_authenticate=WWWAuthenticate("bearer", {"realm": "Sessions Per Payment"}),
        )
    if not token.allows(scope):
        raise Forbidden("This token may only read: ask an admin for one that may write.")
    if scope == TokenScope.WRITE and not staff.may(token.owner.role, Role.DESK):
        raise Forbidden(f"This token's owner is a {token.owner.role}, who may only read.")
    g.token = token


def caller() -> Actor:
    """Whose token this is, for the action log."""
    token = cast("ApiToken", g.token)
    return Actor(f"token {token.id} ({token.name}) of {token.owner.email}", request.remote_addr or "")


def _header(model: type[BaseModel]) -> BaseModel:
    names = [one.alias or name for name, one in model.model_fields.items()]
    return model.model_validate({name: request.headers[name] for name in names if name in request.headers})


def _query(model: type[BaseModel]) -> BaseModel:
    # A repeated parameter stays a list, which nothing here takes.
    given = {name: values if len(values) > 1 else values[0] for name, values in request.args.lists()}
    return model.model_validate(given)


def _body(model: type[BaseModel]) -> BaseModel:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send the body as application/json.")
    try:
        return model.model_validate_json(request.get_data())
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise BadRequest(error.errors()[0]["msg"]) from None
        raise


def _answer(given: Answer | Made) -> Response:
    if not isinstance(given, Made):
        return Response(given.model_dump_json(), mimetype="application/json")
    headers = {"Location": given.location} | ({"Idempotency-Replayed": "true"} if given.replayed else {})
    return Response(given.answer.model_dump_json(), 201, headers, mimetype="application/json")
