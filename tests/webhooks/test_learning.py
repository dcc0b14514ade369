"""What one receiving process has learned is known to all, and each source is told apart from the others."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import time

import pytest
import urllib3.util.connection
from sqlalchemy import Engine, text

from local import samples
from local.paypal_certificates import make
from models.database.engine import make_engine
from models.inbox import certificates
from runtime.settings import Endpoint, Settings
from tests.webhooks.site import Site, eventually
from webhooks import learning
from webhooks.learning import Learned, source_of
from webhooks.processors import Delivery, adapter

PLACE = "https://api.sandbox.paypal.com/v1/notifications/certs/"


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    make(tmp_path)
    return tmp_path


@pytest.fixture
def paypal(certs: Path) -> Endpoint:
    return Endpoint(
        name="paypal", processor="paypal", mode="test", options={"certs": str(certs)}, secrets=("WEBHOOK1",)
    )


@pytest.fixture
def site(settings: Settings, paypal: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A receiver of PayPal's deliveries that reaches nobody."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(urllib3.util.connection, "create_connection", refuse)
    site = Site(settings.model_copy(update={"endpoints": (paypal,)}))
    yield site
    site.close()


def delivery(paypal: Endpoint, certificate: str) -> Delivery:
    number = str(int(time() * 1_000_000))
    made = samples.sample("paypal", "paid", reference="I-1", number=number, now=datetime.now(UTC))
    body, headers = adapter(paypal).sign(made[0].content, int(time()))
    return Delivery(body, headers | {"PAYPAL-CERT-URL": PLACE + certificate})


@pytest.mark.parametrize("asked_before", [False, True])
def test_a_certificate_that_any_process_has_learned_is_known(
    site: Site, paypal: Endpoint, certs: Path, asked_before: bool
) -> None:
    sent = delivery(paypal, f"CERT-KEPT{asked_before}")
    if asked_before:
        assert site.post("paypal", sent.body, sent.headers).status_code == 503
    learned = Learned(make_engine(site.settings.database_url))
    for _ in range(2):
        learned.put(f"{PLACE}CERT-KEPT{asked_before}", (certs / "CERT-LOCAL.pem").read_bytes())
    assert site.rows(
        "SELECT count(*) FROM learned_certificates WHERE name LIKE :name", name=f"%KEPT{asked_before}"
    ) == [(1,)]
    assert eventually(lambda: site.post("paypal", sent.body, sent.headers).status_code == 200)
    assert site.post("paypal", sent.body + b" ", sent.headers).status_code == 400


def test_invented_names_do_not_keep_out_what_is_signed_with_a_known_one(site: Site, paypal: Endpoint) -> None:
    for number in range(30):
        sent = delivery(paypal, f"CERT-0{number}")
        assert site.post("paypal", sent.body, sent.headers).status_code == 503
    sent = delivery(paypal, "CERT-LOCAL")
    assert site.post("paypal", sent.body, sent.headers).status_code == 200


def test_the_database_is_asked_once_in_a_while_however_many_names_are_invented(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned, at, asked = Learned(engine), 100.0, list[str]()
    monkeypatch.setattr(learning, "monotonic", lambda: at)
    monkeypatch.setattr(certificates, "learned", lambda _: asked.append("asked") or {})
    for number in range(50):
        assert learned.get(f"CERT-{number}") == ()
    assert len(asked) == 1
    at += learning.READ_AGAIN_S
    learned.get("CERT-1")
    assert len(asked) == 2


def test_a_database_that_is_away_knows_none_and_fails_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE learned_certificates"))
    learned = Learned(engine)
    learned.put("CERT-1", b"pem")
    assert learned.get("CERT-1") == ()


@pytest.mark.parametrize(
    ("seen", "forwarded", "proxies", "source"),
    [
        ("10.0.0.1", None, 0, "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6", 0, "10.0.0.1"),
        ("127.0.0.1", "6.6.6.6, 10.0.0.1", 1, "10.0.0.1"),
        ("127.0.0.1", "6.6.6.6, 10.0.0.1, 10.9.9.9", 2, "10.0.0.1"),
        ("127.0.0.1", None, 1, "127.0.0.1"),
        ("127.0.0.1", "10.0.0.1", 2, "127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", None, 0, "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", None, 0, "2001:db8:1:2::"),
        ("::ffff:10.0.0.1", None, 0, "10.0.0.1"),
        ("", None, 0, "unknown"),
        ("127.0.0.1", "6.6.6.6, x" * 1000, 1, "unknown"),
    ],
)
def test_where_a_delivery_comes_from(seen: str, forwarded: str | None, proxies: int, source: str) -> None:
    environ = {"REMOTE_ADDR": seen} | ({} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded})
    assert source_of(environ, proxies) == source
