"""Secrets made once."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Barrier

import pytest

from local.kept import kept


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "one"


def test_a_secret_is_made_once_and_only_its_owner_reads_it(file: Path) -> None:
    assert kept(file, lambda: "first") == "first"
    assert kept(file, lambda: "second") == "first"
    assert (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_of_many_who_make_it_at_once_all_have_the_same(file: Path) -> None:
    numbers, ready = count(), Barrier(8)

    def make() -> str:
        ready.wait()  # nobody has written yet
        return str(next(numbers))

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: kept(file, make), range(8)))
    assert len(made) == 1
    assert list(file.parent.iterdir()) == [file]


def test_a_secret_that_cannot_be_made_leaves_no_file(file: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        kept(file, lambda: str(1 // 0))
    assert list(file.parent.iterdir()) == []
