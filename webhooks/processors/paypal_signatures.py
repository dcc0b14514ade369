"""The signed part of PayPal's deliveries: its transmission's id and time, the webhook's id, and the CRC32 of the body.

Source: developer.paypal.com, "Integrate webhooks"; PayPal's Python and Java libraries (crc32 as decimal).
"""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID
from zlib import crc32

from webhooks.signatures import TOLERANCE_S, Headers, Invalid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ALGORITHM = "SHA256withRSA"
MAX_AGE = timedelta(days=31)
"""How old a transmission may be: PayPal retries for 3 days, and the dashboard can resend one of 30 days."""


class Transmission(NamedTuple):
    """A delivery's headers."""

    id: str
    time: str
    signature: bytes
    certificate_url: str

    def is_signed(self, key: "RSAPublicKey", webhook_id: bytes, body: bytes) -> bool:
        """Whether that key signed it for that webhook."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            key.verify(self.signature, _text(self.id, self.time, webhook_id, body), PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


def transmission(headers: Headers, now: float) -> Transmission | Invalid:
    """The transmission in the headers, unless it is too old or from the future."""
    names = ("transmission-id", "transmission-time", "transmission-sig", "cert-url", "auth-algo")
    transmission_id, time, text, url, algorithm = (headers.get(f"paypal-{name}") or "" for name in names)
    if not (transmission_id and time and text and url):
        return Invalid("a PAYPAL- header is missing")
    if algorithm != ALGORITHM:
        return Invalid(f"PAYPAL-AUTH-ALGO is not {ALGORITHM}")
    if stale := _stale(time, now):
        return stale
    signature = _decoded(text)
    if not signature:
        return Invalid("PAYPAL-TRANSMISSION-SIG is not base64")
    return Transmission(transmission_id, time, signature, url)


def signed_headers(body: bytes, timestamp: int, webhook_id: bytes, key: Path, certificate_url: str) -> dict[str, str]:
    """The headers of a delivery at that time (Unix seconds), signed with the private key in that file."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    transmission_id = str(UUID(bytes=hashlib.sha256(body).digest()[:16]))
    time = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    signature = _private_key(key).sign(_text(transmission_id, time, webhook_id, body), PKCS1v15(), SHA256())
    return {
        "PAYPAL-TRANSMISSION-ID": transmission_id,
        "PAYPAL-TRANSMISSION-TIME": time,
        "PAYPAL-TRANSMISSION-SIG": base64.b64encode(signature).decode(),
        "PAYPAL-CERT-URL": certificate_url,
        "PAYPAL-AUTH-ALGO": ALGORITHM,
    }


def _text(transmission_id: str, time: str, webhook_id: bytes, body: bytes) -> bytes:
    first, second = (part.encode("latin-1", "replace") for part in (transmission_id, time))
    return b"%b|%b|%b|%d" % (first, second, webhook_id, crc32(body))


def _decoded(text: str) -> bytes:
    """The decoded base64; empty for other text, and for a second spelling of the same bytes."""
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return value if base64.b64encode(value).decode() == text else b""


def _stale(time: str, now: float) -> Invalid | None:
    try:
        sent_at = datetime.fromisoformat(time)
        age_s = now - sent_at.timestamp()
    except (ValueError, OverflowError):
        return Invalid("PAYPAL-TRANSMISSION-TIME is not a time")
    if sent_at.tzinfo is None:
        return Invalid("PAYPAL-TRANSMISSION-TIME has no offset")
    if age_s > MAX_AGE.total_seconds():
        return Invalid("PAYPAL-TRANSMISSION-TIME is too old")
    if age_s < -TOLERANCE_S:
        return Invalid("PAYPAL-TRANSMISSION-TIME is in the future")
    return None


@cache
def _private_key(file: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(file.read_bytes(), None)
