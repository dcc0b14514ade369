"""The ways alarms take, to real servers."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time

import pytest

from console.alerts.channels import NOT_SENT, Channel, Mail, Webhook, channels, sample_alarm
from models.operations.notices import AlarmNews, KnownAlarm, News
from runtime.settings import Settings, SettingsError, load
from tests.console import listening
from tests.console.conftest import Spp
from tests.console.listening import Heard
from webhooks import signatures

SECRET = "whsec_" + "QUJD" * 8
AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
LATE = "2 events due, the first for 31 s: see whether workers run."


def told(news: News = News.FIRED, after: timedelta = timedelta(0), endpoint: str = "stripe") -> AlarmNews:
    over = AT + after if news == News.RESOLVED else None
    alarm = KnownAlarm(
        id=7,
        rule="oldest_due",
        endpoint=endpoint,
        severity="critical",
        message=LATE,
        since=AT,
        seen_at=AT + after,
        resolved_at=over,
    )
    return AlarmNews(alarm, news)


@pytest.fixture
def heard() -> Iterator[Heard]:
    with listening.http() as heard:
        yield heard


def test_a_webhook_is_signed_as_standard_webhooks_has_it(heard: Heard) -> None:
    Webhook(heard.url, SECRET).send(told())
    ((headers, body),) = heard.posts
    assert signatures.standard_webhooks(body, headers, [SECRET.encode()], time()) is None
    assert json.loads(body) == {
        "type": "alarm.fired",
        "timestamp": "2026-03-10T12:00:00+00:00",
        "data": {
            "rule": "oldest_due",
            "severity": "critical",
            "endpoint": "stripe",
            "message": LATE,
            "since": "2026-03-10T12:00:00+00:00",
            "resolved_at": None,
        },
    }


def test_news_that_is_sent_again_keeps_its_id_and_other_news_has_its_own(heard: Heard) -> None:
    webhook = Webhook(heard.url, SECRET)
    hour = timedelta(hours=1)
    for news, after in (
        (News.FIRED, 0 * hour),
        (News.FIRED, hour),
        (News.LASTS, 4 * hour),
        (News.LASTS, 4.5 * hour),
        (News.LASTS, 8 * hour),
        (News.RESOLVED, 9 * hour),
    ):
        webhook.send(told(news, after))
    ids = [headers["webhook-id"] for headers, _ in heard.posts]
    assert ids[0] == ids[1]
    assert ids[2] == ids[3]
    assert len(set(ids)) == 4


@pytest.mark.parametrize("status", [302, 400, 503])
def test_what_is_not_answered_2xx_is_not_told(heard: Heard, status: int) -> None:
    heard.status = status
    with pytest.raises(NOT_SENT):
        Webhook(heard.url, SECRET).send(told())
    assert heard.posts == []


def test_a_mail_says_what_and_since_when() -> None:
    with listening.smtp() as box:
        mail = Mail(f"smtp://127.0.0.1:{box.port}", "ann@example.com  bob@example.com", "spp@example.com")
        mail.send(told(News.RESOLVED, timedelta(hours=1)))
        mail.send(told(endpoint=""))
    (to, first), (_, second) = box.mails
    assert to == ["ann@example.com", "bob@example.com"]
    assert first["Subject"] == "[spp] RESOLVED: oldest_due stripe (critical)"
    assert first["From"] == "spp@example.com"
    text = first.get_payload()
    assert text == (f"{LATE}\r\n\r\nSince 2026-03-10T12:00:00+00:00.\r\nOver since 2026-03-10T13:00:00+00:00.\r\n")
    assert second["Subject"] == "[spp] FIRED: oldest_due (critical)"


def test_a_password_travels_over_tls_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = listening.certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
    with listening.smtp(pair) as box:
        Mail(f"smtp://ann%40example.com:p%2Fw@localhost:{box.port}", "ops@example.com", "spp@example.com").send(told())
    assert box.logins == [("ann@example.com", "p/w", True)]
    assert len(box.mails) == 1
    with listening.smtp(careless=True) as plain:
        mail = Mail(f"smtp://ann:pw@localhost:{plain.port}", "ops@example.com", "spp@example.com")
        with pytest.raises(NOT_SENT):
            mail.send(told())
    assert (plain.logins, plain.mails) == ([], [])


def test_a_server_whose_certificate_nobody_vouches_for_is_told_nothing(tmp_path: Path) -> None:
    with listening.smtp(listening.certificate(tmp_path)) as box, pytest.raises(NOT_SENT):
        Mail(f"smtp://ann:pw@localhost:{box.port}", "ops@example.com", "spp@example.com").send(told())
    assert (box.logins, box.mails) == ([], [])


@pytest.mark.parametrize(
    ("variables", "wrong"),
    [
        ({"SPP_ALERT_WEBHOOK_URL": "http://127.0.0.1:1/"}, "SPP_ALERT_WEBHOOK_SECRET"),
        ({"SPP_ALERT_WEBHOOK_URL": "http://127.0.0.1:1/", "SPP_ALERT_WEBHOOK_SECRET": "geheim"}, "openssl rand"),
        ({"SPP_ALERT_EMAIL_TO": "ann@example.com"}, "SPP_SMTP_URL"),
        ({"SPP_ALERT_EMAIL_TO": "ann@example.com", "SPP_SMTP_URL": "mail.example.com"}, "smtp://USER:PASSWORD@HOST"),
        ({"SPP_ALERT_EMAIL_TO": "ann@example.com", "SPP_SMTP_URL": "smtp://host:99999"}, "smtp://USER:PASSWORD@HOST"),
        ({}, "No channel is set"),
    ],
)
def test_a_channel_that_is_set_by_half_is_told_with_what_is_missing(
    spp: Spp, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], wrong: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = spp("alert", "test")
    assert done.code == 1
    assert wrong in done.err


def test_nothing_set_is_no_channel(settings: Settings) -> None:
    assert channels(settings) == []


def test_what_is_set_to_nothing_is_not_set(spp: Spp, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a compose file hands on what its user did not set."""
    for name in ("SPP_ALERT_WEBHOOK_URL", "SPP_ALERT_EMAIL_TO", "SPP_OTLP_ENDPOINT", "SPP_SENTRY_DSN"):
        monkeypatch.setenv(name, "")
    loaded = load()
    assert channels(loaded) == []
    assert (loaded.otlp_endpoint, loaded.sentry_dsn) == (None, None)


