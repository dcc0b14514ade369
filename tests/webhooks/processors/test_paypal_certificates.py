"""PayPal's certificates, from a server that stands where its own do: only the way there is changed."""

import base64
import functools
import ssl
import threading
import zlib
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import urllib3.util.connection
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from local.paypal_certificates import NAME, Issued, issue
from tests.webhooks.deliveries import NOW, endpoint, received
from tests.webhooks.site import eventually
from webhooks.processors import Processor, paypal_certificates
from webhooks.signatures import Invalid

HOST = "api.sandbox.paypal.com"
PLACE = "/v1/notifications/certs/"
BODY = b'{"id": "WH-1"}'
FETCH_S = paypal_certificates.FETCH_S


@functools.cache
def authority() -> Issued:
    return issue("An authority")


@functools.cache
def between() -> Issued:
    return issue("Its issuer", by=authority(), authority=True)


@functools.cache
def signer() -> Issued:
    return issue(NAME, by=between())


class Internet:
    """PayPal's host, and nothing else; `answers` has what it gives by path: a body, or status and headers."""

    def __init__(self, folder: Path) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: deque[str] = deque()
        self.answering = threading.Event()
        self.answering.set()
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                told.asked.append(f"{self.headers['Host']}{self.path}")
                told.answering.wait(30)
                answer = told.answers.get(self.path, (404, {}))
                status, headers = answer if isinstance(answer, tuple) else (200, {})
                with suppress(OSError):  # who asked may wait no longer
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    if status == 200:
                        self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        host = issue(HOST, by=authority())
        (folder / "host.pem").write_bytes(host.pem + host.key_pem)
        (folder / "trusted.pem").write_bytes(authority().pem)
        secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secured.load_cert_chain(folder / "host.pem")
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = secured.wrap_socket(self.server.socket, server_side=True)
        connect = urllib3.util.connection.create_connection

        def create_connection(address: tuple[str, int], *more: Any, **options: Any) -> Any:
            if address != (HOST, 443):
                raise OSError(f"there is no {address}")
            return connect(("127.0.0.1", self.server.server_port), *more, **options)

        self.create_connection = create_connection
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def certificates(self) -> list[str]:
        return [asked.removeprefix(f"{HOST}{PLACE}") for asked in self.asked if asked.startswith(HOST)]


@pytest.fixture
def internet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    net = Internet(tmp_path)
    monkeypatch.setattr(urllib3.util.connection, "create_connection", net.create_connection)
    monkeypatch.setattr(paypal_certificates, "FETCH_S", 60.0)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "trusted.pem"))
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "ca.pem").write_bytes(authority().pem)
    yield net
    net.server.shutdown()
    net.server.server_close()


@pytest.fixture
def adapter(internet: Internet, tmp_path: Path) -> Processor:
    """Of an endpoint that has met no certificate yet: its folder is new."""
    return endpoint("paypal", "WEBHOOK1", certs=str(tmp_path / "certs"))


class Kept(dict[str, list[bytes]]):
    """What one process has learned, for others."""

    def put(self, name: str, value: bytes) -> None:
        self.setdefault(name, []).insert(0, value)

    def get(self, name: str) -> Sequence[bytes]:  # type: ignore[override]
        return self.setdefault(name, [])


def verdict(
    adapter: Processor,
    by: Issued,
    name: str = "CERT-1",
    now: float = NOW,
    source: str = "10.0.0.1",
    kept: Kept | None = None,
) -> Invalid | None:
    """What is said to a delivery signed by that key, under the certificate of that name, as the endpoint asks."""
    time = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"b9e98030|{time}|WEBHOOK1|{zlib.crc32(BODY)}".encode()
    headers = {
        "PAYPAL-TRANSMISSION-ID": "b9e98030",
        "PAYPAL-TRANSMISSION-TIME": time,
        "PAYPAL-TRANSMISSION-SIG": base64.b64encode(by.key.sign(text, PKCS1v15(), SHA256())).decode(),
        "PAYPAL-CERT-URL": f"https://{HOST}{PLACE}{name}",
        "PAYPAL-AUTH-ALGO": "SHA256withRSA",
    }
    heard = received(headers)
    invalid = adapter.verify(BODY, heard, now)
    if invalid is None or not invalid.undecided:
        return invalid
    return adapter.learn(heard, now, source, Kept() if kept is None else kept) or adapter.verify(BODY, heard, now)


def test_fetched_once(internet: Internet, adapter: Processor) -> None:
    internet.answers[f"{PLACE}CERT-1"] = signer().pem + between().pem
    for _ in range(3):
        assert verdict(adapter, signer()) is None
        assert isinstance(verdict(adapter, authority()), Invalid), "signed by another key"
    assert list(internet.asked) == [f"{HOST}{PLACE}CERT-1"]


