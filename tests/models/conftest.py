"""A ready-made gym: `gym` in a transaction that is rolled back, `open_gym` in a database of the test's own."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from local.servers import Postgres
from models.database.engine import make_engine, sessions
from models.schema import TABLES
from tests.models.gym import Gym, build

assert TABLES, "imported so that every table is known, whichever tests run"


@pytest.fixture(scope="session")
def shared_engine(postgres: Postgres, template: str) -> Iterator[Engine]:
    """Of a migrated database in which no test commits."""
    postgres.create("shared", template)
    engine = make_engine(postgres.url("shared"))
    yield engine
    engine.dispose()


@pytest.fixture
def session(shared_engine: Engine) -> Iterator[Session]:
    """Whose commits are savepoints in a transaction that is rolled back."""
    with shared_engine.connect() as connection, connection.begin() as transaction:
        with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
            yield session
        transaction.rollback()


@pytest.fixture
def gym(session: Session) -> Gym:
    return build(session)


@pytest.fixture
def open_gym(engine: Engine) -> Iterator[Gym]:
    """Committed, where other sessions can see it."""
    with sessions(engine)() as session:
        # Hundreds of generated histories, none of which has to survive a crash.
        session.execute(text("SET synchronous_commit = off"))
        yield build(session)
