"""What the scheduled jobs do, by name; models/operations/jobs.py says when.

To add a job, register its name and schedule there, and its body here.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import wraps

import structlog

from models.audit import chain
from models.ledger import expiry
from models.ledger.expiry import Breaker
from models.operations.jobs import (
    ASKED,
    ASKED_AND_FAILED,
    AUDITED,
    BODIES_DELETED,
    CHARGED_AGAIN,
    RUN_STOPPED,
    SEALED,
    WRITTEN_DOWN,
    JobName,
)
from models.payments import several
from models.wording import counted
from runtime import telemetry
from worker.auditing import Auditing
from worker.process import TASK_S, WorkerProcess, for_seconds
from worker.pruning import prune_all
from worker.reconciling import Reconciling
from worker.recording import Outcome, recorded

COMPARED = timedelta(days=40)
"""How far back payments are compared: more than a month."""
PRUNE_S = 1800.0
"""How long one night's pruning goes on; well inside its task's time limit."""

Run = Callable[[WorkerProcess], int]
Body = Callable[[WorkerProcess, Outcome], int]

log = structlog.get_logger()

JOBS: dict[JobName, Run] = {}
"""Each job runs with the process's own settings and database, and returns how many rows or endpoints it handled."""


def sweep(process: WorkerProcess) -> int:
    """Settles payments that match by now, then credits. `credit` records the run, because the timer calls it too."""
    return process.credit(sweep=True)


JOBS[JobName.SWEEP] = sweep


def _job(name: JobName) -> Callable[[Body], Run]:
    """Registers the body of a job, and records each of its runs with the summary that it gives."""

    def register(body: Body) -> Run:
        @wraps(body)
        def run(process: WorkerProcess) -> int:
            with telemetry.span(name.value), recorded(process.sessions, name) as outcome:
                handled = body(process, outcome)
            if handled:
                process.did = f"{name}: {outcome.summary}"
            return handled

        JOBS[name] = run
        return run

    return register


@_job(JobName.EXPIRE)
def expire(process: WorkerProcess, outcome: Outcome) -> int:
    """Writes down the grants that have expired, unless the breaker has stopped a run."""
    keep_on = for_seconds(TASK_S)
    breaker = Breaker(process.settings.expire_breaker_from, process.settings.expire_breaker_times)
    total, more = 0, True
    while more and keep_on():
        with process.sessions.begin() as session:
            grants, more = expiry.step(session, as_of=datetime.now(UTC), breaker=breaker)
        total += grants
    with process.sessions.begin() as session:
        stopped = expiry.stopped(session)
    outcome.summary = (
        RUN_STOPPED.format(id=stopped.id) if stopped else WRITTEN_DOWN.format(grants=counted(total, "grant"))
    )
    if stopped:
        log.warning("expiry_stopped", run=stopped.id, grants=stopped.due, usual=stopped.usual)
    if total:
        log.info("expired", grants=total)
    return total


@_job(JobName.COMPARE)
def compare(process: WorkerProcess, outcome: Outcome) -> int:
    """Looks for several charges for one period among the payments of the last weeks."""
    now = datetime.now(UTC)
    with process.sessions.begin() as session:
        found = several.compare(session, since=now - COMPARED, now=now)
    outcome.summary = CHARGED_AGAIN.format(payments=counted(found, "payment"))
    return found


@_job(JobName.SEAL)
def seal(process: WorkerProcess, outcome: Outcome) -> int:
    """Seals the entries that are old enough, and logs the chain's head: the log is one place where it is kept."""
    sealed = Auditing(process.sessions).seal()
    outcome.summary = SEALED.format(n=f"{sealed:,}")
    if sealed:
        with process.sessions() as session:
            head = chain.head(session)
        log.info("sealed", entries=sealed, head_entry=head and head.entry_id, head=head and head.hash.hex())
    return sealed


@_job(JobName.RECONCILE)
def reconcile(process: WorkerProcess, outcome: Outcome) -> int:
    """Finds payments whose webhook never came, at each endpoint with an API key; each run is kept with its counts."""
    asked = failed = 0
    for processor in process.processors.values():
        if processor.horizon and processor.endpoint.api_key and not process.stopping.is_set():
            report = Reconciling(process.sessions, processor).run()
            asked, failed = asked + 1, failed + bool(report.error)
            level = log.warning if report.error or report.warnings else log.info
            counts = asdict(report.counts)
            level("reconciled", endpoint=report.endpoint, **counts, warnings=report.warnings, error=report.error)
    outcome.summary = (ASKED_AND_FAILED if failed else ASKED).format(endpoints=counted(asked, "endpoint"), n=failed)
    return asked


@_job(JobName.AUDIT)
def audit(process: WorkerProcess, outcome: Outcome) -> int:
    """Checks the whole ledger; the result is kept."""
    kept = Auditing(process.sessions).run()
    outcome.summary = AUDITED.format(differences=counted(kept.findings, "difference"))
    level = log.error if kept.findings else log.info
    head = kept.head and kept.head.hex()
    first = kept.first_findings[:1]
    level("audited", entries=kept.entries, head_entry=kept.head_entry, head=head, findings=kept.findings, first=first)
    return kept.entries


@_job(JobName.PRUNE)
def prune(process: WorkerProcess, outcome: Outcome) -> int:
    """Deletes the bodies of old events, up to half an hour; the next night goes on."""
    in_time = for_seconds(PRUNE_S)
    events = prune_all(
        process.sessions,
        process.settings.keep_bodies_days,
        keep_on=lambda: in_time() and not process.stopping.is_set(),
    )
    outcome.summary = BODIES_DELETED.format(events=counted(events, "event"))
    if events:
        log.info("pruned", events=events)
    return events
