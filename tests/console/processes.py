"""`spp` as a process of its own, as a user starts it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from local.processes import wait_gone
from local.stack import ROOT

SPP = [sys.executable, "-c", "from console.cli.command import main; main()"]
FREE = ("--port", "0", "--console-port", "0")


def spp(*arguments: str, stdin: bytes = b"", tree: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end, in this environment with `variables` set."""
    done = subprocess.run(
        [*SPP, *arguments], cwd=tree, env={**os.environ, **variables}, input=stdin, capture_output=True, check=False
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class Up:
    """`spp up` on a folder, and the processes that it brought to life."""

    def __init__(self, data: Path, ports: Sequence[str], variables: Mapping[str, str]) -> None:
        self.data = data
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [*SPP, "up", "--data", str(data), *ports],
            cwd=ROOT,
            env={**os.environ, "XDG_STATE_HOME": str(data.parent / "state"), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read_until(self, start: str) -> None:
        """Reads its lines up to one that starts like this."""
        assert self._process.stdout is not None
        while not (self.lines and self.lines[-1].startswith(start)):
            line = self._process.stdout.readline()
            assert line, f"it ended, having said: {self.lines}"
            self.lines.append(line.rstrip("\n"))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def port(self) -> str:
        """The port for webhooks."""
        [address] = [line.split()[1] for line in self.lines if "/webhooks/stripe" in line]
        return str(urlsplit(address).port)

    def processes(self) -> list[psutil.Process]:
        """Its children, and whatever works on its folder."""
        return [*working_on(self.data), *psutil.Process(self._process.pid).children(recursive=True)]

    def interrupt(self, signum: signal.Signals = signal.SIGINT) -> int:
        """Asks it to stop; its exit code."""
        self._process.send_signal(signum)
        self.read_until("Stopped.")
        return self._process.wait()

    def end(self) -> None:
        """Whatever happened, nothing of it stays."""
        left = self.processes() if self._process.poll() is None else working_on(self.data)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        assert wait_gone(left, timeout_s=60)
        self._process.communicate()


@contextmanager
def up(data: Path, ports: Sequence[str] = FREE, **variables: str) -> Iterator[Up]:
    """`spp up`, once it says that it runs. Other terminals find it with XDG_STATE_HOME beside its data."""
    running = Up(data, ports, variables)
    try:
        running.read_until("Running.")
        yield running
    finally:
        running.end()


def working_on(data: Path) -> list[psutil.Process]:
    """The processes that have the folder in their command line, or work in it."""
    return [process for process in psutil.process_iter() if str(data) in traces(process)]


def traces(process: psutil.Process) -> str:
    """Its command line and the folder that it works in; nothing once it is gone."""
    try:
        return " ".join([*process.cmdline(), process.cwd()])
    except psutil.Error:
        return ""
