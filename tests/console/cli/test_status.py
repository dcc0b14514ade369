"""`spp status` and `spp check`, on real databases and as monitors read them."""

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from console.broker_state import BrokerState
from console.cli.status import Seen, screen
from local.stack import ROOT
from models.operations import alarms, heartbeats
from models.operations.alarms import Situation
from models.operations.figures import EndpointFigures, Figures
from models.operations.heartbeats import Process, ProcessKind
from models.operations.jobs import JobLine, JobName
from models.operations.situation import Members
from tests.console.conftest import Spp
from tests.console.processes import SPP
from tests.models.gym import paid, tell, wait_until_blocked
from tests.worker.scene import Make

NOW = datetime(2026, 3, 10, 12, 0, 5, tzinfo=UTC)


@pytest.fixture
def alive(make: Make) -> Make:
    """A worker and a receiver that have just given a sign of life."""
    with make.begin() as session:
        heartbeats.beat(session, "host:2", 5, kind=ProcessKind.RECEIVER, memory_bytes=90_000_000)
        heartbeats.beat(session, "host:1", 3, memory_bytes=70_000_000, doing="3 events finished")
    return make


def put(make: Make, **columns: str) -> None:
    given = {"endpoint": "'stripe'", "event_id": "gen_random_uuid()", "type": "'test'", "body": "''", **columns}
    with make.begin() as session:
        session.execute(text(f"INSERT INTO webhook_events ({', '.join(given)}) VALUES ({', '.join(given.values())})"))


def test_a_monitor_is_told_in_one_line_that_all_is_well(spp: Spp, alive: Make) -> None:
    done = spp("check")
    assert (done.code, done.out) == (0, "OK: 0 due, 0 events credited in the last hour\n")


def test_programs_get_the_verdict_as_json(spp: Spp, alive: Make) -> None:
    done = spp("check", "--json")
    message = "0 due, 0 events credited in the last hour"
    assert (done.code, done.json) == (0, {"status": "OK", "code": 0, "message": message})


def test_without_a_broker_the_overview_says_how_to_get_one(spp: Spp, alive: Make) -> None:
    assert "Broker   none is set (BROKER_URL); `spp up` starts one of its own" in spp("status").out.splitlines()


@pytest.mark.parametrize(
    ("reason", "told", "headline"),
    [
        ("unmatched", "link, correct", "1 in review (without sessions: 1 unmatched)"),
        ("nothing", "link, correct", "1 in review (without sessions: 1 that gave nothing)"),
        ("more", "the first for 0 s: link", "1 in review"),
    ],
)
def test_a_monitor_is_warned_of_payments_in_review_from_the_first_moment_until_they_are_accepted(
    spp: Spp, alive: Make, reason: str, told: str, headline: str
) -> None:
    with alive() as session:
        tell(session, paid("in", "sub"))
        session.execute(text("UPDATE webhook_events SET state = 'processed'"))
        session.execute(text("UPDATE payment_reviews SET reason = :reason, recorded_at = now()"), {"reason": reason})
        session.commit()
    done = spp("check")
    headline = f"1 payment or event needs somebody: {headline}"
    assert (done.code, done.out.startswith(f"WARNING: {headline}; 1 payment in review on stripe, the")) == (1, True)
    assert told in done.out
    assert spp("status").out.splitlines()[1][:79] == headline[:79]
    assert spp("status", "--json").json["headline"]["text"] == headline
    assert spp("accept", "stripe:in", "--reason", "the cafe's").out == "stripe:in: accepted.\n"
    done = spp("check")
    assert (done.code, done.out.startswith("OK: 0 due,")) == (0, True)


def test_a_monitor_is_warned_of_events_in_quarantine(spp: Spp, alive: Make) -> None:
    put(alive, state="'quarantined'")
    done = spp("check")
    assert (done.code, "; 1 event quarantined on stripe, the first 0 s ago: read why" in done.out) == (1, True)


