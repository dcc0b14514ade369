"""A process that answers no more ends itself, and says that it lives only as long as its request threads answer."""

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from local import processes
from local.servers import Broker
from local.stack import Stack
from serving.server import THREADS
from serving.watch import Watch
from tests.serving.clients import ask, connect
from tests.serving.conftest import Server, Serving
from tests.worker.conftest import Running
from tests.worker.scene import Make, rows, until, value

ALIVE = b"READY=1\nWATCHDOG=1"


def hang(server: Server, path: str) -> socket.socket:
    """A connection whose request is never answered."""
    return connect(server.port, f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())


@pytest.mark.parametrize(("path", "count", "function"), [("/hang/0", THREADS, "in hang"), ("/freeze", 1, "in freeze")])
def test_a_process_that_hangs_ends_and_says_where_it_hung(
    serving: Serving, path: str, count: int, function: str
) -> None:
    with serving(hung_after_s=5) as server:
        connections = [hang(server, path) for _ in range(count)]
        assert server.process.wait(60) == 1
        for connection in connections:
            connection.close()
        assert function in server.log.read_text()


def test_of_two_processes_the_one_that_hangs_is_replaced(serving: Serving) -> None:
    with serving(workers=2, hung_after_s=5) as server:
        known: set[int] = set()

        def processes_known() -> int:
            with suppress(OSError):  # of the one that ends
                known.add(int(ask(server.port, "/process")[1]))
            return len(known)

        until(lambda: processes_known() == 2)
        victim, other = (psutil.Process(pid) for pid in known)
        connections = []
        while processes.runs(victim) and len(connections) < 200:
            # The kernel chooses who is asked: what the other one gets, it answers.
            with suppress(OSError):
                connections.append(hang(server, f"/hang/{victim.pid}"))
        until(lambda: not processes.runs(victim))
        until(lambda: processes_known() == 3)
        assert processes.runs(other)
        assert server.process.poll() is None
        for connection in connections:
            connection.close()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    """systemd's end of the socket that services tell their state by."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(60)
        yield listening


def test_a_process_that_works_goes_on(serving: Serving, supervisor: socket.socket) -> None:
    """Though all threads but one hang, and nobody else asks."""
    with serving(environment={"NOTIFY_SOCKET": supervisor.getsockname()}, hung_after_s=6) as server:
        connections = [hang(server, "/hang/0") for _ in range(THREADS - 1)]
        # One a second, so for longer than a process that hangs would have.
        for _ in range(8):
            assert supervisor.recv(100) == ALIVE
        assert server.answers()
        for connection in connections:
            connection.close()


def test_systemd_hears_that_it_is_ready_lives_and_stops(serving: Serving, supervisor: socket.socket) -> None:
    with serving(environment={"NOTIFY_SOCKET": supervisor.getsockname()}, hung_after_s=5) as server:
        for _ in range(3):
            assert supervisor.recv(100) == ALIVE
        server.process.terminate()
        assert server.process.wait(60) == 0
        last = b""
        supervisor.setblocking(False)
        while True:
            try:
                last = supervisor.recv(100)
            except BlockingIOError:
                break
        assert last == b"STOPPING=1"


class Counted:
    """A front that counts what its server was asked."""

    def __init__(self) -> None:
        self.answered = 0
        front = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                front.answered += front.counts
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.counts = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)


def test_a_heartbeat_tells_that_a_request_thread_has_answered() -> None:
    front, beats = Counted(), []
    with front.server:
        threading.Thread(target=front.server.serve_forever, daemon=True).start()
        port = front.server.server_address[1]
        watch = Watch(front, "0.0.0.0", port, 1, 0.6, beats.append)
        assert watch._answers() == 1
        front.counts = False  # somebody answers, and it is not this process
        assert watch._answers() == 0
        front.server.shutdown()
    assert watch._answers() == 0, "nobody listens"
    front.answered += 7
    assert watch._answers() == 7


@pytest.fixture(scope="module")
def stack(module_database: str, broker_server: Broker, running: Running) -> Iterator[Stack]:
    with running(module_database, broker_server.url, "web", "console", SPP_CONSOLE_SECRET="x" * 40) as stack:
        yield stack


def test_receiver_and_console_show_that_they_live(stack: Stack, module_make: Make) -> None:
    until(lambda: value(module_make, "SELECT count(*) FROM heartbeats WHERE events > 0") == 2)
    found = rows(module_make, "SELECT worker, kind, memory_bytes FROM heartbeats ORDER BY kind")
    assert [kind for _, kind, _ in found] == ["console", "receiver"]
    assert all(memory_bytes > 10_000_000 for *_, memory_bytes in found)
    served = {child.pid for name in ("web", "console") for child in stack.process(name).children(recursive=True)}
    assert {int(name.rpartition(":")[2]) for name, *_ in found} <= served
