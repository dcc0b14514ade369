"""What happens without a delivery: the sweep, the expiry, and the signs of life."""

import json
import shelve
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from celery import Celery

from local.servers import Broker
from local.stack import ROOT, Stack
from local.standin import StandIn
from models.operations.jobs import JobName
from runtime import broker
from tests.worker.conftest import Running, environment
from tests.worker.scene import Make, arrive, credited, join, paid, paid_now, rows, run, until, usable_now, value

NEVER_S = "3600"


@pytest.fixture
def waiting(make: Make) -> Make:
    """A payment that was credited, and one that waits for a member who signs up under sub_late."""
    join(make, "sub_1")
    arrive(make, paid_now("in_1", "sub_1"), paid_now("in_late", "sub_late"))
    return make


def unmatched(make: Make) -> bool:
    return bool(value(make, "SELECT state FROM payments WHERE reference = 'in_late'") == "unmatched")


def sign_up_by_sql(make: Make) -> None:
    run(
        make,
        "INSERT INTO billing_references (endpoint, reference, membership_id)"
        " SELECT endpoint, 'sub_late', membership_id FROM billing_references"
        " WHERE (endpoint, reference) = ('stripe', 'sub_1')",
    )


def test_beat_sweeps_and_expires(running: Running, database_url: str, own_broker: Broker, waiting: Make) -> None:
    """The timer is out of the way: all work is what beat asked for. A worker that logs little still says: ready."""
    often = {"SPP_SWEEP_EVERY_S": "1", "SPP_EXPIRE_EVERY_S": "1", "SPP_TIMER_EVERY_S": NEVER_S}
    often["SPP_LOG_LEVEL"] = "warning"
    with running(database_url, own_broker.url, "worker", "beat", **often):
        until(lambda: unmatched(waiting))
        sign_up_by_sql(waiting)
        until(lambda: usable_now(waiting, "sub_1") == (8, 16))

        run(waiting, "UPDATE credit_grants SET expires_at = clock_timestamp() WHERE expires_at IS NOT NULL")
        until(lambda: value(waiting, "SELECT count(*) FROM ledger_entries WHERE kind = 'expiry'"))
        per_grant = "SELECT count(*), sum(quantity) FROM ledger_entries WHERE kind = 'expiry' GROUP BY grant_id"
        assert rows(waiting, per_grant) == [(1, -4), (1, -4)]
        assert usable_now(waiting, "sub_1") == (0, 16)


def test_beat_needs_no_database_and_no_secret(own_broker: Broker, tmp_path: Path) -> None:
    nobody = {"SPP_SECRET_STRIPE": "", "SPP_SWEEP_EVERY_S": "1"}
    stack = Stack(environment("postgresql://nobody@127.0.0.1:1/none", own_broker.url, **nobody), tmp_path)
    with redis.Redis.from_url(own_broker.url) as client:
        client.flushall()
        try:
            stack.start("beat")
            until(lambda: client.llen("spp:maintenance"))
        finally:
            stack.stop()
            client.flushall()


def test_a_clock_that_was_ahead_does_not_silence_beat(own_broker: Broker, tmp_path: Path) -> None:
    """Beat ran by a clock an hour ahead, and was started again after the clock was right."""
    ours = environment("postgresql://nobody@127.0.0.1:1/none", own_broker.url, SPP_SWEEP_EVERY_S="1")
    stack = Stack(ours, tmp_path)
    with redis.Redis.from_url(own_broker.url) as client:
        try:
            stack.start("beat")
            until(lambda: client.llen("spp:maintenance"))
            stack.stop()
            with shelve.open(str(tmp_path / "beat-schedule"), writeback=True) as kept:
                assert set(kept["entries"]) >= {job.value for job in JobName}
                for entry in kept["entries"].values():
                    entry.last_run_at += timedelta(hours=1)
            client.flushall()
            stack.start("beat")
            until(lambda: client.llen("spp:maintenance"))
        finally:
            stack.stop()
            client.flushall()


