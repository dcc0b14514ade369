"""The processes of one installation on one machine: web, worker, beat and console."""

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Self

from local import processes
from local.errors import LocalFailure
from local.shared import Server, last_lines
from runtime.broker import EVENTS, MAINTENANCE

CREDITING = ("web", "worker", "beat")
"""The processes that turn payments into sessions. Only people need the console."""
STOP_TIMEOUT_S = 10.0
ROOT = Path(__file__).resolve().parent.parent


class StackFailed(LocalFailure):
    """A process of the stack ended or did not become ready; the message has the end of its log."""


class Stack:
    """Web, worker, beat and console as subprocesses, each in a session of its own, each with its log.

    They get `environment` and nothing else. Port 0 means a free one; `url` and `console_url` have the numbers.
    `run_until_interrupted` also restarts those of `servers` that died.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        logs: Path,
        *,
        port: int = 0,
        console_port: int = 0,
        web_workers: int = 1,
        worker_concurrency: int = 2,
        servers: Sequence[Server] = (),
    ) -> None:
        self.port = port or processes.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.console_port = console_port or processes.free_port()
        self.console_url = f"http://127.0.0.1:{self.console_port}"
        self._environment = dict(environment)
        self._servers = servers
        self._logs = logs.resolve()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._log_start: dict[str, int] = {}
        python = [sys.executable, "-m"]
        celery = [*python, "celery", "-A", "worker.app:app"]
        web = f"serving webhooks --port {self.port} --workers {web_workers} --stop-timeout 5"
        console = f"serving console --port {self.console_port} --stop-timeout 5"
        worker = f"worker --pool prefork --concurrency {worker_concurrency} --loglevel info "
        worker += f"-Q {EVENTS},{MAINTENANCE} --without-gossip --without-mingle --without-heartbeat"
        beat = ["beat", "--loglevel", "info", "-s", str(self._logs / "beat-schedule")]
        self.commands = {
            "web": [*python, *web.split()],
            "worker": [*celery, *worker.split()],
            "beat": [*celery, *beat],
            "console": [*python, *console.split()],
        }

    def log(self, name: str) -> Path:
        """The file with a process's output; a restart appends."""
        return self._logs / f"{name}.log"

    def start(self, *names: str) -> None:
        """Start those of the named processes (by default CREDITING) that do not run."""
        self._logs.mkdir(parents=True, exist_ok=True)
        for name in names or CREDITING:
            if name in self.alive():
                continue
            with self.log(name).open("ab") as log:
                self._log_start[name] = log.tell()
                self._running[name] = subprocess.Popen(
                    self.commands[name],
                    cwd=ROOT,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def alive(self) -> set[str]:
        """The names of the processes that run."""
        return {name for name, process in self._running.items() if process.poll() is None}

    def process(self, name: str) -> processes.Process:
        """A process that was started."""
        return processes.Process(self._running[name].pid)

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until web and console answer GET /readyz with 200 and the worker has logged that it is ready.

        Looks only at processes that were started. Raises StackFailed as soon as one ends, or after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        waiting = [(name, ready) for name, ready in self._checks().items() if name in self._running]
        while True:
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise self._failed(name, f"ended with code {process.returncode}")
            waiting = [(name, ready) for name, ready in waiting if not ready()]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise self._failed(waiting[0][0], f"is not ready after {timeout_s:g} s")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop all in order; kill those that still run after 10 s."""
        try:
            for name in self.alive():
                self._running[name].terminate()
            processes.wait_until(lambda: not self.alive(), STOP_TIMEOUT_S)
        finally:
            for name in list(self._running):
                self.kill(name)

    def kill(self, name: str) -> None:
        """SIGKILL a process and its children, as a crash would. `start(name)` starts it again."""
        process = self._running.pop(name, None)
        if process is None:
            return
        processes.kill_group(process.pid)
        process.wait()

    def run_until_interrupted(self, say: Callable[[str], None]) -> None:
        """Supervise the processes and the embedded servers until SIGINT or SIGTERM, then return without stopping them.

        Restarts what ended by itself, at most once a second, and reports it through `say`. Call from the main thread.
        """
        asked: list[int] = []

        def ask(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
            asked.append(signum)

        before = {signum: signal.signal(signum, ask) for signum in (signal.SIGINT, signal.SIGTERM)}
        checked = time.monotonic()
        try:
            while not asked:
                time.sleep(0.1)
                if time.monotonic() - checked >= 1:
                    checked = time.monotonic()
                    self._restart_dead(say)
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _restart_dead(self, say: Callable[[str], None]) -> None:
        for server in self._servers:
            if server.process() is None:
                try:
                    server.start()
                except LocalFailure as error:
                    say(f"{server.name} ended and does not start: {error}")  # the next round tries again
                else:
                    say(f"{server.name} ended and was started again; see {server.log}")
        for name in self._running.keys() - self.alive():
            code = self._running[name].returncode
            self.kill(name)  # its children may still run
            self.start(name)
            say(f"{name} ended with code {code} and was started again; see {self.log(name)}")

    def _checks(self) -> dict[str, Callable[[], bool]]:
        return {
            "web": lambda: _answers(self.port),
            "worker": self._worker_is_ready,
            "console": lambda: _answers(self.console_port),
        }

    def _worker_is_ready(self) -> bool:
        with self.log("worker").open("rb") as log:
            log.seek(self._log_start["worker"])
            return b" ready." in log.read()

    def _failed(self, name: str, what: str) -> StackFailed:
        return StackFailed(f"{name} {what}. The end of {self.log(name)}:\n{last_lines(self.log(name))}")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _answers(port: int) -> bool:
    """Whether the server on that port is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
