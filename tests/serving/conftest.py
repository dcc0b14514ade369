"""The echo app, served by a process of its own with the limits that a test wants."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import processes
from local.stack import ROOT
from serving.server import Limits, Served
from tests.serving.clients import ask
from tests.worker.conftest import module_database, module_make, running  # noqa: F401 -- fixtures
from tests.worker.scene import until


@dataclass
class Server:
    """A server that runs, or has run."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    def answers(self) -> bool:
        try:
            return ask(self.port, "/healthz")[0] == 200
        except OSError:
            return False


Serving = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    """`with serving(body_deadline_s=1) as server: ...`"""

    @contextmanager
    def run(workers: int = 1, environment: dict[str, str] | None = None, **limits: Any) -> Iterator[Server]:
        port = processes.free_port()
        served = Served("tests.serving.echo:app", "127.0.0.1", port, workers=workers, limits=Limits(**limits))
        log: Path = tmp_path_factory.mktemp("log") / "log"
        code = f"from serving.server import *; serve({served!r})"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        server = Server(port, process, log)
        try:
            until(lambda: server.answers() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield server
        finally:
            processes.kill_group(process.pid)
            process.wait()

    return run


@pytest.fixture(scope="module")
def port(serving: Serving) -> Iterator[int]:
    """Where it is served with the usual limits."""
    with serving() as server:
        yield server.port
