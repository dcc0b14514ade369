"""`spp` run in this process, on a database of the test's own, with its answers caught."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine

from console.cli.command import main
from local.home import ROLES
from models.database.engine import sessions
from tests.worker.scene import Make

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Spp = Callable[..., Done]


@pytest.fixture
def installed(database_url: str) -> Iterator[dict[str, str]]:
    """The environment of an installation with two endpoints, for the length of a test."""
    before = dict(os.environ)
    ours = {
        "DATABASE_URL": database_url,
        "SPP_DATABASE_ROLES": ROLES,
        "BROKER_URL": "unused://",
        "SPP_ENDPOINTS": "stripe=stripe:test standard=standard_webhooks:test",
        "SPP_SECRET_STRIPE": "whsec_test",
        "SPP_SECRET_STANDARD": SECRET,
    }
    os.environ.update(ours)
    yield {**before, **ours}
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def spp(installed: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Spp:
    """`spp("member", "ann@example.com", "--json")`: what main() prints and exits with; what it lets through fails."""

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["spp", *arguments])
        code: object = 0
        try:
            main()
        except SystemExit as leave:
            code = leave.code or 0
        out, err = capsys.readouterr()
        # As Python's own exit does: a message goes to standard error, and the code is 1.
        return Done(code, out, err) if isinstance(code, int) else Done(1, out, f"{err}{code}\n")

    return run


@pytest.fixture
def make(engine: Engine) -> Make:
    return sessions(engine)
