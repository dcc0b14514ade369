"""The tasks. Each says only what to look for; what there is to do stands in PostgreSQL."""

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError

from runtime import settings
from runtime.logs import first_line
from runtime.outages import DATABASE, is_away
from worker.process import WorkerProcess

Arguments = ParamSpec("Arguments")

_processes: dict[int, WorkerProcess] = {}

log = structlog.get_logger()


def process() -> WorkerProcess:
    """This process's own; a fork never inherits its parent's."""
    pid = os.getpid()
    if pid not in _processes:
        _processes.clear()
        _processes[pid] = WorkerProcess(settings.load(settings.DatabaseRole.WORKER))
    return _processes[pid]


def _needs_database(task: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """A database that is away or busy ends the task with a line in the log, not a traceback: the next ring goes on."""

    @wraps(task)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            task(*args, **kwargs)
        except DBAPIError as error:
            if is_away(error):
                DATABASE.failed(error, "tasks")
            elif isinstance(error, OperationalError):
                log.warning("task_failed", task=task.__name__, error=first_line(error))
            else:
                raise
        else:
            DATABASE.works()

    return run


@_needs_database
def credit_sessions(*, sweep: bool = False) -> None:
    """Works off the due events; with `sweep`, first the unmatched payments that are matched by now."""
    process().credit(sweep=sweep)


@_needs_database
def reconcile_payments() -> None:
    """Looks for payments whose webhook never came, at every endpoint whose processor can be asked."""
    process().reconcile()


@_needs_database
def expire_sessions() -> None:
    """Writes down the grants that have expired."""
    process().expire()


@_needs_database
def seal_entries() -> None:
    """Seals the entries that are old enough."""
    process().seal()


@_needs_database
def audit_ledger() -> None:
    """Checks the ledger and keeps what it finds."""
    process().audit()


@_needs_database
def prune_bodies() -> None:
    """Gives up the bodies of old events."""
    process().prune()
