"""The way into the API: a bearer token with the scope and the role that the route needs; its request, read strictly.

A route is a function whose annotations say what it takes; `read`, `write`, `act`, `change` and `remove` register it,
describe it, and turn what it returns into an answer. Cookies mean nothing here, so nothing here needs a CSRF token.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast, get_type_hints

from flask import Response, g, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import JsonSchemaMode
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, Unauthorized, UnsupportedMediaType

from console.api.fields import Answer, KeyHeader
from console.api.problems import MEDIA_TYPE, InvalidRequest, Problem, faults
from console.request import database, open_to_all
from models.staff import accounts, kept_answers, tokens
from models.staff.accounts import Role
from models.staff.actions import Actor
from models.staff.tokens import ApiToken, TokenScope

PREFIX = "/api/v1"
MEANINGS = {
    400: "The body is not JSON.",
    401: "No valid token: it is missing, unknown or revoked, or its owner's account is disabled.",
    403: "The token may not do this: its scope is read, or its owner's role is not enough.",
    404: "What the path names does not exist.",
    409: "Taken by something else: the idempotency key, the name, the billing reference; or in use, so it stays.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "The request is not as described, or the rules refuse it: see type.",
    500: "Something is wrong on our side: send the same request again, with the same key.",
    503: "The database is not reachable, or busy: send the same request again, with the same key.",
}
"""What each refusal means."""
_ALWAYS, _WRITES, _BODIES = (401, 422, 500, 503), (403, 409), (400, 413, 415)


class Made(NamedTuple):
    """An answer to an act, where it can be read again, and whether an earlier request with the same key did it."""

    answer: Answer | str
    """As a model, or as the JSON that was answered before."""
    location: str
    replayed: bool = False


@dataclass(frozen=True)
class Access:
    """What a route asks of the token that calls it."""

    scope: TokenScope
    role: Role

    def __str__(self) -> str:
        """In words, for the description."""
        if self.scope == TokenScope.READ:
            return "Any token may."
        *others, last = (role.value for role in Role if accounts.may(role, self.role))
        return f"Needs a token of scope {self.scope} whose owner is {', '.join(others)} or {last}."


Route = Callable[..., Answer | Made | None]
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
    return _route("get", rule, answer, tag, Access(TokenScope.READ, Role.VIEWER))


def write(rule: str, answer: type[Answer], tag: Tag, role: Role = Role.DESK) -> Callable[[Route], Route]:
    """A POST route for tokens that may write; committed when it answers, or nothing of it is kept.

    What makes it safe to repeat is its own business: a key in its own table, or that again is no change.
    """
    return _route("post", rule, answer, tag, Access(TokenScope.WRITE, role))


def act(rule: str, answer: type[Answer], tag: Tag, role: Role) -> Callable[[Route], Route]:
    """A POST route like `write` that counts once per idempotency key: a repetition gets the first answer."""
    return _route("post", rule, answer, tag, Access(TokenScope.WRITE, role), once=True)


def change(rule: str, answer: type[Answer], tag: Tag, role: Role) -> Callable[[Route], Route]:
    """A PATCH route, which answers with what it has changed; again, it changes nothing."""
    return _route("patch", rule, answer, tag, Access(TokenScope.WRITE, role))


def remove(rule: str, tag: Tag, role: Role) -> Callable[[Route], Route]:
    """A DELETE route, which has nothing to answer; again, there is nothing of that id."""
    return _route("delete", rule, None, tag, Access(TokenScope.WRITE, role))


_ANSWERED = {"get": 200, "post": 201, "patch": 200, "delete": 204}


def _route(
    method: str, rule: str, answer: type[Answer] | None, tag: Tag, access_: Access, *, once: bool = False
) -> Callable[[Route], Route]:
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}

    def register(route: Route) -> Route:
        gated = _gate(route, access_, once=once)
        takes = gated.__annotations__
        refusals = {*_ALWAYS, *(_WRITES if method != "get" else ()), *(_BODIES if "body" in takes else ())}
        refusals |= {404} if "path" in takes else set()
        responses: dict[int, object] = {_ANSWERED[method]: answer}
        responses |= {status: {"description": MEANINGS[status], "content": problem} for status in sorted(refusals)}
        if answer:
            MODELS.add((answer, "serialization"))
        if body := takes.get("body"):
            MODELS.add((body, "validation"))
        summary, _, more = inspect.cleandoc(route.__doc__ or "").partition("\n\n")
        description = f"{more.replace(chr(10), ' ')} {access_}".strip()
        add = getattr(api, method)(
            rule, tags=[tag], summary=summary.rstrip("."), description=description, responses=responses
        )
        add(open_to_all(gated))
        return route

    return register


def _gate(route: Route, needed: Access, *, once: bool) -> Callable[..., Response]:
    takes = get_type_hints(route)
    read_here = {"header": KeyHeader, **takes} if once else takes

    def gated(**path: int) -> Response:
        _admit(needed)
        arguments: dict[str, BaseModel] = {}
        if "path" in takes:
            arguments["path"] = takes["path"](**path)
        try:
            for part, take in (("header", _header), ("query", _query), ("body", _body)):
                if part in read_here:
                    arguments[part] = take(read_here[part])
        except ValidationError as error:
            place = {"header": "header", "query": "parameter", "body": "pointer"}[part]
            raise InvalidRequest(faults(error, place)) from None
        given = {part: value for part, value in arguments.items() if part in takes}
        if not once:
            return _answer(route(**given))
        return _answer(_once(arguments, lambda: cast("Made", route(**given))))

    gated.__name__, gated.__annotations__ = route.__name__, read_here  # what the description is made of
    return gated


def _once(arguments: dict[str, BaseModel], do: Callable[[], Made]) -> Made:
    """Does it, unless an earlier request with the same key did: then what that was answered."""
    session, key = database(), cast("KeyHeader", arguments["header"]).key
    asked = arguments["body"].model_dump_json() if "body" in arguments else ""
    if known := kept_answers.take(session, key, f"{request.method} {request.path}\n{asked}"):
        return Made(known.answer, known.location, replayed=True)
    made = do()
    answer = cast("Answer", made.answer).model_dump_json()
    kept_answers.keep(session, key, location=made.location, answer=answer)
    return made._replace(answer=answer)


def _admit(needed: Access) -> None:
    given = request.authorization
    text = given.token if given is not None and given.type == "bearer" else None
    token = tokens.verify(database(), text, datetime.now(UTC)) if text else None
    if token is None:
        raise Unauthorized(
            "Send a valid API token: Authorization: Bearer spp_... An admin makes one in the console.",
            www_authenticate=WWWAuthenticate("bearer", {"realm": "Sessions Per Payment"}),
        )
    if not token.allows(needed.scope):
        raise Forbidden("This token may only read: ask an admin for one that may write.")
    if not accounts.may(token.owner.role, needed.role):
        raise Forbidden(f"This token's owner is a {token.owner.role}, whose role is not enough. {needed}")
    g.token = token
    g.actor = Actor(f"token {token.id} ({token.name}) of {token.owner.email}", request.remote_addr or "")


def person() -> Actor:
    """Whose token this is. For what one person may do only so much of, however many tokens they have.

    The token stands in the origin.
    """
    token = cast("ApiToken", g.token)
    return Actor(token.owner.email, f"{request.remote_addr or ''}, token {token.id} ({token.name})")


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


def _answer(given: Answer | Made | None) -> Response:
    if given is None:
        return Response(status=204)
    if not isinstance(given, Made):
        return Response(given.model_dump_json(), mimetype="application/json")
    headers = {"Location": given.location} | ({"Idempotency-Replayed": "true"} if given.replayed else {})
    answer = given.answer if isinstance(given.answer, str) else given.answer.model_dump_json()
    return Response(answer, 201, headers, mimetype="application/json")