def test_the_timer_sweeps_and_gives_signs_of_life_without_a_broker(
    running: Running, database_url: str, own_broker: Broker, waiting: Make
) -> None:
    often = {"SPP_SWEEP_EVERY_S": "1", "SPP_TIMER_EVERY_S": "0.2"}
    with running(database_url, own_broker.url, "worker", **often):
        own_broker.kill()
        try:
            until(lambda: unmatched(waiting))
            sign_up_by_sql(waiting)
            until(lambda: usable_now(waiting, "sub_1") == (8, 16))
            beats = "SELECT worker, seen_at FROM heartbeats"
            until(lambda: len(rows(waiting, beats)) == 2)
            first = dict(map(tuple, rows(waiting, beats)))
            until(lambda: all(seen_at > first[worker] for worker, seen_at in rows(waiting, beats)))
            until(lambda: value(waiting, "SELECT sum(events) FROM heartbeats") == 2)
        finally:
            own_broker.start()
    assert rows(waiting, "SELECT count(*) FROM heartbeats WHERE credited_at IS NOT NULL")[0][0] >= 1


def test_the_nightly_reconciliation_credits_what_no_webhook_told(
    running: Running, database_url: str, own_broker: Broker, waiting: Make, tmp_path: Path
) -> None:
    # The event that the webhook told came an hour before the one that it did not.
    run(waiting, "UPDATE webhook_events SET received_at = received_at - interval '2 hours'")
    lost = json.loads(paid("in_lost", "sub_1", at=datetime.now(UTC) - timedelta(hours=1)))
    with StandIn("stripe", tmp_path) as api:
        api.objects.put("events", lost["id"], lost)
        endpoint = {"SPP_ENDPOINTS": f"stripe=stripe:test,api={api.url}", "SPP_API_KEY_STRIPE": "sk_test"}
        with running(database_url, own_broker.url, "worker", **endpoint):
            app = Celery(set_as_current=False)
            app.conf.update(broker.celery_config(own_broker.url))
            app.send_task(broker.job_task("reconcile"))
            until(lambda: credited(waiting, ["in_lost"]))
    assert rows(waiting, "SELECT endpoint, added, error FROM reconciliations") == [("stripe", 1, None)]


def test_entries_are_sealed_every_hour(database_url: str, own_broker: Broker) -> None:
    show = (
        "from worker.app import app; e = app.conf.beat_schedule['seal'];"
        " print(e['task'], e['schedule'], e['task'] in app.tasks, app.amqp.router.route({}, e['task'])['queue'].name)"
    )
    ours = environment(database_url, own_broker.url)
    told = subprocess.run([sys.executable, "-c", show], env=ours, cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == f"{broker.job_task('seal')} 3600 True maintenance\n"


def test_a_worker_seals_when_beat_rings(running: Running, database_url: str, own_broker: Broker, make: Make) -> None:
    with running(database_url, own_broker.url, "worker"):
        app = Celery(set_as_current=False)
        app.conf.update(broker.celery_config(own_broker.url))
        app.send_task(broker.job_task("seal"))
        until(lambda: value(make, "SELECT finished_at FROM jobs WHERE name = 'seal'"))


@pytest.mark.parametrize(
    ("job", "minute"),
    [("reconcile", 17), ("audit", 27), ("prune", 37)],
)
def test_these_are_due_every_night(database_url: str, own_broker: Broker, job: str, minute: int) -> None:
    show = (
        f"from worker.app import app; e = app.conf.beat_schedule['{job}'];"
        " print(e['task'], e['schedule'], e['task'] in app.tasks, app.amqp.router.route({}, e['task'])['queue'].name)"
    )
    ours = environment(database_url, own_broker.url, **{f"SPP_{job.upper()}_HOUR_UTC": "23"})
    told = subprocess.run([sys.executable, "-c", show], env=ours, cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == f"{broker.job_task(job)} <crontab: {minute} 23 * * * (m/h/dM/MY/d)> True maintenance\n"
