"""What the log is told of an outage: when it begins, once a minute, and when it is over."""

from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from runtime import outages
from runtime.outages import Outage, is_away


class Log(list[tuple[str, str, dict[str, Any]]]):
    """Keeps lines instead of writing them."""

    def error(self, event: str, **said: Any) -> None:
        self.append(("error", event, said))

    def warning(self, event: str, **said: Any) -> None:
        self.append(("warning", event, said))

    def info(self, event: str, **said: Any) -> None:
        self.append(("info", event, said))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(outages, "log", log)
    return log


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(outages, "monotonic", lambda: now[0])
    return now


def test_ten_thousand_failures_are_two_lines(log: Log, clock: list[float]) -> None:
    outage = Outage("printer")
    outage.works()
    for _ in range(9_000):
        outage.failed("on fire\nSELECT secret", "pages")
    for _ in range(1_000):
        outage.failed(ValueError("on fire\nSELECT secret"), "letters")
    clock[0] += 42
    outage.works()
    clock[0] += 6
    for _ in range(10):
        outage.works()
    assert log == [
        ("error", "printer_failing", {"error": "on fire\nSELECT secret"}),
        ("info", "printer_working_again", {"failing_s": 42, "pages": 9_000, "letters": 1_000}),
    ]


def test_a_long_one_is_counted_each_minute(log: Log, clock: list[float]) -> None:
    outage = Outage("printer", "warning")
    for _ in range(601):
        outage.failed(ValueError("on fire\nmore"), "pages")
        clock[0] += 0.5
    assert [(level, event) for level, event, _ in log] == [
        ("warning", "printer_failing"),
        *[("warning", "printer_still_failing")] * 5,
    ]
    assert [said for _, _, said in log[1:3]] == [
        {"error": "on fire", "failing_s": 60, "pages": 121},
        {"error": "on fire", "failing_s": 120, "pages": 241},
    ]


def test_one_that_comes_and_goes_is_one(log: Log, clock: list[float]) -> None:
    outage = Outage("printer")
    for _ in range(100):
        outage.failed("jammed", "pages")
        clock[0] += 1
        outage.works()
        clock[0] += 1
    assert [event for _, event, _ in log] == ["printer_failing", *["printer_still_failing"] * 3]
    clock[0] += 4
    outage.works()
    assert log[-1] == ("info", "printer_working_again", {"failing_s": 199, "pages": 100})
    outage.failed("jammed", "pages")
    assert log[-1][1] == "printer_failing"


def test_a_block_survives_and_its_error_is_told_where_it_belongs(
    log: Log, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "DATABASE", Outage("database"))
    outage = Outage("timer")
    away = OperationalError("SELECT 1", {}, psycopg.OperationalError("refused"))
    for error in (away, ZeroDivisionError("by zero"), None):
        with outage.survived("ticks"):
            if error:
                raise error
        clock[0] += 6
    with outage.survived("ticks"):
        pass
    assert [(event, said.get("ticks")) for _, event, said in log] == [
        ("database_failing", None),
        ("timer_failing", None),
        ("database_working_again", 1),
        ("timer_working_again", 1),
    ]


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (psycopg.OperationalError("refused"), True),
        (psycopg.errors.ConnectionTimeout("no answer"), True),
        (psycopg.errors.AdminShutdown("terminating"), True),
        (psycopg.errors.CannotConnectNow("starting up"), True),
        (psycopg.errors.TooManyConnections("sorry"), True),
        (psycopg.errors.ConnectionFailure("cut off"), True),
        (psycopg.errors.QueryCanceled("statement timeout"), False),
        (psycopg.errors.LockNotAvailable("lock timeout"), False),
        (psycopg.errors.DeadlockDetected("deadlock"), False),
        (psycopg.errors.UniqueViolation("twice"), False),
        (psycopg.ProgrammingError("nonsense"), False),
    ],
)
def test_what_says_that_the_database_is_away(error: psycopg.Error, away: bool) -> None:
    kind = IntegrityError if isinstance(error, psycopg.IntegrityError) else OperationalError
    assert is_away(kind("SELECT 1", {}, error)) is away
    assert not is_away(error)


def test_a_connection_that_is_found_dead_says_so_too() -> None:
    assert is_away(DBAPIError("SELECT 1", {}, psycopg.InterfaceError("closed"), connection_invalidated=True))
