"""The watcher: what has fired reaches people, once, by real servers."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from sqlalchemy import Engine, text

from console.alerts.channels import Channel, Mail, Webhook
from console.alerts.watcher import Watcher
from console.web.app import create_app
from local.servers import Broker, Postgres
from local.stack import ROOT
from models.audit.results import Audit
from models.database.engine import make_engine, sessions
from models.operations import heartbeats
from models.operations.heartbeats import ProcessKind
from models.operations.notices import AlarmNews
from runtime.settings import Settings
from tests.console import listening
from tests.console.alerts.test_channels import SECRET
from tests.console.listening import Heard
from tests.worker.conftest import environment
from tests.worker.scene import Make, until

HOUR = timedelta(hours=1)
HEAD = bytes(range(32))


class Clock:
    """The watcher's, which goes on when it is told to."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def heard() -> Iterator[Heard]:
    with listening.http() as heard:
        yield heard


Watching = Callable[..., Watcher]


@pytest.fixture
def watching(settings: Settings, clock: Clock) -> Iterator[Watching]:
    """A watcher that tells by these channels."""
    watchers: list[Watcher] = []

    def make(*channels: Channel) -> Watcher:
        watchers.append(Watcher(settings, channels, clock))
        return watchers[-1]

    yield make
    for watcher in watchers:
        watcher.close()


def live(make: Make) -> None:
    with make.begin() as session:
        heartbeats.beat(session, "host:1", 0)
        heartbeats.beat(session, "host:2", 0, kind=ProcessKind.RECEIVER)


def die(make: Make) -> None:
    """The worker alone."""
    with make.begin() as session:
        session.execute(text("UPDATE heartbeats SET seen_at = seen_at - interval '1 minute' WHERE kind = 'worker'"))


def rules(heard: Heard) -> list[tuple[str, str]]:
    return [(kind, data["rule"]) for kind, data in heard.said]


def test_people_are_told_when_it_begins_and_when_it_is_over(
    watching: Watching, heard: Heard, make: Make, clock: Clock
) -> None:
    live(make)
    die(make)
    with listening.smtp() as box:
        channels = Webhook(heard.url, SECRET), Mail(f"smtp://127.0.0.1:{box.port}", "a@b.example", "spp@b.example")
        watching(*channels).look()
        # Another process, as after a restart, repeats nothing.
        watching(*channels).look()
        live(make)
        clock.now += HOUR
        watching(*channels).look()
        assert [mail["Subject"].split()[1] for _, mail in box.mails] == ["FIRED:", "RESOLVED:"]
    assert rules(heard) == [("alarm.fired", "no_worker"), ("alarm.resolved", "no_worker")]


def test_a_channel_that_is_down_is_tried_again_and_does_not_hold_up_the_other(
    watching: Watching, heard: Heard, make: Make, clock: Clock
) -> None:
    live(make)
    die(make)
    with listening.smtp() as box:
        mail = Mail(f"smtp://127.0.0.1:{box.port}", "a@b.example", "spp@b.example")
        watcher = watching(Webhook(heard.url, SECRET), mail)
        heard.status = 500
        watcher.look()
        assert len(box.mails) == 1
        assert heard.posts == []
        heard.status = 200
        clock.now += timedelta(seconds=30)
        watcher.look()
        assert len(box.mails) == 1
    assert rules(heard) == [("alarm.fired", "no_worker")]


def audited(make: Make, at: datetime, findings: int = 0, head: bytes | None = HEAD) -> int:
    with make.begin() as session:
        audit = Audit(
            started_at=at,
            finished_at=at,
            entries=12,
            head=head,
            head_entry=head and 9,
            findings=findings,
            first_findings=["one"] * findings,
        )
        session.add(audit)
        session.flush()
        return audit.id


def test_the_head_of_the_chain_is_sent_once_a_day_by_every_channel(
    watching: Watching, heard: Heard, make: Make, clock: Clock
) -> None:
    live(make)
    day = datetime(2026, 3, 4, tzinfo=UTC)
    audited(make, day + timedelta(hours=3), head=None)
    with listening.smtp() as box:
        channels = Webhook(heard.url, SECRET), Mail(f"smtp://127.0.0.1:{box.port}", "a@b.example", "spp@b.example")
        watching(*channels).look()
        assert (heard.posts, box.mails) == ([], []), "before anything was sealed there is nothing to send"
        first = audited(make, day + timedelta(hours=4))
        watching(*channels).look()
        # Neither another process nor another audit of that day sends it again.
        audited(make, day + timedelta(hours=23), head=bytes(32))
        watching(*channels).look()
        assert len(box.mails) == 1
        later = audited(make, day + timedelta(hours=28), findings=2)
        watching(*channels).look()
        watching(*channels).look()
        mail, second = (mail for _, mail in box.mails if mail["Subject"].startswith("[spp] Audit:"))
    sent = [(headers["webhook-id"], *one) for (headers, _), one in zip(heard.posts, heard.said, strict=True)]
    sent = [one for one in sent if one[1] != "alarm.fired"]
    assert [one[1:] for one in sent] == [
        ("audit.finished", {"audit": one, "findings": findings, "entries": 12, "head_entry": 9, "head": HEAD.hex()})
        for one, findings in ((first, 0), (later, 2))
    ]
    assert len({one[0] for one in sent}) == 2
    assert mail["Subject"] == "[spp] Audit: everything adds up"
    assert second["Subject"] == "[spp] Audit: 2 differences"
    text = mail.get_payload()
    assert f"over 12 ledger entries, at entry 9:\r\n{HEAD.hex()}\r\n" in text


