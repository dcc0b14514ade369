"""Migrations while others work: somebody whose transaction holds a table, and code older than the schema."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, text

from local.servers import Postgres
from models.database.engine import make_engine
from models.database.migrations import is_current, not_ready, upgrade
from models.errors import MigrationLockedOut
from tests.models.database.older import make


@pytest.fixture
def older(postgres: Postgres) -> Iterator[Engine]:
    """A database at revision 0012; the next one changes payments."""
    postgres.create("older")
    engine = make_engine(postgres.url("older"))
    make(engine, "0012")
    yield engine
    engine.dispose()
    postgres.drop("older")


@pytest.fixture
def holder(older: Engine) -> Iterator[Connection]:
    """In a transaction that has read the payments, which keeps their columns as they are."""
    with older.connect() as connection:
        connection.execute(text("SELECT count(*) FROM payments"))
        yield connection


def test_it_gives_up_and_leaves_everything_as_it_was(older: Engine, holder: Connection, postgres: Postgres) -> None:
    with pytest.raises(MigrationLockedOut, match="The database is as it was"):
        upgrade(postgres.url("older"), tries=1, pause_s=0)
    with older.connect() as connection:
        assert not is_current(connection)
        assert connection.scalar(text("SELECT count(*) FROM expiry_runs WHERE lots > 0")) == 0


def test_it_comes_through_once_the_other_is_done(older: Engine, holder: Connection, postgres: Postgres) -> None:
    migrating = threading.Thread(target=upgrade, args=[postgres.url("older")], kwargs={"pause_s": 0.1})
    migrating.start()
    waits = text("SELECT count(*) FROM pg_locks WHERE relation = 'payments'::regclass AND NOT granted")
    with older.connect().execution_options(isolation_level="AUTOCOMMIT") as observer:
        while not observer.scalar(waits):
            assert migrating.is_alive()
        first = observer.scalar(text("SELECT max(pid) FROM pg_locks WHERE NOT granted"))
        # The second try has a transaction of its own, hence another start.
        begun = text("SELECT xact_start FROM pg_stat_activity WHERE pid = :pid")
        started = observer.scalar(begun, {"pid": first})
        while observer.scalar(begun, {"pid": first}) in (started, None) or not observer.scalar(waits):
            assert migrating.is_alive()
    holder.rollback()
    migrating.join(timeout=60)
    with older.connect() as connection:
        assert is_current(connection)


def test_older_code_goes_on_with_a_newer_schema(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        assert is_current(connection)
    assert not_ready(engine) is None
    upgrade(engine.url.render_as_string(hide_password=False))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
