"""Deliveries that stream in from several connections, whatever happens meanwhile."""

import threading
from collections import Counter
from collections.abc import Iterable
from itertools import count
from time import sleep
from types import TracebackType
from typing import Self

from tests.worker.scene import Make, join, paid_now, post, until

_numbers = count(1)


def new_payments(make: Make, number: int) -> dict[str, bytes]:
    """So many payments of one new member, with their deliveries."""
    subscription = f"sub_{next(_numbers)}"
    join(make, subscription)
    payments = [f"in_{next(_numbers)}" for _ in range(number)]
    return {payment: paid_now(payment, subscription) for payment in payments}


def deliver(port: int, deliveries: dict[str, bytes]) -> list[int]:
    """Posts one after the other; the answers."""
    return [post(port, body) for body in deliveries.values()]


class Stream:
    """Posts these deliveries in turn for as long as the block; says what was answered. There must be enough of them."""

    def __init__(self, port: int, deliveries: dict[str, bytes], *, threads: int = 2) -> None:
        self.answers: dict[str, int] = {}
        self._port = port
        self._bodies = deliveries
        self._left = iter(deliveries)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def count(self, status: int) -> int:
        return Counter(list(self.answers.values()))[status]

    def go_on(self, status: int, more: int) -> None:
        """Waits until so many more were answered with that status."""
        enough = self.count(status) + more
        until(lambda: self.count(status) >= enough)

    def answered(self, *statuses: int) -> Iterable[str]:
        return [payment for payment, status in self.answers.items() if status in statuses]

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                payment = next(self._left)
            status = post(self._port, self._bodies[payment])
            with self._lock:
                self.answers[payment] = status
            sleep(0.01)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
