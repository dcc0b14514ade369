"""Celery's consumer, made patient: whatever the broker does, the worker stays, and connects again after a wait.

Celery ends a worker whose broker refuses a command (its memory is full, it is read-only), and replaces no child that
died while it waits for a broker. Either would stop the children's timers, which credit without any broker.
"""

from time import monotonic, sleep
from typing import Any

from celery.worker import state
from celery.worker.consumer import consumer

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 15.0


class Consumer(consumer.Consumer):  # type: ignore[misc]  # Celery has no types
    """Takes messages off the queues as Celery's own does."""

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

    def _wait(self) -> None:
        """Waits, longer each time. After that Celery replaces the children that died, and connects."""
        until = monotonic() + self._wait_s
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        while monotonic() < until:
            state.maybe_shutdown()
            sleep(0.2)
