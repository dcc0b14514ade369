"""Where an installation on one machine keeps its data, and the environment of its processes.

DATABASE_URL, BROKER_URL, SPP_ENDPOINTS and the console's secret stay as the user set them. What is not set is
provided: embedded servers on the data folder, test endpoints of all processors, and a secret that is made once.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from local.errors import LocalFailure
from local.kept import kept
from runtime.settings import CONSOLE_FILE, CONSOLE_VARIABLE, DatabaseRole

if TYPE_CHECKING:
    from local.shared import Server

ROLES = "spp"
"""Prefix of the embedded database's roles. Only this user reaches its socket, so they have no passwords."""


class Installation(NamedTuple):
    """A complete environment for our processes, and the embedded servers that were started for it."""

    environment: dict[str, str]
    servers: "list[Server]"


@contextmanager
def installation(data: Path, *, broker: bool = False) -> Iterator[Installation]:
    """Start what the environment lacks, and stop it at the end of the block.

    Commands need only a database. `broker` adds what a whole stack needs: a broker, the stand-ins for the test
    endpoints' APIs, and the console's settings. Raises LocalFailure.
    """
    # Imported where needed: most commands start without the weight of these modules.
    data = data.resolve()
    environment = dict(os.environ)
    servers: list[Server] = []
    if broker or not {"DATABASE_URL", "SPP_ENDPOINTS"} <= environment.keys():
        make_folder(data)
    with ExitStack() as stack:
        if "DATABASE_URL" not in environment:
            from local.postgres import Postgres
            from models.database.migrations import upgrade

            server = stack.enter_context(Postgres(data, shared_buffers="256MB", max_wal_size="4GB"))
            servers.append(server)
            environment["DATABASE_URL"] = server.url()
            upgrade(server.url())
            if broker:
                make_roles(server.url())
                environment.setdefault("SPP_DATABASE_ROLES", ROLES)
        if "BROKER_URL" not in environment:
            if broker:
                from local.valkey import Broker

                valkey = stack.enter_context(Broker(data))
                servers.append(valkey)
                environment["BROKER_URL"] = valkey.url
            else:
                environment["BROKER_URL"] = _running_broker(data) or "unused://"
        if "SPP_ENDPOINTS" not in environment:
            from local import endpoints

            environment |= stack.enter_context(endpoints.provided(data, run=broker))
        if broker:
            environment.setdefault("SPP_CONSOLE_HTTPS", "false")  # loopback needs none
            own = environment.get("SPP_SECRETS_DIR")
            if CONSOLE_VARIABLE not in environment and not (own and Path(own, CONSOLE_FILE).exists()):
                environment[CONSOLE_VARIABLE] = kept(data / "secrets" / CONSOLE_FILE, lambda: secrets.token_hex(32))
        yield Installation(environment, servers)


def make_folder(data: Path) -> None:
    """Make the data folder if it does not exist. Raises LocalFailure."""
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalFailure(
            f"The data folder {data} cannot be made: {error.strerror}. Choose another with SPP_DATA or --data."
        ) from None


@contextmanager
def only_stack(data: Path) -> Iterator[None]:
    """Hold the data folder for this process's stack: a second `spp up` on it raises LocalFailure."""
    make_folder(data)
    with (data / "up.pid").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel unlocks it when we die, however we die
        except BlockingIOError:
            file.seek(0)
            raise LocalFailure(
                f"`spp up` is already running (pid {file.read().strip()}) on {data}. Stop it, or choose another "
                "folder with --data."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def make_roles(url: str, prefix: str = ROLES, passwords: Mapping[DatabaseRole, str] | None = None) -> None:
    """Make the roles that processes log in as on a migrated database, and set their privileges."""
    from models.database import privileges
    from models.database.engine import make_engine

    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            privileges.grant(connection, prefix, passwords or {})
    finally:
        engine.dispose()


def remember_url(data: Path, url: str) -> None:
    """Keep the address of this folder's webhook server."""
    (data / "webhooks-url").write_text(url + "\n")


def remembered_url(data: Path) -> str | None:
    """The last address of this folder's webhook server, or None."""
    file = data / "webhooks-url"
    return file.read_text().strip() if file.exists() else None


def _running_broker(data: Path) -> str | None:
    """The URL of the broker that a running `spp up` started on this folder, or None."""
    from local.valkey import Broker

    with suppress(LocalFailure, OSError, KeyError):  # no wheel for this platform, or it is stopping right now
        return Broker(data).running_url()
    return None
