"""The broker only rings. Wiped, killed or frozen, it costs no payment and no answer; nor does a killed worker."""

from collections.abc import Iterator

import psutil
import pytest
import redis

from local.processes import runs
from local.servers import Broker
from local.stack import Stack
from tests.worker.conftest import Running
from tests.worker.scene import Make, credited, credited_once, until, value
from tests.worker.stream import Stream, deliver, new_payments


@pytest.fixture(scope="module")
def stack(running: Running, module_database: str, own_broker: Broker) -> Iterator[Stack]:
    short = {"SPP_TIMER_EVERY_S": "0.5", "SPP_SWEEP_EVERY_S": "1", "SPP_LEASE_S": "2"}
    with running(module_database, own_broker.url, **short) as stack:
        yield stack


def become_sessions(make: Make, deliveries: dict[str, bytes]) -> bool:
    """Waits until all are credited; whether each is exactly once."""
    until(lambda: credited(make, deliveries))
    return credited_once(make, deliveries, among_others=True)


def test_the_broker_is_wiped_with_work_queued(stack: Stack, own_broker: Broker, module_make: Make) -> None:
    deliveries = new_payments(module_make, 20)
    stack.kill("worker")
    assert set(deliver(stack.port, deliveries)) == {200}
    with redis.Redis.from_url(own_broker.url) as client:
        until(lambda: client.llen("spp:events"))
        client.flushall()
    stack.start("worker")
    assert become_sessions(module_make, deliveries)


def test_the_broker_is_down(stack: Stack, own_broker: Broker, module_make: Make) -> None:
    deliveries = new_payments(module_make, 20)
    own_broker.kill()
    try:
        assert set(deliver(stack.port, deliveries)) == {200}
        assert become_sessions(module_make, deliveries)
    finally:
        own_broker.start()
    assert stack.alive() == {"web", "worker", "beat"}


def test_the_broker_hangs(stack: Stack, own_broker: Broker, module_make: Make) -> None:
    deliveries = new_payments(module_make, 20)
    own_broker.pause()
    try:
        assert set(deliver(stack.port, deliveries)) == {200}
        assert become_sessions(module_make, deliveries)
    finally:
        own_broker.resume()
    assert stack.alive() == {"web", "worker", "beat"}


def test_workers_are_killed_while_deliveries_stream_in(stack: Stack, module_make: Make) -> None:
    deliveries = new_payments(module_make, 5000)
    with Stream(stack.port, deliveries) as stream:
        for _ in range(2):
            stream.go_on(200, more=50)
            stack.kill("worker")
            stream.go_on(200, more=50)
            stack.start("worker")
            stack.wait_ready()
        stream.go_on(200, more=50)
    assert set(stream.answers.values()) == {200}
    until(lambda: not value(module_make, "SELECT count(*) FROM webhook_events WHERE state = 'pending'"))
    assert credited_once(module_make, stream.answers, among_others=True)


def children(stack: Stack) -> set[psutil.Process]:
    """The processes of the stack's worker that do its work."""
    return {child for child in stack.process("worker").children() if runs(child)}


def test_a_workers_children_are_killed_while_deliveries_stream_in(stack: Stack, module_make: Make) -> None:
    deliveries = new_payments(module_make, 5000)
    killed: set[psutil.Process] = set()
    with Stream(stack.port, deliveries) as stream:
        for _ in range(3):
            until(lambda: len(children(stack) - killed) == 2)
            stream.go_on(200, more=50)
            for child in children(stack) - killed:
                child.kill()
                killed.add(child)
        stream.go_on(200, more=50)
    assert set(stream.answers.values()) == {200}
    until(lambda: not value(module_make, "SELECT count(*) FROM webhook_events WHERE state = 'pending'"))
    assert credited_once(module_make, stream.answers, among_others=True)
