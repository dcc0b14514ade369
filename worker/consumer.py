"""Celery's consumer, made patient and choosy: whatever the broker does or holds, the worker stays.

Celery ends a worker whose broker refuses a command (its memory is full, it is read-only), and replaces no child that
died while it waits for a broker; either would stop the children's timers, which credit without any broker. And it ends
a worker that meets a message of another shape than its own. Here such a message is left out and counted in the log:
whatever it was, the work stands in PostgreSQL, and the timers find it.
"""

import json
from collections.abc import Callable, Collection
from datetime import datetime
from time import monotonic, sleep
from typing import Any

from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.consumer import consumer

from runtime.broker_redis import GARBAGE

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 15.0

_log = get_logger(__name__)


class Consumer(consumer.Consumer):  # type: ignore[misc]  # Celery has no types
    """Takes messages off the queues as Celery's own does, and hands on only those that are rings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What Celery connects again after. A shutdown is a SystemExit, and not among these.
        self.connection_errors = (Exception,)
        self._wait_s = FIRST_WAIT_S

    def start(self) -> None:
        """Goes on until the worker ends."""
        # Only a pool that knows the event loop can replace a child; Celery tells it when the broker is there.
        self.pool.register_with_event_loop(self.hub)
        super().start()

    def ensure_connected(self, conn: Any) -> Any:
        """Connects once. Celery's own tries on, and looks after nothing else meanwhile."""
        conn.connect()
        return conn

    def on_ready(self) -> None:
        """Called when it listens."""
        super().on_ready()
        self._wait_s = FIRST_WAIT_S

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Called when the broker could not be reached."""
        super().on_connection_error_before_connected(exc)
        self._wait()

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Called when the broker was lost, or refused something."""
        super().on_connection_error_after_connected(exc)
        self._wait()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """As Celery does, but for what is no ring or cannot be worked on."""
        handle = super().create_task_handler(*args, **kwargs)
        tasks = {name for name in self.app.tasks if not name.startswith("celery.")}

        def take(message: Any) -> None:
            try:
                if is_ring(message, tasks):
                    # How long a task may take is its worker's matter.
                    message.headers["timelimit"] = [None, None]
                    handle(message)
                    GARBAGE.works()
                    return
                why = f"not a ring: {str(message.headers)[:200]}"
            except Exception as error:  # noqa: BLE001 -- whatever a message holds, the next one is taken
                why = repr(error)[:200]
            GARBAGE.failed(why, "messages")
            message.ack_log_error(_log, self.connection_errors)

        return take

    def _wait(self) -> None:
        """Waits, longer each time. After that Celery replaces the children that died, and connects."""
        until = monotonic() + self._wait_s
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        while monotonic() < until:
            state.maybe_shutdown()
            sleep(0.2)


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
        and (arguments, options) == ([], {})
        and not any(more.values())
    )
