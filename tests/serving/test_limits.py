"""Clients that take their time are cut off, each kind by its own limit; the others wait for nobody."""

import socket
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import suppress
from uuid import uuid4

import pytest

from local.servers import Broker
from local.stack import Stack
from serving.bodies import Bodies, Future, Lost
from tests.serving.clients import POST, all_open, answer, ask, connect, http2_streams, status
from tests.serving.conftest import Serving
from tests.worker.conftest import Running
from tests.worker.scene import Make, paid_now, post, value

HEAD = b"POST /echo HTTP/1.1\r\nHost: here\r\n"


@pytest.mark.parametrize("sent", [b"", b"POST /echo HT", HEAD, b"GET /echo HTTP/1.1\r\nHost: here\r\n\r\n"])
def test_a_head_that_does_not_come(serving: Serving, sent: bytes) -> None:
    """Nor the first one, nor its rest, nor one after an answer."""
    with serving(head_deadline_s=0.5) as server, connect(server.port, sent) as client:
        assert status(client) == (200 if sent.startswith(b"GET") else 0)


@pytest.mark.parametrize("lines", [b"Content-Length: 9\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"])
def test_a_body_that_does_not_come(serving: Serving, lines: bytes) -> None:
    with serving(body_deadline_s=0.5) as server, connect(server.port, HEAD + lines) as client:
        heard = answer(client)
        assert heard.startswith(b"HTTP/1.1 408 ")
        assert b"too long" in heard


def test_a_body_that_comes_byte_by_byte_has_no_longer(serving: Serving) -> None:
    with serving(body_deadline_s=1) as server, connect(server.port, HEAD + b"Content-Length: 100000\r\n\r\n") as client:
        client.settimeout(0.1)
        heard = b""
        while not heard:
            try:
                client.sendall(b"a")
                heard = client.recv(1000)
            except TimeoutError:
                continue
        assert heard.startswith(b"HTTP/1.1 408 ")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system does not bound it")
def test_an_answer_that_nobody_reads_ends_with_its_connection(serving: Serving) -> None:
    large = b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n"
    with serving(unread_s=1, connections=1) as server, connect(server.port, large) as client:
        assert client.recv(1)
        # There is one connection, so this one is accepted when the other has ended.
        assert ask(server.port, "/healthz")[0] == 200


class Arriving:
    """A body that does not come, as Granian would tell of it."""

    def __init__(self) -> None:
        self.ended: list[bytes | Lost] = []
        self._callback: Callable[[Future], None] | None = None
        self._given_up = False

    def __call__(self) -> Future:
        return self

    def add_done_callback(self, callback: Callable[[Future], None]) -> None:
        self._callback = callback

    def done(self) -> bool:
        return self._given_up

    def cancel(self) -> bool:
        self._given_up = True
        assert self._callback is not None
        self._callback(self)
        return True

    def result(self) -> bytes:
        raise CancelledError

    def __aiter__(self) -> None: ...

    def __anext__(self) -> Future:
        return self


def test_the_oldest_bodies_make_room_for_new_ones() -> None:
    bodies = Bodies(deadline_s=60, budget_bytes=100)
    arriving = [Arriving() for _ in range(6)]
    for one, size_bytes in zip(arriving, (40, 30, 30, 10, 25, 100), strict=True):
        (bodies.pieces if size_bytes == 30 else bodies.whole)(one, size_bytes, one.ended.append)
        lost = [known.ended for known in arriving]
        expected = {10: 1, 25: 1, 100: 5}.get(size_bytes, 0)
        assert lost == [[Lost.LATE]] * expected + [[]] * (6 - expected)


@pytest.fixture(scope="module")
def doors(module_database: str, broker_server: Broker, running: Running) -> Iterator[Stack]:
    """The webhook server and the console as they are."""
    with running(module_database, broker_server.url, "web", "console", SPP_CONSOLE_SECRET="x" * 40) as stack:
        yield stack


STORED = "SELECT count(*) FROM webhook_events WHERE event_id = :id"
SLOW = {
    "HTTP/2 streams without bodies": http2_streams(16),
    "silence": b"",
    "slow heads": POST,
    "slow bodies": POST + b"Content-Length: 1000\r\n\r\n{",
    "slow chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "bodies of the wrong page": POST.replace(b"webhooks/stripe", b"login") + b"Content-Length: 1000\r\n\r\n{",
}


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW)
def test_forty_slow_clients_hold_up_nobody(doors: Stack, module_make: Make, sent: bytes) -> None:
    with all_open(doors.port, 40, sent) as to_webhooks, all_open(doors.console_port, 40, sent) as to_console:
        for _ in range(3):
            payment = uuid4().hex
            assert post(doors.port, paid_now(payment, "sub_1")) == 200
            assert value(module_make, STORED, id=f"evt_{payment}") == 1
            assert ask(doors.port, "/readyz")[0] == 200
            assert ask(doors.console_port, "/login")[0] == 200
            if sent and not sent.startswith(b"PRI"):
                for client in to_webhooks + to_console:
                    with suppress(ConnectionError):  # cut off meanwhile
                        client.sendall(b"1\r\nx\r\n" if b"chunked" in sent else b"x")


def test_both_speak_http_1_alone(doors: Stack) -> None:
    for port in (doors.port, doors.console_port):
        with connect(port, http2_streams(1)) as client:
            assert not answer(client)
