"""Request bodies on their way: collected by Granian's event loop, without a thread, each until its deadline.

All together may claim a budget of memory; where that is not enough, the oldest is given up. Who sends as fast as a
processor does is done long before it comes to that.
"""

import threading
from collections.abc import Callable
from enum import Enum
from time import monotonic
from typing import Any, Protocol

import structlog

BUDGET_BYTES = 64 * 1024 * 1024
MAX_PIECES = 4096
"""Of a body without a length: each costs a callback."""
SWEEP_EVERY_S = 0.5
LOG_EVERY_S = 60.0

log = structlog.get_logger()


class Lost(Enum):
    """Why there is no body, and what its request is answered."""

    LATE = 408, "The body took too long to arrive."
    GONE = 400, "The body ended too early."
    SHREDDED = 400, "The body came in too many pieces."


Then = Callable[[bytes | Lost], None]
"""Called once, with the body or why there is none, in one of Granian's threads. Must not raise."""


class Future(Protocol):
    """Granian's future of bytes; it calls back in the thread that completes it."""

    def done(self) -> bool:
        """Whether the bytes are here, or were given up."""

    def cancel(self) -> bool:
        """Gives them up, and calls back in this thread; False where they are here."""

    def result(self) -> bytes:
        """The bytes. Raises where the client went away, or they were given up."""

    def add_done_callback(self, callback: Callable[["Future"], None]) -> None:
        """Calls back with this future, at once where it is done."""


class Source(Protocol):
    """Granian's side of a request's body: called, it is read as a whole; iterated over, in pieces."""

    def __call__(self) -> Future:
        """All of it."""

    def __aiter__(self) -> Any:
        """Begins the pieces."""

    def __anext__(self) -> Future:
        """The next piece, empty at the end and where the client went away. Raises StopAsyncIteration after the end."""


class Bodies:
    """The bodies on their way in one process."""

    def __init__(self, deadline_s: float, budget_bytes: int = BUDGET_BYTES) -> None:
        self._deadline_s = deadline_s
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._arriving: dict[_Arrival, None] = {}
        """In the order in which they began."""
        self._claimed_bytes = 0
        self._given_up = 0
        self._logged_at = -LOG_EVERY_S

    def start(self) -> None:
        """Begins to give up what is late, from a thread of its own."""
        threading.Thread(target=self._sweep_on, name="bodies", daemon=True).start()

    def whole(self, source: Source, length_bytes: int, then: Then) -> None:
        """Collects a body of that length."""
        self._begin(_Arrival(self, source, length_bytes, then))

    def pieces(self, source: Source, limit_bytes: int, then: Then) -> None:
        """Collects a body of unknown length; of a body over the limit only so much that its length shows it."""
        self._begin(_Pieces(self, source, limit_bytes, then))

    def sweep(self) -> None:
        """Gives up what began too long ago; logs how many, at most once a minute."""
        with self._lock:
            began_before = monotonic() - self._deadline_s
            late = [arrival for arrival in self._arriving if arrival.began < began_before]
        self._give_up(late)
        if self._given_up and monotonic() - self._logged_at >= LOG_EVERY_S:
            log.warning("slow_bodies", given_up=self._given_up, deadline_s=self._deadline_s)
            self._given_up, self._logged_at = 0, monotonic()

    def forget(self, arrival: "_Arrival") -> None:
        """Frees what an arrival claimed: it is over."""
        with self._lock:
            del self._arriving[arrival]
            self._claimed_bytes -= arrival.claim_bytes

    def _begin(self, arrival: "_Arrival") -> None:
        with self._lock:
            self._arriving[arrival] = None
            self._claimed_bytes += arrival.claim_bytes
            over_bytes = self._claimed_bytes - self._budget_bytes
            oldest = self._oldest(over_bytes) if over_bytes > 0 else None
        arrival.start()
        if oldest:
            self._give_up(oldest)

    def _oldest(self, claim_bytes: int) -> "list[_Arrival]":
        """The first that began, as many as claim that much together."""
        found = []
        for arrival in self._arriving:
            if claim_bytes <= 0:
                break
            found.append(arrival)
            claim_bytes -= arrival.claim_bytes
        return found

    def _give_up(self, arrivals: "list[_Arrival]") -> None:
        self._given_up += sum(arrival.give_up() for arrival in arrivals)

    def _sweep_on(self) -> None:
        pause = threading.Event()
        while not pause.wait(SWEEP_EVERY_S):
            try:
                self.sweep()
            except Exception as error:
                log.error("sweep_failed", exc_info=error)


class _Arrival:
    """One body on its way."""

    __slots__ = ("_bodies", "_future", "_late", "_source", "_then", "began", "claim_bytes")

    def __init__(self, bodies: Bodies, source: Source, claim_bytes: int, then: Then) -> None:
        self.began = monotonic()
        self.claim_bytes = claim_bytes
        self._bodies = bodies
        self._source = source
        self._then = then
        self._late = False
        self._future: Future | None = None

    def start(self) -> None:
        self._future = self._source()
        self._future.add_done_callback(self._done)

    def give_up(self) -> bool:
        """Ends it; False where it has just ended by itself."""
        self._late = True
        future = getattr(self, "_future", None)  # gone where another thread has just ended it
        return future is not None and future.cancel()

    def _done(self, future: Future) -> None:
        self._end(self._bytes(future))

    def _bytes(self, future: Future) -> bytes | Lost:
        try:
            return future.result()
        except BaseException:  # noqa: BLE001 -- Granian's errors, and asyncio's CancelledError
            return Lost.LATE if self._late else Lost.GONE

    def _end(self, body: bytes | Lost) -> None:
        self._bodies.forget(self)
        then = self._then
        # Granian's future keeps its callback, and Python's collector does not see it: undo the circle.
        del self._future, self._source, self._then
        then(body)


class _Pieces(_Arrival):
    """A body whose length nobody knows before its end."""

    def start(self) -> None:
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self._empty = 0
        self._source.__aiter__()
        self._go_on()

    def _done(self, future: Future) -> None:
        if self._take(future):
            self._go_on()

    def _go_on(self) -> None:
        # A loop, not a chain of callbacks: pieces that are here already would pile up on the stack.
        while True:
            try:
                self._future = future = self._source.__anext__()
            except StopAsyncIteration:
                # A client that went away ends with one empty piece more.
                return self._end(b"".join(self._pieces) if self._empty == 1 else Lost.GONE)
            if not future.done():
                return future.add_done_callback(self._done)
            if not self._take(future):
                return None

    def _take(self, future: Future) -> bool:
        """Takes a piece; whether to ask for the next."""
        piece = self._bytes(future)
        end: bytes | Lost | None = piece if isinstance(piece, Lost) else None
        if isinstance(piece, bytes):
            self._pieces.append(piece)
            self._size_bytes += len(piece)
            self._empty += not piece
            if self._size_bytes > self.claim_bytes:
                end = b"".join(self._pieces)
            elif len(self._pieces) > MAX_PIECES:
                end = Lost.SHREDDED
            elif self._late:
                end = Lost.LATE
        if end is not None:
            self._end(end)
        return end is None
