"""The schema's revisions: migrating a database, and checking whether it is current.

Alembic is imported only to migrate or to compare, so that the web server does without its weight.
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
    """Migrate the database to the newest schema. Idempotent; concurrent migrations wait for each other.

    One transaction. If a lock is not granted within 2 s (env.py), everything is rolled back, so that no other query
    waits behind this one for longer, and tried again after a pause. Raises MigrationLockedOut after the last try, or
    SchemaTooOld.
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

    A newer schema only adds to an older one while code that needs the older one is running (docs/operations.md), so
    that old and new code run side by side during an upgrade.
    """
    known = inspect(connection).has_table("alembic_version")
    return known and str(connection.scalar(text("SELECT version_num FROM alembic_version"))) >= HEAD


def not_ready(engine: Engine) -> str | None:
    """Why this database cannot be used now; None if it answers and has this code's schema."""
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