def test_served_without_its_issuers(internet: Internet, adapter: Processor) -> None:
    internet.answers[f"{PLACE}CERT-1"] = internet.answers[f"{PLACE}CERT-2"] = signer().pem
    said = verdict(adapter, signer())
    assert said is not None
    assert said.undecided
    assert "put the certificate of CN=Its issuer" in said.because
    (Path(adapter.endpoint.options["certs"]) / "issuers.pem").write_bytes(between().pem)
    assert verdict(adapter, signer(), "CERT-2") is None
    assert list(internet.asked) == [f"{HOST}{PLACE}CERT-1", f"{HOST}{PLACE}CERT-2"], "nobody else is asked"


def test_an_issuer_in_the_folder_is_no_root(internet: Internet, adapter: Processor) -> None:
    stranger = issue("Nobody's authority")
    (Path(adapter.endpoint.options["certs"]) / "issuers.pem").write_bytes(stranger.pem)
    internet.answers[f"{PLACE}CERT-1"] = issue(NAME, by=stranger).pem
    said = verdict(adapter, issue(NAME, by=stranger))
    assert said is not None
    assert not said.undecided


def test_the_issuers_that_paypals_own_library_is_pinned_to_are_known() -> None:
    names = [
        one.subject.rfc4514_string() for one in x509.load_pem_x509_certificates(paypal_certificates.PINNED.read_bytes())
    ]
    assert [name.partition(",")[0] for name in names] == [
        "CN=DigiCert SHA2 Extended Validation Server CA",
        "CN=DigiCert High Assurance EV Root CA",
    ]


def test_all_endpoints_of_a_folder_and_mode_share_what_they_know(internet: Internet, adapter: Processor) -> None:
    internet.answers[f"{PLACE}CERT-1"] = signer().pem + between().pem
    for _ in range(2):
        assert verdict(endpoint("paypal", "WEBHOOK1", certs=adapter.endpoint.options["certs"]), signer()) is None
    assert len(internet.asked) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((404, {}), "answers 404"),
        ((500, {}), "answers 500"),
        ((302, {"Location": f"https://{HOST}{PLACE}CERT-2"}), "answers 302"),
        (b"", "something else"),
        (b"<html>", "something else"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "something else"),
        (b"x" * 100_000, "too large"),
    ],
)
def test_what_cannot_be_had_is_for_later(internet: Internet, adapter: Processor, answer: object, why: str) -> None:
    internet.answers |= {f"{PLACE}CERT-1": answer, f"{PLACE}CERT-2": signer().pem + between().pem}
    for _ in range(3):
        said = verdict(adapter, signer())
        assert said is not None
        assert said.undecided
        assert why in said.because
    assert internet.certificates() == ["CERT-1"], "it is not asked for again at once, and nothing is followed"


def test_a_failure_is_forgotten_in_time(
    internet: Internet, adapter: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paypal_certificates, "FAILED_FOR_S", 0.05)
    assert verdict(adapter, signer()) is not None
    internet.answers[f"{PLACE}CERT-1"] = signer().pem + between().pem
    sleep(0.06)
    assert verdict(adapter, signer()) is None


