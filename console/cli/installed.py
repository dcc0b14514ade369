"""What commands work on: the installation's settings and its database, and things found there by name.

Every command loads this module, so it loads the rules of `models` only where they are needed.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from local import home
from runtime import settings
from runtime.settings import DatabaseRole

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from models.catalogue.tables import Club, Item, Offer
    from models.members.memberships import Member
    from models.staff.actions import Actor

    Named = TypeVar("Named", Club, Item, Offer)

DATA = Path(os.environ.get("SPP_DATA", ".spp"))

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Failed(click.ClickException):
    """Ends a command with its message and exit code 1."""


@contextmanager
def installed_settings(
    role: DatabaseRole | None = DatabaseRole.CONSOLE, *, receives: bool = True
) -> Iterator[settings.Settings]:
    """The settings; where DATABASE_URL is not set, with an embedded server for as long as the block.

    Most commands do what the console does; those that do the worker's jobs by hand ask for its role.
    """
    with home.installation(DATA) as (environment, _):
        os.environ.update(environment)
        yield settings.load(role, receives=receives)


def operator() -> "Actor":
    """The operating system's user who runs this command; not what a variable such as LOGNAME says.

    Where several people are one user (in a container, as root), SPP_OPERATOR names the person: a claim, so it stands
    beside the user.
    """
    from models.staff.actions import Actor

    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"user {uid}"
    person = os.environ.get("SPP_OPERATOR")
    return Actor(name, f"command line, for {person}" if person else "command line")


@contextmanager
def database() -> "Iterator[Session]":
    """One transaction for the whole command, committed at its end."""
    from models.database.engine import make_engine, sessions

    with installed_settings() as loaded:
        engine = make_engine(loaded.database_url)
        try:
            with sessions(engine).begin() as session:
                yield session
        finally:
            engine.dispose()


def settle_waiting(session: "Session") -> int:
    """Settles every payment that waited for a billing reference which a membership has by now; says how many."""
    from models.payments import settlement

    late_credit = timedelta(hours=settings.load(DatabaseRole.CONSOLE).late_credit_hours)
    total = 0
    while settled := settlement.settle_matched(session, now=datetime.now(UTC), late_credit=late_credit):
        total += settled
    return total


def billing_reference(text: str) -> tuple[str, str]:
    """The two parts of ENDPOINT:REFERENCE. Raises BadParameter."""
    endpoint, colon, reference = text.partition(":")
    if not endpoint or not colon or not reference:
        raise click.BadParameter(f"{text!r} is not of the form ENDPOINT:REFERENCE")
    return endpoint, reference


def the_member(session: "Session", email: str) -> "Member":
    """The member with that address. Raises NotFound."""
    from models.errors import NotFound
    from models.members.memberships import find_member

    person = find_member(session, email)
    if person is None:
        raise NotFound(what="member", name=email)
    return person


def named(session: "Session", kind: "type[Named]", what: str, name: str) -> "Named":
    """The row of that name. Raises NotFound."""
    from sqlalchemy import select

    from models.errors import NotFound

    found = session.scalar(select(kind).where(kind.name == name))
    if found is None:
        raise NotFound(what=what, name=name)
    return found
