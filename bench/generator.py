"""The load generator: costs little, so that two cores are left to what is measured.

Raw non-blocking sockets in one thread, and requests rendered before the load
begins. A program of its own (`python -m bench.generator PLAN`), so that it shares
no interpreter lock with anything.
"""

import json
import math
import pickle
import select
import selectors
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import asdict
from pathlib import Path

from bench import answers, stripe_events
from bench.load import Outcome, Plan


class _Connection:
    __slots__ = ("answer", "due", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.answer = b""
        self.due = 0.0


class _Generator:
    """One load: which connections are free, what was answered, and how long it took."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.requests = pickle.loads(Path(plan.requests).read_bytes()) if plan.requests else _rendered(plan)
        self.sent = 0
        self.latencies_s: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.selector = selectors.DefaultSelector()
        self.free: deque[_Connection] = deque()
        self.busy = 0
        for _ in range(plan.connections):
            self._connect()

    def run(self) -> Outcome:
        # Both clocks are read together: latencies need the one that never
        # jumps, the trace needs the one that the database shares.
        self.begin, wall_begin = time.perf_counter(), time.time()
        self.counted_from = self.begin + self.plan.warmup_s
        end = self.counted_from + self.plan.seconds
        self._until(self.counted_from)
        cpu_begin, counted_begin = time.process_time(), time.perf_counter()
        self._until(end)
        counted_s = time.perf_counter() - counted_begin
        cpu = (time.process_time() - cpu_begin) / counted_s
        answered_per_s = len(self.latencies_s) / counted_s
        deadline = time.perf_counter() + 60
        while self.busy and time.perf_counter() < deadline:
            self._receive(0.5)
        if self.busy:
            self.statuses["no answer"] += self.busy
        due_at = {}
        if self.plan.trace and self.plan.rate_per_s:
            due_at = {str(self.plan.first + i): wall_begin + i / self.plan.rate_per_s for i in range(self.sent)}
        milliseconds = sorted(1000 * s for s in self.latencies_s) or [float("nan")]
        return Outcome(
            answered_per_s=answered_per_s,
            statuses=dict(self.statuses),
            p50_ms=answers.quantile(milliseconds, 0.5),
            p99_ms=answers.quantile(milliseconds, 0.99),
            max_ms=milliseconds[-1],
            cpu=cpu,
            began_at=wall_begin,
            sent=self.sent,
            due_at=due_at,
        )

    def _until(self, end: float) -> None:
        while (now := time.perf_counter()) < end:
            if self.plan.rate_per_s is None:
                while self.free and self._more():
                    self._send(now)
                if not self._more() and not self.busy:
                    return
                self._receive(end - now)
            else:
                due = self.begin + self.sent / self.plan.rate_per_s
                while self.free and due <= now and self._more():
                    self._send(due)
                    due = self.begin + self.sent / self.plan.rate_per_s
                self._receive(min(end, max(due, now)) - now if self.free and self._more() else end - now)

    def _more(self) -> bool:
        return self.plan.repeat or self.sent < len(self.requests)

    def _send(self, due: float) -> None:
        connection = self.free.popleft()
        connection.due = due
        request = self.requests[self.sent % len(self.requests)]
        self.sent += 1
        self.busy += 1
        if connection.socket.send(request) < len(request):
            raise RuntimeError("A request did not fit into an empty socket buffer")

    def _receive(self, timeout_s: float) -> None:
        if self.plan.rate_per_s is not None:
            # epoll counts in whole milliseconds, select in microseconds: an open
            # loop must not be late by its own clock.
            select.select([self.selector], [], [], max(timeout_s, 0))
            timeout_s = 0
        for key, _ in self.selector.select(timeout_s):
            connection: _Connection = key.data
            try:
                data = connection.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                self._closed(connection)
                continue
            connection.answer += data
            status = answers.status_of(connection.answer)
            if status is None:
                continue
            connection.answer = b""
            self._answered(connection, status)
            self.free.append(connection)

    def _answered(self, connection: _Connection, status: str) -> None:
        now = time.perf_counter()
        self.busy -= 1
        self.statuses[status] += 1
        if connection.due >= self.counted_from or (self.plan.rate_per_s is None and now >= self.counted_from):
            self.latencies_s.append(now - connection.due)

    def _connect(self) -> None:
        connection = _Connection(self.plan.port)
        self.selector.register(connection.socket, selectors.EVENT_READ, connection)
        self.free.append(connection)

    def _closed(self, connection: _Connection) -> None:
        # A server may end an idle connection; ending one that waits for its
        # answer is an answer too, and not an accepted one.
        self.selector.unregister(connection.socket)
        connection.socket.close()
        if connection in self.free:
            self.free.remove(connection)
        else:
            self._answered(connection, "closed")
        self._connect()


def _rendered(plan: Plan) -> list[bytes]:
    count = plan.count
    if plan.rate_per_s is not None:
        count = math.ceil(plan.rate_per_s * (plan.warmup_s + plan.seconds))
    return [stripe_events.request(n, plan.memberships) for n in range(plan.first, plan.first + count)]


def main() -> None:
    """Runs the plan given as JSON in the first argument and prints the outcome as JSON."""
    print(json.dumps(asdict(_Generator(Plan(**json.loads(sys.argv[1]))).run())))


if __name__ == "__main__":
    main()
