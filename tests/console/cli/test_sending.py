"""`spp send` says what happened to what it posted, and where to look. The server is the webhook app over HTTP."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from models.operations import heartbeats
from runtime.settings import Settings
from tests.console.conftest import Spp
from tests.worker.scene import Make, event, paid_now
from webhooks.app import create_app
from worker.crediting import Crediting

Sent = Callable[..., str]


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """No output."""


@pytest.fixture
def server(installed: dict[str, str], settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a webhook server, which `spp send` posts to."""
    app = create_app(settings)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("SPP_WEBHOOKS_URL", f"http://127.0.0.1:{server.server_port}")
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def sent(gym: Spp, server: str, tmp_path: Path) -> Sent:
    """Sends a Stripe event by its body; the one line that it says."""

    def send(body: bytes, *options: str) -> str:
        (tmp_path / "body.json").write_bytes(body)
        done = gym("send", "stripe", str(tmp_path / "body.json"), *options)
        return done.out.splitlines()[-1]

    return send


@contextmanager
def working(settings: Settings, make: Make) -> Iterator[None]:
    """A worker that credits what comes, in its own time."""
    with make.begin() as session:
        heartbeats.beat(session, "host:1", 0)
    ended, crediting = threading.Event(), Crediting(settings, make)

    def work() -> None:
        while not ended.wait(0.4):
            crediting.drain()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_it_says_what_became_of_each(sent: Sent, gym: Spp, settings: Settings, make: Make) -> None:
    dues, lost = paid_now("in_1", "sub_ann"), paid_now("in_2", "sub_lost")
    with working(settings, make):
        credited = "credited 4 Personal Training and 8 Group Class to Ann Archer: `spp member 1`"
        assert sent(dues) == f"stored as event 1, {credited}"
        assert sent(dues) == f"a duplicate of event 1, which {credited}"
        review = r"stored as event \d+, in review: no membership has sub_lost: `spp review`"
        assert re.fullmatch(review, sent(lost), re.IGNORECASE)
        conflict = r"stored as event (\d+), in quarantine: the same id .* than event 1, .*: `spp events show \1`"
        assert re.fullmatch(conflict, sent(dues.replace(b"8900", b"8901")))
        gym("cut-over", "ben@example.com", str((datetime.now(UTC) + timedelta(days=2)).date()), "--reason", "moving in")
        early = r"stored as event \d+, moved no sessions: it was paid before the cut-over, and an earlier system .*"
        assert re.fullmatch(early, sent(paid_now("in_3", "sub_ben")))
        bought = ("--club", "Riverside", "--offer", "All In", "--term", "Monthly", "--pick", "Personal Training")
        gym("sign-up", "--member", "new@example.com", "--name", "New One", *bought)
        code = gym("sign-up-link", "new@example.com", "--json").json["code"]
        subscription = {"object": "subscription", "id": "sub_lost", "metadata": {"membership_code": code}}
        claim = event("evt_claim", "customer.subscription.created", subscription, datetime.now(UTC))
        given = r"stored as event \d+, gave sub_lost, with all payments that name it, to New One: `spp member \d+`"
        assert re.fullmatch(given, sent(claim))
        assert "in_2" in gym("member", "new@example.com").out
    refused = sent(dues, "--tamper")
    assert refused.startswith("refused (400): Not authentic: ")


def test_without_a_worker_it_does_not_wait(sent: Sent) -> None:
    said = sent(paid_now("in_1", "sub_ann"))
    assert said == "stored as event 1, no worker runs, so it waits: start `spp up`: `spp events show 1`"


def test_a_paused_endpoint_is_named_and_not_waited_for(sent: Sent, gym: Spp, make: Make) -> None:
    with make.begin() as session:
        heartbeats.beat(session, "host:1", 0)
    gym("pause", "stripe", "--reason", "wrong prices")
    assert "waiting: stripe is paused: " in sent(paid_now("in_1", "sub_ann"))
