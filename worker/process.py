"""What one worker process owns: its engine, made after the fork, its crediting, and its timer.

The timer needs no broker: while the broker is down or hung, sessions are only as
late as its tick. It also writes the process's heartbeat.
"""

import gc
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from time import monotonic

import structlog
from sqlalchemy.orm import Session, sessionmaker

from logs import first_line
from models import heartbeats, ledger
from models.database import make_engine, sessions
from settings import Settings
from webhooks.processors import adapters
from worker.crediting import Crediting
from worker.fetching import Fetcher, Fetching
from worker.reconciling import Reconciling

TASK_S = 10.0
"""How long one task or tick goes on while there is work; well inside the tasks' time limits."""

log = structlog.get_logger()


class WorkerProcess:
    """Credits and expires, one drain at a time however many ask for it."""

    def __init__(self, settings: Settings) -> None:
        # What is loaded by now stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000)
        self._settings = settings
        self._processors = adapters(settings.endpoints)
        thin = [processor for processor in self._processors.values() if processor.fetches]
        self._engine = make_engine(settings.database_url, pool_size=4 + len(thin))
        self._sessions: sessionmaker[Session] = sessions(self._engine)
        self._crediting = Crediting(settings, self._sessions)
        self._draining = threading.Lock()
        self._stopping = threading.Event()
        self._finished = 0
        self._swept_at = 0.0
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._fetchers = [
            Fetcher(Fetching(settings, self._sessions, processor), self.credit, self._stopping) for processor in thin
        ]
        self._timer = threading.Thread(target=self._tick_on, name="timer", daemon=True)
        self._timer.start()

    def credit(self, *, sweep: bool = False) -> int:
        """Works off what is due, waiting for a drain under way in this process to end; returns events finished."""
        for fetcher in self._fetchers:
            fetcher.ring()
        with self._draining:
            return self._drain(sweep)

    def expire(self) -> int:
        """Writes down what has lapsed; returns lots."""
        keep_on = _for_seconds(TASK_S)
        total = 0
        while keep_on():
            with self._sessions.begin() as session:
                lots = ledger.expire(session, as_of=datetime.now(UTC))
            total += lots
            if not lots:
                break
        if total:
            log.info("expired", lots=total)
        return total

    def reconcile(self) -> None:
        """Reconciles the endpoints with an API key, one after the other; each run is kept with its counts."""
        for processor in self._processors.values():
            if processor.horizon and processor.endpoint.api_key and not self._stopping.is_set():
                report = Reconciling(self._sessions, processor).run()
                tell = log.warning if report.error or report.warnings else log.info
                counts = asdict(report.counts)
                tell("reconciled", endpoint=report.endpoint, **counts, warnings=report.warnings, error=report.error)

    def stop(self) -> None:
        """Ends the timer after the group it is at."""
        self._stopping.set()
        for fetcher in self._fetchers:
            fetcher.ring()
            fetcher.join(timeout=TASK_S)
        self._timer.join(timeout=TASK_S)
        self._engine.dispose()

    def _drain(self, sweep: bool) -> int:
        keep_on = _for_seconds(TASK_S)
        run = self._crediting.sweep if sweep else self._crediting.drain
        finished = run(lambda: keep_on() and not self._stopping.is_set())
        self._finished += finished
        return finished

    def _tick_on(self) -> None:
        working = True
        while not self._stopping.wait(self._settings.timer_every_s):
            try:
                self._tick()
            except Exception as error:  # noqa: BLE001 -- a database that is away comes back; the timer must be there
                if working:
                    log.error("timer_failed", error=first_line(error))
                working = False
            else:
                working = True

    def _tick(self) -> None:
        sweep = monotonic() - self._swept_at >= self._settings.sweep_every_s
        if self._draining.acquire(blocking=False):
            try:
                self._drain(sweep)
            finally:
                self._draining.release()
            if sweep:
                self._swept_at = monotonic()
        finished, self._finished = self._finished, 0
        with self._sessions.begin() as session:
            heartbeats.beat(session, self._name, finished)


def _for_seconds(seconds: float) -> Callable[[], bool]:
    until = monotonic() + seconds
    return lambda: monotonic() < until
