"""`python -m worker.alive`, by which a container's engine knows whether its worker lives."""

import socket

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.operations import heartbeats
from worker import alive


@pytest.fixture(autouse=True)
def environment(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BROKER_URL", "redis://nowhere.invalid/0")


def beat(session: Session, host: str, seconds_ago: int) -> None:
    heartbeats.beat(session, f"{host}:1", 0)
    session.execute(text("UPDATE heartbeats SET seen_at = seen_at - make_interval(secs => :ago)"), {"ago": seconds_ago})
    session.commit()


def test_a_worker_that_beats_is_alive_without_its_broker(session: Session) -> None:
    beat(session, socket.gethostname(), 5)
    alive.main()


@pytest.mark.parametrize(("host", "seconds_ago"), [(socket.gethostname(), 30), ("another-machine", 1)])
def test_one_that_is_silent_is_not_nor_does_another_machine_s_count(
    session: Session, host: str, seconds_ago: int
) -> None:
    beat(session, host, seconds_ago)
    with pytest.raises(SystemExit, match="has sent a heartbeat"):
        alive.main()


def test_without_the_database_nobody_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://spp@127.0.0.1:1/spp")
    with pytest.raises(SystemExit, match="No heartbeat can be read"):
        alive.main()