def test_a_monitor_is_warned_of_a_broker_that_does_not_answer(
    spp: Spp, alive: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_URL", "redis://127.0.0.1:9/0")
    done = spp("check")
    assert (done.code, done.out.startswith("WARNING: The broker does not answer (")) == (1, True)
    assert "WARNING  The broker does not answer" in spp("status").out


def test_a_monitor_is_warned_of_what_can_wait(spp: Spp, alive: Make) -> None:
    with alive.begin() as session:
        session.execute(text("INSERT INTO pauses VALUES ('stripe', now() - interval '2 days', 'ann|bob', 'why')"))
    done = spp("check")
    assert done.code == 1
    assert re.fullmatch(r"WARNING: stripe has been paused since .* by ann/bob: .*\n", done.out)


def test_a_monitor_is_alarmed_where_money_does_not_turn_into_sessions(spp: Spp, alive: Make) -> None:
    put(alive, state="'dead'")
    put(alive, next_attempt_at="now() - interval '90 s'")
    done = spp("check", "--perfdata")
    assert done.code == 2
    line, bar, figures = done.out.partition(" | ")
    assert bar
    assert re.match(r"CRITICAL: 2 payments or events need somebody: .*; 1 event due, the first for \d+ s", line)
    assert "; 1 event failed on stripe" in line
    found = dict(word.split("=") for word in figures.split())
    assert found["due"] == "1;;;0"
    assert found["dead"] == "1;;0;0"
    oldest_s, _, limits = found["oldest_due"].partition("s;")
    assert float(oldest_s) >= 90
    assert limits == ";30;0"


def test_a_database_that_is_away_is_critical(spp: Spp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:geheim@127.0.0.1:9/none")
    done = spp("check")
    assert done.code == 2
    assert done.out.startswith("CRITICAL: the database does not answer: ")
    assert len(done.out.splitlines()) == 1
    assert "geheim" not in done.out + done.err


def test_a_monitor_is_told_that_nothing_can_be_known(spp: Spp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPP_ENDPOINTS", "nonsense")
    done = spp("check")
    assert done.code == 3
    assert done.out.startswith("UNKNOWN: ")
    assert len(done.out.splitlines()) == 1


def test_the_overview_says_what_waits_for_whom_and_the_next_of_the_first_steps(spp: Spp, alive: Make) -> None:
    assert "Next     Add your club (first steps: 1 of 6 done)" in spp("status").out.splitlines()
    assert "To do" not in spp("status").out
    with alive.begin() as session:
        tell(session, paid("in", "sub"))
    put(alive, state="'dead'")
    said = " ".join(spp("status").out.split())
    assert "To do 1 failed (`spp errors --state dead`), 1 in review (`spp review`)" in said


def test_the_overview_tells_programs_everything(spp: Spp, alive: Make) -> None:
    put(alive, next_attempt_at="now() - interval '90 s'")
    shown = spp("status", "--json").json
    assert shown["endpoints"]["stripe"]["due"] == 1
    assert shown["endpoints"]["standard"]["due"] == 0
    assert shown["total"]["oldest_due_s"] > 80
    assert [worker["doing"] for worker in shown["workers"]] == ["3 events finished"]
    assert [(one["kind"], one["events"]) for one in shown["web"]] == [("receiver", 5)]
    assert [job["name"] for job in shown["jobs"]] == [name.value for name in JobName]
    assert [alarm["rule"] for alarm in shown["alarms"]] == ["oldest_due"]
    assert shown["broker"]["error"]


def worker(number: int) -> Process:
    doing = "finished 12,345 events of a very long description that goes on"
    return Process(
        f"a-host-with-quite-a-long-name:{number}",
        ProcessKind.WORKER,
        0.8,
        NOW,
        NOW,
        NOW,
        1_234_567,
        123_456_789,
        doing,
    )


def test_the_overview_fits_a_terminal_with_three_endpoints() -> None:
    many = EndpointFigures(
        due=1_234_567,
        oldest_due_s=400_000,
        paused_due=99_999,
        retrying=12_345,
        thin=12_345,
        dead=99_999,
        quarantined=99_999,
        in_review=99_999,
        received_minute=90_000,
        credited_minute=90_000,
        received_hour=1_234_567,
        credited_hour=1_234_567,
        p50_hour_s=0.034,
        p99_hour_s=250,
        duplicates_hour=99_999,
        bad_signatures_hour=99_999,
    )
    endpoints = {f"a-very-long-endpoint-name-{number}": many for number in range(3)}
    jobs = [JobLine(name, NOW - timedelta(hours=1), 1, None, None, NOW, False) for name in JobName]
    jobs[-1] = replace(jobs[-1], started_at=None, overdue=True)
    figures = Figures(NOW, endpoints, many, 12_345, 123_456, 0)
    web = [
        Process(f"host:{number}", ProcessKind.RECEIVER, 1.2 + number, NOW, NOW, None, 5, None, None)
        for number in range(4)
    ]
    now = Situation(figures, [worker(n) for n in range(9)], jobs, web=web)
    quiet = Seen(now, [], BrokerState(queues={"events": 5}), Members(overdue=3, announcements=0, awaiting=0))
    lines = screen(quiet)
    to_do = next(place for place, line in enumerate(lines) if line.startswith("To do"))
    assert to_do <= 23  # and the prompt
    said = " ".join(line.strip() for line in lines[to_do:])
    assert "99,999 failed (`spp errors --state dead`), 99,999 quarantined (`spp errors --state quarantined`)" in said
    assert max(map(len, lines)) <= 80
    rows = [line for line in lines if line.startswith("a-very-long")]
    assert len(rows) == 6
    assert "1,234,567  4 days" in rows[0]
    assert "Web      4 receivers, the latest answered 1.2 s ago; no console" in lines
    jobs_at = lines.index("Jobs     sweep 60 min, expire 60 min, compare 60 min, seal 60 min, reconcile 60")
    assert lines[jobs_at + 1].startswith("         min, audit 60 min ago; never prune!")
    loud = Seen(quiet.now, alarms.fired(quiet.now), BrokerState(error="nobody there"), quiet.members)
    assert loud.alarms
    assert lines[0].endswith("WARNING"), "what waits for somebody is never OK"
    assert any(line.endswith("Overdue 3: /members/?standing=overdue") for line in lines)
    assert screen(loud)[0].endswith("CRITICAL")
    assert max(map(len, screen(loud))) <= 80


@contextmanager
def watching(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`spp status --watch` on a terminal, and where that terminal is read."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*SPP, "status", "--watch"], cwd=ROOT, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_screens(terminal: int, number: int) -> bytes:
    shown = b""
    while shown.count(b"\x1b[H\x1b[2JSessions Per Payment") < number:
        shown += os.read(terminal, 4096)
    return shown


def read_to_the_end(terminal: int) -> bytes:
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # it has ended
            return shown


def test_the_overview_is_redrawn_until_it_is_interrupted(installed: dict[str, str], alive: Make) -> None:
    with watching(installed) as (process, terminal):
        shown = read_screens(terminal, 2)
        process.send_signal(signal.SIGINT)
        shown += read_to_the_end(terminal)
        assert process.wait() == 0
    assert b"Traceback" not in shown
    assert b"3 events finished" in shown


def test_an_interrupt_while_the_database_is_asked_ends_it_as_well(
    installed: dict[str, str], alive: Make, engine: Engine
) -> None:
    with watching(installed) as (process, terminal):
        read_screens(terminal, 1)
        with alive() as session:
            session.execute(text("LOCK TABLE webhook_events IN ACCESS EXCLUSIVE MODE"))
            wait_until_blocked(engine, lambda: process.poll() is not None)
            process.send_signal(signal.SIGINT)
            shown = read_to_the_end(terminal)
        assert process.wait() == 0
    assert b"Traceback" not in shown


def test_programs_read_times_as_rfc_3339(spp: Spp, alive: Make) -> None:
    at = json.loads(spp("status", "--json").out)["at"]
    assert datetime.fromisoformat(at).utcoffset() == timedelta(0)
