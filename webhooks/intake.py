"""Group commit: request threads hand their events to one writer, which stores all that wait at once.

The busier it is, the cheaper each event. A thread goes on when its events are on
disk, or gets an error; then nothing was acknowledged.
"""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from time import monotonic, sleep

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from models.inbox import deliveries, storing
from models.inbox.storing import NewEvent, SameContent, Stored
from runtime.outages import DATABASE, Outage

GROUP_LIMIT = 500
GROUP_BYTES = 16 * 1024 * 1024
GATHER_S = 0.001
FLUSH_EVERY_S = 1.0


class Unavailable(Exception):
    """The events could not be stored in time. Perhaps they were: the processor's retry is then a duplicate."""


class _Ticket:
    """One request's events, and the lock that its thread waits for."""

    __slots__ = ("abandoned", "done", "events", "outcomes")

    def __init__(self, events: Sequence[NewEvent]) -> None:
        self.events = events
        self.outcomes: list[Stored] | None = None
        self.abandoned = False
        self.done = threading.Lock()
        self.done.acquire()


class Intake:
    """The writer of one process.

    The engine is one of `autocommit`: the one statement that stores a group is its transaction.
    `ring` is called after every commit that leaves work, and must not block.
    """

    def __init__(
        self, engine: Engine, *, ring: Callable[[], None], same_content: SameContent, timeout_s: float
    ) -> None:
        self._engine = engine
        self._ring = ring
        self._same_content = same_content
        self._timeout_s = timeout_s
        self._waiting: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._counting = threading.Lock()
        self._flush_at = 0.0
        self._crowded = False
        self._outage = Outage("intake")
        self._writer = threading.Thread(target=self._write, name="intake", daemon=True)
        self._writer.start()

    def store(self, events: Sequence[NewEvent]) -> list[Stored]:
        """Wait until the events are on disk; returns the outcome of each. Raises Unavailable."""
        ticket = _Ticket(events)
        self._waiting.put(ticket)
        if not ticket.done.acquire(timeout=self._timeout_s):
            ticket.abandoned = True
            DATABASE.failed(f"nothing was stored within {self._timeout_s:g} s", "deliveries")
            raise Unavailable
        if ticket.outcomes is None:
            raise Unavailable
        return ticket.outcomes

    def count(self, endpoint: str, outcome: str) -> None:
        """Count a delivery that stored nothing; the count is in the database within seconds."""
        with self._counting:
            self._counts[endpoint, outcome] += 1
        self._waiting.put(None)

    def _write(self) -> None:
        while True:
            tickets = self._next_group()
            try:
                outcomes = self._commit(tickets)
            except Exception as error:  # noqa: BLE001 -- the writer must survive any error
                for _ in tickets:
                    self._outage.failed(error, "deliveries")
                if not tickets:
                    self._outage.failed(error, "counts")
            else:
                DATABASE.works()
                self._outage.works()
                for ticket in tickets:
                    ticket.outcomes = outcomes[: len(ticket.events)]
                    del outcomes[: len(ticket.events)]
            for ticket in tickets:
                ticket.done.release()

    def _next_group(self) -> list[_Ticket]:
        """All waiting tickets, up to the limit; none where there are only counts to write."""
        try:
            waiting = [self._waiting.get(timeout=FLUSH_EVERY_S if self._counts else None)]
        except queue.Empty:
            return []
        if self._crowded:
            # More is on its way: a short wait makes one commit out of several.
            sleep(GATHER_S)
        events = size = 0
        while events < GROUP_LIMIT and size < GROUP_BYTES:
            try:
                waiting.append(self._waiting.get_nowait())
            except queue.Empty:
                break
            if waiting[-1] is not None:
                events += len(waiting[-1].events)
                size += sum(len(event.body) for event in waiting[-1].events)
        self._crowded = len(waiting) > 1
        return [ticket for ticket in waiting if ticket is not None and not ticket.abandoned]

    def _commit(self, tickets: list[_Ticket]) -> list[Stored]:
        events = [event for ticket in tickets for event in ticket.events]
        try:
            outcomes = self._attempt(events)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            # The connection died, perhaps after it had committed. Try again on a fresh one: by the unique
            # index, events that were committed come back as duplicates.
            outcomes = self._attempt(events)
        if Stored.NEW in outcomes or Stored.UNFINISHED_DUPLICATE in outcomes:
            self._ring()
        return outcomes

    def _attempt(self, events: list[NewEvent]) -> list[Stored]:
        flush = monotonic() >= self._flush_at
        with self._counting:
            counts = self._counts.copy() if flush else Counter()
        with self._engine.connect() as connection:
            outcomes = storing.store(connection, events, self._same_content) if events else []
            deliveries.add(connection, counts)
            connection.commit()
        if flush:
            self._flush_at = monotonic() + FLUSH_EVERY_S
        with self._counting:
            self._counts -= counts
            self._counts.update(
                [(event.endpoint, outcome.value) for event, outcome in zip(events, outcomes, strict=True)]
            )
        return outcomes
