"""The bell: tells the workers that there is work, without ever making an answer wait.

One message when none was sent lately, then at most one per 20 ms; only the last one
waits in the broker. A broker that is down, full or hung is logged once and costs
nothing else: the sweep and the workers' own timers find the work.
"""

import threading
from time import sleep

import structlog
from celery import Celery

import broker

QUIET_S = 0.02

log = structlog.get_logger()


class Bell:
    """Rings from a thread of its own."""

    def __init__(self, broker_url: str) -> None:
        self._app = Celery("spp-bell", set_as_current=False)
        self._app.conf.update(broker.celery_config(broker_url))
        self._due = threading.Event()
        self._reachable = True
        threading.Thread(target=self._run, name="bell", daemon=True).start()

    def ring(self) -> None:
        """Asks for a ring; returns at once."""
        self._due.set()

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            try:
                self._app.send_task(broker.CREDIT_SESSIONS, retry=False)
            except Exception as error:  # noqa: BLE001 -- whatever the broker does, receiving goes on
                if self._reachable:
                    log.warning("ring_failed", error=repr(error)[:200])
                self._reachable = False
            else:
                if not self._reachable:
                    log.info("ring_works_again")
                self._reachable = True
            sleep(QUIET_S)
