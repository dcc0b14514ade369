"""Processes and ports of the operating system: find, kill, wait for the end, choose a free port."""

import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import psutil

from serving.address import check_free

Process: TypeAlias = psutil.Process


def find(pid_file: Path, folder: Path) -> Process | None:
    """The live process that `pid_file` names and whose working directory is `folder`, or None.

    The second condition excludes an unrelated process that got the number of a stale file.
    """
    try:
        process = Process(int(pid_file.read_text().split(maxsplit=1)[0]))
        alive = process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE
    except (FileNotFoundError, ValueError, IndexError, psutil.Error):
        return None
    return process if alive else None


def kill_tree(process: Process) -> bool:
    """SIGKILL a process and all its children; False if one still runs after 10 s."""
    try:
        process.suspend()  # it must not start another child while we list them
        return _kill([*process.children(recursive=True), process])
    except psutil.NoSuchProcess:
        return True


def kill_working_in(folder: Path) -> bool:
    """SIGKILL all processes whose working directory is `folder`; False if one still runs after 10 s."""
    return _kill([process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(folder)])


def _kill(family: list[Process]) -> bool:
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    return wait_gone(family, timeout_s=10)


def wait_until(condition: Callable[[], bool], timeout_s: float, every_s: float = 0.02) -> bool:
    """Poll until the condition holds; False if it does not after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def wait_gone(processes: Iterable[Process], timeout_s: float) -> bool:
    """Wait until all the processes have ended; False if one still runs after `timeout_s`."""
    left = list(processes)
    return wait_until(lambda: not any(map(runs, left)), timeout_s)


def runs(process: Process) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill_group(group: int) -> None:
    """SIGKILL a process group, and wait up to 10 s until no member runs."""
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
    """A free loopback TCP port, held like any that `hold` returns.

    Below the range of outgoing connections: within it, a client that keeps retrying a stopped server would sooner or
    later get the port itself.
    """
    while True:
        port = random.randrange(20_000, 32_768)  # noqa: S311 - no secret
        with suppress(OSError):
            return hold(port)


def hold(port: int) -> int:
    """The port, if it is free: reserved against other callers of this function while this process lives.

    Raises OSError for one that is taken.
    """
    held = socket.socket(type=socket.SOCK_DGRAM)
    try:
        # The server does not listen yet; until then, holding the UDP port of that number reserves it.
        held.bind(("127.0.0.1", port))
        check_free("127.0.0.1", port)
    except OSError:
        held.close()
        raise
    held.detach()  # stays open as long as this process lives
    return port
