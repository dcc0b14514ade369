"""The channels that carry alarms and audit results to people: a webhook, and e-mail."""

import base64
import json
import smtplib
import urllib.request
from datetime import UTC, datetime
from http.client import HTTPException
from typing import NamedTuple, Protocol

import standardwebhooks

from console.mail import Sender
from models.audit.results import Audit
from models.operations.notices import AGAIN_AFTER, AlarmNews, KnownAlarm, News
from models.wording import counted
from runtime.settings import ALERT_SECRET, SMTP_URL, Settings, SettingsError

TIMEOUT_S = 10
"""Of the webhook."""
NOT_SENT = (OSError, HTTPException, smtplib.SMTPException)


class Message(NamedTuple):
    """A message: `id`, `kind`, `at` and `data` for the webhook, `subject` and `text` for mail."""

    id: str
    kind: str
    at: datetime
    data: dict[str, object]
    subject: str
    text: str


class Channel(Protocol):
    """A way to reach people. `send` raises one of NOT_SENT if the message was not accepted."""

    name: str

    def send(self, news: AlarmNews | Audit) -> None: ...


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:  # noqa: ARG002
        """Follow no redirect: what is signed for one address goes to no other."""
        return


class Webhook:
    """Posts news as JSON, signed by Standard Webhooks. A retry keeps the id of its message."""

    name = "webhook"

    def __init__(self, url: str, secret: str) -> None:
        """Raises SettingsError if the secret is not `whsec_` and base64."""
        self._url = url
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            key = b""
        if len(key) < 24:
            raise SettingsError(
                "The secret of SPP_ALERT_WEBHOOK_URL must be `whsec_` and at least 24 random bytes in base64; "
                "`echo whsec_$(openssl rand -base64 32)` makes one."
            )
        self._signer = standardwebhooks.Webhook(key)
        self._open = urllib.request.build_opener(_NoRedirects).open

    def send(self, news: AlarmNews | Audit) -> None:
        """Post it; it counts as sent if it is answered 2xx within 10 s."""
        message, now = _message(news), datetime.now(UTC)
        body = json.dumps({"type": message.kind, "timestamp": _time(message.at), "data": message.data})
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "spp",
            "webhook-id": message.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(message.id, now, body),
        }
        request = urllib.request.Request(self._url, body.encode(), headers, method="POST")  # noqa: S310 -- a setting
        with self._open(request, timeout=TIMEOUT_S):
            pass


class Mail:
    """Mails news to all addresses. A password travels only over TLS."""

    name = "e-mail"

    def __init__(self, url: str, to: str, sender: str) -> None:
        """Raises SettingsError if the URL is not that of a mail server."""
        self._sender, self._to = Sender(url, sender), ", ".join(to.split())

    def send(self, news: AlarmNews | Audit) -> None:
        """Mail it; it counts as sent if the server accepts it for every address."""
        content = _message(news)
        self._sender.send(self._to, f"[spp] {content.subject}", content.text)


def channels(settings: Settings) -> list[Channel]:
    """The configured channels. Raises SettingsError if a channel lacks its secret."""
    found: list[Channel] = []
    if settings.alert_webhook_url:
        secret = settings.one_secret(ALERT_SECRET)
        if not secret:
            raise SettingsError(f"SPP_ALERT_WEBHOOK_URL needs a secret. Put it into {settings.places(*ALERT_SECRET)}.")
        found.append(Webhook(str(settings.alert_webhook_url), secret))
    if settings.alert_email_to.strip():
        url = settings.one_secret(SMTP_URL)
        if not url:
            raise SettingsError(
                f"SPP_ALERT_EMAIL_TO needs a mail server. Put its URL into {settings.places(*SMTP_URL)}."
            )
        found.append(Mail(url, settings.alert_email_to, settings.alert_email_from))
    return found


def sample_alarm(now: datetime) -> AlarmNews:
    """An alarm that says that it is a test."""
    message = "This is a test: alarms of Sessions Per Payment reach you through this channel."
    alarm = KnownAlarm(rule="test", endpoint="", severity="warning", message=message, since=now, seen_at=now)
    return AlarmNews(alarm, News.FIRED)


def _message(news: AlarmNews | Audit) -> Message:
    if isinstance(news, Audit):
        return _audit_message(news)
    alarm = news.alarm
    reminder = (alarm.seen_at - alarm.since) // AGAIN_AFTER if news.news == News.LASTS else 0
    identity = f"alarm_{alarm.id or 0}_{int(alarm.since.timestamp())}_{news.news}_{reminder}"
    data: dict[str, object] = {
        "rule": alarm.rule,
        "severity": alarm.severity,
        "endpoint": alarm.endpoint or None,
        "message": alarm.message,
        "since": _time(alarm.since),
        "resolved_at": alarm.resolved_at and _time(alarm.resolved_at),
    }
    where = f" {alarm.endpoint}" if alarm.endpoint else ""
    over = f"\nOver since {_time(alarm.resolved_at)}." if alarm.resolved_at else ""
    return Message(
        identity, f"alarm.{news.news}", alarm.resolved_at or alarm.seen_at, data,
        f"{news.news.upper()}: {alarm.rule}{where} ({alarm.severity})",
        f"{alarm.message}\n\nSince {_time(alarm.since)}.{over}\n",
    )  # fmt: skip


def _audit_message(audit: Audit) -> Message:
    result = counted(audit.findings, "difference") if audit.findings else "everything adds up"
    head, at = audit.head.hex() if audit.head else None, audit.finished_at
    data: dict[str, object] = {
        "audit": audit.id, "findings": audit.findings, "entries": audit.entries,
        "head_entry": audit.head_entry, "head": head,
    }  # fmt: skip
    # Mail keeps lines of less than 78 characters whole, so that the head can be searched for and copied.
    text = (
        f"Audit {audit.id} of {_time(at)}: {result}.\n\n"
        f"Head of the chain over {audit.entries:,} ledger entries, at entry {audit.head_entry}:\n{head}\n\n"
        "Keep this where users with write access to the database cannot change it.\n"
        "`spp audit --head HASH` checks whether any of these entries was changed since.\n"
    )
    return Message(f"audit_{audit.id}_{int(at.timestamp())}", "audit.finished", at, data, f"Audit: {result}", text)


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
