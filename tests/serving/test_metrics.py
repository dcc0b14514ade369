"""GET /metrics on both apps: who may, what it says, and that it stays bounded."""

import subprocess
import sys
from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from console.web.app import create_app as console_app
from local.servers import Broker
from models.operations import heartbeats
from models.operations.heartbeats import ProcessKind
from runtime.settings import DatabaseRole, Settings
from tests.database_roles import as_role
from webhooks.app import create_app as webhooks_app

TOKEN = "a-long-token-of-the-tests"
Create = Callable[[Settings], Flask]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def scraped(settings: Settings, tmp_path: Path) -> Settings:
    """With a token in the secrets' folder."""
    (tmp_path / "metrics.token").write_text(TOKEN + "\n")
    # Of live endpoints it is asked whether they are silent.
    endpoints = [one.model_copy(update={"mode": "live"}) for one in settings.endpoints]
    return settings.model_copy(
        update={"secrets_dir": tmp_path, "console_secret": SecretStr("x" * 32), "endpoints": tuple(endpoints)}
    )


def console(settings: Settings) -> Flask:
    return console_app(as_role(settings, DatabaseRole.CONSOLE))


def webhooks(settings: Settings) -> Flask:
    return webhooks_app(as_role(settings, DatabaseRole.WEB))


def get(app: Flask, authorization: str | None = f"Bearer {TOKEN}") -> TestResponse:
    return app.test_client().get("/metrics", headers={"Authorization": authorization} if authorization else {})


def samples(app: Flask) -> Samples:
    answer = get(app)
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def of(found: Samples, gauge: str, /, **labels: str) -> float:
    return found[f"spp_{gauge}", frozenset(labels.items())]


both = pytest.mark.parametrize("create", [console, webhooks])


@both
def test_it_is_not_there_without_a_token(settings: Settings, create: Create) -> None:
    app = create(Settings(**{**settings.model_dump(), "console_secret": "x" * 32}))
    assert get(app).status_code == 404
    assert get(app, "Bearer ").status_code == 404


