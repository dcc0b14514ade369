"""Which certificates may sign, and which signatures are good, against openssl.

PayPal's Python library is no oracle: it wants a PyOpenSSL whose `crypto.verify` is gone, and
trusts two authorities that have left the browsers' roots. What we accept, openssl accepts.
"""

import base64
import shutil
import subprocess
import zlib
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st

from local.paypal_certificates import NAME, Issued, issue
from tests.webhooks.deliveries import NOW, endpoint, received
from tests.webhooks.processors.test_paypal import WEBHOOK, certificates

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, of the system's packages")
HEADERS = ("Paypal-Transmission-Id", "Paypal-Transmission-Time", "Paypal-Transmission-Sig", "Paypal-Cert-Url")
NOW_UTC = datetime.fromtimestamp(NOW, UTC)
DAY = timedelta(days=1)
LIVE = NAME.replace(".sandbox", "")


@cache
def authority() -> Issued:
    return issue("An authority")


@cache
def chain(which: str) -> tuple[Issued, ...]:
    """A certificate and its issuers, of that kind."""
    between = issue("Between", by=authority(), authority=True)
    match which:
        case "direct":
            return (issue(NAME, by=authority()),)
        case "in between":
            return (issue(NAME, by=between), between)
        case "more than needed":
            return (issue(NAME, by=authority()), between)
        case "an issuer missing":
            return (issue(NAME, by=between),)
        case "of its own":
            return (issue(NAME),)
        case "by another":
            return (issue(NAME, by=issue("An authority")),)
        case "another name":
            return (issue("messageverificationcerts.sandbox.paypal.com.evil.example", by=authority()),)
        case "the name in live mode":
            return (issue(LIVE, by=authority()),)
        case "a name around it":
            return (issue("*.sandbox.paypal.com", by=authority()),)
        case "over":
            return (issue(NAME, by=authority(), until=NOW_UTC - DAY),)
        case "not yet":
            return (issue(NAME, by=authority(), since=NOW_UTC + DAY),)
        case "by what is over":
            old = issue("Between", by=authority(), authority=True, until=NOW_UTC - DAY)
            return (issue(NAME, by=old), old)
        case "by what is no authority":
            host = issue("Between", by=authority())
            return (issue(NAME, by=host), host)
        case _:
            return (issue(NAME, by=authority(), authority=True),)


@pytest.mark.parametrize(
    ("which", "good"),
    [
        ("direct", True),
        ("in between", True),
        ("more than needed", True),
        ("an issuer missing", False),
        ("of its own", False),
        ("by another", False),
        ("another name", False),
        ("the name in live mode", False),
        ("a name around it", True),
        ("over", False),
        ("not yet", False),
        ("by what is over", False),
        ("by what is no authority", False),
    ],
)
def test_certificates(tmp_path: Path, which: str, good: bool) -> None:
    leaf, *issuers = chain(which)
    assert openssl_verifies(tmp_path, leaf, issuers) == good
    assert we_verify(tmp_path, leaf, issuers) == good


def test_an_authority_itself_may_not_sign(tmp_path: Path) -> None:
    # Openssl would have it: there we are stricter, as browsers are.
    (leaf,) = chain("an authority")
    assert not we_verify(tmp_path, leaf, [])


def we_verify(folder: Path, leaf: Issued, issuers: list[Issued]) -> bool:
    (folder / "ca.pem").write_bytes(authority().pem)
    (folder / "CERT-1.pem").write_bytes(b"".join(one.pem for one in (leaf, *issuers)))
    (folder / "CERT-LOCAL.key").write_bytes(leaf.key_pem)
    adapter = endpoint("paypal", WEBHOOK, certs=str(folder))
    delivery = adapter.sign(b"{}", NOW)
    url = delivery.headers["PAYPAL-CERT-URL"].replace("CERT-LOCAL", "CERT-1")
    verdict = adapter.verify(b"{}", received(delivery.headers | {"PAYPAL-CERT-URL": url}), NOW)
    assert verdict is None or "the certificate is not PayPal's" in verdict.because
    return verdict is None


def openssl_verifies(folder: Path, leaf: Issued, issuers: list[Issued]) -> bool:
    (folder / "roots").write_bytes(authority().pem)
    (folder / "issuers").write_bytes(b"".join(one.pem for one in issuers))
    (folder / "leaf").write_bytes(leaf.pem)
    options = ["-no-CApath", "-no-CAstore", "-CAfile", "roots", "-purpose", "sslserver", "-attime", str(NOW)]
    untrusted = ["-untrusted", "issuers"] if issuers else []
    asked = ["openssl", "verify", *options, "-verify_hostname", NAME, *untrusted, "leaf"]
    return subprocess.run(asked, cwd=folder, capture_output=True, check=False).returncode == 0


@cache
def public_key() -> Path:
    from cryptography.x509 import load_pem_x509_certificate

    certificate = load_pem_x509_certificate((certificates() / "CERT-LOCAL.pem").read_bytes())
    file = certificates() / "public.key"
    file.write_bytes(certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return file


@settings(max_examples=60)
@given(
    body=st.binary(max_size=200),
    other=st.none() | st.binary(max_size=200),
    header=st.sampled_from(HEADERS[:3]),
    edit=st.sampled_from(["", "", "A", "=", "|", "0", "Z"]),
    place=st.integers(0, 400),
)
@example(b"", b"\0", HEADERS[0], "", 0)
@example(b"plumless", b"buckeroo", HEADERS[0], "", 0)
def test_signatures(body: bytes, other: bytes | None, header: str, edit: str, place: int) -> None:
    adapter = endpoint("paypal", WEBHOOK, certs=str(certificates()))
    headers = {name.title(): value for name, value in adapter.sign(body, NOW).headers.items()}
    value = headers[header]
    headers[header] = value[: place % len(value)] + edit + value[place % len(value) + len(edit) :]
    received_body = body if other is None else other
    if adapter.verify(received_body, received(headers), NOW) is None:
        assert openssl_agrees(received_body, headers)
    elif headers[header] == value:
        assert not openssl_agrees(received_body, headers)


def openssl_agrees(body: bytes, headers: dict[str, str]) -> bool:
    transmission_id, time, signature = (headers[name] for name in HEADERS[:3])
    file = certificates() / "signature"
    file.write_bytes(base64.b64decode(signature))
    asked = ["openssl", "dgst", "-sha256", "-verify", str(public_key()), "-signature", str(file)]
    text = f"{transmission_id}|{time}|{WEBHOOK}|{zlib.crc32(body)}".encode()
    return subprocess.run(asked, input=text, capture_output=True, check=False).returncode == 0
