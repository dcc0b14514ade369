"""Rings alone: with the timer and the sweep out of the way, what is credited was rung for."""

from collections.abc import Iterator

import pytest
import redis

from local.servers import Broker
from local.stack import Stack
from tests.worker.conftest import Running
from tests.worker.scene import Make, credited, states, until
from tests.worker.stream import deliver, new_payments

NEVER_S = "3600"


@pytest.fixture(scope="module")
def stack(running: Running, module_database: str, own_broker: Broker) -> Iterator[Stack]:
    by_the_bell = {"SPP_TIMER_EVERY_S": NEVER_S, "SPP_SWEEP_EVERY_S": NEVER_S}
    with running(module_database, own_broker.url, "web", "worker", **by_the_bell) as stack:
        yield stack


def test_a_delivery_rings(stack: Stack, module_make: Make) -> None:
    deliveries = new_payments(module_make, 1)
    assert deliver(stack.port, deliveries) == [200]
    until(lambda: credited(module_make, deliveries))


def test_a_duplicate_of_an_unfinished_event_rings_too(stack: Stack, own_broker: Broker, module_make: Make) -> None:
    deliveries = new_payments(module_make, 1)
    stack.kill("worker")
    assert deliver(stack.port, deliveries) == [200]
    with redis.Redis.from_url(own_broker.url) as client:
        until(lambda: client.llen("spp:events"))
        client.flushall()
    stack.start("worker")
    stack.wait_ready()
    assert states(module_make)["pending"] == 1, "nothing rang"
    assert deliver(stack.port, deliveries) == [200]
    until(lambda: credited(module_make, deliveries))


def rings(stack: Stack) -> bool:
    """Whether the webhook server's last word about the bell is good, or it had none to say."""
    log = stack.log("web").read_text()
    return log.count("broker_failing") <= log.count("broker_working_again")


@pytest.mark.parametrize("outage", ["down", "hung", "wiped"])
def test_a_broker_that_is_back_rings_again(stack: Stack, own_broker: Broker, module_make: Make, outage: str) -> None:
    before, after = new_payments(module_make, 1), new_payments(module_make, 1)
    if outage == "wiped":
        with redis.Redis.from_url(own_broker.url) as client:
            client.flushall()
        before = {}
    else:
        own_broker.kill() if outage == "down" else own_broker.pause()
        assert deliver(stack.port, before) == [200]
        until(lambda: not rings(stack))
        own_broker.start() if outage == "down" else own_broker.resume()
    assert deliver(stack.port, after) == [200]
    until(lambda: credited(module_make, {**before, **after}))
    assert stack.alive() == {"web", "worker"}
