"""A connection that dies when the work is done changes nothing of what was done."""

import logging

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from models.database.engine import sessions
from runtime import logs


def cut(session: Session) -> None:
    """Ends the session's connection at the server, in the middle of its transaction."""
    pid = session.scalar(text("SELECT pg_backend_pid()"))
    with sessions(session.get_bind())() as other:
        assert other.scalar(text("SELECT pg_terminate_backend(:pid, 30000)"), {"pid": pid})


def works(engine: Engine) -> bool:
    with sessions(engine)() as session:
        return session.scalar(text("SELECT 1")) == 1


def test_closing_never_fails(engine: Engine) -> None:
    session = sessions(engine)()
    cut(session)
    session.close()
    with sessions(engine)() as session:
        cut(session)
    assert works(engine)


def test_what_was_committed_is_committed(engine: Engine) -> None:
    with sessions(engine)() as session:
        session.execute(text("CREATE TABLE kept AS SELECT 1 AS x"))
        session.commit()
        cut(session)
    with sessions(engine)() as session:
        assert session.scalar(text("SELECT x FROM kept")) == 1


def test_undoing_never_fails_and_the_session_goes_on(engine: Engine) -> None:
    with sessions(engine)() as session:
        cut(session)
        session.rollback()
        assert session.scalar(text("SELECT 1")) == 1


def test_a_connection_that_dies_in_the_pool_writes_no_traceback(
    engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    level = logging.getLogger("sqlalchemy.pool").level
    try:
        logs.configure("info")
        with engine.connect() as connection:
            pid = connection.scalar(text("SELECT pg_backend_pid()"))
            with sessions(engine)() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid, 30000)"), {"pid": pid})
            connection._transaction = None  # as where an error has ended it
        assert works(engine)
    finally:
        logging.getLogger("sqlalchemy.pool").setLevel(level)
    assert "Traceback" not in capfd.readouterr().err
