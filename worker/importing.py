"""Imports: what people ask of them is done in a thread of its own, since a large file takes minutes."""

import threading
from collections.abc import Collection

from sqlalchemy.orm import Session, sessionmaker

from models.moving import working
from runtime.outages import Outage


class Importer(threading.Thread):
    """The thread: looks every few seconds whether a file is to be judged, written or undone."""

    def __init__(
        self, make: sessionmaker[Session], endpoints: Collection[str], stopping: threading.Event, *, every_s: float
    ) -> None:
        super().__init__(name="importer", daemon=True)
        self._make, self._endpoints, self._stopping, self._every_s = make, endpoints, stopping, every_s
        self.start()

    def run(self) -> None:
        """Until the process stops. What it is at then is rolled back, and done by another process."""
        outage = Outage("importer")
        while not self._stopping.wait(self._every_s):
            with outage.survived("imports"):
                while working.step(self._make, endpoints=self._endpoints) and not self._stopping.is_set():
                    pass
