"""The group commit by itself: nothing that one delivery does may end it for the others."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine, text

from models.database.engine import make_engine
from models.inbox.storing import NewEvent, Stored
from runtime.settings import Settings
from tests.webhooks.site import eventually
from webhooks.intake import Intake, Unavailable


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = make_engine(settings.database_url)
    yield engine
    engine.dispose()


def event(event_id: str, body: bytes = b"{}", endpoint: str = "intake") -> NewEvent:
    return NewEvent(endpoint, event_id, "invoice.paid", body)


def silent() -> None:
    """A bell that nobody hears."""


def test_an_adapter_that_fails_ends_nothing(engine: Engine) -> None:
    def same_content(endpoint: str, first: bytes, second: bytes) -> bool:
        raise RecursionError

    intake = Intake(engine, ring=silent, same_content=same_content, timeout_s=30)
    assert intake.store([event("evt_1")]) == [Stored.NEW]
    with pytest.raises(Unavailable):
        intake.store([event("evt_1", b"[]")])
    assert intake.store([event("evt_2")]) == [Stored.NEW]


def test_a_batch_is_stored_whole(engine: Engine) -> None:
    intake = Intake(engine, ring=silent, same_content=lambda *_: False, timeout_s=30)
    assert intake.store([event("evt_b1")]) == [Stored.NEW]
    batch = [event("evt_b2"), event("evt_b1", b"[]"), event("evt_b2"), event("evt_b3"), event("evt_b1")]
    outcomes = [Stored.NEW, Stored.CONFLICT, Stored.UNFINISHED_DUPLICATE, Stored.NEW, Stored.UNFINISHED_DUPLICATE]
    assert intake.store(batch) == outcomes


def test_every_refusal_is_counted_whoever_else_stores(engine: Engine) -> None:
    intake = Intake(engine, ring=silent, same_content=lambda *_: True, timeout_s=30)
    threads, each = 8, 1_000
    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    ready = Barrier(threads)

    def refuse(thread: int) -> None:
        ready.wait()
        for number in range(each):
            intake.count(f"intake-{thread}-{number % 50}", "bad_signature")
            if number % 100 == 0:
                assert intake.store([event(f"evt_{thread}_{number}")]) == [Stored.NEW]

    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(refuse, range(threads)))
    finally:
        sys.setswitchinterval(switch_interval)

    def counted() -> int:
        with engine.connect() as connection:
            total = connection.scalar(text("SELECT sum(count) FROM delivery_counts WHERE endpoint LIKE 'intake-%'"))
            return int(total or 0)

    assert eventually(lambda: counted() == threads * each)
