"""The installation that commands work on: its settings and its database.

Every command loads this module, so it imports `models` only where that is needed.
"""

import os
import pwd
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli import show
from local import home, stacks
from runtime import settings
from runtime.settings import DatabaseRole, Settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from models.staff.actions import Actor

_FOUND = "console.cli.data_folder"

reason_option = click.option("--reason", required=True, help="Kept in the action log.")


class Failed(click.ClickException):
    """Ends a command with its message and exit code 1."""


def program() -> str:
    """How this program is called in this terminal, for hints: `spp`, or its path where no folder of PATH has it."""
    name = Path(sys.argv[0]).name
    return sys.argv[0] if name == "spp" and shutil.which("spp") is None else "spp"


def own_data() -> Path:
    """The data folder that `spp up` uses without --data: SPP_DATA, or `.spp` here or above, or a new one here."""
    return Path(given) if (given := os.environ.get("SPP_DATA")) else stacks.own_folder(Path.cwd())


def data_folder() -> Path:
    """The data folder that a command works on: SPP_DATA, or that of the running `spp up`, or `own_data`.

    With DATABASE_URL no running stack is looked for: its data would be another database's. Raises SeveralStacks.
    """
    meta = click.get_current_context().find_root().meta
    if _FOUND not in meta:  # asked once: a command sets DATABASE_URL for itself later
        meta[_FOUND] = own_data()
        if not {"SPP_DATA", "DATABASE_URL"} & os.environ.keys():
            found = stacks.nearest(Path.cwd(), stacks.running())
            if found and found.data != own_data().resolve():
                click.echo(f"Using the running `spp up` on {found.data}.", err=True)
                meta[_FOUND] = found.data
    folder: Path = meta[_FOUND]
    return folder


@contextmanager
def installed_settings(
    role: DatabaseRole | None = DatabaseRole.CONSOLE, *, receives: bool = True
) -> Iterator[Settings]:
    """The settings. If DATABASE_URL is not set, an embedded server runs for the length of the block.

    Most commands act as the console does. Those that run a worker's job ask for its role.
    """
    with home.installation(data_folder()) as (environment, _):
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
        make = sessions(engine, test_endpoints=loaded.test_endpoints)
        try:
            with show.zone_from(lambda: _house_zone(make)):
                yield loaded, make
        finally:
            engine.dispose()


def _house_zone(make: "sessionmaker[Session]") -> str:
    """That of the first club; UTC where the database cannot say."""
    from sqlalchemy.exc import SQLAlchemyError

    from models.catalogue import clubs

    try:
        with make() as session:
            return clubs.house_zone(session)
    except SQLAlchemyError:
        return "UTC"


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
