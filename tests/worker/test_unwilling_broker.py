"""A broker that does not let Celery begin: the workers' timers credit, and rings again as soon as it does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis

from local.processes import runs
from local.servers import Broker
from local.stack import Stack
from tests.runtime.test_broker_redis import fill
from tests.worker.conftest import environment
from tests.worker.scene import Make, credited, credited_once, until
from tests.worker.stream import deliver, new_payments

NEVER_S = "3600"
BY_THE_BELL = {"SPP_TIMER_EVERY_S": NEVER_S, "SPP_SWEEP_EVERY_S": NEVER_S}
BY_TIMER = {"SPP_TIMER_EVERY_S": "0.5", "SPP_LEASE_S": "2"}

Started = Callable[..., Stack]


@pytest.fixture
def started(module_database: str, tmp_path: Path) -> Iterator[Started]:
    """`started(broker URL, "web", ..., SPP_...="...")` starts these of our processes, and waits for the web server."""
    stacks: list[Stack] = []

    def start(broker_url: str, *names: str, **changed: str) -> Stack:
        stack = Stack(environment(module_database, broker_url, **changed), tmp_path / str(len(stacks)))
        stacks.append(stack)
        stack.start("web")
        stack.wait_ready()
        stack.start(*names)
        return stack

    yield start
    for stack in stacks:
        stack.stop()


@contextmanager
def memory(own_broker: Broker) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_broker.url) as client:
        yield client
        client.flushall()
        client.config_set("maxmemory", 0)


def listens(stack: Stack) -> bool:
    return b" ready." in stack.log("worker").read_bytes()


def test_nothing_piles_up_while_no_worker_runs(started: Started, own_broker: Broker, module_make: Make) -> None:
    deliveries = new_payments(module_make, 20)
    often = {"SPP_SWEEP_EVERY_S": "0.01", "SPP_EXPIRE_EVERY_S": "0.01"}
    with memory(own_broker) as client:
        stack = started(own_broker.url, "beat", **often)
        assert set(deliver(stack.port, deliveries)) == {200}
        until(lambda: client.info("commandstats").get("cmdstat_lpush", {"calls": 0})["calls"] > 300)
        assert client.llen("spp:events") == 1
        assert client.llen("spp:maintenance") == 100
        # Beat sends as often for as long as it likes: a worker that comes then credits.
        stack.start("worker")
        until(lambda: credited(module_make, deliveries))


def test_a_worker_takes_away_what_has_filled_the_broker(
    started: Started, own_broker: Broker, module_make: Make
) -> None:
    deliveries = new_payments(module_make, 3)
    with memory(own_broker) as client:
        fill(client, "spp:events")
        stack = started(own_broker.url, "worker", **BY_THE_BELL)
        until(lambda: listens(stack))
        assert deliver(stack.port, deliveries) == [200] * 3
        until(lambda: credited(module_make, deliveries))
        assert not client.llen("spp:events")


def test_a_worker_credits_while_others_have_filled_the_broker_and_listens_when_there_is_room(
    started: Started, own_broker: Broker, module_make: Make
) -> None:
    deliveries = new_payments(module_make, 10)
    with memory(own_broker) as client:
        fill(client, "not ours")
        stack = started(own_broker.url, "worker", **BY_TIMER)
        assert set(deliver(stack.port, deliveries)) == {200}
        until(lambda: credited(module_make, deliveries))
        until(lambda: "OutOfMemoryError" in stack.log("worker").read_text())
        assert not listens(stack)
        client.delete("not ours")
        until(lambda: listens(stack))
    assert credited_once(module_make, deliveries, among_others=True)


@pytest.mark.parametrize("why", ["down", "wrong password"])
def test_a_worker_that_never_reaches_the_broker_credits_and_replaces_a_child_that_died(
    started: Started, own_broker: Broker, module_make: Make, why: str
) -> None:
    first, second = new_payments(module_make, 5), new_payments(module_make, 5)
    url = own_broker.url.replace("redis://:", "redis://:x")
    if why == "down":
        own_broker.kill()
    try:
        stack = started(url, "worker", **BY_TIMER)
        assert set(deliver(stack.port, first)) == {200}
        until(lambda: credited(module_make, first))
        gone = set(children(stack))
        for child in gone:
            child.kill()
        until(lambda: len(set(children(stack)) - gone) == 2)
        assert set(deliver(stack.port, second)) == {200}
        until(lambda: credited(module_make, second))
        assert "Cannot connect" in stack.log("worker").read_text()
        assert stack.alive() == {"web", "worker"}
    finally:
        own_broker.start()


def children(stack: Stack) -> list[psutil.Process]:
    """The processes of the stack's worker that do its work."""
    return [child for child in stack.process("worker").children() if runs(child)]
