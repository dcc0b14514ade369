"""The database checks of `spp doctor`: version, settings, connections, clock, schema and roles."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from models.database import privileges
from models.database.engine import make_engine
from models.database.migrations import is_current
from runtime.settings import DatabaseRole, Settings
from webhooks.processors import adapter

VERSIONS = range(15, 19)
CLOCKS_APART_S = 2.0
WEB_PROCESS, CONSOLE_PROCESS = 9, 19
"""Connections that one process may open; the console's include its watcher."""


class Finding(NamedTuple):
    """The result of one check: whether it is right, and if not, how to mend it."""

    ok: bool
    what: str


def database(loaded: Settings) -> Iterator[Finding]:
    """Database."""
    engine = make_engine(loaded.database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            yield from _server(connection)
            yield from _connections(connection, loaded)
            yield from _clock(connection)
            ready = is_current(connection)
            yield Finding(ready, f"Schema: {'current' if ready else 'not that of this version; run spp migrate'}.")
            yield from _roles(connection, loaded.database_roles) if ready else ()
    finally:
        engine.dispose()


def _roles(connection: Connection, prefix: str) -> Iterator[Finding]:
    if not prefix:
        yield Finding(True, "Roles: none; every process has all privileges of DATABASE_URL's user.")
        return
    wrong = privileges.differences(connection, prefix)
    for what in wrong:
        yield Finding(False, f"Roles: {what}; run spp migrate.")
    if not wrong:
        names = ", ".join(f"{prefix}_{role}" for role in DatabaseRole)
        yield Finding(True, f"Roles: {names} may do what their processes need, and no more.")


def _server(connection: Connection) -> Iterator[Finding]:
    number = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // 10_000
    version = connection.exec_driver_sql("SHOW server_version").scalar_one()
    known = f"{VERSIONS[0]} to {VERSIONS[-1]}"
    yield Finding(number in VERSIONS, f"Database: PostgreSQL {version} (tried with {known}).")
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    mend = "" if encoding == "UTF8" else ": names and reasons need UTF8; create the database again with ENCODING 'UTF8'"
    yield Finding(encoding == "UTF8", f"Database: encoding {encoding}{mend}.")
    zone = connection.exec_driver_sql("SHOW timezone").scalar_one()
    keeps = "keeps" if zone == "UTC" else "loses (see pgbouncer in docs/operations.md)"
    yield Finding(zone == "UTC", f"Database: {keeps} the settings of a connection (time zone {zone}).")


def _connections(connection: Connection, loaded: Settings) -> Iterator[Finding]:
    query = "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    free = connection.scalar(text(query)) or 0
    thin = sum(adapter(endpoint).fetches for endpoint in loaded.endpoints)
    worker = 5 + thin
    need = WEB_PROCESS + CONSOLE_PROCESS + 2 * worker
    rest = max(0, free - WEB_PROCESS - CONSOLE_PROCESS) // worker
    mend = "" if free >= need else ". Raise max_connections, or put a pooler in front"
    what = (
        f"{free} connections: a web process takes {WEB_PROCESS}, a console {CONSOLE_PROCESS}, "
        f"which leaves room for {rest} worker processes at {worker}"
    )
    yield Finding(free >= need, f"Database: {what}{mend}.")


def _clock(connection: Connection) -> Iterator[Finding]:
    before = datetime.now(UTC)
    theirs = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    apart = (theirs - before - (datetime.now(UTC) - before) / 2).total_seconds()
    ok = abs(apart) <= CLOCKS_APART_S
    mend = "" if ok else ": signatures expire; synchronise both with a time server"
    yield Finding(ok, f"Clock: the database's is {apart:+.1f} s from this machine's{mend}.")
