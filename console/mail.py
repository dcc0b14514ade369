"""Mail: one way out for alarms, audits, and links for people who log in."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid
from urllib.parse import SplitResult, unquote, urlsplit

from runtime.settings import SettingsError

TIMEOUT_S = 10


class Sender:
    """A mail server and the address that mails come from. A password travels only over TLS."""

    def __init__(self, url: str, sender: str) -> None:
        """Raises SettingsError if the URL is not that of a mail server."""
        self._server, self._from = _mail_server(url), sender

    def send(self, to: str, subject: str, text: str) -> None:
        """Mail it. Raises OSError or SMTPException unless the server accepts it for every address."""
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = subject, self._from, to
        message["Date"], message["Message-ID"] = format_datetime(localtime()), make_msgid(domain="spp")
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        server = self._server
        implicit, host = server.scheme == "smtps", server.hostname or ""
        context = ssl.create_default_context()
        with (
            smtplib.SMTP_SSL(host, server.port or 465, timeout=TIMEOUT_S, context=context)
            if implicit
            else smtplib.SMTP(host, server.port or 587, timeout=TIMEOUT_S)
        ) as connection:
            connection.ehlo_or_helo_if_needed()
            if not implicit and (server.username or connection.has_extn("starttls")):
                connection.starttls(context=context)
            if server.username:
                connection.login(unquote(server.username), unquote(server.password or ""))
            if refused := connection.send_message(message):
                raise smtplib.SMTPRecipientsRefused(refused)


def _mail_server(url: str) -> SplitResult:
    try:
        server = urlsplit(url)
        usable = server.scheme in {"smtp", "smtps"} and bool(server.hostname) and server.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError("SPP_SMTP_URL is not of the form smtp://USER:PASSWORD@HOST:587 (smtps:// for TLS at once).")
    return server
