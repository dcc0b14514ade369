"""The request that pages and API answer: its database session, the actor behind it, and its commit."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TypeVar, cast

from flask import current_app, g, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy.orm import Session

from models.staff.actions import Actor
from runtime.outages import DATABASE

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])

MAX_ID = 2**63 - 1
YEARS = range(2000, 2200)
"""The years that pages and API can be asked about."""


def database() -> Session:
    """The request's database session. It is committed only if the view answers without an error."""
    if "database" not in g:
        g.database = g.factory()
    return cast("Session", g.database)


def undo() -> None:
    """Roll back what the request has done so far."""
    if "database" in g:
        g.database.rollback()


def actor() -> Actor:
    """The actor for the action log: the token that the API admitted, or the account that is logged in."""
    if "actor" in g:
        return cast("Actor", g.actor)
    return Actor(current_user.account.email, request.remote_addr or "")


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def late_credit() -> timedelta:
    """How long after its payment a credit is late."""
    return cast("timedelta", current_app.config["SPP"].late_credit)


def is_test_endpoint(name: str) -> bool:
    """Whether the endpoint with that name is configured, in test mode."""
    endpoint = current_app.config["SPP"].endpoint(name)
    return endpoint is not None and endpoint.mode == "test"


def open_to(view: View, *roles: str) -> View:
    """Open a view to accounts of at least one of these roles, to everybody without any. Commit when it has answered."""

    @wraps(view)
    def wrapped(*args: object, **kwargs: object) -> ResponseReturnValue:
        answer = view(*args, **kwargs)
        if "database" in g:
            g.database.commit()
            DATABASE.works()
        return answer

    wrapped.needs = roles  # type: ignore[attr-defined]
    return cast("View", wrapped)


def open_to_all(view: View) -> View:
    """Open a view to everybody: a public page, or a route of the API, which checks the token itself."""
    return open_to(view)


def parse_id(text: object) -> int | None:
    """The id that a text spells in digits; None if it is not a valid id."""
    if not isinstance(text, str) or not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    return int(text) if 0 < int(text) <= MAX_ID else None
