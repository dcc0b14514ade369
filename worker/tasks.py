"""The tasks. Each says only what to look for; what there is to do stands in PostgreSQL."""

import os

import settings
from worker.process import WorkerProcess

_processes: dict[int, WorkerProcess] = {}


def process() -> WorkerProcess:
    """This process's own; a fork never inherits its parent's."""
    pid = os.getpid()
    if pid not in _processes:
        _processes.clear()
        _processes[pid] = WorkerProcess(settings.load(settings.DatabaseRole.WORKER))
    return _processes[pid]


def credit_sessions(*, sweep: bool = False) -> None:
    """Works off the due events; with `sweep`, first the unmatched payments that are matched by now."""
    process().credit(sweep=sweep)


def reconcile_payments() -> None:
    """Looks for payments whose webhook never came, at every endpoint whose processor can be asked."""
    process().reconcile()


def expire_sessions() -> None:
    """Writes down the lots that have lapsed."""
    process().expire()


def audit_ledger() -> None:
    """Checks the ledger and keeps what it finds."""
    process().audit()


def prune_bodies() -> None:
    """Gives up the bodies of old events."""
    process().prune()
