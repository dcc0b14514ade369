"""What one worker process owns: its engine, made after the fork, its crediting, and its timer.

The timer needs no broker: while the broker is down or hung, sessions are only as
late as its tick. It also writes the process's heartbeat.
"""

import gc
import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from time import monotonic

import psutil
from sqlalchemy.orm import Session, sessionmaker

from models.database.engine import make_engine, sessions
from models.inbox import bulk
from models.ledger import expiry_undo
from models.operations import heartbeats
from models.operations.jobs import FINISHED, JobName
from models.wording import counted
from runtime.outages import Outage
from runtime.settings import Settings
from webhooks.processors import adapters
from worker.crediting import Crediting
from worker.fetching import Fetcher, Fetching
from worker.importing import Importer
from worker.recording import recorded

TASK_S = 10.0
"""How long one task or tick goes on while there is work; well inside the tasks' time limits."""
TICK_S = 1.0
"""How long one tick goes on with bulk actions and the like; heartbeats must not wait for them."""


class WorkerProcess:
    """Credits, one drain at a time however many ask for it; the scheduled jobs (worker/jobs.py) work with its parts."""

    def __init__(self, settings: Settings) -> None:
        # What is loaded by now stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000)
        self.settings = settings
        self.processors = adapters(settings.endpoints)
        thin = [processor for processor in self.processors.values() if processor.fetches]
        self._engine = make_engine(settings.database_url, pool_size=5 + len(thin))
        self.sessions: sessionmaker[Session] = sessions(self._engine, test_endpoints=settings.test_endpoints)
        self._crediting = Crediting(settings, self.sessions)
        self._draining = threading.Lock()
        self.stopping = threading.Event()
        self._finished = 0
        self.did: str | None = None
        self._self = psutil.Process()
        self._swept_at = 0.0
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._fetchers = [
            Fetcher(Fetching(settings, self.sessions, processor), self.credit, self.stopping) for processor in thin
        ]
        names = [endpoint.name for endpoint in settings.endpoints]
        self._importer = Importer(self.sessions, names, self.stopping, every_s=settings.timer_every_s)
        self._timer = threading.Thread(target=self._tick_on, name="timer", daemon=True)
        self._timer.start()

    def credit(self, *, sweep: bool = False) -> int:
        """Works off what is due, waiting for a drain under way in this process to end; returns events finished."""
        for fetcher in self._fetchers:
            fetcher.ring()
        with self._draining:
            return self._drain(sweep)

    def stop(self) -> None:
        """Ends the timer after the group it is at."""
        self.stopping.set()
        for fetcher in self._fetchers:
            fetcher.ring()
            fetcher.join(timeout=TASK_S)
        self._timer.join(timeout=TASK_S)
        self._importer.join(timeout=TASK_S)
        self._engine.dispose()

    def _drain(self, sweep: bool) -> int:
        keep_on = for_seconds(TASK_S)

        def go_on() -> bool:
            return keep_on() and not self.stopping.is_set()

        if sweep:
            with recorded(self.sessions, JobName.SWEEP) as outcome:
                finished = self._crediting.sweep(go_on)
                outcome.summary = FINISHED.format(events=counted(finished, "event"))
        else:
            finished = self._crediting.drain(go_on)
        self._finished += finished
        if finished:
            self.did = FINISHED.format(events=counted(finished, "event"))
        return finished

    def _tick_on(self) -> None:
        # A database that is away comes back, and the timer must be there.
        outage = Outage("timer")
        while not self.stopping.wait(self.settings.timer_every_s):
            with outage.survived("ticks"):
                self._tick()

    def _tick(self) -> None:
        sweep = monotonic() - self._swept_at >= self.settings.sweep_every_s
        if self._draining.acquire(blocking=False):
            try:
                self._drain(sweep)
            finally:
                self._draining.release()
            if sweep:
                self._swept_at = monotonic()
        finished, self._finished = self._finished, 0
        did, self.did = self.did, None
        with self.sessions.begin() as session:
            heartbeats.beat(session, self._name, finished, memory_bytes=self._self.memory_info().rss, doing=did)
        self._carry_on()

    def _carry_on(self) -> None:
        """Continues what people have started, a batch in each transaction."""
        for step in (partial(expiry_undo.step, now=datetime.now(UTC)), bulk.work):
            keep_on, more = for_seconds(TICK_S), True
            while more and keep_on() and not self.stopping.is_set():
                with self.sessions.begin() as session:
                    more = step(session)


def for_seconds(seconds: float) -> Callable[[], bool]:
    """Says True for so many seconds from now on."""
    until = monotonic() + seconds
    return lambda: monotonic() < until
