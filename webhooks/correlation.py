"""A delivery's id, which its answer, log line and events share, and the headers that are stored of it."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

DELIVERY_ID = "X-Delivery-Id"
"""The header of our answers that names the delivery."""

KEPT = ("Content-Type", "User-Agent", "X-Request-Id")
"""The headers that are stored of every delivery, beside the processor's own (`Processor.kept_headers`)."""
REMOTE_ADDRESS = "Remote-Address"
MAX_VALUE = 200

Places = Sequence[tuple[str, str]]
"""Headers that are stored, each with its key in the WSGI environment."""

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


def places(own: Sequence[str] = ()) -> Places:
    """The headers stored of a processor's deliveries: those of every delivery, and its own."""
    keys = {name: "HTTP_" * (name != "Content-Type") + name.upper().replace("-", "_") for name in (*KEPT, *own)}
    return [*keys.items(), (REMOTE_ADDRESS, "REMOTE_ADDR")]


def kept_headers(environ: Mapping[str, Any], kept: Places) -> str:
    """The request's stored headers as JSON, and the address that it came from as this process sees it."""
    given = {name: environ[key][:MAX_VALUE] for name, key in kept if environ.get(key)}
    return orjson.dumps(given).decode()
