"""How the broker is: whether it answers, and how much is queued. Asked as any client would, bounded to a second."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.operations.figures import NOW_S
from models.operations.recent import Recent
from runtime.broker import EVENTS, KEY_PREFIX, MAINTENANCE, is_redis, redis_url
from runtime.logs import first_line

TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class BrokerState:
    """What the broker said."""

    error: str | None = None
    """Why it cannot be used."""
    wanted: bool = True
    """Whether this installation has one."""
    queues: Mapping[str, int] | None = None
    """How many messages wait in each, where it answered."""
    eviction: str | None = None
    """What Redis or Valkey does when its memory is full; None where it does not tell."""

    @property
    def reachable(self) -> bool:
        """Whether it answered, and takes messages."""
        return self.error is None

    @property
    def trouble(self) -> str | None:
        """Why it does not answer although it ought to."""
        return self.error if self.wanted else None


def look(broker_url: str) -> BrokerState:
    """The broker of that URL now. Raises nothing: what goes wrong is its error."""
    if broker_url.startswith("unused:"):
        return BrokerState(error="none is set here; `spp up` has one of its own", wanted=False)
    try:
        return _look_at_redis(broker_url) if is_redis(broker_url) else _look_at_amqp(broker_url)
    except Exception as error:  # noqa: BLE001 -- whatever a client library raises, the broker was not reached
        return BrokerState(error=first_line(error))


def _look_at_redis(url: str) -> BrokerState:
    from redis import Redis, RedisError
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
    with Redis.from_url(redis_url(url), retry=Retry(NoBackoff(), 0), **options) as client:
        queues = {name: int(client.llen(KEY_PREFIX + name)) for name in (EVENTS, MAINTENANCE)}
        try:
            memory = client.info("memory")
        except RedisError:  # a server for hire may keep that to itself
            memory = {}
    full = 0 < memory.get("maxmemory", 0) <= memory.get("used_memory", 0)
    error = f"its memory of {memory['maxmemory'] / 1e6:.0f} MB is full, so it takes no messages" if full else None
    return BrokerState(error, queues=queues, eviction=memory.get("maxmemory_policy"))


def _look_at_amqp(url: str) -> BrokerState:
    from kombu import Connection

    half = TIMEOUT_S / 2  # because connecting is tried twice
    options = {"read_timeout": half, "write_timeout": half}
    queues: dict[str, int] = {}
    with Connection(url, connect_timeout=half, transport_options=options) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        for name in (EVENTS, MAINTENANCE):
            # A channel of its own: asking for a queue that is not there yet closes it.
            channel = connection.channel()
            try:
                queues[name] = int(channel.queue_declare(name, passive=True).message_count)
            except connection.channel_errors:
                queues[name] = 0
            else:
                channel.close()
    return BrokerState(queues=queues)


def recent(broker_url: str) -> Recent[BrokerState]:
    """The broker's state for many viewers, at most 5 s old."""
    return Recent(lambda: look(broker_url), NOW_S)
