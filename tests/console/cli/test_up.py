"""`spp up`, and what a user tries on it: send, member, Ctrl-C, and up again."""

import json
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from local.endpoints import ENDPOINTS
from local.processes import wait_gone
from local.servers import Broker, Postgres
from tests.console.conftest import Spp
from tests.console.processes import Up, spp, traces, up, working_on
from tests.worker.scene import paid_now, until

REFUSED = {"gocardless": 498, "adyen": 401, "braintree": 400}


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="spp-up-") as folder:
        yield Path(folder, "data").resolve()


def usable(data: Path, email: str) -> dict[str, int]:
    done = spp("member", email, "--json", SPP_DATA=str(data))
    assert done.returncode == 0, done.stderr
    return {row["item"]: row["usable"] for row in json.loads(done.stdout)["balances"]}


def send(data: Path, body: bytes, *options: str) -> tuple[int, Any]:
    """Posts to whatever runs on the folder; the exit code, and the answer."""
    done = spp("send", "stripe", "-", *options, "--json", stdin=body, SPP_DATA=str(data))
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def stops(running: Up, signum: signal.Signals) -> bool:
    """Whether it stops in good order and nothing of it stays running."""
    family = running.processes()
    started = " ".join(map(traces, family))
    assert all(
        name in started
        for name in ("serving webhooks", "serving console", "worker", "beat", "postgres", "valkey-server")
    )
    assert running.interrupt(signum) == 0
    assert wait_gone(family, timeout_s=60)
    return not working_on(running.data)


def the_console(running: Up) -> tuple[str, str]:
    """Its address, and what is said about logging in."""
    first = running.lines[running.lines.index("Starting ...") + 1]
    address, _, login = first.removeprefix("Console   ").partition("   ")
    return address, login


def logs_in(address: str, email: str, password: str) -> bool:
    """Whether the console lets somebody in with that."""
    browser = build_opener(HTTPCookieProcessor())
    with browser.open(f"{address}/login") as page:
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.read().decode())
    assert token
    fields = {"csrf_token": token[1], "email": email, "password": password}
    with browser.open(f"{address}/login", urlencode(fields).encode()) as page:
        return "Log out" in page.read().decode()


def test_up_works_stops_and_keeps_its_data(data: Path) -> None:
    with up(data) as running:
        addresses = [line.split()[1] for line in running.lines if line.startswith("  POST ")]
        assert [address.rpartition("/")[2] for address in addresses] == list(ENDPOINTS)
        assert any(line.startswith("  DATABASE_URL=postgresql") for line in running.lines)
        assert the_console(running)[1] == "no account yet: `spp demo-data` or `spp user add` makes one"
        made = spp("demo-data", SPP_DATA=str(data)).stdout.splitlines()[-1]
        login = re.fullmatch(r"Log in to the console as (\S+) with password (\S+)\.", made)
        assert login
        assert logs_in(the_console(running)[0], *login.groups())

        body = paid_now("in_1", "sub_ann")
        code, answer = send(data, body)
        assert (code, answer["status"], answer["events"][0]["is_new"]) == (0, 200, True)
        credited = "credited 4 Personal Training and 8 Group Class to Ann Archer"
        assert answer["events"][0]["what"] == credited
        again = spp("send", "stripe", "-", stdin=body, SPP_DATA=str(data), XDG_STATE_HOME=str(data.parent / "state"))
        console = the_console(running)[0]
        said = f"a duplicate of event 1, which {credited}: {console}/members/1\n"
        assert (again.stdout, again.returncode) == (said, 0)
        until(lambda: usable(data, "ann@example.com") == {"Personal Training": 4, "Group Class": 8})
        elsewhere = addresses[0].removesuffix("/webhooks/stripe")
        assert send(data, body, "--url", elsewhere)[0] == 0

        for forged in (["--tamper"], ["--age", "400"], ["--age", "-400"]):
            code, answer = send(data, paid_now("in_2", "sub_ben"), *forged)
            assert answer["status"] == 400
            assert answer["body"].startswith("Not authentic: ")
            assert code == 1, "it was refused"
        [event] = json.loads(spp("events", "--json", SPP_DATA=str(data)).stdout)
        assert (event["event_id"], event["state"]) == ("evt_in_1", "processed")
        assert stops(running, signal.SIGINT)

    code, message = send(data, paid_now("in_2", "sub_ben"))
    assert code == 1
    assert "does not answer" in message

    with up(data) as running:
        assert the_console(running)[1] == "log in as " + " with password ".join(login.groups())
        assert usable(data, "ann@example.com") == {"Personal Training": 4, "Group Class": 8}
        assert send(data, paid_now("in_3", "sub_ann"))[0] == 0
        until(lambda: usable(data, "ann@example.com") == {"Personal Training": 8, "Group Class": 16})
        assert stops(running, signal.SIGTERM)


def sample(data: Path, endpoint: str, name: str, email: str, *options: str) -> tuple[int, list[int]]:
    """Posts a sample; the exit code and the statuses of its deliveries."""
    done = spp("send", endpoint, "--sample", name, "--member", email, *options, "--json", SPP_DATA=str(data))
    assert done.stdout, done.stderr
    return done.returncode, [answer["status"] for answer in json.loads(done.stdout)]


