"""What a worker does by the clock is recorded, also when it fails; its tick undoes the runs that are to be undone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from models.ledger import expiry_undo
from models.operations.jobs import JobName
from models.staff.actions import Actor
from runtime.settings import DatabaseRole, Settings
from tests.database_roles import as_role
from tests.worker.scene import Make, arrive, join, paid_now, rows, run, until, value
from worker import jobs
from worker.process import WorkerProcess
from worker.recording import recorded

OFTEN = {"timer_every_s": 0.05, "sweep_every_s": 0.1}


@pytest.fixture
def worker(settings: Settings, make: Make) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(
        as_role(Settings(**{**settings.model_dump(), **OFTEN, "expire_breaker_from": 2}), DatabaseRole.WORKER)
    )
    yield worker
    worker.stop()


def test_every_scheduled_job_has_a_body() -> None:
    assert jobs.JOBS.keys() == set(JobName)


def job(make: Make, name: str) -> Any:
    (found,) = rows(make, f"SELECT * FROM jobs WHERE name = '{name}'") or [None]
    return found


def expired(make: Make, member: str, number: int) -> None:
    """So many payments of a new member are credited, and their sessions expire at once."""
    join(make, member)
    arrive(make, *(paid_now(f"in_{member}_{one}", member) for one in range(number)))
    until(lambda: value(make, "SELECT count(*) FROM credit_grants WHERE expires_at > clock_timestamp()") == number)
    run(make, "UPDATE credit_grants SET expires_at = clock_timestamp() WHERE expires_at > clock_timestamp()")


def test_the_timers_own_sweep_is_recorded(worker: WorkerProcess, make: Make) -> None:
    until(lambda: job(make, "sweep"))
    first = job(make, "sweep").finished_at
    until(lambda: job(make, "sweep").finished_at > first)
    assert job(make, "sweep").error is None


def test_expiry_is_recorded_with_what_it_did_or_why_it_did_not(worker: WorkerProcess, make: Make) -> None:
    expired(make, "sub_1", 2)
    assert jobs.expire(worker) == 2
    assert job(make, "expire").summary == "2 grants written down"
    expired(make, "sub_2", 1)
    assert jobs.expire(worker) == 0
    number = value(make, "SELECT id FROM expiry_runs WHERE state = 'stopped'")
    assert job(make, "expire").summary == f"run {number} is stopped"


def test_the_audit_is_recorded_and_its_result_kept(worker: WorkerProcess, make: Make) -> None:
    jobs.audit(worker)
    assert job(make, "audit").summary == "audited: 0 differences"
    assert rows(make, "SELECT findings, first_findings FROM audits") == [(0, [])]


def test_sealing_is_recorded_and_needs_no_audit(worker: WorkerProcess, make: Make) -> None:
    join(make, "sub_1")
    arrive(make, paid_now("in_1", "sub_1"), paid_now("in_2", "sub_1"))
    until(lambda: value(make, "SELECT count(*) FROM ledger_entries") == 4)
    jobs.seal(worker)
    assert job(make, "seal").summary == "sealed: 0 new ledger entries"
    run(
        make,
        "ALTER TABLE ledger_entries DISABLE TRIGGER append_only",
        "UPDATE ledger_entries SET recorded_at = recorded_at - interval '61 min'",
        "ALTER TABLE ledger_entries ENABLE TRIGGER append_only",
    )
    jobs.seal(worker)
    assert job(make, "seal").summary == "sealed: 4 new ledger entries"
    entries = rows(make, "SELECT id FROM ledger_entries ORDER BY id")
    assert rows(make, "SELECT entry_id FROM entry_chain ORDER BY entry_id") == entries
    assert value(make, "SELECT count(*) FROM audits") == 0
    jobs.audit(worker)
    assert rows(make, "SELECT findings, entries, head_entry FROM audits") == [(0, 4, entries[-1].id)]


def test_a_failure_is_kept_outside_of_what_failed(make: Make) -> None:
    def fail() -> None:
        with recorded(make, JobName.AUDIT):
            assert job(make, "audit").finished_at is None
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        fail()
    failed = job(make, "audit")
    assert (failed.error, failed.finished_at) == ("RuntimeError: the disk is full", None)


def test_where_the_database_is_away_its_own_error_is_what_is_told(make: Make) -> None:
    def fail() -> None:
        with recorded(make, JobName.SWEEP):
            run(make, "DROP TABLE jobs")
            raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        fail()


def test_a_tick_undoes_what_is_to_be_undone(worker: WorkerProcess, make: Make) -> None:
    expired(make, "sub_1", 2)
    jobs.expire(worker)
    with make.begin() as session:
        number = value(make, "SELECT id FROM expiry_runs")
        by = Actor("ops", "here")
        expiry_undo.undo(session, number, last_day=None, reason="Wrong", by=by, now=datetime.now(UTC))
    until(lambda: value(make, "SELECT state FROM expiry_runs") == "undone")
    assert value(make, "SELECT sum(remaining) FROM credit_grants WHERE expires_at IS NULL") >= 8
