"""Signature checks over raw bytes: valid, or invalid with the reason. They never raise.

The official libraries raise on hostile input (a non-ASCII signature, a missing
header, a malformed key) and some accept an empty secret; these do neither. All
comparisons take constant time, every secret is tried, timestamps are bounded in
both directions.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

TOLERANCE_S = 300
"""What Stripe's and Standard Webhooks' libraries allow a timestamp to be off; we bound the future too."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """Why a delivery is not authentic, in words without its content.

    `undecided`: it cannot be decided now, and the processor should send it again. `too_many`: it was refused unread,
    because it has more items than the processor ever delivers at once.
    """

    because: str
    undecided: bool = False
    too_many: bool = False


Verdict = Invalid | None
"""None is valid."""


class Headers(Protocol):
    """A delivery's headers, in any case; values as WSGI gives them, one latin-1 character per byte."""

    def get(self, key: str, /) -> str | None: ...


_MAX_SIGNATURES = 16


def stripe(body: bytes, headers: Headers, keys: Sequence[bytes], now: float) -> Verdict:
    """`Stripe-Signature: t=UNIX,v1=HEX[,v1=HEX]`: HMAC-SHA256 of `t.body`, keyed with the whole whsec_ text.

    Source: docs.stripe.com/webhooks, "Verify webhook signatures manually". Unlike
    Stripe's libraries this refuses a timestamp from the future and a repeated one.
    """
    header = headers.get("stripe-signature")
    if not header:
        return Invalid("no Stripe-Signature header")
    timestamps = []
    signatures = []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t":
            timestamps.append(value)
        elif name == "v1":
            signatures.append(value.encode("latin-1", "replace"))
    if len(timestamps) != 1:
        return Invalid("not exactly one timestamp in Stripe-Signature")
    if stale := _stale(timestamps[0], now):
        return stale
    signed = timestamps[0].encode() + b"." + body
    expected = [hmac.digest(key, signed, hashlib.sha256).hex().encode() for key in keys if key]
    return verdict(signatures, expected, "Stripe-Signature")


def sign_stripe(body: bytes, key: bytes, timestamp: int) -> dict[str, str]:
    """The header with which Stripe would deliver this body at that time (Unix seconds)."""
    signature = hmac.digest(key, b"%d.%b" % (timestamp, body), hashlib.sha256).hex()
    return {"Stripe-Signature": f"t={timestamp},v1={signature}"}


def standard_webhooks(body: bytes, headers: Headers, keys: Sequence[bytes], now: float) -> Verdict:
    """`webhook-id`, `-timestamp`, `-signature: v1,BASE64[ v1,BASE64]`: HMAC-SHA256 of `id.timestamp.body`.

    Source: the Standard Webhooks specification, "Signature scheme"; 300 s both ways
    as its reference libraries have it. A key is base64 after `whsec_`. The same
    headers with the prefix `svix-` are taken too.
    """
    prefix = "webhook-" if headers.get("webhook-id") is not None else "svix-"
    message_id, timestamp, header = (headers.get(prefix + name) for name in ("id", "timestamp", "signature"))
    if not message_id or not timestamp or not header:
        return Invalid("webhook-id, webhook-timestamp or webhook-signature is missing")
    if stale := _stale(timestamp, now):
        return stale
    signatures = [
        value.encode("latin-1", "replace")
        for version, _, value in (part.partition(",") for part in header.split(" "))
        if version == "v1"
    ]
    signed = b"%b.%b.%b" % (message_id.encode("latin-1", "replace"), timestamp.encode(), body)
    secrets = [secret for key in keys if (secret := standard_webhooks_secret(key))]
    expected = [base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)) for secret in secrets]
    return verdict(signatures, expected, "webhook-signature")


def sign_standard_webhooks(body: bytes, key: bytes, timestamp: int, message_id: str) -> dict[str, str]:
    """The headers of a Standard Webhooks delivery of this body at that time (Unix seconds)."""
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    signature = base64.b64encode(hmac.digest(standard_webhooks_secret(key), signed, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


def standard_webhooks_secret(key: bytes) -> bytes:
    """The bytes that `whsec_BASE64` stands for; empty where it is not base64."""
    try:
        return base64.b64decode(key.removeprefix(b"whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _stale(timestamp: str, now: float) -> Invalid | None:
    # At most 11 digits: a longer number is not a time, and costs nothing to refuse. No leading zero: libraries
    # sign the number, we the text, and the two must be the same.
    if not re.fullmatch(r"[1-9][0-9]{0,10}", timestamp, re.ASCII):
        return Invalid("the timestamp is not a number of seconds")
    age_s = now - int(timestamp)
    if age_s > TOLERANCE_S:
        return Invalid("the timestamp is too old")
    if age_s < -TOLERANCE_S:
        return Invalid("the timestamp is in the future")
    return None


def verdict(given: Sequence[bytes], expected: Sequence[bytes], header: str) -> Verdict:
    """Valid where one of the signatures in the header is one of the expected."""
    return None if any_match(given, expected) else Invalid(f"{header} matches no secret of the endpoint")


def any_match(given: Sequence[bytes], expected: Sequence[bytes]) -> bool:
    """Whether one of the given signatures is one of the expected, compared in constant time."""
    # Bounded, so that a header stuffed with signatures causes no more work.
    pairs = [(one, other) for one in given[:_MAX_SIGNATURES] for other in expected]
    return any([hmac.compare_digest(one, other) for one, other in pairs])  # noqa: C419 -- compares all, in constant time
