"""What a worker takes from the broker: rings for its own tasks, and nothing else that a message may hold.

Celery ends a worker that meets a message which is no JSON, or of another shape than its own. Here such a message is
left out and counted in the log: whatever it was, the work stands in PostgreSQL, and the timers find it.
"""

import json
from collections.abc import Callable, Collection
from datetime import datetime
from queue import Empty
from typing import Any

from celery.utils.log import get_logger
from celery.worker.consumer import Consumer
from kombu.transport import redis

from outages import Outage

_garbage = Outage("broker_messages", "warning", settled_s=60)
_log = get_logger(__name__)


class RingConsumer(Consumer):  # type: ignore[misc]
    """Hands Celery only the messages that are rings."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """As Celery does, but for what is no ring or cannot be worked on."""
        handle = super().create_task_handler(*args, **kwargs)
        tasks = self.app.conf.task_routes

        def take(message: Any) -> None:
            try:
                if is_ring(message, tasks):
                    # How long a task may take is its worker's matter.
                    message.headers["timelimit"] = [None, None]
                    handle(message)
                    _garbage.works()
                    return
                why = f"not a ring: {str(message.headers)[:200]}"
            except Exception as error:  # noqa: BLE001 -- whatever a message holds, the next one is taken
                why = repr(error)[:200]
            _garbage.failed(why, "messages")
            message.ack_log_error(_log, self.connection_errors)

        return take


def is_ring(message: Any, tasks: Collection[str]) -> bool:
    """Whether the message is for one of these tasks and of the form in which we send them; raises where it is not."""
    headers = message.headers
    arguments, options, more = json.loads(message.body)
    return (
        headers["task"] in tasks
        and isinstance(headers["id"], str)
        and message.content_type == "application/json"
        and (headers["eta"], headers["retries"]) == (None, 0)
        and (headers.get("expires") is None or datetime.fromisoformat(headers["expires"]) is not None)
        and arguments == []
        and (options == {} or (options.keys() == {"sweep"} and isinstance(options["sweep"], bool)))
        and not any(more.values())
    )


_OUTAGES = (
    Empty,
    # kombu counts a KeyError as a lost connection; here it is a message that lacks something.
    *(kind for kind in redis.Transport.connection_errors + redis.Transport.channel_errors if kind is not KeyError),
)
"""What is not a message's fault."""


class _Channel(redis.Channel):  # type: ignore[misc]
    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except _OUTAGES:
            raise
        except Exception as error:  # noqa: BLE001 -- as above: no JSON, or none with what kombu needs
            _garbage.failed(repr(error)[:200], "messages")
            return True


class RingTransport(redis.Transport):  # type: ignore[misc]
    """Redis or Valkey, for a worker: what cannot be read is left out."""

    Channel = _Channel
