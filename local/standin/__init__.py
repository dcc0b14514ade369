"""Stand-ins for the processors' APIs: small servers that speak the documented part that we use.

For trying things out on one machine without an account, and for the tests. The objects of such an
API are in `local.api_objects`. Nothing here is part of a deployment.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from flask import Flask, Response, request
from werkzeug.serving import WSGIRequestHandler, make_server

from local.api_objects import Objects
from webhooks.processors import ADAPTERS


def standins() -> list[str]:
    """The processors that have a stand-in: a module here of that name, with `routes(app, objects)`."""
    return [processor for processor in ADAPTERS if find_spec(f"{__name__}.{processor}")]


@dataclass
class Fault:
    """The answer to the next requests instead of the right one; with status 0 the right one."""

    status: int
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """No output: `StandIn.asked` has the requests."""


class StandIn:
    """One processor's stand-in on a free port, at `url`. `asked` has the last requests, method and path."""

    def __init__(self, processor: str, folder: Path) -> None:
        self.objects = Objects(folder / processor)
        self.asked: deque[str] = deque(maxlen=1000)
        self._faults: deque[Fault] = deque()
        self._held: tuple[threading.Event, threading.Event] | None = None
        app = Flask(f"stand-in for {processor}", static_folder=None)
        app.before_request(self._before)
        routes: Callable[[Flask, Objects], None] = import_module(f"{__name__}.{processor}").routes
        routes(app, self.objects)
        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def fail(self, status: int, *, times: int = 1, body: bytes = b"", **headers: str) -> None:
        """Let the next requests fail like this."""
        self._faults.append(Fault(status, times, headers, body))

    def calm(self) -> None:
        """Answer as the API does from now on."""
        self._faults.clear()

    @contextmanager
    def held(self) -> Iterator[threading.Event]:
        """Hold back all answers within the block, for half a minute at most; the event is set at the first request."""
        asked, answer = self._held = threading.Event(), threading.Event()
        try:
            yield asked
        finally:
            self._held = None
            answer.set()

    def _before(self) -> Response | None:
        if held := self._held:
            asked, answer = held
            asked.set()
            answer.wait(30)
        self.asked.append(f"{request.method} {request.full_path.rstrip('?')}")
        if not self._faults:
            return None
        fault = self._faults[0]
        fault.times -= 1
        if fault.times <= 0:
            self._faults.popleft()
        return Response(fault.body, fault.status, fault.headers) if fault.status else None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
