"""A database that is down, or no database at all: a message and exit 1, never a traceback."""

import os
import subprocess
import sys

import pytest

from local.stack import ROOT

COMMANDS = {
    "webhooks": ["-c", "import webhooks.wsgi"],
    "worker": ["-m", "celery", "-A", "worker.app:app", "worker"],
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://postgres@127.0.0.1:1/spp", "DATABASE_URL is not reachable"),
        ("mysql://127.0.0.1/spp", "DATABASE_URL is not the URL of a PostgreSQL database"),
    ],
)
def test_no_start_without_a_database(name: str, url: str, message: str) -> None:
    environment = {**os.environ, "DATABASE_URL": url, "BROKER_URL": "redis://127.0.0.1:1/0"}
    done = subprocess.run(
        [sys.executable, *COMMANDS[name]], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "cannot start" in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
