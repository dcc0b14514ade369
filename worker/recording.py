"""Recording what ran and what failed, always outside the transaction that failed: jobs, and tries of events."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from models.inbox import queue
from models.inbox.queue import Claimed
from models.operations import jobs
from models.operations.jobs import JobName
from runtime.logs import first_line
from runtime.settings import Settings

log = structlog.get_logger()


def brief(error: Exception) -> str:
    """The type and message of an error, as events and jobs keep it."""
    if isinstance(error, SQLAlchemyError):
        return f"{type(error).__name__}: {first_line(error)}"
    return f"{type(error).__name__}: {error}"[:2000]


def event_failed(make: sessionmaker[Session], settings: Settings, event: Claimed, why: str, message: str) -> None:
    """Records the failed try of an event, schedules the next one, and logs it as `message`."""
    with make.begin() as session:
        state = queue.fail(
            session, event.id, why, max_attempts=settings.max_attempts, base_s=settings.retry_base_s,
            cap_s=settings.retry_cap_s,
        )  # fmt: skip
    log.error(
        message, endpoint=event.endpoint, event_id=event.event_id, delivery=event.delivery, attempts=event.attempts,
        state=state, error=why,
    )  # fmt: skip


@dataclass
class Outcome:
    """What a job did, in a few words; None if there is nothing to say."""

    summary: str | None = None


@contextmanager
def recorded(make: sessionmaker[Session], name: JobName) -> Iterator[Outcome]:
    """Records the block as a run of the job; an error is kept and raised again.

    The start is recorded only of long jobs; of others only the end, in one statement.
    """
    if name.is_long:
        with make.begin() as session:
            jobs.started(session, name)
    began, outcome = monotonic(), Outcome()
    try:
        yield outcome
    except Exception as error:
        # A database that is away makes an error of its own.
        with suppress(SQLAlchemyError), make.begin() as session:
            jobs.ended(session, name, took_s=monotonic() - began, error=brief(error))
        raise
    with make.begin() as session:
        jobs.ended(session, name, took_s=monotonic() - began, summary=outcome.summary)
