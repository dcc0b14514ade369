"""Mails with a link to set a password: sent after the answer, so that its time says nothing of who has an account."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import structlog
from flask import Flask, Response, after_this_request, url_for
from sqlalchemy.orm import Session, sessionmaker

from console.mail import Sender
from models.staff import accounts, password_links
from models.staff.actions import Actor
from runtime.settings import SMTP_URL, Settings

_EXTENSION = "spp_links"
log = structlog.get_logger()


class Links:
    """The way to mail links, where a mail server and the console's address are set."""

    def __init__(self, settings: Settings, sender: Sender, factory: sessionmaker[Session]) -> None:
        self._key, self._url, self._sender = settings.console_key(), str(settings.console_url).rstrip("/"), sender
        self._make, self._later = factory, ThreadPoolExecutor(1, "mail")

    def mail(self, email: str, by: Actor, *, invited: bool = False) -> None:
        """After this request, mail a link to that address if an active account has it. A failure stands in the log."""
        path = url_for("password_links.set_password", text="TEXT")

        @after_this_request
        def later(response: Response) -> Response:
            self._later.submit(self._mail, email, by, path, invited)
            return response

    def settle(self) -> None:
        """Wait until every mail so far was sent."""
        self._later.submit(lambda: None).result()

    def _mail(self, email: str, by: Actor, path: str, invited: bool) -> None:
        try:
            lasts = password_links.INVITATION if invited else password_links.RESET
            with self._make.begin() as session:
                person = accounts.find(session, email)
                if person is None or not person.active:
                    return
                text = password_links.text(person, key=self._key, until=datetime.now(UTC) + lasts)
                password_links.note_mail(session, person, by=by)
                to = person.email
            self._sender.send(to, *_words(self._url + path.replace("TEXT", text), lasts, invited))
        except Exception as error:  # noqa: BLE001 -- nobody waits for it
            log.error("mail_not_sent", why=type(error).__name__)


def install(app: Flask, settings: Settings, factory: sessionmaker[Session]) -> None:
    """Let the console mail links, if it can. Raises SettingsError for a wrong mail server."""
    server = settings.one_secret(SMTP_URL)
    can = server is not None and settings.console_url is not None
    app.extensions[_EXTENSION] = Links(settings, Sender(server, settings.alert_email_from), factory) if can else None  # type: ignore[arg-type]


def of(app: Flask) -> Links | None:
    """The way to mail links; None where it is not set up."""
    found: Links | None = app.extensions[_EXTENSION]
    return found


def _words(link: str, lasts: timedelta, invited: bool) -> tuple[str, str]:
    if invited:
        return "Your account at Sessions Per Payment", (
            f"You have an account now. Choose your password here, within {lasts.days} days:\n\n{link}\n"
        )
    return "A new password for Sessions Per Payment", (
        f"Somebody, probably you, asked for a new password. Choose it here, within an hour:\n\n{link}\n\n"
        "If it was not you, do nothing: your password stays as it is.\n"
    )
