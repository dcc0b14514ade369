"""The schema's history: it can be run again, and ends in what the models declare."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

import models.migrations
from local.servers import Postgres
from models.database import make_engine
from models.migrations import differences, is_current, upgrade
from tests.models.gym import fresh


@pytest.fixture
def empty_url(postgres: Postgres) -> Iterator[str]:
    name = fresh("empty")
    postgres.create(name)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
def connection(empty_url: str) -> Iterator[Connection]:
    engine = make_engine(empty_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_a_database_is_current_only_once_it_was_upgraded(empty_url: str, connection: Connection) -> None:
    assert not is_current(connection)
    connection.rollback()
    upgrade(empty_url)
    assert is_current(connection)


def test_an_older_database_is_not_current(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
        assert not is_current(connection)


def test_upgrading_again_changes_nothing(empty_url: str, connection: Connection) -> None:
    upgrade(empty_url)
    connection.execute(text("INSERT INTO items (name, kind) VALUES ('Towel', 'other')"))
    connection.commit()
    upgrade(empty_url)
    assert connection.scalar(text("SELECT count(*) FROM items")) == 1


def test_upgrades_at_once_wait_for_each_other(empty_url: str, connection: Connection) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; from models.migrations import upgrade; upgrade(sys.argv[1])",
        empty_url,
    ]
    root = Path(models.migrations.__file__).parents[2]
    running = [subprocess.Popen(command, cwd=root) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert is_current(connection)


def test_the_migrated_database_is_what_the_models_declare(engine: Engine) -> None:
    with engine.connect() as connection:
        assert differences(connection) == []
        connection.execute(text("ALTER TABLE items ADD COLUMN colour text"))
        assert len(differences(connection)) == 1