def test_a_sample_of_every_processor_counts(data: Path) -> None:
    with up(data) as running:
        assert spp("demo-data", SPP_DATA=str(data)).returncode == 0
        for endpoint in ENDPOINTS:
            code, answers = sample(data, endpoint, "paid", "ann@example.com")
            assert (code, set(answers)) == (0, {200})
        wanted = {"Personal Training": 4 * len(ENDPOINTS), "Group Class": 8 * len(ENDPOINTS)}
        until(lambda: usable(data, "ann@example.com") == wanted)
        for endpoint in ("gocardless", "adyen", "braintree"):
            assert sample(data, endpoint, "paid", "ben@example.com", "--tamper") == (1, [REFUSED[endpoint]])
        assert sample(data, "gocardless", "late_failure", "ben@example.com") == (0, [200, 200, 200])
        until(lambda: not list(filter(None, usable(data, "ben@example.com").values())))
        # What the stand-in knows and no webhook told.
        done = spp("reconcile", "gocardless", "--json", SPP_DATA=str(data))
        assert (done.returncode, json.loads(done.stdout)[0]["error"]) == (0, None)
        assert stops(running, signal.SIGINT)


def test_a_database_of_ones_own_gets_no_account(gym: Spp) -> None:
    assert "Log in" not in gym("demo-data").out
    assert gym("user", "--json").json == []


def test_up_with_settings_that_do_not_allow_it_says_which_and_leaves_nothing_running(data: Path) -> None:
    done = spp("up", "--data", str(data), "--port", "0", SPP_ENDPOINTS="stripe=stripe:test")
    assert done.returncode == 1
    assert "Endpoint 'stripe' has no webhook secret" in done.stderr
    assert "SPP_SECRET_STRIPE" in done.stderr
    assert "Traceback" not in done.stderr
    assert not working_on(data)


def test_a_folder_that_cannot_be_made_is_refused(data: Path) -> None:
    data.write_text("a file")
    for folder, why in ((str(data), "File exists"), ("/proc/x", "No such file or directory")):
        for done in (spp("up", "--data", folder, "--port", "0"), spp("events", SPP_DATA=folder)):
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith(f"Error: The data folder {folder} cannot be made: {why}. Choose another")


def test_a_second_stack_takes_free_ports_and_other_terminals_choose_one_of_both(data: Path) -> None:
    other, state = data.parent / "other", {"XDG_STATE_HOME": str(data.parent / "state")}
    with up(data, ports=()) as first:
        done = spp("up", "--data", str(data), "--port", "0", "--console-port", "0")
        assert (done.returncode, done.stdout) == (1, "")
        assert f"`spp up` is already running (pid {first.pid}) on {data}." in done.stderr
        port = first.port
        for options in (["--port", port, "--console-port", "0"], ["--port", "0", "--console-port", port]):
            done = spp("up", "--data", str(other), *options)
            assert (done.returncode, done.stdout) == (1, "")
            wrong = options[options.index(port) - 1]
            assert f"Port {port} cannot be used: Address already in use. Choose another with {wrong}." in done.stderr
        status = spp("status", tree=data.parent, **state)
        assert f"Console  {the_console(first)[0]}" in status.stdout
        assert re.search("Broker +queues: events 0", status.stdout)
        assert status.stderr == f"Using the running `spp up` on {data}.\n"

        with up(other, ports=()) as second:
            assert second.lines[0] == f"Port 8080 is taken: webhooks get {second.port}."
            assert second.port not in ("8080", port)
            assert the_console(second)[0] != the_console(first)[0]
            assert any(line.endswith(f"export SPP_DATA={other}") for line in second.lines)
            done = spp("status", tree=data.parent, **state)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith("Error: `spp up` runs 2 times. Choose one of them by its data folder:")
            for running in (first, second):
                assert f"export SPP_DATA={running.data}   console at {the_console(running)[0]}" in done.stderr
            assert second.interrupt() == 0
        assert spp("status", tree=data.parent, **state).returncode == 0
        assert first.interrupt() == 0


def test_the_same_port_for_both_servers_is_wrong_usage(data: Path) -> None:
    done = spp("up", "--data", str(data), "--port", "8123", "--console-port", "8123")
    assert done.returncode == 2
    assert "--port and --console-port are both 8123" in done.stderr


def test_an_embedded_server_that_died_is_started_again(data: Path) -> None:
    with up(data) as running:
        assert spp("demo-data", SPP_DATA=str(data)).returncode == 0
        for server in (Postgres(data), Broker(data)):
            process = server.process()
            assert process is not None
            process.kill()
            running.read_until(f"{server.name} ended and was started again; see {server.log}")
        assert send(data, paid_now("in_1", "sub_ann"))[0] == 0
        until(lambda: usable(data, "ann@example.com") == {"Personal Training": 4, "Group Class": 8})
        assert running.interrupt() == 0
