"""The way into the API: a bearer token with the scope and role that the route needs; its request, read strictly.

A route is a function whose annotations say what it takes and answers: `query`, `body` and `header` are models of
ours, `member_id: int` is an id in its path, and a table (`club: clubs.Club`) is the row with the id in its path,
locked where the route changes or deletes it. Cookies mean nothing here, so nothing here needs a CSRF token.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, cast, get_type_hints

from flask import Response, g, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ValidationError, create_model
from pydantic.json_schema import JsonSchemaMode
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, Unauthorized, UnsupportedMediaType

from console import bounds
from console.api.fields import Answer, Id, KeyHeader, parameter
from console.api.problems import MEDIA_TYPE, InvalidRequest, Problem, faults
from console.request import database, open_to_all
from console.rows import row, the_offer, the_term
from models.catalogue.tables import Offer, PaymentTerm
from models.database.base import Base
from models.members.memberships import Member, current
from models.staff import accounts, kept_answers, tokens
from models.staff.accounts import Role
from models.staff.actions import Actor
from models.staff.tokens import ApiToken, TokenScope

PREFIX = "/api/v1"
MEANINGS = {
    400: "The body is not JSON.",
    401: "No valid token: it is missing, unknown or revoked, or its owner's account is disabled.",
    403: "The token may not do this: by its scope, by its owner's role, or because its owner is bound to clubs.",
    404: "There is no row with the id in the path, or it is of a club to which the token's owner is not bound.",
    409: "In conflict with something else: the idempotency key, name or billing reference is taken, the row is in use, "
    "or there are more or fewer than were expected.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "The request is not as described, or the rules refuse it: see type.",
    500: "Something is wrong on our side: send the same request again, with the same key.",
    503: "The database is not reachable, or busy: send the same request again, with the same key.",
}
"""The meaning of each refusal."""
_ANSWERED = {"get": 200, "post": 201, "patch": 200, "delete": 204}
ALWAYS, WRITES, BODIES = (401, 403, 422, 500, 503), (409,), (400, 413, 415)


Route = Callable[..., Answer | None]
Registered = TypeVar("Registered", bound=Route)
Register = Callable[[Registered], Registered]
MODELS: set[tuple[type[BaseModel], JsonSchemaMode]] = {(Problem, "serialization")}
"""The models of all requests and answers, for the description."""


class _Api(APIBlueprint):  # type: ignore[misc]
    @staticmethod
    def create_view_func(func: Route, *_: Any, **__: Any) -> Route:
        """Leave reading the request to us: the library would convert strings to numbers and unpack strings of JSON."""
        return func


api = _Api(
    "api",
    "console.api",
    url_prefix=PREFIX,
    static_folder="static",
    abp_security=[{"token": []}],
    operation_id_callback=lambda *, name, path, method: name,  # noqa: ARG005 -- the library's signature
)


def read(rule: str, tag: Tag, *roles: Role) -> Register[Any]:
    """A GET route, for tokens of either scope; where it names roles, of an owner in one of them."""
    return _route("get", rule, tag, *roles)


def write(rule: str, tag: Tag, at: str, role: Role = Role.DESK, *others: Role) -> Register[Any]:
    """A POST route for tokens that may write; committed when it answers. `at` is the path of what it made.

    The route itself has to be safe to repeat: by a key in its own table, or because a repetition changes nothing.
    """
    return _route("post", rule, tag, role, *others, at=at)


def act(rule: str, tag: Tag, at: str, role: Role, *others: Role) -> Register[Any]:
    """A POST route like `write` that counts once per idempotency key: a repetition gets the first answer."""
    return _route("post", rule, tag, role, *others, at=at, once=True)


def change(rule: str, tag: Tag, role: Role) -> Register[Any]:
    """A PATCH route, which answers with the changed row; a repetition changes nothing."""
    return _route("patch", rule, tag, role)


def remove(rule: str, tag: Tag, role: Role) -> Register[Any]:
    """A DELETE route, which has no answer; a repetition finds no row."""
    return _route("delete", rule, tag, role)


def refusals(statuses: Iterable[int]) -> dict[int, object]:
    """Refusals with these statuses, for the description."""
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": MEANINGS[status], "content": problem} for status in sorted(statuses)}


def needs(roles: Sequence[Role], scope: TokenScope) -> str:
    """The tokens that may call a route, for the description."""
    if not roles or (Role.VIEWER in roles and scope == TokenScope.READ):
        return "Any token may."
    *others, last = (one.value for one in Role if accounts.may(one, *roles))
    needed = f" of scope {scope}" if scope == TokenScope.WRITE else ""
    return f"Needs a token{needed} whose owner is {', '.join(others)} or {last}."


def _route(method: str, rule: str, tag: Tag, *roles: Role, at: str = "", once: bool = False) -> Register[Any]:
    def register(route: Registered) -> Registered:
        hints = get_type_hints(route)
        answer = hints.pop("return")
        models = {name: kind for name, kind in hints.items() if issubclass(kind, BaseModel)}
        if once:
            models["header"] = KeyHeader
        path = path_ids(hints)
        described = {**models, "path": path_of(path)} if path else models
        scope = TokenScope.READ if method == "get" else TokenScope.WRITE
        statuses = {*ALWAYS, *(WRITES if method != "get" else ()), *(BODIES if "body" in models else ())}
        statuses |= {404} if path else set()
        responses: dict[int, object] = {_ANSWERED[method]: answer if method != "delete" else None}
        responses |= refusals(statuses)
        if method != "delete":
            MODELS.add((answer, "serialization"))
        if "body" in models:
            MODELS.add((models["body"], "validation"))

        def gated(**ids: int) -> Response:
            admit(roles, scope)
            given = given_in(models)
            bounds.check_api(map(dict, given.values()))

            def run() -> Answer | None:
                lock = method in ("patch", "delete")
                rows = rows_at(path, ids, lock=lock)
                return route(**{name: given[name] for name in given if name in hints}, **rows)

            return _once(given, run, at) if once else answered(run(), at)

        gated.__name__, gated.__annotations__ = route.__name__, described  # the description is made of these
        summary, _, more = inspect.cleandoc(route.__doc__ or "").partition("\n\n")
        texts = {
            "summary": summary.rstrip("."),
            "description": f"{more.replace(chr(10), ' ')} {needs(roles, scope)}".strip(),
        }
        getattr(api, method)(rule, tags=[tag], responses=responses, **texts)(open_to_all(gated))
        return route

    return register


PathIds = Mapping[str, tuple[str, type[int] | type[Base]]]
"""By the id in a path: the route's argument for it, and of which type that is."""


