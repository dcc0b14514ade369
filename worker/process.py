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
from functools import partial
from time import monotonic

import psutil
import structlog
from sqlalchemy.orm import Session, sessionmaker

from models.audit import chain
from models.database.engine import make_engine, sessions
from models.inbox import bulk
from models.ledger import expiry, expiry_undo
from models.ledger.expiry import Breaker
from models.operations import heartbeats
from models.operations.jobs import JobName
from models.wording import counted
from runtime import telemetry
from runtime.outages import Outage
from runtime.settings import Settings
from webhooks.processors import adapters
from worker.auditing import Auditing
from worker.crediting import Crediting
from worker.fetching import Fetcher, Fetching
from worker.pruning import prune_all
from worker.reconciling import Reconciling
from worker.recording import recorded

TASK_S = 10.0
"""How long one task or tick goes on while there is work; well inside the tasks' time limits."""
PRUNE_S = 1800.0
"""How long one night's pruning goes on; inside its task's time limit."""
TICK_S = 1.0
"""How long one tick goes on with acts that take long; signs of life are not to wait for them."""

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
        self._did: str | None = None
        self._self = psutil.Process()
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
        """Writes down what has expired, unless a run is stopped; returns grants."""
        keep_on = _for_seconds(TASK_S)
        breaker = Breaker(self._settings.expire_breaker_from, self._settings.expire_breaker_times)
        total = 0
        with telemetry.span("expire"), recorded(self._sessions, JobName.EXPIRE) as outcome:
            more = True
            while more and keep_on():
                with self._sessions.begin() as session:
                    grants, more = expiry.step(session, as_of=datetime.now(UTC), breaker=breaker)
                total += grants
            with self._sessions.begin() as session:
                stopped = expiry.stopped(session)
            outcome.summary = f"run {stopped.id} is stopped" if stopped else f"{counted(total, 'grant')} written down"
        if stopped:
            log.warning("expiry_stopped", run=stopped.id, grants=stopped.due, usual=stopped.usual)
        if total:
            log.info("expired", grants=total)
            self._did = f"wrote down {counted(total, 'expired grant')}"
        return total

    def reconcile(self) -> None:
        """Reconciles the endpoints with an API key, one after the other; each run is kept with its counts."""
        asked, failed = 0, 0
        with recorded(self._sessions, JobName.RECONCILE, long=True) as outcome:
            for processor in self._processors.values():
                if processor.horizon and processor.endpoint.api_key and not self._stopping.is_set():
                    report = Reconciling(self._sessions, processor).run()
                    tell = log.warning if report.error or report.warnings else log.info
                    counts = asdict(report.counts)
                    asked, failed = asked + 1, failed + bool(report.error)
                    self._did = f"reconciled {report.endpoint}"
                    tell("reconciled", endpoint=report.endpoint, **counts, warnings=report.warnings, error=report.error)
            outcome.summary = f"{counted(asked, 'endpoint')} asked" + (f", {failed} failed" if failed else "")

    def seal(self) -> None:
        """Seals the entries that are old enough; the log is one place where the chain's head is kept."""
        with recorded(self._sessions, JobName.SEAL, long=True) as outcome:
            sealed = Auditing(self._sessions).seal()
            outcome.summary = f"sealed: {sealed:,} new ledger entries"
        if sealed:
            with self._sessions() as session:
                head = chain.head(session)
            log.info("sealed", entries=sealed, head_entry=head and head.entry_id, head=head and head.hash.hex())
            self._did = outcome.summary

    def audit(self) -> None:
        """Checks everything there is against everything else; the result is kept."""
        with recorded(self._sessions, JobName.AUDIT, long=True) as outcome:
            kept = Auditing(self._sessions).run()
            outcome.summary = self._did = f"audited: {counted(kept.findings, 'difference')}"
        tell = log.error if kept.findings else log.info
        tell(
            "audited", entries=kept.entries, head_entry=kept.head_entry, head=kept.head and kept.head.hex(),
            findings=kept.findings, first=kept.first_findings[:1],
        )  # fmt: skip

    def prune(self) -> None:
        """Gives up the bodies of old events, for a while; the next night goes on."""
        keep_on = _for_seconds(PRUNE_S)
        with recorded(self._sessions, JobName.PRUNE, long=True) as outcome:
            events = prune_all(
                self._sessions, self._settings.keep_bodies_days,
                keep_on=lambda: keep_on() and not self._stopping.is_set(),
            )  # fmt: skip
            outcome.summary = f"the bodies of {counted(events, 'event')} given up"
        if events:
            log.info("pruned", events=events)
            self._did = f"gave up the bodies of {counted(events, 'event')}"

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

        def go_on() -> bool:
            return keep_on() and not self._stopping.is_set()

        if sweep:
            with recorded(self._sessions, JobName.SWEEP) as outcome:
                finished = self._crediting.sweep(go_on)
                outcome.summary = f"{counted(finished, 'event')} finished"
        else:
            finished = self._crediting.drain(go_on)
        self._finished += finished
        if finished:
            self._did = f"finished {counted(finished, 'event')}"
        return finished

    def _tick_on(self) -> None:
        # A database that is away comes back, and the timer must be there.
        outage = Outage("timer")
        while not self._stopping.wait(self._settings.timer_every_s):
            with outage.survived("ticks"):
                self._tick()

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
        did, self._did = self._did, None
        with self._sessions.begin() as session:
            heartbeats.beat(session, self._name, finished, memory_bytes=self._self.memory_info().rss, doing=did)
        self._carry_on()

    def _carry_on(self) -> None:
        """Goes on with what people have asked for, a batch in each transaction."""
        for step in (partial(expiry_undo.step, now=datetime.now(UTC)), bulk.work):
            keep_on, more = _for_seconds(TICK_S), True
            while more and keep_on() and not self._stopping.is_set():
                with self._sessions.begin() as session:
                    more = step(session)


def _for_seconds(seconds: float) -> Callable[[], bool]:
    until = monotonic() + seconds
    return lambda: monotonic() < until
