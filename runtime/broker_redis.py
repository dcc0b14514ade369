"""Redis or Valkey as Celery's broker, with queues that cannot fill it: of each, only the newest messages are kept.

Without a limit, messages pile up while no worker runs, until the broker's memory is full; then it refuses the very
commands with which a worker begins to listen, and nobody could take them away any more. A message that cannot even be
read, which would end Celery's worker, is left out.
"""

from queue import Empty
from typing import Any

from kombu.transport import redis
from kombu.utils.json import dumps

from runtime.broker import KEPT
from runtime.outages import Outage

GARBAGE = Outage("broker_messages", "warning", settled_s=60)
"""The log's summary of messages that are not ours."""

_OUTAGES = (
    Empty,
    # kombu counts a KeyError as a lost connection; here it is a message that lacks something.
    *(kind for kind in redis.Transport.connection_errors + redis.Transport.channel_errors if kind is not KeyError),
)
"""What is not a message's fault."""


class Channel(redis.Channel):  # type: ignore[misc]  # kombu has no types
    """kombu's, with limits."""

    def _put(self, queue: str, message: Any, **_: Any) -> None:
        """Sends a message, which takes the place of the oldest where the queue is full."""
        with self.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
            pipe.lpush(queue, dumps(message))
            # Done also where the memory is full and the message was refused: the next one finds room.
            self._trim(pipe, queue)
            pipe.execute()

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Begins to listen or to send; what has piled up goes first, so that there is room for that."""
        with self.conn_or_acquire() as client:
            self._trim(client, queue)
        super()._queue_bind(exchange, routing_key, pattern, queue)

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except _OUTAGES:
            raise
        except Exception as error:  # noqa: BLE001 -- no JSON, or none with what kombu needs
            GARBAGE.failed(repr(error)[:200], "messages")
            return True

    def _trim(self, client: Any, queue: str) -> None:
        # kombu's client puts the prefix before the keys of the commands that it uses itself, and this is none.
        if queue in KEPT:
            client.ltrim(f"{self.global_keyprefix}{queue}", 0, KEPT[queue] - 1)


class Transport(redis.Transport):  # type: ignore[misc]
    """kombu's, with these channels."""

    Channel = Channel
