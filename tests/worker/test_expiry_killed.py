"""An expiry run is killed half-way: what it had committed stands, and the next run does the rest."""

import subprocess
import sys

import pytest
from sqlalchemy import text

from local.stack import ROOT
from models.audit.checks import audit
from runtime.settings import DatabaseRole, Settings
from tests.database_roles import as_role
from tests.worker.conftest import environment
from tests.worker.scene import Make, rows, run, until, value
from worker import jobs
from worker.process import WorkerProcess

GRANTS = 100
BATCH = 10

EXPIRE = f"""
from datetime import UTC, datetime
from time import sleep
from runtime import settings
from models.ledger import entries
from models.database.engine import make_engine, sessions

make = sessions(make_engine(settings.load().database_url))
for batch in range(4):
    with make.begin() as session:
        assert entries.expire(session, as_of=datetime.now(UTC), limit={BATCH}) == {BATCH}
        if batch == 3:
            print("half-way", flush=True)
            sleep(600)
"""

# As crediting would have left them long ago: a payment, its fact, its grant and the grant's entry.
EXPIRED = """
    WITH membership AS (SELECT id, member_id FROM memberships ORDER BY id LIMIT 1),
    item AS (SELECT id FROM items WHERE kind = 'scheduler_bucket' ORDER BY id LIMIT 1),
    event AS (
        INSERT INTO webhook_events (endpoint, event_id, type, body, state)
        VALUES ('stripe', 'evt_1', 'invoice.paid', '', 'processed') RETURNING id
    ), payment AS (
        INSERT INTO payments (endpoint, reference) SELECT 'stripe', 'in_' || n FROM generate_series(1, :grants) n
        RETURNING id
    ), fact AS (
        INSERT INTO payment_facts
            (id, event_id, payment_id, kind, occurred_at, amount_minor, currency, running_total, billing_references)
        SELECT payment.id, event.id, payment.id, 'paid', '2024-01-01', 8900, 'USD', false, '{}' FROM payment, event
        RETURNING id, payment_id
    ), granted AS (
        INSERT INTO credit_grants (payment_id, member_id, membership_id, item_id, first_quantity, quantity, remaining,
                                   effective_at, expires_at)
        SELECT payment.id, membership.member_id, membership.id, item.id, 4, 4, 4, '2024-01-01', '2024-02-01'
        FROM payment, membership, item
        RETURNING id, payment_id
    )
    INSERT INTO ledger_entries (grant_id, kind, quantity, expires_at, occurred_at, fact_id)
    SELECT granted.id, 'grant', 4, '2024-02-01', '2024-01-01', fact.id FROM granted JOIN fact USING (payment_id)
"""


@pytest.fixture
def expired(make: Make) -> Make:
    run(make, EXPIRED, grants=GRANTS)
    return make


def written_down(make: Make) -> int:
    return int(value(make, "SELECT count(*) FROM ledger_entries WHERE kind = 'expiry'"))


def test_the_next_run_picks_up_where_a_killed_one_stopped(settings: Settings, expired: Make) -> None:
    variables = environment(settings.database_url, settings.broker_url)
    with subprocess.Popen(
        [sys.executable, "-c", EXPIRE], cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half-way\n"
        process.kill()
    assert written_down(expired) == 3 * BATCH

    worker = WorkerProcess(as_role(settings, DatabaseRole.WORKER))
    try:
        # Until the database has noticed the death, the batch in hand is locked, and passed over.
        until(lambda: jobs.expire(worker) == 0 and written_down(expired) == GRANTS)
    finally:
        worker.stop()
    per_grant = """
        SELECT g.remaining, count(*), sum(e.quantity), min(e.occurred_at) = g.expires_at
        FROM credit_grants g JOIN ledger_entries e ON e.grant_id = g.id AND e.kind = 'expiry'
        GROUP BY g.id
    """
    assert rows(expired, per_grant) == [(0, 1, -4, True)] * GRANTS
    with expired() as session:
        findings = [finding for finding in audit(session) if finding.grant_id is not None]
    assert not findings


def test_what_has_not_expired_stays(settings: Settings, expired: Make) -> None:
    run(
        expired,
        "UPDATE credit_grants SET expires_at = clock_timestamp() + interval '1 day' WHERE id % 2 = 0",
        "UPDATE credit_grants SET expires_at = NULL WHERE id % 5 = 0",
    )
    live = value(expired, "SELECT count(*) FROM credit_grants WHERE id % 2 = 0 OR id % 5 = 0")
    worker = WorkerProcess(as_role(settings, DatabaseRole.WORKER))
    try:
        assert jobs.expire(worker) == GRANTS - live
    finally:
        worker.stop()
    assert value(expired, "SELECT sum(remaining) FROM credit_grants") == 4 * live
    with expired() as session:
        assert session.scalar(text("SELECT count(*) FROM credit_grants WHERE remaining = 4")) == live
