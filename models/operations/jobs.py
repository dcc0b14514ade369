"""Scheduled jobs: when each is due, when it last ran, and whether it is overdue.

To add a job, add its name and its line in `schedule` here, and its body in worker/jobs.py. Beat's schedule, the tasks,
the alarm about overdue jobs, `spp status` and the Operations page follow from these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import String, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base, Prose, prose
from models.operations.heartbeats import Heartbeat, ProcessKind
from runtime import broker
from runtime.language import stored
from runtime.settings import Settings

COMPARE_EVERY_S = 3600
SEAL_EVERY_S = 3600
LATE_AFTER_INTERVALS = 3
LATE_AFTER = timedelta(seconds=60)
"""How late a job with an interval may be: the longer of the two."""
NIGHTLY_LATE_AFTER = timedelta(hours=2)
"""How late a nightly job may end."""


FINISHED = stored("{events} finished")
RUN_STOPPED = stored("run {id} is stopped")
WRITTEN_DOWN = stored("{grants} written down")
CHARGED_AGAIN = stored("{payments} with another charge for the same period")
SEALED = stored("sealed: {n} new ledger entries")
ASKED, ASKED_AND_FAILED = stored("{endpoints} asked"), stored("{endpoints} asked, {n} failed")
AUDITED = stored("audited: {differences}")
BODIES_DELETED = stored("the bodies of {events} deleted")
"""What the jobs say that they did."""


class JobName(StrEnum):
    """The scheduled jobs."""

    SWEEP = "sweep"
    EXPIRE = "expire"
    COMPARE = "compare"
    SEAL = "seal"
    RECONCILE = "reconcile"
    AUDIT = "audit"
    PRUNE = "prune"

    @property
    def is_long(self) -> bool:
        """Whether a run may take up to an hour instead of seconds."""
        return self not in (JobName.SWEEP, JobName.EXPIRE)


class Job(Base):
    """The last run of a job, in whatever process."""

    __tablename__ = "jobs"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    """When it last ended without an error."""
    summary: Mapped[str | None] = mapped_column(Prose(200))
    """What it did then."""
    error: Mapped[str | None] = mapped_column(Prose(2000))
    """Why it failed; NULL after the next success."""


class Scheduled(NamedTuple):
    """When a job is due: every so many seconds, or once a day at a time, UTC."""

    name: JobName
    every_s: float | None = None
    at: time | None = None

    @property
    def task(self) -> str:
        """The name of its Celery task."""
        return broker.job_task(self.name)

    def due_after(self, moment: datetime) -> datetime:
        """The next moment at which it is due."""
        if self.at is None:
            return moment + timedelta(seconds=self.every_s or 0)
        today = datetime.combine(moment.astimezone(UTC).date(), self.at, UTC)
        return today if today > moment else today + timedelta(days=1)

    @property
    def may_be_late(self) -> timedelta:
        """How long after it was due it becomes overdue."""
        if self.every_s is None:
            return NIGHTLY_LATE_AFTER
        return max(LATE_AFTER, LATE_AFTER_INTERVALS * timedelta(seconds=self.every_s))


def schedule(settings: Settings) -> tuple[Scheduled, ...]:
    """Every job. Beat sends its tasks by this; the workers' timers sweep by it too."""
    return (
        Scheduled(JobName.SWEEP, every_s=settings.sweep_every_s),
        Scheduled(JobName.EXPIRE, every_s=settings.expire_every_s),
        Scheduled(JobName.COMPARE, every_s=COMPARE_EVERY_S),
        Scheduled(JobName.SEAL, every_s=SEAL_EVERY_S),
        Scheduled(JobName.RECONCILE, at=time(settings.reconcile_hour_utc, 17)),
        Scheduled(JobName.AUDIT, at=time(settings.audit_hour_utc, 27)),
        Scheduled(JobName.PRUNE, at=time(settings.prune_hour_utc, 37)),
    )


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job: its last run, the result, and when it is due. Times UTC."""

    name: JobName
    started_at: datetime | None
    """None if it never ran."""
    took_s: float | None
    """None while it runs, and if it failed."""
    summary: str | None
    error: str | None
    due_at: datetime | None
    """When it is or was due; None before any worker has started."""
    overdue: bool


def timetable(session: Session, settings: Settings, now: datetime) -> list[JobLine]:
    """Every job. For one that never ran, time counts from the newest start of a worker, since older code lacks it."""
    query = select(Job).execution_options(populate_existing=True)
    rows: Mapping[str, Job] = {job.name: job for job in session.scalars(query)}
    since = session.scalar(select(func.max(Heartbeat.started_at)).where(Heartbeat.kind == ProcessKind.WORKER))
    return [_line(one, rows.get(one.name), since, now) for one in schedule(settings)]


def _line(one: Scheduled, job: Job | None, since: datetime | None, now: datetime) -> JobLine:
    done_at = job.finished_at if job and job.finished_at else since
    due_at = one.due_after(done_at) if done_at else None
    overdue = due_at is not None and now - due_at > one.may_be_late
    if job is None:
        return JobLine(one.name, None, None, None, None, due_at, overdue)
    ended = job.finished_at is not None and job.finished_at >= job.started_at
    took_s = (job.finished_at - job.started_at).total_seconds() if job.finished_at and ended else None
    return JobLine(one.name, job.started_at, took_s, job.summary, job.error, due_at, overdue)


_STARTED = text("""
    INSERT INTO jobs (name, started_at) VALUES (:name, statement_timestamp())
    ON CONFLICT (name) DO UPDATE SET started_at = excluded.started_at
""")

_ENDED = prose(
    """
    INSERT INTO jobs (name, started_at, finished_at, summary, error)
    VALUES (:name, statement_timestamp() - make_interval(secs => :took_s),
            CASE WHEN CAST(:error AS text) IS NULL THEN statement_timestamp() END, :summary, :error)
    ON CONFLICT (name) DO UPDATE
    SET started_at = excluded.started_at, error = excluded.error,
        finished_at = coalesce(excluded.finished_at, jobs.finished_at),
        summary = CASE WHEN excluded.error IS NULL THEN excluded.summary ELSE jobs.summary END
""",
    "summary",
    "error",
)


def started(session: Session, name: JobName) -> None:
    """Records that the job has begun."""
    session.execute(_STARTED, {"name": name.value})


def ended(
    session: Session, name: JobName, *, took_s: float, summary: str | None = None, error: str | None = None
) -> None:
    """Records that the job has just ended: what it did, or why it failed. A failure keeps the last success."""
    values = {"summary": summary and summary[:200], "error": error and error[:2000]}
    session.execute(_ENDED, {"name": name.value, "took_s": took_s, **values})