@both
@pytest.mark.parametrize(
    "wrong", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_it_is_told_to_nobody_without_the_token(scraped: Settings, create: Create, wrong: str | None) -> None:
    answer = get(create(scraped), wrong)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert b"spp_" not in answer.data


@both
def test_the_token_may_stand_in_the_environment(
    settings: Settings, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPP_METRICS_TOKEN", TOKEN)
    app = create(Settings(**{**settings.model_dump(), "console_secret": "x" * 32}))
    assert get(app).status_code == 200
    assert get(app, f"bearer  {TOKEN}").status_code == 200


@both
def test_it_tells_the_figures_of_every_endpoint(scraped: Settings, create: Create, session: Session) -> None:
    put = (
        "INSERT INTO webhook_events (endpoint, event_id, type, body, state, next_attempt_at, received_at, finished_at)"
    )
    for endpoint, number, state in (("stripe", 2, "dead"), ("gone", 3, "dead"), ("gone-too", 4, "dead")):
        rows = f" SELECT '{endpoint}', g, 't', '', '{state}', now(), now(), now() FROM generate_series(1, {number}) g"
        session.execute(text(put + rows))
    session.execute(
        text(
            put + " VALUES ('stripe', 'd', 't', '', 'pending', now() - interval '90 s', now(), NULL),"
            " ('gone', 'd', 't', '', 'pending', now() - interval '50 s', now(), NULL),"
            " ('gone-too', 'd', 't', '', 'pending', now() - interval '200 s', now(), NULL),"
            " ('stripe', 'p', 't', '', 'processed', now(), now() - interval '5 s', now() - interval '3 s')"
        )
    )
    heartbeats.beat(session, "host:1", 0, memory_bytes=70_000_000)
    heartbeats.beat(session, "host:2", 0, kind=ProcessKind.RECEIVER, memory_bytes=1)
    session.commit()
    found = samples(create(scraped))
    assert of(found, "dead_events", endpoint="stripe") == 2
    assert of(found, "dead_events", endpoint="standard") == 0
    assert of(found, "dead_events", endpoint="other") == 7
    assert of(found, "due_events", endpoint="stripe") == 1
    assert of(found, "oldest_due_seconds", endpoint="stripe") == pytest.approx(90, abs=10)
    assert of(found, "oldest_due_seconds", endpoint="standard") == 0
    assert of(found, "due_events", endpoint="other") == 2
    assert of(found, "oldest_due_seconds", endpoint="other") == pytest.approx(200, abs=10)
    assert of(found, "received_events", endpoint="stripe", window="minute") == 4
    assert of(found, "credit_delay_seconds", endpoint="stripe", window="hour", quantile="0.99") == pytest.approx(2)
    assert of(found, "workers_alive") == 1
    assert of(found, "workers_memory_bytes") == 70_000_000
    assert of(found, "worker_heartbeat_age_seconds") < 60
    assert of(found, "receivers_alive") == 1
    assert of(found, "receiver_heartbeat_age_seconds") < 60
    assert of(found, "job_overdue", name="sweep") == 0
    assert of(found, "endpoint_silent", endpoint="stripe") == 0
    assert of(found, "alarm", rule="dead_letters", endpoint="stripe", severity="critical") == 1
    assert of(found, "alarm", rule="dead_letters", endpoint="other", severity="critical") == 1
    assert of(found, "alarm", rule="oldest_due", endpoint="", severity="critical") == 1
    assert of(found, "alarm", rule="database", endpoint="", severity="critical") == 0
    assert not [labels for name, labels in found if name == "spp_alarm" and ("rule", "held") in labels]
    assert of(found, "double_credits") == 0
    assert of(found, "database_up") == 1
    assert of(found, "process_resident_memory_bytes") > 10_000_000
    assert of(found, "process_open_fds") > 0
    assert {dict(labels)["endpoint"] for _, labels in found if dict(labels).get("endpoint")} == {
        "stripe",
        "standard",
        "other",
    }


@both
def test_without_a_database_it_says_so(scraped: Settings, create: Create) -> None:
    away = scraped.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:9/none"})
    found = samples(create(away))
    assert of(found, "database_up") == 0
    assert of(found, "alarm", rule="database", endpoint="", severity="critical") == 1
    assert of(found, "process_open_fds") > 0
    assert ("spp_workers_alive", frozenset()) not in found


def test_no_worker_or_receiver_ever_is_a_heartbeat_long_ago(scraped: Settings) -> None:
    found = samples(webhooks(scraped))
    assert of(found, "worker_heartbeat_age_seconds") == inf
    assert of(found, "receiver_heartbeat_age_seconds") == inf


def test_without_an_endpoint_no_receiver_is_looked_for(scraped: Settings) -> None:
    found = samples(webhooks(scraped.model_copy(update={"endpoints": ()})))
    assert ("spp_receiver_heartbeat_age_seconds", frozenset()) not in found


def test_the_console_tells_of_the_broker(scraped: Settings, broker_server: Broker) -> None:
    found = samples(console(scraped))
    assert of(found, "broker_up") == 1
    assert of(found, "broker_messages", queue="events") >= 0
    away = samples(console(scraped.model_copy(update={"broker_url": "redis://127.0.0.1:9/0"})))
    assert of(away, "broker_up") == 0
    assert not any(name == "spp_broker_messages" for name, _ in away)


def test_scrapes_within_five_seconds_cost_one_query(scraped: Settings, session: Session) -> None:
    app = console(scraped)
    first = samples(app)
    session.execute(text("INSERT INTO webhook_events (endpoint, event_id, type, body) VALUES ('stripe', 'e', 't', '')"))
    session.commit()
    assert of(samples(app), "due_events", endpoint="stripe") == of(first, "due_events", endpoint="stripe") == 0


def test_a_web_process_that_is_never_scraped_does_without_its_weight(settings: Settings) -> None:
    start = (
        "import sys; from runtime.settings import Endpoint, Settings; from webhooks.app import create_app\n"
        f"create_app(Settings(database_url={settings.database_url!r}, broker_url='redis://127.0.0.1:9/0'))\n"
        "print({'prometheus_client', 'psutil', 'sentry_sdk', 'opentelemetry'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