def test_a_head_that_a_channel_does_not_take_is_sent_again(
    watching: Watching, heard: Heard, make: Make, clock: Clock
) -> None:
    live(make)
    audited(make, clock.now)
    watcher = watching(Webhook(heard.url, SECRET))
    heard.status = 500
    watcher.look()
    heard.status = 200
    watcher.look()
    watcher.look()
    assert [kind for kind, _ in heard.said] == ["audit.finished"]


class Slow:
    """A channel that waits until it is let go."""

    name = "slow"

    def __init__(self) -> None:
        self.told: list[str] = []
        self.asked, self.go = Event(), Event()

    def send(self, news: AlarmNews | Audit) -> None:
        assert isinstance(news, AlarmNews)
        self.told.append(news.alarm.rule)
        self.asked.set()
        assert self.go.wait(30)


def test_of_several_consoles_one_speaks(watching: Watching, engine: Engine, make: Make) -> None:
    live(make)
    die(make)
    slow = Slow()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(watching(slow).look)
        assert slow.asked.wait(30)
        watching(slow).look()
        # Whoever is slow to be told holds no transaction open, and no lock but the watchers'.
        with engine.connect() as connection:
            query = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
            )
            assert connection.scalar(text(f"{query} AND pid <> pg_backend_pid()")) == 0
        slow.go.set()
        first.result(30)
    assert slow.told == ["no_worker"]
    watching(slow).look()
    assert slow.told == ["no_worker"]


def test_people_are_told_that_the_database_is_away_and_back(
    watching: Watching, heard: Heard, make: Make, clock: Clock, settings: Settings, postgres: Postgres
) -> None:
    live(make)
    watcher = watching(Webhook(heard.url, SECRET))
    watcher.look()
    name = settings.database_url.partition("?")[0].rpartition("/")[2]
    allow = "ALTER DATABASE {} ALLOW_CONNECTIONS {}"
    admin = sessions_of(postgres)
    with admin() as session:
        session.execute(text(allow.format(name, "false")))
        session.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
        )
    try:
        watcher.look()
        assert heard.posts == []
        clock.now += timedelta(seconds=60)
        watcher.look()
        watcher.look()
        assert rules(heard) == [("alarm.fired", "database")]
    finally:
        with admin() as session:
            session.execute(text(allow.format(name, "true")))
            admin.kw["bind"].dispose()
    live(make)
    clock.now += timedelta(minutes=5)
    watcher.look()
    assert rules(heard) == [("alarm.fired", "database"), ("alarm.resolved", "database")]


def sessions_of(postgres: Postgres) -> Make:
    return sessions(make_engine(postgres.url("postgres"), autocommit=True))


def test_it_looks_again_and_again_by_itself(watching: Watching, heard: Heard, make: Make) -> None:
    live(make)
    watcher = watching(Webhook(heard.url, SECRET))
    failing = iter([ZeroDivisionError()])
    look = watcher.look

    def fail_first() -> None:
        for error in failing:
            raise error
        look()

    watcher.look = fail_first
    die(make)
    watcher.start(every_s=0.01)
    until(lambda: rules(heard))
    assert rules(heard) == [("alarm.fired", "no_worker")]


def test_a_console_process_watches(database_url: str, broker_server: Broker) -> None:
    show = "import threading, console.wsgi; print([thread.name for thread in threading.enumerate()])"
    ours = environment(database_url, broker_server.url, SPP_CONSOLE_SECRET="x" * 40)
    done = subprocess.run([sys.executable, "-c", show], cwd=ROOT, env=ours, capture_output=True, text=True, check=True)
    assert "watcher" in done.stdout


def test_a_console_does_not_start_with_a_channel_that_is_set_by_half(database_url: str, broker_server: Broker) -> None:
    ours = environment(database_url, broker_server.url, SPP_CONSOLE_SECRET="x" * 40, SPP_ALERT_EMAIL_TO="a@b.example")
    run = [sys.executable, "-c", "import console.wsgi"]
    done = subprocess.run(run, cwd=ROOT, env=ours, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "The console cannot start.\nSPP_ALERT_EMAIL_TO needs a mail server" in done.stderr


def test_an_app_alone_watches_nothing(settings: Settings) -> None:
    create_app(Settings(**{**settings.model_dump(), "console_secret": "x" * 32}))
    assert "watcher" not in [thread.name for thread in threading.enumerate()]
