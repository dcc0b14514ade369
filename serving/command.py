"""`spp-serve webhooks` and `spp-serve console`: the two apps on their ports, with the same limits everywhere."""

import argparse
from collections.abc import Callable
from ipaddress import ip_address

from models.operations.heartbeats import ProcessKind
from serving.server import Limits, Served, serve

APPS = {
    "webhooks": ("webhooks.wsgi:app", ProcessKind.RECEIVER, 8080, Limits()),
    # A person's line may need a minute for a large file.
    "console": ("console.wsgi:app", ProcessKind.CONSOLE, 8081, Limits(body_deadline_s=120)),
}
"""Name -> the app, the kind of its processes, its default port, and its limits for clients."""


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="spp-serve", description="Serves the webhook server or the console.")
    parser.add_argument("app", choices=APPS)
    add = parser.add_argument
    add("--host", type=ip_address, default="127.0.0.1", help="IP address to listen on (default: %(default)s)")
    ports = ", ".join(f"{port} for {app}" for app, (_, _, port, _) in APPS.items())
    add("--port", type=_number(65535), help=f"default: {ports}")
    add("--workers", type=_number(256), default=1, help="processes; each uses up to one core (default: %(default)s)")
    add(
        "--stop-timeout", type=_number(1800), default=30, metavar="SECONDS",
        help="how long a process may finish its requests when it stops (default: %(default)s)",
    )  # fmt: skip
    given = parser.parse_args()
    app, kind, port, limits = APPS[given.app]
    serve(Served(app, str(given.host), given.port or port, kind, given.workers, given.stop_timeout, limits))


def _number(limit: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= limit):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {limit}")
        return int(text)

    return number
