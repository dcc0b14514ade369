"""A server from a wheel, shared by all processes that start it on the same data folder.

A server belongs to its data folder, not to the process that started it: the first user starts it, later ones use it,
and the last one stops it. A server that a killed process left running is used, and stopped, by the next. Each runs in
a session of its own, so Ctrl-C reaches only us, and we stop the servers when we are done.
"""

import fcntl
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Self

from local import processes
from local.errors import NoEmbeddedServers


def wheel_file(module: str, pattern: str) -> Path:
    """A file inside an installed package, found without importing it. Raises NoEmbeddedServers."""
    spec = find_spec(module)
    for folder in (spec and spec.submodule_search_locations) or ():
        for found in sorted(Path(folder).glob(pattern)):
            return found
    raise NoEmbeddedServers(module)


def last_lines(log: Path, lines: int = 20) -> str:
    """The end of a log, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


class Server(ABC):
    """A server on the folder `data`, shared by all who start it there. `log` is its log file."""

    name: str
    log: Path

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self._use: IO[str] | None = None

    def start(self) -> None:
        """Start the server, or use the one that runs there already. Ready on return.

        Raises ServerFailed with the end of its log.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        with self._locked():
            # Shared by all users; the kernel drops the lock when we die, however we die.
            use = self._use or (self.data / f"{self.name}.users").open("a")
            fcntl.flock(use, fcntl.LOCK_SH)
            running = self.process()
            try:
                if running is None:
                    self._launch()
                else:
                    self._adopt()
            except BaseException:
                use.close()
                self._use = None
                if running is None and (half := self.process()) is not None:
                    processes.kill_tree(half)
                raise
            self._use = use

    def stop(self) -> None:
        """Leave the server. The last user stops it in order."""
        if self._use is None:
            return
        with self._locked():
            use, self._use = self._use, None
            with use:
                try:
                    fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                if self.process() is not None:
                    self._shut_down()
                self._tidy()

    def kill(self) -> None:
        """SIGKILL the server with all its processes, as a crash would. `start()` brings it back on the same URL."""
        if (process := self.process()) is not None:
            processes.kill_tree(process)

    @abstractmethod
    def process(self) -> processes.Process | None:
        """The server's main process, or None if it does not run."""

    @abstractmethod
    def _launch(self) -> None:
        """Start the server and wait until it answers. Raises ServerFailed."""

    def _adopt(self) -> None:  # noqa: B027 -- PostgreSQL's URL follows from its folder
        """Learn what the URL of a running server needs."""

    @abstractmethod
    def _shut_down(self) -> None:
        """Stop the running server in order, and wait until it is gone."""

    @abstractmethod
    def _tidy(self) -> None:
        """Remove files that the next start does not need."""

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time start or stop this server."""
        with (self.data / f"{self.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