def test_secrets_may_stand_in_files(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "alert.secret").write_text(SECRET + "\n")
    (tmp_path / "smtp.url").write_text("smtp://host\n")
    changes = {"secrets_dir": tmp_path, "alert_webhook_url": "http://127.0.0.1:1/", "alert_email_to": "a@b.example"}
    found: list[Channel] = channels(Settings(**{**settings.model_dump(), **changes}))
    assert [one.name for one in found] == ["webhook", "e-mail"]


def test_a_trial_goes_by_every_channel_and_says_which_failed(
    spp: Spp, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPP_ALERT_WEBHOOK_URL", heard.url)
    monkeypatch.setenv("SPP_ALERT_WEBHOOK_SECRET", SECRET)
    done = spp("alert", "test")
    assert (done.code, done.out) == (0, "webhook: sent.\n")
    assert heard.said[0][1]["rule"] == sample_alarm(AT).alarm.rule
    monkeypatch.setenv("SPP_ALERT_EMAIL_TO", "ann@example.com")
    monkeypatch.setenv("SPP_SMTP_URL", "smtp://127.0.0.1:9")
    done = spp("alert", "test")
    assert (done.code, done.out) == (1, "webhook: sent.\n")
    assert done.err.startswith("e-mail: not sent: ")


def test_a_wrong_secret_is_refused_at_the_start(settings: Settings) -> None:
    with pytest.raises(SettingsError):
        Webhook("http://127.0.0.1:1/", "whsec_!!!")
