"""Granian with our limits, and with the front in place of its WSGI mode.

Granian's WSGI mode reads a body in the thread that answers, with no deadline, and takes header names with an underscore
for those with a hyphen. So each process runs Granian's RSGI worker, which passes requests and bodies separately, with
several threads and without an asyncio loop. The worker's constructor is private to Granian and may change with a minor
version: pyproject.toml allows only one.
"""

import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from granian import Granian
from granian._granian import CallbackScheduler, RSGIWorker, WorkerSignal
from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.http import HTTP1Settings
from granian.server.common import WORKERS_METHODS
from granian.server.mp import WorkerProcess

from models.operations.heartbeats import ProcessKind
from runtime import settings
from serving.address import check_free
from serving.bodies import Bodies
from serving.environ import Environs
from serving.front import Front
from serving.watch import Heartbeats, Watch

THREADS = 16
"""Request threads of a process."""
OTHER_FILES = 256
"""Besides connections of clients: the database's, the broker's, logs, modules being loaded."""


@dataclass(frozen=True)
class Limits:
    """Limits for clients: how long they may take, and how many there may be."""

    head_deadline_s: float = 30
    """For a request's head, counted from the start of the connection or idle time; also ends idle connections."""
    head_bytes: int = 64 * 1024
    body_deadline_s: float = 10
    """For a body: processors wait 5 to 30 s for the answer."""
    unread_s: float = 30
    """For a client that reads nothing of an answer. Linux only."""
    connections: int = 1024
    """Open connections of a process; further ones wait."""
    hung_after_s: float = 30
    """A process that answers no request for this long ends itself."""


ROLES = {ProcessKind.RECEIVER: settings.DatabaseRole.WEB, ProcessKind.CONSOLE: settings.DatabaseRole.CONSOLE}
"""The database role that writes a process's heartbeats."""


@dataclass(frozen=True)
class Served:
    """One app on one address. `kind` goes into its heartbeats; None for an app without a database."""

    app: str
    """module:name of a Flask app. Its MAX_CONTENT_LENGTH is the largest body; it answers GET /healthz from a thread."""
    host: str
    port: int
    kind: ProcessKind | None = None
    workers: int = 1
    stop_timeout_s: int = 30
    """How long a process may finish its requests when it stops."""
    limits: Limits = Limits()


def serve(served: Served) -> None:
    """Serve until SIGTERM or SIGINT.

    Exits with 1 if the only process ended by itself, and with a message if the address cannot be used.
    """
    limits = served.limits
    try:
        check_free(served.host, served.port)
    except OSError as error:
        _refuse(served, error.strerror or str(error))
    server = Granian(
        served.app,
        address=served.host,
        port=served.port,
        interface=Interfaces.RSGI,
        # HTTP/2 would let one connection hold many requests open, and no processor or proxy needs it here.
        http=HTTPModes.http1,
        websockets=False,
        workers=served.workers,
        backpressure=limits.connections,
        runtime_mode=RuntimeModes.mt,
        http1_settings=HTTP1Settings(int(limits.head_deadline_s * 1000), max_buffer_size=limits.head_bytes),
        # A single process ends with its supervisor, and systemd or Docker restarts both.
        respawn_failed_workers=served.workers > 1,
        workers_kill_timeout=served.stop_timeout_s,
    )
    try:
        server.serve(spawn_target=partial(_work, served=served))
    except RuntimeError as error:
        _refuse(served, str(error).partition("\n")[0])


def _refuse(served: Served, why: str) -> NoReturn:
    sys.exit(f"{served.app} cannot be served on {served.host}, port {served.port}: {why}.")


class _Loop:
    """A substitute for an asyncio loop that runs callbacks at once, in the thread that has the bytes."""

    def call_soon(self, callback: Callable[..., object], *arguments: object, context: object = None) -> None:  # noqa: ARG002
        callback(*arguments)

    call_soon_threadsafe = call_soon


@WorkerProcess.wrap_target  # type: ignore[untyped-decorator]
def _work(
    worker_id: int, app: Any, sockets: Any, ipc: Any, _loop: Any, runtime_mode: Any, runtime_threads: int,
    runtime_blocking_threads: int, _threads: int, idle_timeout_s: int, backpressure: int, _task: Any, http_mode: Any,
    http1: Any, http2: Any, websockets: bool, static_path: Any, _log_format: Any, tls: Any, _scope: Any, metrics: Any,
    *, served: Served,
) -> None:  # fmt: skip
    """The body of one process, after Granian has loaded the app. The arguments are Granian's."""
    limits = served.limits
    _allow_files(limits.connections + OTHER_FILES)
    bodies = Bodies(limits.body_deadline_s)
    limit_bytes = app.config["MAX_CONTENT_LENGTH"]
    front = Front(app, limit_bytes, Environs(served.host, served.port), bodies)
    bodies.start()
    beat = None
    if served.kind:
        beat = Heartbeats(served.kind, settings.load(ROLES[served.kind]).database_url).beat
    watch = Watch(front, served.host, served.port, served.workers, limits.hung_after_s, beat)
    stop, stopped = WorkerSignal(), threading.Event()
    stop.add_cb(stopped.set)

    def end(*_: object) -> None:
        watch.end()
        stop.set()

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, end)
    sockets = _with_read_timeout(sockets, limits.unread_s)
    worker = RSGIWorker(
        worker_id, sockets, ipc, runtime_threads, runtime_blocking_threads, THREADS, idle_timeout_s, backpressure,
        http_mode, http1, http2, websockets, static_path, *tls, metrics,
    )  # fmt: skip
    loop = _Loop()
    scheduler = CallbackScheduler(loop, None, None, None, None)
    scheduler._schedule_fn = front
    getattr(worker, WORKERS_METHODS[runtime_mode][False])(scheduler, loop, stop)
    watch.start()
    stopped.wait()


def _allow_files(files: int) -> None:
    """Raise the limit of open files: with too few for the connections, accepting fails in a busy loop."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard), hard))


def _with_read_timeout(sockets: Any, unread_s: float) -> Any:
    """The same listening address; its connections end when a client leaves an answer unread for this long."""
    spec, _ = sockets
    if spec is None or not hasattr(socket, "TCP_USER_TIMEOUT"):
        return sockets
    holder = spec.build()
    # Connections inherit the option from the listening socket.
    with socket.socket(fileno=holder.get_fd()) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(unread_s * 1000))
        listening.detach()
    return None, holder
