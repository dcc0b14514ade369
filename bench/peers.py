"""How each peer is started: on the same interpreter, and with as many threads as ours where it shares our server."""

from contextlib import AbstractContextManager
from pathlib import Path

import psutil

from bench.processes import listening, running, says
from serving.server import THREADS


def bare_web(port: int, environment: dict[str, str], folder: Path) -> AbstractContextManager[psutil.Process]:
    """The bare app under Granian's own WSGI mode, with as many threads as our web process has."""
    argv = ["granian", "--interface", "wsgi", "--http", "1", "--no-ws", "--port", str(port)]
    argv += ["--blocking-threads", str(THREADS), "bench.bare:app"]
    return running("bare-web", argv, environment, listening(port), folder)


def tutorial_web(port: int, environment: dict[str, str], folder: Path) -> AbstractContextManager[psutil.Process]:
    """The tutorial's web app under gunicorn, 2 workers of 8 threads."""
    argv = ["gunicorn", "--workers", "2", "--threads", "8", "--bind", f"127.0.0.1:{port}"]
    return running("tutorial-web", [*argv, "bench.tutorial.web:app"], environment, listening(port), folder)


def tutorial_worker(environment: dict[str, str], folder: Path) -> AbstractContextManager[psutil.Process]:
    """The tutorial's Celery worker, two prefork children."""
    argv = ["celery", "-A", "bench.tutorial.tasks", "worker", "--pool", "prefork", "--concurrency", "2"]
    return running("tutorial-worker", [*argv, "--loglevel", "INFO"], environment, says(" ready."), folder)
