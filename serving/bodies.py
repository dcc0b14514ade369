"""Request bodies in transit: collected by Granian's event loop without a thread, each until its deadline.

Together they may claim a budget of memory. If it is exceeded, the oldest is dropped. A client that sends at a
processor's speed is done long before that.
"""

import threading
from collections.abc import Callable
from enum import Enum
from time import monotonic
from typing import Any, Protocol

import structlog

BUDGET_BYTES = 64 * 1024 * 1024
MAX_PIECES = 4096
"""Limit for a body without a length: each piece costs a callback."""
SWEEP_EVERY_S = 0.5
LOG_EVERY_S = 60.0

log = structlog.get_logger()


class Lost(Enum):
    """Why there is no body: the status and text of the answer."""

    LATE = 408, "The body took too long to arrive."
    GONE = 400, "The body ended too early."
    SHREDDED = 400, "The body came in too many pieces."


Then = Callable[[bytes | Lost], None]
"""Called once with the body, or with the reason for none, in one of Granian's threads. Must not raise."""


class Future(Protocol):
    """Granian's future of bytes; it calls back in the thread that completes it."""

    def done(self) -> bool:
        """Whether the bytes have arrived, or were cancelled."""

    def cancel(self) -> bool:
        """Cancel, and call back in this thread; False if the bytes have arrived."""

    def result(self) -> bytes:
        """The bytes. Raises if the client went away, or after `cancel`."""

    def add_done_callback(self, callback: Callable[["Future"], None]) -> None:
        """Call back with this future; at once if it is done."""


class Source(Protocol):
    """Granian's side of a request's body. A call reads it as a whole, iteration reads pieces."""

    def __call__(self) -> Future:
        """All of it."""

    def __aiter__(self) -> Any:
        """Start reading pieces."""

    def __anext__(self) -> Future:
        """The next piece; empty at the end, and if the client went away. Raises StopAsyncIteration after the end."""


class Bodies:
    """The bodies in transit in one process."""

    def __init__(self, deadline_s: float, budget_bytes: int = BUDGET_BYTES) -> None:
        self._deadline_s = deadline_s
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._arriving: dict[_Arrival, None] = {}
        """The oldest first."""
        self._claimed_bytes = 0
        self._given_up = 0
        self._logged_at = -LOG_EVERY_S

    def start(self) -> None:
        """Start the thread that drops late bodies."""
        threading.Thread(target=self._sweep_on, name="bodies", daemon=True).start()

    def whole(self, source: Source, length_bytes: int, then: Then) -> None:
        """Collect a body of that length."""
        self._begin(_Arrival(self, source, length_bytes, then))

    def pieces(self, source: Source, limit_bytes: int, then: Then) -> None:
        """Collect a body of unknown length; stop as soon as it is over the limit."""
        self._begin(_Pieces(self, source, limit_bytes, then))

    def sweep(self) -> None:
        """Drop late bodies, and log their number at most once a minute."""
        with self._lock:
            began_before = monotonic() - self._deadline_s
            late = [arrival for arrival in self._arriving if arrival.began < began_before]
        self._give_up(late)
        if self._given_up and monotonic() - self._logged_at >= LOG_EVERY_S:
            log.warning("slow_bodies", given_up=self._given_up, deadline_s=self._deadline_s)
            self._given_up, self._logged_at = 0, monotonic()

    def forget(self, arrival: "_Arrival") -> None:
        """Free the claim of an arrival that has ended."""
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
        """The oldest arrivals that together claim at least that much."""
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
    """One body in transit."""

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
        """Drop it; False if it has just ended by itself."""
        self._late = True
        future = getattr(self, "_future", None)  # another thread may just have ended it
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
        # Break the reference cycle: Granian's future keeps its callback, and Python's collector does not see it.
        del self._future, self._source, self._then
        then(body)


class _Pieces(_Arrival):
    """A body of unknown length."""

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
        # A loop instead of chained callbacks: pieces that have already arrived would grow the stack.
        while True:
            try:
                self._future = future = self._source.__anext__()
            except StopAsyncIteration:
                # If the client went away, there is a second empty piece.
                return self._end(b"".join(self._pieces) if self._empty == 1 else Lost.GONE)
            if not future.done():
                return future.add_done_callback(self._done)
            if not self._take(future):
                return None

    def _take(self, future: Future) -> bool:
        """Take a piece; whether to ask for the next."""
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
