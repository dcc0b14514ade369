"""After a commit the workers hear of it; whatever the broker does, receiving goes on."""

import socket
from collections.abc import Iterator
from itertools import count
from time import monotonic, sleep

import pytest
import redis

from local import processes
from local.servers import Broker
from runtime import broker
from runtime.settings import Settings
from tests.webhooks.site import Site, eventually, new_event
from webhooks.ring import QUIET_S, Bell

QUEUE = f"spp:{broker.EVENTS}"


_numbers = count(1)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A part of the broker of the test's own."""
    return settings.model_copy(update={"broker_url": f"{settings.broker_url.removesuffix('/0')}/{next(_numbers)}"})


@pytest.fixture
def queue(settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.broker_url) as client:
        client.config_resetstat()
        yield client


def rings(queue: redis.Redis) -> int:
    """How many were sent in this test; at most one of them waits."""
    return int(queue.info("commandstats").get("cmdstat_lpush", {"calls": 0})["calls"])


def test_a_new_event_rings(settings: Settings, queue: redis.Redis) -> None:
    assert Site(settings).deliver(new_event()[1]).status_code == 200
    assert eventually(lambda: queue.llen(QUEUE) == 1)
    (message,) = queue.lrange(QUEUE, 0, -1)
    assert broker.CREDIT_SESSIONS.encode() in message


def test_a_redelivery_of_an_unfinished_event_rings_again_and_of_a_finished_one_does_not(
    settings: Settings, queue: redis.Redis
) -> None:
    site = Site(settings)
    event_id, body = new_event()
    for sent in (1, 2):
        assert site.deliver(body).status_code == 200
        assert eventually(lambda sent=sent: rings(queue) == sent)
    site.rows("UPDATE webhook_events SET state = 'processed' WHERE event_id = :id RETURNING 1", id=event_id)
    assert site.deliver(body).status_code == 200
    assert site.post("stripe", body, {}).status_code == 400
    # The next ring shows that none was on its way before it.
    sleep(2 * QUIET_S)
    site.deliver(new_event()[1])
    assert eventually(lambda: rings(queue) >= 3)
    assert rings(queue) == 3


def test_while_nobody_listens_one_ring_waits(settings: Settings, queue: redis.Redis) -> None:
    site = Site(settings)
    for sent in range(1, 6):
        site.deliver(new_event()[1])
        assert eventually(lambda sent=sent: rings(queue) == sent)
    assert queue.llen(QUEUE) == 1


def test_fifty_quick_events_ring_far_less_than_fifty_times(settings: Settings, queue: redis.Redis) -> None:
    site = Site(settings)
    started = monotonic()
    assert site.deliver_at_once([new_event()[1] for _ in range(50)]) == [200] * 50
    assert eventually(lambda: rings(queue) > 0)
    sleep(5 * QUIET_S)
    assert rings(queue) <= 2 + (monotonic() - started) / QUIET_S


def test_at_most_one_ring_in_20_ms(settings: Settings, queue: redis.Redis) -> None:
    bell = Bell(settings.broker_url)
    bell.ring()
    assert eventually(lambda: rings(queue) == 1)
    started = monotonic()
    for _ in range(100):
        bell.ring()
        sleep(0.001)
    sleep(5 * QUIET_S)
    # However slow this machine is, there is a pause of 20 ms between any two.
    assert 1 < rings(queue) <= 2 + (monotonic() - started) / QUIET_S


def test_broker_down(settings: Settings) -> None:
    nobody = f"redis://127.0.0.1:{processes.free_port()}/0"
    site = Site(settings.model_copy(update={"broker_url": nobody}))
    events = dict(new_event() for _ in range(20))
    assert [site.deliver(body).status_code for body in events.values()] == [200] * 20
    assert [len(site.events(event_id)) for event_id in events] == [1] * 20


@pytest.fixture
def hung() -> Iterator[socket.socket]:
    """A broker that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        yield silent


def url_of(silent: socket.socket) -> str:
    return f"redis://127.0.0.1:{silent.getsockname()[1]}/0"


def test_no_answer_waits_for_a_hung_broker(settings: Settings, hung: socket.socket) -> None:
    # A ring takes a second at least: an answer that waited for it would be a 503.
    site = Site(settings.model_copy(update={"broker_url": url_of(hung), "store_timeout_s": 1.0}))
    assert 200 in [site.deliver(new_event()[1]).status_code for _ in range(3)]


def test_a_hung_broker_is_given_up(hung: socket.socket) -> None:
    bell = Bell(url_of(hung))
    for _ in range(2):
        bell.ring()
        # Held open: it is the bell that hangs up, and a later ring calls anew.
        connection, _address = hung.accept()
        with connection:
            connection.settimeout(30)
            while connection.recv(4096):
                pass


def test_broker_hangs_and_goes_on(settings: Settings, broker_server: Broker, queue: redis.Redis) -> None:
    site = Site(settings)
    broker_server.pause()
    try:
        assert site.deliver_at_once([new_event()[1] for _ in range(20)]) == [200] * 20
    finally:
        broker_server.resume()

    def heard() -> bool:
        site.deliver(new_event()[1])
        return queue.llen(QUEUE) > 0

    queue.delete(QUEUE)
    assert eventually(heard)


def test_broker_wiped(settings: Settings, broker_server: Broker, queue: redis.Redis) -> None:
    site = Site(settings)
    assert site.deliver(new_event()[1]).status_code == 200
    broker_server.kill()
    assert site.deliver(new_event()[1]).status_code == 200
    broker_server.start()

    def heard() -> bool:
        site.deliver(new_event()[1])
        return queue.llen(QUEUE) > 0

    assert eventually(heard)
