"""The servers and workers under load: started, watched and stopped, each with its log in a file."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 45


class DidNotStart(Exception):
    """A process under test ended or stayed silent instead of starting; the message holds its log."""


@contextmanager
def running(
    name: str, argv: list[str], env: Mapping[str, str], ready: Callable[[str], bool], folder: Path
) -> Iterator[psutil.Process]:
    """Runs `python -m ARGV...` until the block ends, yielding once `ready(log so far)` says so.

    Stopped by SIGTERM, and by SIGKILL after 45 s, with whatever it started.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", *argv],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready(log.read_text(errors="replace")):
            if child.poll() is not None or time.monotonic() > deadline:
                raise DidNotStart(f"{name} did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
        yield psutil.Process(child.pid)
    finally:
        _stop(child)


def _stop(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(STOP_TIMEOUT_S)
    # Its own session makes it the leader of a group that holds only what it started.
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def listening(port: int) -> Callable[[str], bool]:
    """Ready when the port takes connections."""

    def ready(_: str) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return ready


def says(text: str) -> Callable[[str], bool]:
    """Ready when the log holds the text."""
    return lambda log: text in log


def resident_mb(parent: psutil.Process) -> float:
    """Resident memory of the largest child process, in MB (10^6 bytes): the one that did the work."""
    return max(float(child.memory_info().rss) for child in parent.children(recursive=True)) / 1e6
