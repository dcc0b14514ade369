"""A value that is computed at most once in some seconds, however many ask for it at once."""

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """What `compute` gave last, if that is not older than `seconds`; else what it gives now.

    One thread computes at a time, and the others wait for what it finds. What it raises is not kept.
    """

    def __init__(self, compute: Callable[[], T], seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._compute, self._seconds, self._clock = compute, seconds, clock
        self._lock = Lock()
        self._kept: tuple[float, T] | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._kept is None or self._clock() - self._kept[0] >= self._seconds:
                value = self._compute()
                self._kept = (self._clock(), value)
            return self._kept[1]
