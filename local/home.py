"""Where an installation on one machine lives, and the environment that its processes get.

DATABASE_URL, BROKER_URL and SPP_ENDPOINTS are the user's own where they are set;
what is not set is provided: an embedded server on a folder of data, or two test
endpoints with secrets made for them.
"""

import base64
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local.servers import Broker, Postgres
from models.migrations import upgrade

DEFAULT_ENDPOINTS = {"stripe": "stripe", "standard": "standard_webhooks"}


@contextmanager
def installation(data: Path, *, broker: bool = False) -> Iterator[dict[str, str]]:
    """A complete environment for our processes; embedded servers run as long as the block.

    With `broker`, an embedded one is started where BROKER_URL is not set; commands do
    without. Raises NoEmbeddedServers where the platform has none, and ServerFailed.
    """
    data = data.resolve()
    environment = dict(os.environ)
    with ExitStack() as stack:
        if "DATABASE_URL" not in environment:
            server = stack.enter_context(Postgres(data, shared_buffers="256MB", max_wal_size="4GB"))
            environment["DATABASE_URL"] = server.url()
            upgrade(server.url())
        if "BROKER_URL" not in environment:
            environment["BROKER_URL"] = stack.enter_context(Broker(data)).url if broker else "unused://"
        if "SPP_ENDPOINTS" not in environment:
            environment["SPP_ENDPOINTS"] = " ".join(f"{name}={kind}:test" for name, kind in DEFAULT_ENDPOINTS.items())
            environment.setdefault("SPP_SECRETS_DIR", str(_secrets(data / "secrets")))
        yield environment


def _secrets(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in DEFAULT_ENDPOINTS:
        file = folder / name
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text("whsec_" + base64.b64encode(secrets.token_bytes(24)).decode() + "\n")
    return folder


def remember_url(data: Path, url: str) -> None:
    """Notes where the webhook server of this folder answers."""
    (data / "webhooks-url").write_text(url + "\n")


def remembered_url(data: Path) -> str | None:
    """Where the webhook server of this folder answered last, or None."""
    file = data / "webhooks-url"
    return file.read_text().strip() if file.exists() else None
