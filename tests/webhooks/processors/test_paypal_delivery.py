"""PayPal's deliveries: their signatures, and the settings that these need."""

import base64
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from runtime.settings import SettingsError
from tests.webhooks.deliveries import NOW, PAYLOADS, changed, endpoint, received
from tests.webhooks.processors.test_paypal import FETCHED, RECORDED, WEBHOOK, certificates, meaning, on
from webhooks.processors import Processor
from webhooks.signatures import Invalid


class TestSignature:
    """As PayPal says what is signed: the headers are put together here once more."""

    def headers(self, body: bytes, webhook: str = WEBHOOK, **changes: str) -> dict[str, str]:
        time = datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = f"b9e98030-d9b3|{time}|{webhook}|{zlib.crc32(body)}"
        key = load_pem_private_key((certificates() / "CERT-LOCAL.key").read_bytes(), None)
        assert isinstance(key, RSAPrivateKey)
        signature = key.sign(text.encode(), PKCS1v15(), SHA256())
        return {
            "Paypal-Transmission-Id": "b9e98030-d9b3",
            "Paypal-Transmission-Time": time,
            "Paypal-Transmission-Sig": base64.b64encode(signature).decode(),
            "Paypal-Cert-Url": "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-LOCAL",
            "Paypal-Auth-Algo": "SHA256withRSA",
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }

    def verdict(self, body: bytes, headers: dict[str, str], adapter: Processor | None = None) -> Invalid | None:
        return (adapter or on()).verify(body, received(headers), NOW)

    @pytest.mark.parametrize("body", [b"", b"{}", "Zahlung über 89 €".encode(), b"\xff" * 100, b"\0"])
    def test_as_paypal_signs(self, body: bytes) -> None:
        assert self.verdict(body, self.headers(body)) is None
        assert self.verdict(body, self.headers(body, "0EH40505U7160970P")) is not None
        assert self.verdict(body, self.headers(body, "0EH40505U7160970P"), on(WEBHOOK, "0EH40505U7160970P")) is None

    def test_only_the_crc_of_the_body_is_signed(self) -> None:
        # Why all that counts is fetched: this is not the body that was signed.
        body, other = b'{"id":"WH-1","x":"plumless"}', b'{"id":"WH-1","x":"buckeroo"}'
        assert zlib.crc32(body) == zlib.crc32(other)
        assert self.verdict(other, self.headers(body)) is None
        (part,) = on().parse(changed(RECORDED["sale_completed"], resource__amount__total="9999.00"), {})
        assert part.thin
        assert on().interpret(part.type, part.body, FETCHED["sale_completed"]) == meaning("sale_completed")

    @pytest.mark.parametrize(
        "url",
        [
            "http://api.sandbox.paypal.com/v1/notifications/certs/CERT-LOCAL",
            "https://api.paypal.com/v1/notifications/certs/CERT-LOCAL",
            "https://api.sandbox.paypal.com:443/v1/notifications/certs/CERT-LOCAL",
            "https://api.sandbox.paypal.com.evil.example/v1/notifications/certs/CERT-LOCAL",
            "https://evil.example/api.sandbox.paypal.com/v1/notifications/certs/CERT-LOCAL",
            "https://api.sandbox.paypal.com@evil.example/v1/notifications/certs/CERT-LOCAL",
            "https://user:word@api.sandbox.paypal.com/v1/notifications/certs/CERT-LOCAL",
            "https://apixsandbox.paypal.com/v1/notifications/certs/CERT-LOCAL",
            "https://api.sandbox.paypal.com/v1/notifications/certs/../CERT-LOCAL",
            "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-../../ca",
            "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-%2e%2e",
            "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-LOCAL?x=1",
            "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-LOCAL#x",
            "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-LOCAL ",
            " https://api.sandbox.paypal.com/v1/notifications/certs/CERT-LOCAL",
            "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-\u00c9",
            "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-" + "A" * 65,
            "https://api.sandbox.paypal.com/v1/notifications/certs/ca",
            "https://169.254.169.254/v1/notifications/certs/CERT-LOCAL",
            "file:///v1/notifications/certs/CERT-LOCAL",
            "CERT-LOCAL",
        ],
    )
    def test_a_certificate_of_another_place_is_never_asked_for(self, url: str) -> None:
        verdict = self.verdict(b"{}", self.headers(b"{}", Paypal_Cert_Url=url))
        assert verdict is not None
        assert "where PayPal keeps its certificates" in verdict.because
        assert not verdict.undecided

    def test_the_same_place_under_its_other_name(self) -> None:
        url = "https://api-m.sandbox.paypal.com/v1/notifications/certs/CERT-LOCAL"
        assert self.verdict(b"{}", self.headers(b"{}", Paypal_Cert_Url=url)) is None

    @pytest.mark.parametrize("algorithm", ["SHA1withRSA", "SHA256WithRSA", "sha256withrsa", "none", "SHA256withRSA "])
    def test_another_algorithm(self, algorithm: str) -> None:
        assert self.verdict(b"{}", self.headers(b"{}", Paypal_Auth_Algo=algorithm)) is not None

    @pytest.mark.parametrize("time", ["2026-11-02T05:33:20", "2026-13-01T00:00:00Z", "1793600000", "0001-01-01T00:00Z"])
    def test_what_is_no_time(self, time: str) -> None:
        assert self.verdict(b"{}", self.headers(b"{}", Paypal_Transmission_Time=time)) is not None

    def test_without_the_key_of_the_certificate_nobody_can_sign(self) -> None:
        for adapter in (endpoint("paypal", WEBHOOK), on(certs=str(PAYLOADS))):
            with pytest.raises(SettingsError, match=r"only PayPal can sign.*certs="):
                adapter.sign(b"{}", NOW)


class TestSettings:
    @pytest.mark.parametrize("secret", ["", "WEBHOOK_ID", "a b", "8PT|", "https://gym.example", "é", "x" * 51])
    def test_what_is_no_webhook_id(self, secret: str) -> None:
        with pytest.raises(SettingsError, match=r"a webhook id.*SPP_SECRET_PAYPAL"):
            endpoint("paypal", WEBHOOK, secret)

    def test_a_folder_that_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="is no folder"):
            on(certs=str(tmp_path / "nowhere"))

    def test_live_trusts_no_authority_of_ours(self) -> None:
        with pytest.raises(SettingsError, match=r"take ca.pem out"):
            on(mode="live")
