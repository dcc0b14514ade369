"""Our verifiers against the processors' own libraries.

What we accept, they accept. What they accept, we accept too, but for the reasons
named in `stricter_for`. Only where theirs raises something else than its own
refusal (it does so on malformed items) has it no say.
"""

import base64
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
import standardwebhooks
import stripe
import time_machine
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import EmptyWebhookSecretError

from tests.webhooks.deliveries import NOW, received
from webhooks import signatures

STRIPE_KEYS = ["whsec_test", "whsec_other", "plain"]
STANDARD_KEYS = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]
BODIES = st.one_of(st.text(max_size=40), st.just('{"id": "evt_1"}')).map(lambda text: text.encode(errors="ignore"))
OFFSETS = st.one_of(st.sampled_from([-301, -300, -299, 0, 299, 300, 301]), st.integers(-10_000, 10_000))
TIME_SPELLINGS = st.sampled_from(["{}"] * 12 + ["0{}", "+{}", " {}", "{} ", "{}.0", "{:,}", "{}0", "-{}", "", "x"])
thoroughly = hypothesis_settings(max_examples=80)


def ours(verdict: signatures.Verdict) -> bool:
    return verdict is None


def edited(data: st.DataObject, text: str) -> str:
    """The text, mostly as it is, at times with a character more, less or other."""
    how = data.draw(st.sampled_from(["same"] * 6 + ["cut", "put", "swap"]))
    if how == "same" or not text:
        return text
    place = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.sampled_from([*" ,=.tv1a0A", "é"]))
    return {
        "cut": text[:place] + text[place + 1 :],
        "put": text[:place] + new + text[place:],
        "swap": text[:place] + new + text[place + 1 :],
    }[how]


class TestStripe:
    @thoroughly
    @given(st.data())
    def test_against_the_library(self, data: st.DataObject) -> None:
        body = data.draw(BODIES)
        key = data.draw(st.sampled_from(STRIPE_KEYS))
        timestamp = NOW + data.draw(OFFSETS)
        spelled = data.draw(TIME_SPELLINGS).format(timestamp)
        parts = [f"t={spelled}"]
        for _ in range(data.draw(st.integers(0, 3))):
            signer = data.draw(st.sampled_from([key, key, *STRIPE_KEYS]))
            scheme = data.draw(st.sampled_from(["v1"] * 4 + ["v0", "v2"]))
            text = data.draw(st.sampled_from([str(timestamp), spelled]))
            parts.append(f"{scheme}={hmac.digest(signer.encode(), f'{text}.'.encode() + body, 'sha256').hex()}")
        header = edited(data, data.draw(st.sampled_from([",", ",", ", "])).join(parts))
        self.compare(body, header, key)

    @example(f"t={NOW},v1=bad,v1={{signature}}")
    @example(f"t=0{NOW},v1={{signature}}")
    @example(f"t=0{NOW},v1={hmac.digest(b'whsec_test', b'0%d.{}' % NOW, 'sha256').hex()}")
    @example(f"v1={{signature}},t={NOW}")
    @example(f"t={NOW},t={NOW},v1={{signature}}")
    @given(st.text(max_size=60))
    def test_headers_of_any_shape(self, header: str) -> None:
        good = self.signature(b"{}", "whsec_test", NOW).removeprefix("v1=")
        self.compare(b"{}", header.replace("{signature}", good), "whsec_test")

    def test_a_good_one_is_good_to_both(self) -> None:
        header = f"t={NOW},{self.signature(b'{}', 'whsec_test', NOW)}"
        assert self.theirs(b"{}", header, "whsec_test")
        assert ours(signatures.stripe(b"{}", received({"Stripe-Signature": header}), [b"whsec_test"], NOW))

    def signature(self, body: bytes, key: str, timestamp: int) -> str:
        header = stripe.WebhookSignature.generate_signature_header(body.decode(), key, timestamp)
        return header.partition(",")[2]

    def theirs(self, body: bytes, header: str, key: str) -> bool | None:
        with time_machine.travel(datetime.fromtimestamp(NOW, UTC), tick=False):
            try:
                return stripe.WebhookSignature.verify_header(body, header, key, tolerance=signatures.TOLERANCE_S)
            except stripe.SignatureVerificationError:
                return False
            except (TypeError, UnicodeError):
                return None

    def compare(self, body: bytes, header: str, key: str) -> None:
        we = ours(signatures.stripe(body, {"stripe-signature": header}, [key.encode()], NOW))
        # Blanks around an item mean nothing: we take them, so that a timestamp behind one counts as a second.
        they = self.theirs(body, ",".join(part.strip() for part in header.split(",")), key)
        if they and not we:
            assert self.stricter_for(header)
        assert not we or they is not False, header

    def stricter_for(self, header: str) -> str | None:
        items = [part.strip().partition("=")[::2] for part in header.split(",")]
        times = [value for name, value in items if name == "t"]
        if len(times) != 1:
            return "more than one timestamp"
        if not re.fullmatch("[1-9][0-9]{0,10}", times[0], re.ASCII):
            return "a timestamp that is no plain number"
        if int(times[0]) > NOW + signatures.TOLERANCE_S:
            return "a timestamp from the future"
        if any("=" in value for name, value in items if name == "v1"):
            return "something behind the signature"
        return None


