"""What the web process does without: it starts fast and small, whatever processors it hears."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import endpoints
from webhooks.processors import ADAPTERS

REPOSITORY = Path(__file__).parents[2]
LIBRARIES = {"Adyen", "braintree", "cryptography", "gocardless_pro", "httpx", "requests", "square", "stripe"}
START = """
import json, sys
from runtime import settings
from webhooks.app import create_app

found = settings.load()
create_app(found)
modules = {name.partition(".")[0] for name in sys.modules}
print(json.dumps([sorted(endpoint.processor for endpoint in found.endpoints), sorted(modules)]))
"""


def test_the_web_process_loads_no_client_library(tmp_path: Path) -> None:
    nowhere = {"DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/none", "BROKER_URL": "redis://127.0.0.1:9/0"}
    with endpoints.provided(tmp_path, run=False) as provided:
        run = subprocess.run(
            [sys.executable, "-c", START],
            env={**os.environ, **nowhere, **provided},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
    if run.returncode:
        pytest.fail(run.stderr)
    processors, modules = json.loads(run.stdout)
    assert processors == sorted(ADAPTERS)
    assert {"flask", "webhooks"} <= set(modules)
    assert not LIBRARIES & set(modules)
