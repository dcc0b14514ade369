"""Our verifier against others that know nothing of it.

Authorize.Net publishes no verifier: its Python library has nothing for webhooks. So the oracles are
an HMAC written down from RFC 2104, openssl's, and the header read as the open PHP library reads it:
whatever stands between the first two equals signs, in whatever case. The published vector is in vectors.json.
"""

import hashlib
import shutil
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.webhooks.deliveries import NOW, endpoint, received, recorded

KEYS = [(digits * 128)[:128] for digits in ("52CB4A002C634B84", "a1", "0123456789abcdefABCDEF")]
ON = {key: endpoint("authorize_net", key) for key in KEYS}
BODIES = st.one_of(st.binary(max_size=300), st.sampled_from(list(recorded("authorize_net").values())))
thoroughly = hypothesis_settings(max_examples=80)


def hmac_sha512(key: bytes, body: bytes) -> str:
    """RFC 2104, section 2; the block of SHA-512 is as long as a signature key, 128 bytes."""
    assert len(key) == 128
    inner = hashlib.sha512(bytes(byte ^ 0x36 for byte in key) + body).digest()
    return hashlib.sha512(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest().upper()


def theirs(body: bytes, header: str, key: str) -> bool:
    items = header.split("=")
    return len(items) > 1 and items[1].upper() == hmac_sha512(key.encode(), body)


def ours(body: bytes, header: str, key: str) -> bool:
    return ON[key].verify(body, received({"X-ANET-Signature": header}), NOW) is None


def compare(body: bytes, header: str, key: str) -> None:
    we, they = ours(body, header, key), theirs(body, header, key)
    assert they or not we
    if they and not we:
        # Stricter: exactly the algorithm that is documented, and nothing behind the signature.
        assert not header.startswith("sha512=") or header.count("=") > 1


@thoroughly
@given(st.data())
def test_against_the_open_library(data: st.DataObject) -> None:
    body = data.draw(BODIES)
    key, signer = data.draw(st.sampled_from(KEYS)), data.draw(st.sampled_from(KEYS))
    signature = hmac_sha512(signer.encode(), data.draw(st.sampled_from([body, body, body + b" "])))
    signature = data.draw(st.sampled_from([signature, signature.lower(), signature.swapcase()]))
    prefix = data.draw(st.sampled_from(["sha512="] * 4 + ["SHA512=", "sha256=", "=", "", "sha512==", "sha512= "]))
    header = prefix + signature + data.draw(st.sampled_from([""] * 4 + ["=", "=1", " ", "0", "," + signature]))
    place = data.draw(st.integers(0, len(header) - 1))
    how = data.draw(st.sampled_from(["same"] * 4 + ["cut", "put", "swap"]))
    new = data.draw(st.sampled_from([*"=, 0aAfgé"]))
    edited = {
        "same": header,
        "cut": header[:place] + header[place + 1 :],
        "put": header[:place] + new + header[place:],
        "swap": header[:place] + new + header[place + 1 :],
    }
    compare(body, edited[how], key)


@given(st.text(st.characters(exclude_characters="\r\n", max_codepoint=0xFF), max_size=160))
@example("sha512=")
@example("=")
def test_headers_of_any_shape(header: str) -> None:
    compare(b"{}", header, KEYS[0])


@given(BODIES, st.sampled_from(KEYS))
def test_we_sign_what_both_take(body: bytes, key: str) -> None:
    header = ON[key].sign(body, NOW).headers["X-ANET-Signature"]
    assert header == f"sha512={hmac_sha512(key.encode(), body)}"
    assert theirs(body, header, key)
    assert ours(body, header, key)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("key", KEYS)
def test_we_sign_as_openssl_does(key: str) -> None:
    for body in (b"", recorded("authorize_net")["authcapture_created"]):
        command = ["openssl", "dgst", "-sha512", "-mac", "HMAC", "-macopt", f"key:{key}"]
        told = subprocess.run(command, input=body, capture_output=True, check=True)
        assert ours(body, f"sha512={told.stdout.split()[-1].decode()}", key)


def test_a_key_is_not_the_bytes_that_its_digits_stand_for() -> None:
    body = recorded("authorize_net")["authcapture_created"]
    decoded = bytes.fromhex(KEYS[0]).ljust(128, b"\0")
    assert not ours(body, f"sha512={hmac_sha512(decoded, body)}", KEYS[0])