class TestStandardWebhooks:
    @thoroughly
    @given(st.data())
    def test_against_the_library(self, data: st.DataObject) -> None:
        body = data.draw(BODIES)
        key = data.draw(st.sampled_from(STANDARD_KEYS))
        timestamp = NOW + data.draw(OFFSETS)
        signed = []
        for _ in range(data.draw(st.integers(0, 3))):
            signer = data.draw(st.sampled_from([key, key, *STANDARD_KEYS]))
            version = data.draw(st.sampled_from(["v1"] * 4 + ["v1a", "v2"]))
            signed.append(self.signature(body, signer, timestamp).replace("v1", version, 1))
        spelled = data.draw(TIME_SPELLINGS).format(timestamp)
        secret = signatures.standard_webhooks_secret(key.encode())
        of_spelled = hmac.digest(secret, f"msg_1.{spelled}.".encode() + body, "sha256")
        signed += data.draw(st.sampled_from([[], [f"v1,{base64.b64encode(of_spelled).decode()}"]]))
        headers = {
            "webhook-id": edited(data, "msg_1"),
            "webhook-timestamp": spelled,
            "webhook-signature": edited(data, " ".join(signed)),
        }
        if data.draw(st.sampled_from([False] * 5 + [True])):
            del headers[data.draw(st.sampled_from(sorted(headers)))]
        self.compare(body, headers, key)

    def test_a_good_one_is_good_to_both(self) -> None:
        for key in STANDARD_KEYS:
            headers = signatures.sign_standard_webhooks(b"{}", key.encode(), NOW, "msg_1")
            assert self.theirs(b"{}", headers, key)
            assert ours(signatures.standard_webhooks(b"{}", received(headers), [key.encode()], NOW))

    @given(BODIES, st.sampled_from(STANDARD_KEYS), st.integers(1, 10**10))
    def test_we_sign_as_the_library_does(self, body: bytes, key: str, timestamp: int) -> None:
        headers = signatures.sign_standard_webhooks(body, key.encode(), timestamp, "msg_1")
        assert headers["webhook-signature"] == self.signature(body, key, timestamp)

    def signature(self, body: bytes, key: str, timestamp: int) -> str:
        return standardwebhooks.Webhook(key).sign("msg_1", datetime.fromtimestamp(timestamp, UTC), body.decode())

    def theirs(self, body: bytes, headers: Mapping[str, str], key: str) -> bool | None:
        with time_machine.travel(datetime.fromtimestamp(NOW, UTC), tick=False):
            try:
                standardwebhooks.Webhook(key).verify(body, dict(headers), json_parse=False)
            except standardwebhooks.WebhookVerificationError:
                return False
            except (TypeError, ValueError):
                return None
            return True

    def compare(self, body: bytes, headers: Mapping[str, str], key: str) -> None:
        we = ours(signatures.standard_webhooks(body, headers, [key.encode()], NOW))
        they = self.theirs(body, headers, key)
        if they and not we:
            assert self.stricter_for(headers)
        assert not we or they is not False, headers

    def stricter_for(self, headers: Mapping[str, str]) -> str | None:
        if not re.fullmatch("[1-9][0-9]{0,10}", headers["webhook-timestamp"], re.ASCII):
            return "a timestamp that is no plain number"
        if not headers["webhook-id"].isascii():
            return "an id that WSGI cannot have given us"
        given = [part.partition(",")[2] for part in headers["webhook-signature"].split(" ")]
        if any(base64.b64encode(base64.b64decode(text)).decode() != text for text in given):
            return "base64 with something else in it"
        return None


def test_we_accept_no_key_that_the_libraries_refuse() -> None:
    # An empty secret would let anyone sign.
    for key in (b"", b"whsec_"):
        with pytest.raises(EmptyWebhookSecretError):
            standardwebhooks.Webhook(key.decode())
        signed = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW), "webhook-signature": "v1," + "A" * 43 + "="}
        assert not ours(signatures.standard_webhooks(b"{}", signed, [key], NOW))
    header = signatures.sign_stripe(b"{}", b"", NOW)
    assert not ours(signatures.stripe(b"{}", received(header), [b""], NOW))