def path_ids(hints: Mapping[str, Any]) -> PathIds:
    """The ids in the path of a route with these arguments: all that are no part of the request."""
    rows = {name: kind for name, kind in hints.items() if not issubclass(kind, BaseModel)}
    return {name if kind is int else f"{name}_id": (name, kind) for name, kind in rows.items()}


def rows_at(path: PathIds, ids: Mapping[str, int], *, lock: bool = False) -> dict[str, Base | int]:
    """By argument, the rows with these ids."""
    return {name: _row(kind, ids[one], lock=lock) for one, (name, kind) in path.items()}


def path_of(ids: Iterable[str]) -> type[BaseModel]:
    """The model of the ids in a path, for the description."""
    fields: dict[str, Any] = {
        name: (Id, parameter(f"The {name.removesuffix('_id').replace('_', ' ')}'s id.", 1)) for name in ids
    }
    return create_model("Path", **fields)


def _row(kind: type[int] | type[Base], wanted: int, *, lock: bool) -> Base | int:
    """The row with that id. Of an offer, and of a payment term with its offer, the whole is locked.

    The id of a member that was merged leads to the one that stayed.
    """
    if issubclass(kind, int):
        return wanted
    if lock and kind is Offer:
        return the_offer(wanted, lock=True)
    if kind is Member:
        return current(database(), row(Member, wanted, lock=lock))
    return the_term(wanted) if lock and kind is PaymentTerm else row(kind, wanted, lock=lock)


