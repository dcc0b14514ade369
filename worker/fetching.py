"""Fetching: what thin events name, from their processor's API, before anything is credited.

Each endpoint has a thread of its own and claims its own events, so a processor that
is down, slow or limiting us delays only these; the stored event shows why it waits.
No network call happens inside a transaction.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session, sessionmaker

from models.inbox import queue, thin_events
from models.inbox.events import EventState
from models.inbox.queue import Claimed, Outcome
from models.inbox.thin_events import Waiting
from runtime.outages import Outage
from runtime.settings import Settings
from webhooks.processors import Processor, Unavailable, Unusable
from worker.crediting import waiting_for
from worker.recording import brief, event_failed

OUTAGE_CAP_S = 300.0
"""The longest wait while a processor's API is down: soon after it is back, all is fetched."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Fetching:
    """Fetches for one endpoint."""

    settings: Settings
    sessions: sessionmaker[Session]
    processor: Processor

    def drain(self, keep_on: Callable[[], bool] = lambda: True) -> int:
        """Goes on until nothing is due, or until the API is unavailable; returns events fetched."""
        fetched = 0
        while keep_on() and (event := self._claim()):
            try:
                if event.attempts > self.settings.max_attempts:
                    raise RuntimeError("no try of it could be recorded")
                resource = self.processor.fetch(event.type, event.body)
            except Unavailable as why:
                self._wait(event, waiting_for(self.processor, why))
                break
            except Unusable as why:
                with self.sessions.begin() as session:
                    queue.finish(session, [Outcome(event.id, EventState.QUARANTINED, str(why))])
            except Exception as error:  # noqa: BLE001 -- whatever it is concerns this event alone
                why_failed = f"cannot be fetched: {brief(error)}"
                event_failed(self.sessions, self.settings, event, why_failed, "not_fetched")
            else:
                with self.sessions.begin() as session:
                    thin_events.fetched(session, event.id, resource)
                fetched += 1
        return fetched

    def _claim(self) -> Claimed | None:
        with self.sessions.begin() as session:
            return thin_events.claim(session, self.processor.endpoint.name, lease_s=self.settings.lease_s)

    def _wait(self, event: Claimed, why: str) -> None:
        base_s, cap_s = self.settings.retry_base_s, min(self.settings.retry_cap_s, OUTAGE_CAP_S)
        with self.sessions.begin() as session:
            thin_events.wait(session, [Waiting(event.id, why)], base_s=base_s, cap_s=cap_s)
            others = thin_events.wait_all(session, event.endpoint, why, base_s=base_s, cap_s=cap_s)
        log.warning(
            "processor_unavailable", endpoint=event.endpoint, delivery=event.delivery, events=1 + others, error=why
        )


class Fetcher(threading.Thread):
    """The thread: fetches when rung for, and every `timer_every_s` without; then has the events credited."""

    def __init__(self, fetching: Fetching, credit: Callable[[], object], stopping: threading.Event) -> None:
        super().__init__(name=f"fetcher-{fetching.processor.endpoint.name}", daemon=True)
        self._fetching = fetching
        self._credit = credit
        self._stopping = stopping
        self._due = threading.Event()
        self.start()

    def ring(self) -> None:
        """Asks for a fetch; returns at once."""
        self._due.set()

    def run(self) -> None:
        """Until the process stops; a database that is away comes back, and the thread must be there."""
        outage = Outage(f"fetcher_{self._fetching.processor.endpoint.name}")
        while not self._stopping.is_set():
            self._due.wait(self._fetching.settings.timer_every_s)
            self._due.clear()
            with outage.survived("fetches"):
                if self._fetching.drain(lambda: not self._stopping.is_set()):
                    self._credit()
