"""Traces of real processes, heard by a little server."""

from collections.abc import Iterator

import pytest

from local.servers import Broker
from tests.console import listening
from tests.console.listening import Heard
from tests.runtime.test_telemetry import spans
from tests.worker.conftest import Running
from tests.worker.scene import Make, credited_once, join, paid_now, post, run, until, value


@pytest.fixture
def heard() -> Iterator[Heard]:
    with listening.http() as heard:
        yield heard


def test_a_delivery_its_group_and_the_expiry_are_spans_and_the_workers_tell_of_themselves(
    running: Running, database_url: str, own_broker: Broker, make: Make, heard: Heard
) -> None:
    join(make, "sub_1")
    often = {"SPP_EXPIRE_EVERY_S": "1", "SPP_TIMER_EVERY_S": "0.2", "SPP_OTLP_ENDPOINT": heard.url}
    with running(database_url, own_broker.url, "web", "worker", "beat", **often) as stack:
        assert post(stack.port, paid_now("in_1", "sub_1")) == 200
        until(lambda: credited_once(make, ["in_1"]))
        until(lambda: value(make, "SELECT doing FROM heartbeats WHERE doing = '1 event finished'"))
        run(make, "UPDATE credit_grants SET expires_at = clock_timestamp() WHERE expires_at IS NOT NULL")
        until(lambda: value(make, "SELECT count(*) FROM ledger_entries WHERE kind = 'expiry'"))
        assert value(make, "SELECT min(memory_bytes) FROM heartbeats") > 10_000_000
        # A worker sends the rest at its end, the web process within seconds.
        until(lambda: "delivery" in [name for _, name, _, _ in spans(heard)])
    sent = spans(heard)
    of = {name: (process, said) for process, name, _, said in sent}
    assert of == {
        "delivery": ("spp-webhooks", {"endpoint": "stripe"}),
        "credit": ("spp-worker", {"events": 1}),
        "expire": ("spp-worker", {}),
    }
    traces = [trace for _, name, trace, _ in sent if name == "delivery"]
    assert traces == [value(make, "SELECT delivery FROM webhook_events")]
