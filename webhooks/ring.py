"""The bell: a message to the workers that there is work, sent without delaying an answer.

The first message goes out at once, further ones at most every 20 ms; only the last one
waits in the broker. While the broker is down, full or hung, the sweep and the workers' own
timers find the work; the log has a few lines about it.
"""

import threading
from time import sleep

from celery import Celery

from runtime import broker
from runtime.outages import Outage

QUIET_S = 0.02


class Bell:
    """Sends from a thread of its own."""

    def __init__(self, broker_url: str) -> None:
        self._app = Celery("spp-bell", set_as_current=False)
        self._app.conf.update(broker.celery_config(broker_url))
        self._due = threading.Event()
        self._outage = Outage("broker", "warning", settled_s=0)
        threading.Thread(target=self._run, name="bell", daemon=True).start()

    def ring(self) -> None:
        """Ask for a message to be sent; returns at once."""
        self._due.set()

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            try:
                self._app.send_task(broker.CREDIT_SESSIONS, retry=False)
            except Exception as error:  # noqa: BLE001 -- receiving must survive any error of the broker's
                self._outage.failed(repr(error)[:200], "rings")
            else:
                self._outage.works()
            sleep(QUIET_S)