def _once(given: dict[str, BaseModel], run: Callable[[], Answer | None], at: str) -> Response:
    """Run it, unless an earlier request with the same key did: then repeat its answer."""
    session, key = database(), cast("KeyHeader", given["header"]).key
    asked = given["body"].model_dump_json() if "body" in given else ""
    if known := kept_answers.take(session, key, f"{request.method} {request.path}\n{asked}"):
        mark_replayed(True)
        return _made(known.answer, known.location)
    response = answered(run(), at)
    kept_answers.keep(session, key, location=response.headers["Location"], answer=response.get_data(as_text=True))
    return response


def mark_replayed(replayed: bool) -> None:
    """Note that an earlier request with the same key did what this one asks for."""
    g.replayed = replayed


def answered(given: Answer | None, at: str) -> Response:
    """The response to a request; of an act, with the path of what it made."""
    if given is None:
        return Response(status=204)
    if at:
        return _made(given.model_dump_json(), PREFIX + at.format(**dict(given)))
    return Response(given.model_dump_json(), mimetype="application/json")


def _made(answer: str, location: str) -> Response:
    headers = {"Location": location} | ({"Idempotency-Replayed": "true"} if g.get("replayed") else {})
    return Response(answer, 201, headers, mimetype="application/json")


def admit(roles: Sequence[Role], scope: TokenScope) -> None:
    """Let in a token of that scope in one of these roles, or, where there is none, any token."""
    given = request.authorization
    text = given.token if given is not None and given.type == "bearer" else None
    token = tokens.verify(database(), text, datetime.now(UTC)) if text else None
    if token is None:
        raise Unauthorized(
            "Send a valid API token: Authorization: Bearer spp_... An admin makes one in the console.",
            www_authenticate=WWWAuthenticate("bearer", {"realm": "Sessions Per Payment"}),
        )
    if roles and not token.allows(scope):
        raise Forbidden("This token may only read: ask an admin for one that may write.")
    if roles and not accounts.may(token.owner.role, *roles):
        raise Forbidden(f"This token's owner is a {token.owner.role}, whose role is not enough. {needs(roles, scope)}")
    bounds.bind(token.owner.club_ids)
    bounds.check_api([request.view_args or {}])
    g.token = token
    g.actor = Actor(f"token {token.id} ({token.name}) of {token.owner.email}", request.remote_addr or "")


def person() -> Actor:
    """The token's owner, for acts of which one person may do only so much, however many tokens they have.

    The token is named in the origin.
    """
    token = cast("ApiToken", g.token)
    return Actor(token.owner.email, f"{request.remote_addr or ''}, token {token.id} ({token.name})")


def is_manager() -> bool:
    """Whether the token's owner may do what a manager may."""
    return accounts.may(cast("ApiToken", g.token).owner.role, Role.MANAGER)


def given_in(models: dict[str, type[BaseModel]]) -> dict[str, BaseModel]:
    """The header, query and body of the request. Raises InvalidRequest."""
    given = {}
    for part, (reader, place) in _READERS.items():
        if part in models:
            try:
                given[part] = reader(models[part])
            except ValidationError as error:
                raise InvalidRequest(faults(error, place)) from None
    g.body, g.query = given.get("body"), given.get("query")
    return given


def _header(model: type[BaseModel]) -> BaseModel:
    # The server leaves out a header with characters beyond ASCII: the key's own check says which are allowed.
    names = [one.alias or name for name, one in model.model_fields.items()]
    return model.model_validate({name: request.headers.get(name, "") for name in names})


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


_READERS = {"header": (_header, "header"), "query": (_query, "parameter"), "body": (_body, "pointer")}
