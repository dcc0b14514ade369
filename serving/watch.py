"""The watchdog: makes this process answer a request every few seconds, and ends it when it answers none.

A process whose request threads hang is alive to everybody who only looks whether it runs. So the watchdog sends real
requests to the listening port, and what counts is that a request thread of this process has answered something since
the last look: of several processes on one port, the kernel chooses who gets the request. Then it writes the process's
heartbeat, and tells systemd. Otherwise Python's own timer (faulthandler), which needs no lock of the interpreter's,
writes what every thread is at into the log and ends the process; whoever started it starts it again.
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
"""How often it looks, and how often it can ask in vain, in the time after which the process counts as hung."""
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- what is listened on, and where to ask then
"""Addresses that stand for all of a machine's, and one of them."""


class Watch(threading.Thread):
    """Watches over the front of this process until `end`.

    `beat`, where there is one, is called with the number of requests answered since it was last called; it must
    neither wait nor raise.
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
        """Looks again and again, first at once."""
        self._wind_up()
        while not self._ended.is_set():
            if answered := self._answers():
                self._wind_up()
                notify("READY=1\nWATCHDOG=1")
                if self._beat:
                    self._beat(answered)
            self._ended.wait(self._hung_after_s / LOOKS)

    def end(self) -> None:
        """Ends it: the process stops, and need not answer any more."""
        self._ended.set()
        faulthandler.cancel_dump_traceback_later()
        notify("STOPPING=1")

    def _answers(self) -> int:
        """How many requests this process has answered since the last look, asked for one as often as it takes."""
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
    """Writes a web process's heartbeats, over a connection of their own: a database that hangs holds up them alone."""

    def __init__(self, kind: ProcessKind, database_url: str) -> None:
        super().__init__(name="heartbeats", daemon=True)
        self._kind = kind
        self._sessions = sessions(make_engine(database_url, pool_size=1))
        self._due = threading.Event()
        self._answered = 0
        self.start()

    def beat(self, answered: int) -> None:
        """Says that the process lives and has answered so many more requests; returns at once."""
        self._answered += answered
        self._due.set()

    def run(self) -> None:
        """Writes what is due, for as long as the process lives."""
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
    """Tells systemd (sd_notify), where it started this process."""
    if path := os.environ.get("NOTIFY_SOCKET"):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.sendto(state.encode(), path.replace("@", "\0", 1) if path.startswith("@") else path)
