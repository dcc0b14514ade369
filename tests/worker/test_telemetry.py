"""Traces of real processes, heard by a little server."""

from collections.abc import Iterator

import pytest

from local.servers import Broker
from tests.console import listening
from tests.console.listening import Heard
from tests.test_telemetry import spans
from tests.worker.conftest import Running
from tests.worker.scene import Make, arrive, credited_once, join, paid_now, run, until, value


@pytest.fixture
def heard() -> Iterator[Heard]:
    with listening.http() as heard:
        yield heard


def test_a_worker_s_groups_and_expiries_are_spans_and_its_memory_is_known(
    running: Running, database_url: str, own_broker: Broker, make: Make, heard: Heard
) -> None:
    join(make, "sub_1")
    often = {"SPP_EXPIRE_EVERY_S": "1", "SPP_TIMER_EVERY_S": "0.2", "SPP_OTLP_ENDPOINT": heard.url}
    with running(database_url, own_broker.url, "worker", "beat", **often):
        arrive(make, paid_now("in_1", "sub_1"))
        until(lambda: credited_once(make, ["in_1"]))
        until(lambda: value(make, "SELECT doing FROM heartbeats WHERE doing LIKE 'finished 1 event'"))
        run(make, "UPDATE credit_grants SET expires_at = clock_timestamp() WHERE expires_at IS NOT NULL")
        until(lambda: value(make, "SELECT count(*) FROM ledger_entries WHERE kind = 'expiry'"))
        assert value(make, "SELECT min(memory_bytes) FROM heartbeats") > 10_000_000
    sent = {(process, name) for process, name, _, _ in spans(heard)}
    assert sent == {("spp-worker", "credit"), ("spp-worker", "expire")}
    assert [said for _, name, _, said in spans(heard) if name == "credit"] == [{"events": 1}]
