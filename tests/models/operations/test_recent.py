"""One computation for many who ask."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

import pytest

from models.operations.recent import Recent


def test_a_value_is_computed_once_in_its_time() -> None:
    clock, numbers = [0.0], iter(range(9))
    recent = Recent(lambda: next(numbers), 5, lambda: clock[0])
    assert [recent(), recent()] == [0, 0]
    clock[0] = 4.9
    assert recent() == 0
    clock[0] = 5.0
    assert [recent(), recent()] == [1, 1]


def test_all_who_ask_at_once_get_what_one_computes() -> None:
    calls: list[int] = []
    together, several = Barrier(8), Barrier(2)

    def compute() -> int:
        """Waits for a second one that computes, in vain."""
        calls.append(1)
        with suppress(BrokenBarrierError):
            several.wait(0.2)
        return len(calls)

    recent = Recent(compute, 60)

    def ask() -> int:
        together.wait(30)
        return recent()

    with ThreadPoolExecutor(8) as pool:
        assert [one.result() for one in [pool.submit(ask) for _ in range(8)]] == [1] * 8


def test_a_failure_is_not_kept() -> None:
    numbers = iter([ZeroDivisionError(), 7])

    def compute() -> object:
        value = next(numbers)
        if isinstance(value, Exception):
            raise value
        return value

    recent = Recent(compute, 60)
    with pytest.raises(ZeroDivisionError):
        recent()
    assert recent() == 7
