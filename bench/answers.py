"""Reading HTTP answers and summing up what was measured, without anything but the standard library."""

import math
import re

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def status_of(answer: bytes) -> str | None:
    """The status of an HTTP/1.1 answer, such as "200", or None while it is incomplete.

    Understands answers with a Content-Length, and 204s without one.
    """
    head_end = answer.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    status = answer[9:12].decode()
    length = _LENGTH.search(answer, 0, head_end)
    if length is None:
        if status == "204":
            return status
        raise ValueError(f"An answer without a length: {answer[:200]!r}")
    return status if len(answer) >= head_end + 4 + int(length[1]) else None


def quantile(values: list[float], q: float) -> float:
    """The smallest of the sorted values that at least a share q of them does not exceed."""
    return values[max(0, math.ceil(len(values) * q) - 1)]
