"""Redis or Valkey cannot be filled by our messages, and is reached by each of its names."""

from collections.abc import Iterator

import pytest
import redis
from celery import Celery

from local.servers import Broker
from runtime import broker


@pytest.fixture
def small_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("small")) as server:
        yield server


@pytest.fixture
def client(small_broker: Broker) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(small_broker.url) as client:
        yield client


def an_app(url: str) -> Celery:
    app = Celery(set_as_current=False)
    app.conf.update(broker.celery_config(url))
    return app


def fill(client: redis.Redis, key: str) -> None:
    """Writes to the key until the broker's memory is full."""
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 1_000_000)
    try:
        while True:
            client.lpush(key, "x" * 1000)
    except redis.OutOfMemoryError:
        return


def test_of_each_queue_the_newest_messages_are_kept(small_broker: Broker, client: redis.Redis) -> None:
    with an_app(small_broker.url) as app:
        for number in range(150):
            app.send_task(broker.CREDIT_SESSIONS, kwargs={"number": number})
            app.send_task(broker.job_task("expire"), kwargs={"number": number})
        with app.connection_for_read() as connection:
            found = {
                name: [
                    message.decode()[1]["number"]
                    for _ in range(client.llen(f"spp:{name}"))
                    if (message := connection.default_channel.basic_get(name, no_ack=True))
                ]
                for name in (broker.EVENTS, broker.MAINTENANCE)
            }
    assert found == {broker.EVENTS: [149], broker.MAINTENANCE: [*range(50, 150)]}


def test_what_piled_up_before_there_was_a_limit_makes_room(small_broker: Broker, client: redis.Redis) -> None:
    fill(client, f"spp:{broker.EVENTS}")
    with an_app(small_broker.url) as app:
        app.send_task(broker.CREDIT_SESSIONS)
    assert client.llen(f"spp:{broker.EVENTS}") == 1


def test_the_embedded_one_has_a_limit(client: redis.Redis) -> None:
    assert int(client.config_get("maxmemory")["maxmemory"]) > 0


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_both_names_are_known(small_broker: Broker, client: redis.Redis, scheme: str) -> None:
    with an_app(small_broker.url.replace("redis", scheme, 1)) as app:
        app.send_task(broker.CREDIT_SESSIONS)
    assert client.llen(f"spp:{broker.EVENTS}") == 1


@pytest.mark.parametrize(("scheme", "encrypted"), [("redis", False), ("rediss", True), ("valkeys", True)])
def test_what_is_to_be_encrypted_is(scheme: str, encrypted: bool) -> None:
    with an_app(f"{scheme}://:secret@valkey.invalid:6379/0") as app:
        assert bool(app.connection_for_write().ssl) is encrypted
