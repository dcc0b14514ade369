"""Whatever stands in the broker, workers go on: they take rings, and leave out the rest."""

import json
from base64 import b64encode
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import redis
from celery import Celery

from local.servers import Broker
from local.stack import Stack
from runtime import broker
from tests.worker.conftest import Running
from tests.worker.scene import Make, arrive, credited, join, paid_now, until

QUEUE = f"spp:{broker.EVENTS}"
LEFT_OUT = object()


@pytest.fixture(scope="module")
def stack(running: Running, module_database: str, own_broker: Broker) -> Iterator[Stack]:
    """A worker that finds work by rings alone."""
    never = {"SPP_TIMER_EVERY_S": "3600", "SPP_SWEEP_EVERY_S": "3600"}
    with running(module_database, own_broker.url, "worker", **never) as stack:
        yield stack


@pytest.fixture
def client(own_broker: Broker) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_broker.url) as client:
        yield client


@pytest.fixture
def sender(own_broker: Broker) -> Celery:
    app = Celery(set_as_current=False)
    app.conf.update(broker.celery_config(own_broker.url))
    return app


def body(text: object) -> str:
    return b64encode(json.dumps(text).encode()).decode()


GARBAGE = (
    b"",
    b"\xff\xfe nothing",
    b"5",
    b"null",
    b"[]",
    b"{}",
    b'"ring"',
    b"[" * 100_000,
    b'{"properties": {}}',
    b'{"properties": 5, "body": 5}',
)
CHANGES: dict[str, object] = {
    "properties": LEFT_OUT,
    "properties.delivery_tag": LEFT_OUT,
    "properties.delivery_info": LEFT_OUT,
    "properties.body_encoding": "rot13",
    "headers": LEFT_OUT,
    "headers.task": "os.system",
    "headers.id": 5,
    "headers.eta": "2999-01-01T00:00:00",
    "headers.expires": "yesterday",
    "headers.retries": "many",
    "headers.timelimit": "long",
    "content-type": "application/x-python-serialize",
    "content-encoding": "nonsense",
    "body": "%%%",
}
BODIES = (
    5,
    [],
    [1, 2, 3],
    [[7], {}, {}],
    [[], {"nonsense": 1}, {}],
    [[], {"sweep": "yes"}, {}],
    [[], {}, {"chain": [{"task": broker.job_task("prune")}]}],
)


def changed(ring: dict[str, Any], place: str, value: object) -> bytes:
    """The ring with something else at that place."""
    copy = deepcopy(ring)
    *outer, last = place.split(".")
    part = copy
    for name in outer:
        part = part[name]
    if value is LEFT_OUT:
        del part[last]
    else:
        part[last] = value
    return json.dumps(copy).encode()


def sent(sender: Celery) -> dict[str, Any]:
    """A ring as it stands in the broker, in a part of it that no worker looks at."""
    aside = f"{sender.conf.broker_url.removesuffix('/0')}/1"
    with redis.Redis.from_url(aside) as client, sender.connection_for_write(aside) as connection:
        sender.send_task(broker.CREDIT_SESSIONS, connection=connection)
        ring: dict[str, Any] = json.loads(client.lindex(QUEUE, 0))
        return ring


def test_what_is_no_ring_ends_no_worker_and_holds_up_no_ring(
    stack: Stack, client: redis.Redis, sender: Celery, module_make: Make
) -> None:
    join(module_make, "sub_1")
    pid = stack.process("worker").pid
    ring = sent(sender)
    others = [changed(ring, place, value) for place, value in CHANGES.items()]
    others += [changed(ring, "body", body(text)) for text in BODIES]
    for message in (*GARBAGE, *others):
        client.lpush(QUEUE, message)
    until(lambda: not client.llen(QUEUE))
    arrive(module_make, paid_now("in_1", "sub_1"))
    sender.send_task(broker.CREDIT_SESSIONS)
    until(lambda: credited(module_make, ["in_1"]))
    assert stack.alive() == {"worker"}
    assert stack.process("worker").pid == pid
    log = stack.log("worker").read_text()
    assert log.count('"broker_messages_failing"') == 1
    assert "Traceback" not in log
    assert "broker lost" not in log, "that it is read again is no remedy: the next message may be none either"


def test_nobody_ends_a_worker_by_the_broker(
    stack: Stack, client: redis.Redis, sender: Celery, module_make: Make
) -> None:
    sender.control.shutdown()
    join(module_make, "sub_2")
    arrive(module_make, paid_now("in_2", "sub_2"))
    sender.send_task(broker.CREDIT_SESSIONS)
    until(lambda: credited(module_make, ["in_2"]))
    assert stack.alive() == {"worker"}
