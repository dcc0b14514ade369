"""Little servers that hear what alarms tell: by HTTP, and by SMTP with TLS and a login."""

import gzip
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import brotli
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local.processes import free_port

UNPACK: dict[str | None, Callable[[bytes], bytes]] = {None: bytes, "gzip": gzip.decompress, "br": brotli.decompress}


@dataclass
class Heard:
    """What an HTTP server was posted, bodies unpacked, and the status by which it answers."""

    url: str
    status: int = 200
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def said(self) -> list[tuple[str, Any]]:
        """The type and the data of every post that was taken."""
        return [(one["type"], one["data"]) for one in (json.loads(body) for _, body in self.posts)]


@contextmanager
def http() -> Iterator[Heard]:
    heard = Heard("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = UNPACK[self.headers["Content-Encoding"]](body)
            if heard.status < 300:
                heard.posts.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(heard.status)
            if heard.status in {301, 302, 307}:
                self.send_header("Location", heard.url + "elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    heard.url = f"http://127.0.0.1:{server.server_port}/"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that its own key signed, and the key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    )
    return paths


@dataclass
class Mailbox:
    """What an SMTP server took, and from whom."""

    port: int = 0
    mails: list[tuple[list[str], Message]] = field(default_factory=list)
    logins: list[tuple[str, str, bool]] = field(default_factory=list)
    """Name, password, and whether they came by TLS."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append((list(envelope.rcpt_tos), message_from_bytes(content)))
        return "250 OK"


@contextmanager
def smtp(pair: tuple[Path, Path] | None = None, *, careless: bool = False) -> Iterator[Mailbox]:
    """With a certificate and its key, one that asks for STARTTLS and a login; a careless one takes a login without."""
    box = Mailbox()
    more: dict[str, Any] = {}

    def login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        box.logins.append((data.login.decode(), data.password.decode(), session.ssl is not None))
        return AuthResult(success=True)

    if pair or careless:
        more = {"auth_required": bool(pair), "authenticator": login, "auth_require_tls": not careless}
    if pair:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*pair)
        more |= {"tls_context": context, "require_starttls": True}
    box.port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=box.port, server_hostname="localhost", **more)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
