"""The operating system's side: whose process is it, is it gone, which port is free."""

import os
import random
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import psutil

Process: TypeAlias = psutil.Process


def find(pid_file: Path, folder: Path) -> Process | None:
    """The living process that `pid_file` names and that works in `folder`, or None.

    A stale file whose number now belongs to something else finds nothing.
    """
    try:
        process = Process(int(pid_file.read_text().split(maxsplit=1)[0]))
        alive = process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE
    except (FileNotFoundError, ValueError, IndexError, psutil.Error):
        return None
    return process if alive else None


def kill_tree(process: Process) -> bool:
    """SIGKILL a process and all its children; True once they are gone, False if one is not after 10 s."""
    try:
        process.suspend()  # so that it has no further child while we count them
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return True
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    return wait_gone(family, timeout_s=10)


def wait_gone(processes: Iterable[Process], timeout_s: float) -> bool:
    """Wait until none of the processes runs any more; False if one still does."""
    deadline = time.monotonic() + timeout_s
    left = list(processes)
    while left:
        left = [process for process in left if runs(process)]
        if left and time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def runs(process: Process) -> bool:
    """Whether it is there, and not only still to be reaped."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill_group(group: int) -> None:
    """SIGKILL a process group and wait, 10 s at most, until no member runs."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of zombies
        return
    members = [process for process in psutil.process_iter() if _group(process.pid) == group]
    wait_gone(members, timeout_s=10)


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def free_port() -> int:
    """A loopback TCP port that nobody listens on, and that no process gets from here again while this one lives.

    Chosen below the range that outgoing connections use: there, a client that
    keeps retrying a stopped server would sooner or later take the port itself.
    """
    while True:
        port = random.randrange(20_000, 32_768)  # noqa: S311 - no secret
        held = socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as probe:
            try:
                # Its server is not there yet: until then the port's namesake of UDP tells others that it is taken.
                held.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
            except OSError:
                held.close()
                continue
        held.detach()  # stays open as long as this process lives
        return port
