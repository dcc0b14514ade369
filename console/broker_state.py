"""The state of the broker: whether it answers, and how much is queued. Asked as a client would, within a second."""

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
    """The broker's answer, or why there is none."""

    error: str | None = None
    """Why it cannot be used; None if it can."""
    wanted: bool = True
    """Whether a broker is configured."""
    queues: Mapping[str, int] | None = None
    """Messages waiting in each queue, if it answered."""
    eviction: str | None = None
    """The maxmemory-policy of Redis or Valkey, if known."""

    @property
    def reachable(self) -> bool:
        """Whether it answers and takes messages."""
        return self.error is None

    @property
    def trouble(self) -> str | None:
        """Why a configured broker cannot be used."""
        return self.error if self.wanted else None

    @property
    def summary(self) -> str:
        """The state in a line for people."""
        if not self.wanted:
            return self.error or ""
        if not self.reachable:
            return f"cannot be used: {self.error}"
        return "queues: " + ", ".join(f"{name} {count}" for name, count in (self.queues or {}).items())


def look(broker_url: str) -> BrokerState:
    """The present state of the broker at that URL. Raises nothing: a failure is its `error`."""
    if broker_url.startswith("unused:"):
        return BrokerState(error="none is set (BROKER_URL); `spp up` starts one of its own", wanted=False)
    try:
        return _look_at_redis(broker_url) if is_redis(broker_url) else _look_at_amqp(broker_url)
    except Exception as error:  # noqa: BLE001 -- client libraries raise many kinds; all mean that it was not reached
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
        except RedisError:  # hosted servers may forbid INFO
            memory = {}
    full = 0 < memory.get("maxmemory", 0) <= memory.get("used_memory", 0)
    error = f"its memory of {memory['maxmemory'] / 1e6:.0f} MB is full, so it takes no messages" if full else None
    return BrokerState(error, queues=queues, eviction=memory.get("maxmemory_policy"))


def _look_at_amqp(url: str) -> BrokerState:
    from kombu import Connection

    half = TIMEOUT_S / 2  # connecting is tried twice
    options = {"read_timeout": half, "write_timeout": half}
    queues: dict[str, int] = {}
    with Connection(url, connect_timeout=half, transport_options=options) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        for name in (EVENTS, MAINTENANCE):
            # A channel for each queue: asking for a queue that does not exist yet closes the channel.
            channel = connection.channel()
            try:
                queues[name] = int(channel.queue_declare(name, passive=True).message_count)
            except connection.channel_errors:
                queues[name] = 0
            else:
                channel.close()
    return BrokerState(queues=queues)


def recent(broker_url: str) -> Recent[BrokerState]:
    """The broker's state, at most 5 s old, shared by many viewers."""
    return Recent(lambda: look(broker_url), NOW_S)
