"""The schema's history, and the things that ask about it.

Alembic is loaded by those who migrate or compare; whoever only asks whether the schema is
current, the web server among them, does without its weight.
"""

from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from models.database.engine import make_engine
from models.errors import MigrationLockedOut

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent
HEAD = max(file.name for file in (FOLDER / "versions").glob("[0-9]*.py"))[:4]
"""The newest revision. Revisions are numbered, and their files begin with the number."""
TRIES = 20
PAUSE_S = 3.0


def upgrade(database_url: str, *, tries: int = TRIES, pause_s: float = PAUSE_S) -> None:
    """Brings the database to the newest schema; nothing to do is fine. One at a time: others wait.

    All or nothing. A lock that is not to be had within 2 s (env.py) undoes all of it, so that nobody waits behind
    us for longer, and it is tried again after a pause. Raises MigrationLockedOut after the last try.
    """
    engine = make_engine(database_url, statement_timeout_ms=0)
    try:
        for _ in range(tries):
            try:
                with engine.begin() as connection:
                    _upgrade(connection)
            except OperationalError as error:
                if not isinstance(error.orig, LockNotAvailable):
                    raise
                sleep(pause_s)
            else:
                return
        raise MigrationLockedOut(tries=tries)
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    if not is_current(connection):
        from alembic import command

        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_current(connection: Connection) -> bool:
    """Whether the database has the schema that this code was written for, or a newer one.

    Newer ones only add to it, until no code that needs what they take away is running any more
    (docs/operations.md), so that old and new code run beside each other during an upgrade.
    """
    known = inspect(connection).has_table("alembic_version")
    return known and str(connection.scalar(text("SELECT version_num FROM alembic_version"))) >= HEAD


def not_ready(engine: Engine) -> str | None:
    """Why nobody can work on this database now; None where it answers and has this code's schema."""
    try:
        with engine.connect() as connection:
            if not is_current(connection):
                return "The database's schema is not current: run `spp migrate`."
    except SQLAlchemyError:
        return "The database is not reachable."
    return None


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return config
