"""One id from a delivery to its sessions: in the web process's line, the stored event and the worker's line."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from time import time
from typing import Any

import pytest

from local.servers import Broker
from local.stack import Stack
from models.inbox import storing
from models.inbox.events import EventSource
from models.inbox.storing import NewEvent
from tests.worker.conftest import Running
from tests.worker.scene import SECRET, Make, credited, rows, until
from tests.worker.stream import new_payments
from webhooks.signatures import sign_stripe

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def stack(running: Running, module_database: str, own_broker: Broker) -> Iterator[Stack]:
    with running(module_database, own_broker.url, "web", "worker") as stack:
        yield stack


def lines(stack: Stack, name: str, event: str) -> list[dict[str, Any]]:
    """What the process has said of that."""
    read = [json.loads(line) for line in stack.log(name).read_text().splitlines() if line.startswith("{")]
    return [line for line in read if line["event"] == event]


def test_it_is_the_same_everywhere(stack: Stack, module_make: Make) -> None:
    payments = new_payments(module_make, 2)
    answered = []
    for body, more in zip(payments.values(), ({}, {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}), strict=True):
        connection = HTTPConnection("127.0.0.1", stack.port, timeout=30)
        connection.request("POST", "/webhooks/stripe", body, sign_stripe(body, SECRET, int(time())) | more)
        answered.append(connection.getresponse().headers["X-Delivery-Id"])
        connection.close()
    assert answered[1] == TRACE
    until(lambda: credited(module_make, payments))
    assert [line["delivery"] for line in lines(stack, "web", "delivery")] == answered
    assert [id_ for (id_,) in rows(module_make, "SELECT delivery FROM webhook_events ORDER BY id")] == answered
    until(lambda: sum(line["events"] for line in lines(stack, "worker", "credited")) == 2)
    told = [delivery for line in lines(stack, "worker", "credited") for delivery in line["deliveries"]]
    assert sorted(told) == sorted(answered)


def test_a_failed_event_is_told_with_its_own(stack: Stack, module_make: Make) -> None:
    events = [
        NewEvent("gone", "evt_1", "t", b"", delivery=TRACE),
        NewEvent("gone", "evt_2", "t", b"", source=EventSource.BACKFILL),
    ]
    with module_make.begin() as session:
        storing.store(session, events, lambda *_: True)
    until(lambda: len({line["event_id"] for line in lines(stack, "worker", "event_failed")}) == 2)
    told = {line["event_id"]: line["delivery"] for line in lines(stack, "worker", "event_failed")}
    assert told == {"evt_1": TRACE, "evt_2": None}
