"""What a delivery is spoken of by, from the answer to the sessions it gave: its id, and the headers that matter."""

import os
import re
from collections.abc import Mapping
from typing import Any

import orjson

DELIVERY_ID = "X-Delivery-Id"
"""The header of our answers that names the delivery."""

KEPT = (
    "Content-Type", "User-Agent", "X-Request-Id",
    "Correlation-Id", "Paypal-Transmission-Id", "Paypal-Transmission-Time",
    "Square-Environment", "Square-Initial-Delivery-Timestamp", "Square-Retry-Number", "Square-Retry-Reason",
    "Svix-Id", "Svix-Timestamp", "Webhook-Id", "Webhook-Timestamp",
)  # fmt: skip
"""The only headers that are stored. Never add one that a signature, a password or a token stands in."""
REMOTE_ADDRESS = "Remote-Address"
MAX_VALUE = 200

_PLACES = [
    *((name, "HTTP_" * (name != "Content-Type") + name.upper().replace("-", "_")) for name in KEPT),
    (REMOTE_ADDRESS, "REMOTE_ADDR"),
]
_TRACEPARENT = re.compile(
    r"(?:00(?=.{53}\Z)|(?!00|ff)[0-9a-f]{2}(?=.{53}(?:-|\Z)))"
    r"-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
"""W3C Trace Context; a later version may have more behind what this one has."""


def delivery_id(environ: Mapping[str, Any]) -> str:
    """The trace id of the request's `traceparent`, where a proxy or the processor sent one; else a random id.

    32 hexadecimal digits.
    """
    parent = environ.get("HTTP_TRACEPARENT")
    if parent and (match := _TRACEPARENT.match(parent)):
        return match[1]
    return os.urandom(16).hex()


def kept_headers(environ: Mapping[str, Any]) -> str:
    """The request's headers that matter, as JSON, and the address that it came from as this process sees it."""
    given = {name: environ[place][:MAX_VALUE] for name, place in _PLACES if environ.get(place)}
    return orjson.dumps(given).decode()
