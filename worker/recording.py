"""Recording jobs: when one ran, what came of it, and why it failed, outside the transaction that failed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from models.operations import jobs
from models.operations.jobs import JobName
from worker.crediting import brief


@dataclass
class Outcome:
    """What a job did, in a few words for people; None where there is nothing to say."""

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
        # Where the database is away, that is what everybody will hear of.
        with suppress(SQLAlchemyError), make.begin() as session:
            jobs.failed(session, name, took_s=monotonic() - began, error=brief(error))
        raise
    with make.begin() as session:
        jobs.finished(session, name, took_s=monotonic() - began, summary=outcome.summary)
