"""A worker dies at a line of our choosing; the next one finishes, and everything counts once."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text

from local.stack import ROOT
from models.audit.checks import audit
from runtime.settings import Settings
from tests.worker.conftest import environment
from tests.worker.scene import (
    Make,
    arrive,
    attempts,
    credited_once,
    join,
    paid_now,
    rows,
    run,
    states,
    until,
    value,
)
from worker.crediting import GROUP_LIMIT, Crediting

MAX_ATTEMPTS = 3
LEASE_S = 1.0

# The parameters that a drain takes are asked at just the lines where we want it to stop.
WORKER = """
import sys
from datetime import UTC, datetime
from time import sleep
from sqlalchemy import text
from runtime import logs
from runtime import settings
from models.database.engine import make_engine, sessions
from worker.crediting import Crediting

point = sys.argv[1]
loaded = settings.load()
logs.configure(loaded.log_level)
make = sessions(make_engine(loaded.database_url))

def stop_here():
    print("stopped", flush=True)
    sleep(600)

def now():
    if point == "claimed":
        stop_here()
    return datetime.now(UTC)

def keep_on():
    with make() as session:
        pending = session.scalar(text("SELECT count(*) FROM webhook_events WHERE state = 'pending'"))
    if point == "committed" and not pending:
        stop_here()
    return True

Crediting(loaded, make, now).drain(keep_on)
"""

GATE = 4711
# Whoever comes to the gate waits for as long as somebody else holds its lock.
CLOSE_GATE = (
    f"""
    CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock({GATE});
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER gate BEFORE INSERT ON {table} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION gate()",
)


@contextmanager
def gate(engine: Engine, table: str, condition: str = "true") -> Iterator[None]:
    """In this block, whoever inserts such a row into the table gets no further."""
    function, trigger = CLOSE_GATE
    with engine.begin() as connection:
        connection.execute(text(function))
        connection.execute(text(trigger.format(table=table, condition=condition)))
    with engine.connect() as connection:
        connection.execute(text(f"SELECT pg_advisory_lock({GATE})"))
        connection.commit()
        yield
        connection.execute(text(f"SELECT pg_advisory_unlock({GATE})"))
        connection.commit()


AT_THE_GATE = "pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"


def at_the_gate(make: Make) -> bool:
    return bool(value(make, f"SELECT count(*) FROM {AT_THE_GATE}"))


def leases_are_over(make: Make) -> bool:
    leased = "SELECT count(*) FROM webhook_events WHERE state = 'pending' AND next_attempt_at > clock_timestamp()"
    return not value(make, leased)


@contextmanager
def worker(settings: Settings, point: str = "") -> Iterator[subprocess.Popen[str]]:
    """A worker process that drains; at the end of the block it is killed, if it still lives."""
    variables = environment(
        settings.database_url,
        settings.broker_url,
        SPP_LEASE_S=str(settings.lease_s),
        SPP_MAX_ATTEMPTS=str(settings.max_attempts),
    )
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, point], cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def impatient(settings: Settings) -> Settings:
    return settings.model_copy(update={"lease_s": LEASE_S, "max_attempts": MAX_ATTEMPTS})


@pytest.fixture
def payments(make: Make) -> list[str]:
    """Ten payments that wait in the inbox, in the order of their names."""
    payments = [f"in_{number}" for number in range(10)]
    join(make, *(f"sub_{payment}" for payment in payments))
    arrive(make, *(paid_now(payment, f"sub_{payment}") for payment in payments))
    return payments


def nothing_was_done(make: Make) -> bool:
    done = "SELECT (SELECT count(*) FROM payments) + (SELECT count(*) FROM ledger_entries)"
    return states(make) == {"pending": 10} and value(make, done) == 0


def another_worker_finishes(settings: Settings, make: Make) -> None:
    crediting = Crediting(settings, make)

    def finished() -> bool:
        crediting.drain()
        return "pending" not in states(make)

    until(finished)


def test_killed_between_claim_and_settle(impatient: Settings, make: Make, payments: list[str]) -> None:
    with worker(impatient, "claimed") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
    assert nothing_was_done(make)
    assert set(attempts(make).values()) == {1}
    another_worker_finishes(impatient, make)
    assert credited_once(make, payments)
    assert set(attempts(make).values()) == {2}


@pytest.mark.parametrize("table", ["payment_facts", "credit_grants", "ledger_entries"])
def test_killed_in_the_middle_of_settling(
    impatient: Settings, engine: Engine, make: Make, payments: list[str], table: str
) -> None:
    with gate(engine, table):
        with worker(impatient):
            until(lambda: at_the_gate(make))
        assert nothing_was_done(make)
    another_worker_finishes(impatient, make)
    assert credited_once(make, payments)
    assert set(attempts(make).values()) == {2}


def test_killed_with_the_next_group_in_hand(impatient: Settings, engine: Engine, make: Make) -> None:
    payments = [f"in_{number}" for number in range(GROUP_LIMIT + 5)]
    join(make, "sub_1")
    arrive(make, *(paid_now(payment, "sub_1") for payment in payments))
    with gate(engine, "ledger_entries"), worker(impatient):
        until(lambda: at_the_gate(make) and set(attempts(make).values()) == {1})
    another_worker_finishes(impatient, make)
    assert credited_once(make, payments)
    assert set(attempts(make).values()) == {2}


def test_killed_after_the_commit(impatient: Settings, make: Make, payments: list[str]) -> None:
    with worker(impatient, "committed") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
    assert states(make) == {"processed": 10}
    assert credited_once(make, payments)
    run(make, "UPDATE webhook_events SET next_attempt_at = clock_timestamp()")
    assert Crediting(impatient, make).drain() == 0
    assert credited_once(make, payments)
    assert set(attempts(make).values()) == {1}


def test_what_kills_its_worker_every_time_dies_alone(
    impatient: Settings, engine: Engine, make: Make, payments: list[str]
) -> None:
    deadly, others = payments[4], [payment for payment in payments if payment != payments[4]]
    with gate(engine, "payments", f"NEW.reference = '{deadly}'"):
        for _ in range(MAX_ATTEMPTS):
            # What it is given it works off, until it comes upon the deadly one.
            until(lambda: leases_are_over(make))
            with worker(impatient):
                until(lambda: at_the_gate(make))
            run(make, f"SELECT pg_terminate_backend(pid) FROM {AT_THE_GATE}")
            until(lambda: not at_the_gate(make))
        another_worker_finishes(impatient, make)
        assert credited_once(make, others)
        [(event_id, state, error)] = rows(
            make, "SELECT event_id, state, error FROM webhook_events WHERE state <> 'processed'"
        )
        assert (event_id, state) == (f"evt_{deadly}", "dead")
        assert "its worker died in every try" in error
        assert {count for other, count in attempts(make).items() if other != event_id} == {2}
    with make() as session:
        assert not list(audit(session))
