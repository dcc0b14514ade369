"""The tasks. Each says only what to look for; what there is to do stands in PostgreSQL."""

import os
from collections.abc import Callable
from functools import wraps

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError

from runtime import settings
from runtime.logs import first_line
from runtime.outages import DATABASE, is_away
from worker.jobs import Run
from worker.process import WorkerProcess

_processes: dict[int, WorkerProcess] = {}

log = structlog.get_logger()


def process() -> WorkerProcess:
    """This process's own; a fork never inherits its parent's."""
    pid = os.getpid()
    if pid not in _processes:
        _processes.clear()
        _processes[pid] = WorkerProcess(settings.load(settings.DatabaseRole.WORKER))
    return _processes[pid]


def task(run: Run) -> Callable[[], None]:
    """The body of a task. A database that is away or busy gives a line in the log; the next run retries."""

    @wraps(run)
    def body() -> None:
        try:
            run(process())
        except DBAPIError as error:
            if is_away(error):
                DATABASE.failed(error, "tasks")
            elif isinstance(error, OperationalError):
                log.warning("task_failed", task=run.__name__, error=first_line(error))
            else:
                raise
        else:
            DATABASE.works()

    return body
