"""The installation that commands work on: its settings, its database, and lookups by name.

Every command loads this module, so it imports the rules of `models` only where they are needed.
"""

import os
import pwd
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeVar

import click

from local import home
from runtime import settings
from runtime.settings import DatabaseRole, Endpoint, Settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from models.catalogue.tables import Club, Item, Offer
    from models.members.memberships import Member
    from models.staff.actions import Actor

    Named = TypeVar("Named", Club, Item, Offer)

DATA = Path(os.environ.get("SPP_DATA", ".spp"))

reason_option = click.option("--reason", required=True, help="Kept in the action log.")


class Failed(click.ClickException):
    """Ends a command with its message and exit code 1."""


@contextmanager
def installed_settings(
    role: DatabaseRole | None = DatabaseRole.CONSOLE, *, receives: bool = True
) -> Iterator[Settings]:
    """The settings. If DATABASE_URL is not set, an embedded server runs for the length of the block.

    Most commands act as the console does. Those that run a worker's job ask for its role.
    """
    with home.installation(DATA) as (environment, _):
        os.environ.update(environment)
        yield settings.load(role, receives=receives)


@contextmanager
def opened(
    role: DatabaseRole = DatabaseRole.CONSOLE, **options: Any
) -> "Iterator[tuple[Settings, sessionmaker[Session]]]":
    """The settings and the database; `options` are those of `make_engine`."""
    from models.database.engine import make_engine, sessions

    with installed_settings(role) as loaded:
        engine = make_engine(loaded.database_url, **options)
        try:
            yield loaded, sessions(engine)
        finally:
            engine.dispose()


@contextmanager
def database() -> "Iterator[Session]":
    """One transaction for the whole command, committed at its end."""
    with opened() as (_, make), make.begin() as session:
        yield session


def operator() -> "Actor":
    """The operating system's user of this process. Variables such as LOGNAME are not trusted.

    Where several people share a user (root in a container), SPP_OPERATOR names the person. It is a claim, so it is
    recorded beside the user and does not replace it.
    """
    from models.staff.actions import Actor

    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"user {uid}"
    person = os.environ.get("SPP_OPERATOR")
    return Actor(name, f"command line, for {person}" if person else "command line")


def endpoint_and_reference(text: str) -> tuple[str, str]:
    """The two parts of ENDPOINT:REFERENCE. Raises BadParameter."""
    endpoint, colon, reference = text.partition(":")
    if not endpoint or not colon or not reference:
        raise click.BadParameter(f"{text!r} is not of the form ENDPOINT:REFERENCE")
    return endpoint, reference


def unknown(what: str, name: str, known: Iterable[str]) -> Failed:
    """The refusal of a name, with the names that exist."""
    names = shorten(", ".join(known), 400, placeholder=" ...")
    return Failed(f"There is no {what} {name!r}. " + (f"There are: {names}." if names else "There are none yet."))


def the_endpoint(loaded: Settings, name: str) -> Endpoint:
    """The configured endpoint of that name. Raises Failed."""
    found = loaded.endpoint(name)
    if found is None:
        raise unknown("endpoint", name, (one.name for one in loaded.endpoints))
    return found


def named(session: "Session", kind: "type[Named]", name: str) -> "Named":
    """The club, item or offer of that name. Raises Failed."""
    from sqlalchemy import select

    found = session.scalar(select(kind).where(kind.name == name))
    if found is None:
        raise unknown(kind.__name__.lower(), name, session.scalars(select(kind.name).order_by(kind.name)))
    return found


def the_member(session: "Session", email: str) -> "Member":
    """The member with that address. Raises NotFound."""
    from models.errors import NotFound
    from models.members.memberships import find_member

    person = find_member(session, email)
    if person is None:
        raise NotFound(what="member", name=email)
    return person
