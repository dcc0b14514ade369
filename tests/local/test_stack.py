"""The supervision, on processes of a few lines; the real ones have tests of their own."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from local.processes import runs
from local.stack import Stack, StackFailed

WEB = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
# The child is what a prefork worker has: it outlives its parent unless the group is killed.
WORKER = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, sorted(os.environ), flush=True)
print("celery@here ready.", flush=True)
time.sleep(600)
"""
SLEEP = "import time; time.sleep(600)"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack({"ONLY": "this"}, tmp_path / "logs")
    stack.commands = {
        "web": [sys.executable, "-c", WEB, str(stack.port)],
        "worker": [sys.executable, "-c", WORKER],
        "beat": [sys.executable, "-c", SLEEP],
        "console": [sys.executable, "-c", WEB, str(stack.console_port)],
    }
    yield stack
    stack.stop()


def worker_child(stack: Stack) -> psutil.Process:
    lines = stack.log("worker").read_text().splitlines()
    return psutil.Process(int([line for line in lines if line.startswith("child")][-1].split()[1]))


def test_starts_waits_and_stops_leaving_no_process(stack):
    with stack:
        stack.wait_ready()
        assert stack.alive() == {"web", "worker", "beat"}
        child = worker_child(stack)
        assert stack.process("worker").children() == [child]
        assert "'ONLY'" in stack.log("worker").read_text()
        assert "'PATH'" not in stack.log("worker").read_text()
    assert stack.alive() == set()
    assert not runs(child)


def test_the_console_runs_where_it_is_asked_for(stack):
    stack.start("console")
    stack.wait_ready()
    assert stack.alive() == {"console"}
    with urlopen(f"{stack.console_url}/readyz") as answer:
        assert answer.status == 200


def test_a_console_that_is_not_ready_is_waited_for(stack):
    stack.commands["console"] = [sys.executable, "-c", SLEEP]
    stack.start("console")
    with pytest.raises(StackFailed, match="console is not ready after 0 s"):
        stack.wait_ready(timeout_s=0)


def test_a_killed_process_takes_its_children_and_can_be_started_again(stack):
    stack.start("worker")
    stack.wait_ready()
    child = worker_child(stack)
    stack.kill("worker")
    assert stack.alive() == set()
    assert not runs(child)
    stack.start("worker")
    stack.wait_ready()
    assert worker_child(stack).pid != child.pid


def test_a_process_that_ends_at_its_start_shows_its_log(stack):
    stack.commands["worker"] = [sys.executable, "-c", "raise SystemExit('DATABASE_URL is not set.')"]
    stack.start()
    with pytest.raises(StackFailed, match=r"(?s)worker ended with code 1.*DATABASE_URL is not set"):
        stack.wait_ready()


def test_a_process_that_never_gets_ready_is_named(stack):
    stack.commands["web"] = [sys.executable, "-c", SLEEP]
    stack.start("web")
    with pytest.raises(StackFailed, match="web is not ready after 0 s"):
        stack.wait_ready(timeout_s=0)


def test_who_ignores_the_request_to_stop_is_killed(stack, monkeypatch):
    monkeypatch.setattr("local.stack.STOP_TIMEOUT_S", 0.1)
    stack.commands["worker"] = [sys.executable, "-c", STUBBORN]
    stack.start("worker")
    while "up" not in stack.log("worker").read_text():
        assert stack.alive() == {"worker"}
    stack.stop()
    assert stack.alive() == set()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_watches_until_interrupted_and_restarts_what_died(stack, signum):
    stack.start()
    stack.wait_ready()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        threading.Thread(target=os.kill, args=(os.getpid(), signum)).start()

    handler = signal.getsignal(signum)
    os.kill(worker_child(stack).ppid(), signal.SIGKILL)
    stack.run_until_interrupted(say)
    assert signal.getsignal(signum) is handler
    assert stack.alive() == {"web", "worker", "beat"}
    assert said == [f"worker ended with code -9 and was started again; see {stack.log('worker')}"]
