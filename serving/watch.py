"""The watchdog: ends this process when its request threads hang, so that its supervisor restarts it.

Checks that only ask whether a process runs do not notice hanging threads. So the watchdog sends a real request to the
listening port every few seconds. If several processes share the port, the kernel chooses which one gets it; what counts
is that a request thread of this process has answered something since the last check. If so, the watchdog writes the
process's heartbeat and notifies systemd. If not, Python's faulthandler timer, which does not need the interpreter's
lock, logs the stack of every thread and ends the process.
"""

import faulthandler
import http.client
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import psutil

from models.database.engine import make_engine, sessions
from models.operations import heartbeats
from models.operations.heartbeats import ProcessKind
from runtime.outages import Outage
from serving.front import Front

LOOKS, ASKS = 6, 15
"""Checks, and failed requests, that fit into the time after which the process counts as hung."""
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- compared, not bound
"""Wildcard listening addresses -> the loopback address to send requests to."""


class Watch(threading.Thread):
    """Watches the front of this process until `end`.

    `beat` is called with the number of requests answered since its last call. It must neither wait nor raise.
    """

    def __init__(
        self, front: Front, host: str, port: int, workers: int, hung_after_s: float,
        beat: Callable[[int], None] | None,
    ) -> None:  # fmt: skip
        super().__init__(name="watchdog", daemon=True)
        self._front = front
        self._address = ANY.get(host, host), port
        self._asks = 3 * workers
        self._hung_after_s = hung_after_s
        self._beat = beat
        self._answered = front.answered
        self._ended = threading.Event()

    def run(self) -> None:
        """Check at intervals, first at once."""
        self._wind_up()
        while not self._ended.is_set():
            if (answered := self._answers()) and not self._ended.is_set():
                self._wind_up()
                notify("READY=1\nWATCHDOG=1")
                if self._beat:
                    self._beat(answered)
            self._ended.wait(self._hung_after_s / LOOKS)

    def end(self) -> None:
        """Stop watching: the process is stopping, and need not answer any more."""
        self._ended.set()
        faulthandler.cancel_dump_traceback_later()
        notify("STOPPING=1")

    def _answers(self) -> int:
        """Requests answered by this process since the last check; sends some until there is one."""
        for _ in range(self._asks):
            with suppress(OSError, http.client.HTTPException):
                self._ask()
            answered, before = self._front.answered, self._answered
            if answered != before:
                self._answered = answered
                return answered - before
        return 0

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=self._hung_after_s / ASKS)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        finally:
            connection.close()

    def _wind_up(self) -> None:
        if not self._ended.is_set():
            faulthandler.dump_traceback_later(self._hung_after_s, exit=True)


class Heartbeats(threading.Thread):
    """Writes a web process's heartbeats over its own connection, so that a hanging database delays nothing else."""

    def __init__(self, kind: ProcessKind, database_url: str) -> None:
        super().__init__(name="heartbeats", daemon=True)
        self._kind = kind
        self._sessions = sessions(make_engine(database_url, pool_size=1))
        self._due = threading.Event()
        self._answered = 0
        self.start()

    def beat(self, answered: int) -> None:
        """Note that the process lives and has answered this many more requests; returns at once."""
        self._answered += answered
        self._due.set()

    def run(self) -> None:
        """Write heartbeats until the process ends."""
        process, outage, written = psutil.Process(), Outage("heartbeat"), 0
        name = f"{socket.gethostname()}:{process.pid}"
        while self._due.wait():
            self._due.clear()
            answered, memory_bytes = self._answered, process.memory_info().rss
            with outage.survived("heartbeats"):
                with self._sessions.begin() as session:
                    heartbeats.beat(session, name, answered - written, kind=self._kind, memory_bytes=memory_bytes)
                written = answered


def notify(state: str) -> None:
    """Notify systemd (sd_notify) if it started this process."""
    if path := os.environ.get("NOTIFY_SOCKET"):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.sendto(state.encode(), path.replace("@", "\0", 1) if path.startswith("@") else path)
