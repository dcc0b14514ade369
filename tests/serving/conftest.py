"""The echo app, served by a process of its own with the limits that a test wants."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from local import processes
from local.stack import ROOT
from serving.server import Limits, Served
from tests.serving.clients import ask
from tests.worker.conftest import module_database, module_make, running  # noqa: F401 -- fixtures
from tests.worker.scene import until

Serving = Callable[..., AbstractContextManager[int]]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    """`with serving(body_deadline_s=1) as port: ...`"""

    @contextmanager
    def run(**limits: float) -> Iterator[int]:
        served = Served("tests.serving.echo:app", "127.0.0.1", processes.free_port(), limits=Limits(**limits))
        log: Path = tmp_path_factory.mktemp("log") / "log"
        code = f"from serving.server import *; serve({served!r})"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [sys.executable, "-c", code], cwd=ROOT, stdout=output, stderr=output, start_new_session=True
            )
        try:
            until(lambda: _answers(served.port) or server.poll() is not None)
            assert server.poll() is None, log.read_text()
            yield served.port
        finally:
            processes.kill_group(server.pid)
            server.wait()

    return run


def _answers(port: int) -> bool:
    try:
        return ask(port, "/healthz")[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def port(serving: Serving) -> Iterator[int]:
    """Where it is served with the usual limits."""
    with serving() as port:
        yield port
