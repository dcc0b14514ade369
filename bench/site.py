"""Where a run takes place: the embedded servers, a folder for logs, and event numbers nobody used yet."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from bench.stripe_events import ENDPOINT, SECRET
from local.servers import Broker, Postgres
from local.stack import Stack
from runtime.settings import secret_variable

SQL = Path(__file__).with_name("sql")
MANY_STACKS = {"max_connections": "200", "track_commit_timestamp": "on"}
"""For two full stacks and more at once; and each commit's time, by which we see sessions appear."""
WORKER_CONCURRENCY = 2
"""Worker children where both peers work side by side: the tutorial's, and ours."""


@dataclass
class Site:
    """One run of the benches. PostgreSQL has its default durability, the same for all peers."""

    folder: Path
    postgres: Postgres
    broker: Broker
    rounds: int
    _next_event: int = 0

    def numbers(self, count: int) -> int:
        """The first of `count` consecutive event numbers that no other load has used."""
        first = self._next_event
        self._next_event += count
        return first

    def connect(self, database: str) -> psycopg.Connection:
        """A connection of the bench's own, past all that SQLAlchemy sets up; the end of its block commits."""
        url = make_url(self.postgres.url(database)).set(drivername="postgresql")
        return psycopg.connect(url.render_as_string(hide_password=False))

    def run_sql(self, database: str, file: str, values: dict[str, object]) -> None:
        """Runs one of the scripts in bench/sql with these values filled in."""
        script = (SQL / file).read_bytes()
        with self.connect(database) as connection:
            psycopg.ClientCursor(connection).execute(script, values)

    def our_environment(self, database: str, broker_database: int = 0) -> dict[str, str]:
        """The environment of our processes on that database."""
        return {
            **self.tutorial_environment(database, broker_database),
            "SPP_ENDPOINTS": f"{ENDPOINT}=stripe:test",
            secret_variable(ENDPOINT): SECRET,
            "SPP_CONSOLE_SECRET": "a secret of the bench, which nobody has to keep",
            "SPP_CONSOLE_HTTPS": "false",
        }

    def tutorial_environment(self, database: str, broker_database: int = 1) -> dict[str, str]:
        """The environment of the tutorial's processes on that database."""
        return {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "DATABASE_URL": self.postgres.url(database),
            "BROKER_URL": f"{self.broker.url.rpartition('/')[0]}/{broker_database}",
        }

    def our_stack(
        self,
        database: str,
        *,
        broker_database: int = 0,
        web_workers: int = 1,
        worker_concurrency: int = WORKER_CONCURRENCY,
    ) -> Stack:
        """Our processes, as one machine runs them; start those that a measure needs."""
        environment = self.our_environment(database, broker_database)
        logs = self.folder / database
        return Stack(environment, logs, web_workers=web_workers, worker_concurrency=worker_concurrency)


@contextmanager
def made(
    name: str, rounds: int, within: Callable[[Path], AbstractContextManager[object]] = nullcontext, /, **settings: str
) -> Iterator[Site]:
    """A site of the block's own, on a PostgreSQL with these settings; its logs stay where the block fails.

    `within` gets the folder before anything is in it.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"spp-{name}-"))
    try:
        with within(folder), Postgres(folder / "postgres", **settings) as postgres, Broker(folder / "broker") as broker:
            yield Site(folder, postgres, broker, rounds)
    except BaseException:
        print(f"The logs are left in {folder}", flush=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
