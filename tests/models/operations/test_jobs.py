"""Jobs: when each is due, and when it is overdue."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.operations import heartbeats, jobs
from models.operations.jobs import JobLine, JobName
from runtime.settings import Settings

NIGHT = datetime(2026, 3, 4, 3, 17, tzinfo=UTC)
"""When the reconciliation is due."""


def line(session: Session, settings: Settings, name: JobName, now: datetime) -> JobLine:
    return next(one for one in jobs.timetable(session, settings, now) if one.name == name)


@contextmanager
def finished(session: Session, name: JobName, at: datetime) -> Iterator[None]:
    """As if the job had come to its end then, after 5 seconds."""
    jobs.ended(session, name, took_s=5, summary="3 events finished")
    moved = "UPDATE jobs SET started_at = :at - interval '5 s', finished_at = :at WHERE name = :name"
    session.execute(text(moved), {"at": at, "name": name.value})
    yield
    session.execute(text("DELETE FROM jobs"))


def test_every_job_is_listed_with_its_task(session: Session, settings: Settings) -> None:
    assert [one.name for one in jobs.schedule(settings)] == list(JobName)
    assert [one.name for one in jobs.timetable(session, settings, NIGHT)] == list(JobName)
    assert len({one.task for one in jobs.schedule(settings)}) == len(JobName)


def test_the_last_run_is_told(session: Session, settings: Settings) -> None:
    with finished(session, JobName.SWEEP, NIGHT):
        told = line(session, settings, JobName.SWEEP, NIGHT)
        assert (told.started_at, told.took_s) == (NIGHT - timedelta(seconds=5), 5)
        assert (told.summary, told.error) == ("3 events finished", None)
        assert told.due_at == NIGHT + timedelta(seconds=settings.sweep_every_s)


@pytest.mark.parametrize(
    ("name", "late", "overdue"),
    [
        (JobName.SWEEP, timedelta(seconds=60), False),
        (JobName.SWEEP, timedelta(seconds=61), True),
        (JobName.EXPIRE, timedelta(seconds=180), False),
        (JobName.EXPIRE, timedelta(seconds=181), True),
    ],
)
def test_a_job_of_an_interval_may_be_three_of_them_or_a_minute_late(
    session: Session, settings: Settings, name: JobName, late: timedelta, overdue: bool
) -> None:
    every = timedelta(seconds=settings.sweep_every_s if name == JobName.SWEEP else settings.expire_every_s)
    with finished(session, name, NIGHT):
        assert line(session, settings, name, NIGHT + every + late).overdue is overdue


@pytest.mark.parametrize(
    ("ended", "now", "due", "overdue"),
    [
        (timedelta(minutes=3), timedelta(hours=23), timedelta(days=1), False),
        (timedelta(days=-1, minutes=3), timedelta(hours=2), timedelta(0), False),
        (timedelta(days=-1, minutes=3), timedelta(hours=2, seconds=1), timedelta(0), True),
        (timedelta(days=-3), timedelta(minutes=1), timedelta(days=-2), True),
    ],
)
def test_a_nightly_job_has_two_hours(
    session: Session, settings: Settings, ended: timedelta, now: timedelta, due: timedelta, overdue: bool
) -> None:
    settings = settings.model_copy(update={"reconcile_hour_utc": 3})
    # It is due on the same night where it had ended just before.
    with finished(session, JobName.RECONCILE, NIGHT + ended):
        told = line(session, settings, JobName.RECONCILE, NIGHT + now)
        assert (told.due_at, told.overdue) == (NIGHT + due, overdue)


def test_a_job_that_a_release_adds_is_not_overdue_at_once(session: Session, settings: Settings) -> None:
    """Workers of the release before have been running, and their heartbeats stay for a while."""
    heartbeats.beat(session, "before", 0)
    session.execute(text("UPDATE heartbeats SET started_at = :at"), {"at": NIGHT - timedelta(days=10)})
    heartbeats.beat(session, "after", 0)
    session.execute(text("UPDATE heartbeats SET started_at = :at WHERE worker LIKE '%after%'"), {"at": NIGHT})
    assert not line(session, settings, JobName.PRUNE, NIGHT + timedelta(seconds=30)).overdue


def test_what_never_ran_counts_from_a_workers_start(session: Session, settings: Settings) -> None:
    before = jobs.timetable(session, settings, NIGHT)
    assert [(one.due_at, one.overdue) for one in before] == [(None, False)] * len(JobName)
    heartbeats.beat(session, "worker", 0)
    session.execute(text("UPDATE heartbeats SET started_at = :at"), {"at": NIGHT})
    told = {one.name: one.overdue for one in jobs.timetable(session, settings, NIGHT + timedelta(minutes=30))}
    assert told == {name: name in (JobName.SWEEP, JobName.EXPIRE) for name in JobName}
    assert all(one.overdue for one in jobs.timetable(session, settings, NIGHT + timedelta(days=2)))


def test_an_error_is_kept_until_the_next_good_end_and_the_last_one_stays_known(
    session: Session, settings: Settings
) -> None:
    jobs.ended(session, JobName.AUDIT, took_s=1, summary="fine")
    before = line(session, settings, JobName.AUDIT, NIGHT)
    jobs.started(session, JobName.AUDIT)
    running = line(session, settings, JobName.AUDIT, NIGHT)
    assert (running.took_s, running.due_at) == (None, before.due_at)
    jobs.ended(session, JobName.AUDIT, took_s=0, error="RuntimeError: no")
    failed = line(session, settings, JobName.AUDIT, NIGHT)
    assert (failed.error, failed.took_s, failed.due_at) == ("RuntimeError: no", None, before.due_at)
    jobs.ended(session, JobName.AUDIT, took_s=1, summary="fine again")
    again = line(session, settings, JobName.AUDIT, NIGHT)
    assert (again.error, again.summary, again.took_s) == (None, "fine again", 1)
