"""Asking the broker, a real one."""

import socket
from pathlib import Path

import pytest
from celery import Celery
from redis import Redis

from console.broker_state import BrokerState, look
from local.servers import Broker
from runtime import broker


def test_it_tells_how_much_is_queued(broker_server: Broker) -> None:
    """Rung as the web process rings."""
    client = Redis.from_url(broker_server.url)
    client.delete("spp:events", "spp:maintenance")
    assert look(broker_server.url) == BrokerState(queues={"events": 0, "maintenance": 0}, eviction="noeviction")
    app = Celery(set_as_current=False)
    app.conf.update(broker.celery_config(broker_server.url))
    for task in (broker.CREDIT_SESSIONS, broker.job_task("expire"), broker.job_task("expire")):
        app.send_task(task)
    try:
        state = look(broker_server.url)
        assert state.reachable
        assert state.queues == {"events": 1, "maintenance": 2}
    finally:
        client.delete("spp:events", "spp:maintenance")
        client.close()
        app.close()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:9/0", "amqp://guest@127.0.0.1:9//", "unused://", "nonsense"])
def test_one_that_is_not_there_is_told_with_why(url: str) -> None:
    state = look(url)
    assert not state.reachable
    assert state.error
    assert state.queues is None


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_one_that_hangs_is_given_up(scheme: str) -> None:
    """It takes connections and says nothing. Without a bound this test would not end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        state = look(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/")
    assert not state.reachable


def test_one_that_is_full_is_told(tmp_path: Path) -> None:
    with Broker(tmp_path) as server, Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 1)
        state = look(server.url)
    assert not state.reachable
    assert "full" in (state.error or "")


def test_a_scheme_is_no_part_of_a_host() -> None:
    for scheme in ("redis", "valkey"):
        assert "valkey.invalid" in (look(f"{scheme}://valkey.invalid:6379/0").error or "")
