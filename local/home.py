"""Where an installation on one machine lives, and the environment that its processes get.

DATABASE_URL, BROKER_URL, SPP_ENDPOINTS and the console's secret are the user's own where they are set;
what is not set is provided: an embedded server on a folder of data, test endpoints
of all processors, a secret made once.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local.kept import kept
from runtime.settings import CONSOLE_FILE, CONSOLE_VARIABLE

ROLES = "spp"
"""What the names of the embedded database's roles begin with. Nobody else reaches it, so they have no passwords."""


@contextmanager
def installation(data: Path, *, broker: bool = False) -> Iterator[dict[str, str]]:
    """A complete environment for our processes; embedded servers run as long as the block.

    With `broker`, an embedded one is started where BROKER_URL is not set, and the stand-ins for
    the test endpoints' APIs, and there is what the console needs; commands do without. Raises
    NoEmbeddedServers where the platform has none, and ServerFailed.
    """
    # What each of these takes to load is spent by those alone who need it.
    data = data.resolve()
    environment = dict(os.environ)
    with ExitStack() as stack:
        if "DATABASE_URL" not in environment:
            from local.postgres import Postgres
            from models.database.migrations import upgrade

            server = stack.enter_context(Postgres(data, shared_buffers="256MB", max_wal_size="4GB"))
            environment["DATABASE_URL"] = server.url()
            upgrade(server.url())
            if broker:
                make_roles(server.url())
                environment.setdefault("SPP_DATABASE_ROLES", ROLES)
        if "BROKER_URL" not in environment and broker:
            from local.valkey import Broker

            environment["BROKER_URL"] = stack.enter_context(Broker(data)).url
        environment.setdefault("BROKER_URL", "unused://")
        if "SPP_ENDPOINTS" not in environment:
            from local import endpoints

            environment |= stack.enter_context(endpoints.provided(data, run=broker))
        if broker:
            environment.setdefault("SPP_CONSOLE_HTTPS", "false")  # which loopback does without
            if not _has_console_secret(environment):
                environment[CONSOLE_VARIABLE] = kept(data / "secrets" / CONSOLE_FILE, lambda: secrets.token_hex(32))
        yield environment


def make_roles(url: str) -> None:
    """Lets processes log in to this database, an embedded and migrated one, by roles of their own."""
    from models.database import privileges
    from models.database.engine import make_engine

    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            privileges.grant(connection, ROLES)
    finally:
        engine.dispose()


def remember_url(data: Path, url: str) -> None:
    """Notes where the webhook server of this folder answers."""
    (data / "webhooks-url").write_text(url + "\n")


def remembered_url(data: Path) -> str | None:
    """Where the webhook server of this folder answered last, or None."""
    file = data / "webhooks-url"
    return file.read_text().strip() if file.exists() else None


def _has_console_secret(environment: Mapping[str, str]) -> bool:
    folder = environment.get("SPP_SECRETS_DIR")
    return CONSOLE_VARIABLE in environment or bool(folder and Path(folder, CONSOLE_FILE).exists())
