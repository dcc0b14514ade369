"""PostgreSQL is killed and started again under load: no acknowledged payment is lost, and all recovers by itself."""

import re
from collections.abc import Iterator

import pytest

from local.home import make_roles
from local.servers import Broker, Postgres
from local.stack import Stack
from models.database.engine import make_engine
from models.database.migrations import upgrade
from tests.worker.conftest import Running, open_gym
from tests.worker.scene import credited_once, post, rows, until, value
from tests.worker.stream import Stream, new_payments

OUTAGES, CONCURRENCY = 2, 2


@pytest.fixture
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


def outages(stack: Stack) -> list[list[str]]:
    """For web and worker: `failing` and `working_again`, in the order in which their logs tell of the database."""
    return [
        re.findall(r'"database_(failing|working_again)"', stack.log(name).read_text()) for name in ("web", "worker")
    ]


def test_postgres_is_killed_under_load(own_postgres: Postgres, own_broker: Broker, running: Running) -> None:
    own_postgres.create("spp")
    upgrade(own_postgres.url("spp"))
    make_roles(own_postgres.url("spp"))
    engine = make_engine(own_postgres.url("spp"))
    make = open_gym(engine)
    deliveries = new_payments(make, 8000)
    short = {"SPP_TIMER_EVERY_S": "0.5", "SPP_SWEEP_EVERY_S": "1", "SPP_LEASE_S": "2", "SPP_RETRY_BASE_S": "0.5"}
    with running(own_postgres.url("spp"), own_broker.url, **short) as stack:
        with Stream(stack.port, deliveries) as stream:
            for _ in range(OUTAGES):
                stream.go_on(200, more=100)
                own_postgres.kill()
                stream.go_on(503, more=10)
                own_postgres.start()
                stream.go_on(200, more=100)
        assert set(stream.answers.values()) == {200, 503}
        stored = {event_id for (event_id,) in rows(make, "SELECT event_id FROM webhook_events")}
        assert {f"evt_{payment}" for payment in stream.answered(200)} <= stored

        # What was not acknowledged, the processor sends again.
        assert {post(stack.port, deliveries[payment]) for payment in stream.answered(503)} == {200}
        until(lambda: not value(make, "SELECT count(*) FROM webhook_events WHERE state = 'pending'"))
        assert credited_once(make, stream.answers)
        assert stack.alive() == {"web", "worker", "beat"}
        # Each process tells of it when it begins and when it is over.
        until(lambda: all(lines.count("working_again") == lines.count("failing") for lines in outages(stack)))
        web, worker = outages(stack)
        assert 1 <= web.count("failing") <= OUTAGES
        assert 1 <= worker.count("failing") <= OUTAGES * CONCURRENCY
        assert "Traceback" not in stack.log("worker").read_text() + stack.log("web").read_text()
    engine.dispose()
