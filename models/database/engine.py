"""The engine and the session factory: timeouts on every wait, UTC, and detection of dead connections."""

from collections.abc import Collection

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from models.errors import DatabaseUnreachable, WrongDatabaseUrl

STATEMENT_TIMEOUT_MS = 15_000
LOCK_TIMEOUT_MS = 3_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000


def make_engine(
    database_url: str,
    *,
    pool_size: int = 4,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    autocommit: bool = False,
) -> Engine:
    """An engine for one process; make it after the fork, never before.

    With `autocommit` each statement is a transaction, and a dead connection is detected by the statement that fails on
    it: one round trip to the server instead of four. Takes postgres://, postgresql:// and postgresql+psycopg:// URLs. A
    wait for a connection, a lock or a statement ends in SQLAlchemy's OperationalError or TimeoutError instead of
    hanging.
    """
    options = {
        "timezone": "UTC",
        "statement_timeout": statement_timeout_ms,
        "lock_timeout": LOCK_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_TIMEOUT_MS,
        # Every table has an index for each of our lookups, but while tables grow from empty their statistics lag
        # behind, and a session keeps the plans that were made then. Measured with 20,000 memberships and 20,000 events
        # on a fresh database, autovacuum on: by default 60 single credits read 4,000,000 rows of `payments` by
        # sequential scans (p50 88 ms instead of 29 ms). `plan_cache_mode = force_custom_plan` avoids these, but plans
        # each foreign-key check anew, which halves the rate of crediting (about 400 events/s instead of 800).
        "enable_seqscan": "off",
    }
    try:
        url = make_url(database_url.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError):
        raise WrongDatabaseUrl from None
    if url.get_backend_name() != "postgresql":
        raise WrongDatabaseUrl
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT" if autocommit else "READ COMMITTED",
        pool_pre_ping=not autocommit,
        pool_size=pool_size,
        max_overflow=0,
        # Keeps members' data and webhook bodies out of logs and tracebacks.
        hide_parameters=True,
        pool_timeout=5,
        connect_args={
            "connect_timeout": 2,
            "tcp_user_timeout": 5000,
            "application_name": "spp",
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
        },
    )


def check_reachable(database_url: str) -> None:
    """Check the connection when a process starts. Raises DatabaseUnreachable or WrongDatabaseUrl."""
    engine = make_engine(database_url)
    try:
        with engine.connect():
            pass
    except OperationalError as error:
        raise DatabaseUnreachable(reason=str(error.orig).strip()) from None
    finally:
        engine.dispose()


class _Session(Session):
    """A session whose close and rollback never raise: what was committed stays, even if the connection dies then."""

    def close(self) -> None:
        try:
            super().close()
        except DBAPIError:
            self.invalidate()

    def rollback(self) -> None:
        try:
            super().rollback()
        except DBAPIError:
            self.invalidate()


def sessions(engine: Engine, *, test_endpoints: Collection[str] | None = None) -> sessionmaker[Session]:
    """Sessions of that engine: `with sessions(engine).begin() as session: ...` commits at the end.

    A session has `test_endpoints` in its `info`; None if it is not known which endpoints are in test mode.
    """
    return sessionmaker(engine, class_=_Session, expire_on_commit=False, info={"test_endpoints": test_endpoints})