def test_no_answer_in_time(internet: Internet, adapter: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FETCH_S <= 3
    monkeypatch.setattr(paypal_certificates, "FETCH_S", 0.2)
    internet.answers[f"{PLACE}CERT-1"] = signer().pem + between().pem
    internet.answering.clear()
    said = verdict(adapter, signer())
    internet.answering.set()
    assert said is not None
    assert said.undecided
    assert "its host does not answer" in said.because


def test_one_is_never_fetched_twice_at_once_and_few_are(internet: Internet, adapter: Processor) -> None:
    internet.answers[f"{PLACE}CERT-1"] = signer().pem + between().pem
    internet.answering.clear()
    most = paypal_certificates.AT_ONCE
    with ThreadPoolExecutor(16) as threads:
        first = threads.submit(verdict, adapter, signer())
        assert eventually(internet.certificates)
        same = [*threads.map(lambda _: verdict(adapter, signer()), range(4))]
        others = [
            threads.submit(verdict, adapter, signer(), f"CERT-0{number}", source=f"10.0.1.{number}")
            for number in range(8)
        ]
        assert eventually(lambda: len([other for other in others if other.done()]) == 8 - (most - 1))
        internet.answering.set()
    assert first.result() is None
    assert len(internet.certificates()) == most
    assert all(one and one.undecided for one in same)
    refused = [said.because for other in others if (said := other.result()) and "being fetched" in said.because]
    assert len(refused) == 8 - (most - 1)


def test_made_up_names_use_up_the_budget_of_their_source_alone(internet: Internet, adapter: Processor) -> None:
    own = paypal_certificates.A_MINUTE_FROM_ONE
    for number in range(50):
        said = verdict(adapter, signer(), f"CERT-0{number}", source="10.6.6.6")
        assert said is not None
        assert said.undecided
    assert len(internet.asked) == own
    internet.answers[f"{PLACE}CERT-1"] = signer().pem + between().pem
    refused = verdict(adapter, signer(), source="10.6.6.6")
    assert refused is not None
    assert "too many" in refused.because
    assert verdict(adapter, signer(), source="10.0.0.1") is None
    assert verdict(adapter, signer(), source="10.6.6.6") is None, "what is known stays known, for everybody"


def test_many_sources_together_are_bounded_too(
    internet: Internet, adapter: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = paypal_certificates.A_MINUTE
    for number in range(most + 10):
        verdict(adapter, signer(), f"CERT-0{number}", source=f"10.6.{number}.6")
    assert len(internet.asked) == most


def test_a_budget_comes_again_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    at = 1000.0
    monkeypatch.setattr(paypal_certificates, "monotonic", lambda: at)
    budget = paypal_certificates.Budget()
    spent = [budget.spend("10.0.0.1") for _ in range(7)]
    assert spent == [True] * 5 + [False] * 2
    at += 60
    assert budget.spend("10.0.0.1")


def test_what_is_kept_of_strangers_is_bounded(internet: Internet, adapter: Processor) -> None:
    budget = paypal_certificates.Budget()
    for number in range(3 * paypal_certificates.MAX_SOURCES):
        budget.spend(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
    assert len(budget._of) == paypal_certificates.MAX_SOURCES
    found: OrderedDict[str, int] = OrderedDict()
    for number in range(3000):
        paypal_certificates._put(found, f"CERT-{number}", number, paypal_certificates.MAX_FAILED)
    assert len(found) == paypal_certificates.MAX_FAILED
    assert next(iter(found.values())) == 3000 - paypal_certificates.MAX_FAILED


def test_what_another_process_has_learned_needs_no_fetch_and_no_budget(internet: Internet, adapter: Processor) -> None:
    kept, url = Kept(), f"https://{HOST}{PLACE}CERT-1"
    internet.answers[f"{PLACE}CERT-1"] = signer().pem + between().pem
    assert verdict(adapter, signer(), kept=kept) is None
    assert kept == {url: [signer().pem + between().pem]}
    paypal_certificates.certificates.cache_clear()
    other = endpoint("paypal", "WEBHOOK1", certs=adapter.endpoint.options["certs"])
    for number in range(10):
        verdict(other, signer(), f"CERT-0{number}", kept=kept)
    asked = len(internet.asked)
    assert verdict(other, signer(), kept=kept) is None
    assert len(internet.asked) == asked


@pytest.mark.parametrize("spoilt", [b"", b"<html>", authority().pem, issue(NAME, by=issue("Nobody")).pem])
def test_what_is_kept_is_believed_no_more_than_what_is_fetched(
    internet: Internet, adapter: Processor, spoilt: bytes
) -> None:
    kept = Kept({f"https://{HOST}{PLACE}CERT-1": [spoilt]})
    said = verdict(adapter, signer(), kept=kept)
    assert said is not None
    assert said.undecided
    internet.answers[f"{PLACE}CERT-2"] = signer().pem + between().pem
    kept.put(f"https://{HOST}{PLACE}CERT-2", spoilt)
    assert verdict(adapter, signer(), "CERT-2", kept=kept) is None
    assert len(kept[f"https://{HOST}{PLACE}CERT-2"]) == 2


def test_no_failure_is_kept(internet: Internet, adapter: Processor) -> None:
    internet.answers[f"{PLACE}CERT-1"] = issue(NAME, by=issue("Nobody")).pem
    kept = Kept()
    for name in ("CERT-1", "CERT-2"):
        assert verdict(adapter, signer(), name, kept=kept) is not None
    assert not any(kept.values())


def test_one_from_the_folder_is_never_fetched(internet: Internet, adapter: Processor) -> None:
    folder = Path(adapter.endpoint.options["certs"])
    (folder / "CERT-1.pem").write_bytes(signer().pem + between().pem)
    assert verdict(adapter, signer()) is None
    (folder / "CERT-2.pem").write_bytes(b"")
    said = verdict(adapter, signer(), "CERT-2")
    assert said is not None
    assert said.undecided
    assert not internet.asked


def test_not_longer_than_it_is_valid(internet: Internet, adapter: Processor) -> None:
    until = datetime.fromtimestamp(NOW, UTC) + timedelta(days=1)
    short = issue(NAME, by=between(), until=until)
    internet.answers[f"{PLACE}CERT-1"] = short.pem + between().pem
    assert verdict(adapter, short) is None
    assert verdict(adapter, short, now=until.timestamp()) is None
    said = verdict(adapter, short, now=until.timestamp() + 1)
    assert said is not None
    assert not said.undecided


def test_where_no_authority_of_ours_is_trusted(internet: Internet, tmp_path: Path) -> None:
    adapter = endpoint("paypal", "WEBHOOK1")
    name = f"CERT-{tmp_path.name.replace('_', '-')}"
    internet.answers[f"{PLACE}{name}"] = signer().pem + between().pem
    said = verdict(adapter, signer(), name)
    assert said is not None
    assert "not PayPal's" in said.because


def test_a_forged_host_is_not_believed(
    internet: Internet, adapter: Processor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "others.pem").write_bytes(issue("Another authority").pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "others.pem"))
    internet.answers[f"{PLACE}CERT-1"] = signer().pem + between().pem
    said = verdict(adapter, signer())
    assert said is not None
    assert "SSLError" in said.because
