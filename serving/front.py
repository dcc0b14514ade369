"""The front: waits for a request's body, then lets the WSGI app answer it.

Granian calls it in one of its threads when a request's headers have arrived, and again when its body has; no thread
waits in between. The answer is complete before it is sent, so no thread waits for a slow reader either, and nobody gets
half of one. A long one that comes in pieces is kept in a temporary file until then, so memory stays flat: Granian's own
streams would keep in memory all that the client has not read yet.
"""

import threading
from collections.abc import Callable, Iterable
from io import BytesIO
from tempfile import NamedTemporaryFile
from typing import IO, Any, Protocol, cast

import structlog

from runtime.outages import DATABASE, is_away
from serving.bodies import Bodies, Lost, Source
from serving.environ import Environ, Environs, Scope

App = Callable[[Environ, Any], Iterable[bytes]]
"""A WSGI app."""
Header = tuple[str, str]
HELD_BYTES = 1024 * 1024
"""How much of an answer in pieces is kept in memory."""
OPENED_WITHIN_S = 30.0
"""After how long Granian has opened the file of an answer, and it needs no name any more."""

log = structlog.get_logger()


class Proto(Source, Protocol):
    """Granian's side of one request."""

    def response_bytes(self, status: int, headers: list[Header], body: bytes) -> None:
        """Send the answer, without waiting."""

    def response_file(self, status: int, headers: list[Header], path: str) -> None:
        """Send the file as the answer, without waiting; it is read as fast as the client reads."""


class Request(Protocol):
    """A request as Granian passes it."""

    scope: Scope
    proto: Proto


class Front:
    """Handles the requests of one process, for an app that accepts bodies of up to `limit_bytes`.

    A longer body is not read: the app refuses it by its CONTENT_LENGTH.
    """

    def __init__(self, app: App, limit_bytes: int, environs: Environs, bodies: Bodies) -> None:
        self.app = app
        self._limit_bytes = limit_bytes
        self._environs = environs
        self._bodies = bodies
        self.answered = 0
        """Requests answered by the app; two at the same moment may count as one."""

    def __call__(self, request: Request) -> None:
        """Handle a request. Never raises: Granian would ignore it."""
        scope, exchange = request.scope, _Exchange(self, request.proto)
        del request  # see _Exchange._send
        try:
            exchange.environ = environ = self._environs.of(scope)
            length_bytes = int(environ.get("CONTENT_LENGTH", 0))
            # The app gets the whole body, even if it came in chunks.
            if environ.pop("HTTP_TRANSFER_ENCODING", None):
                self._bodies.pieces(exchange.source, self._limit_bytes, exchange.arrived)
            elif 0 < length_bytes <= self._limit_bytes:
                self._bodies.whole(exchange.source, length_bytes, exchange.arrived)
            else:
                exchange.answer(b"")
        except Exception as error:  # noqa: BLE001 -- the client gets an answer in any case
            exchange.fail(error)


class _Exchange:
    """One request and its answer."""

    __slots__ = ("_front", "_proto", "environ")

    def __init__(self, front: Front, proto: Proto) -> None:
        self._front = front
        self._proto: Proto | None = proto
        self.environ: Environ = {}

    @property
    def source(self) -> Source:
        """The request's body, until there is an answer."""
        return cast("Source", self._proto)

    def arrived(self, body: bytes | Lost) -> None:
        """Answer the request, or say why there is no body."""
        if isinstance(body, Lost):
            self._refuse(*body.value)
            return
        self.environ["CONTENT_LENGTH"] = str(len(body))
        self.answer(body)

    def answer(self, body: bytes) -> None:
        """Let the app answer, and send its answer."""
        self.environ["wsgi.input"] = BytesIO(body)
        status, headers = 500, []

        def start(line: str, given: list[Header], _error: object = None) -> None:
            nonlocal status, headers
            status, headers = int(line[:3]), given

        try:
            parts = self._front.app(self.environ, start)
            try:
                self._send(status, headers, _collected(parts))
            finally:
                if close := getattr(parts, "close", None):
                    close()
        except Exception as error:  # noqa: BLE001 -- as above
            self.fail(error)
        self._front.answered += 1

    def fail(self, error: Exception) -> None:
        """Note the error, and answer 503 or 500 if there was no answer yet."""
        if is_away(error):  # within an answer that is read from the database piece by piece
            DATABASE.failed(error, "requests")
            self._refuse(503, "The database is not reachable, or busy. Try again in a moment.")
            return
        log.error("request_failed", exc_info=error)
        self._refuse(500, "Something went wrong.")

    def _refuse(self, status: int, why: str) -> None:
        headers = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
        self._send(status, headers, why.encode())

    def _send(self, status: int, headers: list[Header], body: bytes | IO[bytes]) -> None:
        # Drop the reference at once: Granian closes the connection of an unread body only when nothing refers to it,
        # and an exception, which keeps its frames, may live until the garbage collector runs.
        proto, self._proto = self._proto, None
        if proto is None:
            return
        if isinstance(body, bytes):
            proto.response_bytes(status, headers, body)
            return
        proto.response_file(status, [*headers, ("content-length", str(body.tell()))], body.name)
        deleting = threading.Timer(OPENED_WITHIN_S, body.close)
        deleting.daemon = True
        deleting.start()


def _collected(parts: Iterable[bytes]) -> bytes | IO[bytes]:
    """The whole answer; in a file, which is deleted when it is closed, if it is long and comes in pieces."""
    held: list[bytes] = []
    rest, size_bytes = iter(parts), 0
    for part in rest:
        held.append(part)
        size_bytes += len(part)
        if size_bytes > HELD_BYTES and len(held) > 1:
            break
    else:
        return b"".join(held)
    file = NamedTemporaryFile(prefix="spp-answer-")  # noqa: SIM115 -- it is closed when Granian has opened it
    try:
        file.writelines(held)
        file.writelines(rest)
        file.flush()
    except BaseException:
        file.close()
        raise
    return file
