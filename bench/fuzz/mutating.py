"""Changes to what is well formed: of single values in JSON, and of bytes in anything else."""

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from random import Random
from typing import Any

ODD: Sequence[Any] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 0.1, 1e308, -0.0, "", " ", "0", "-1", "1e9", "NaN",
    "0x10", "١٢", "null", "\x00", "\ud800", "\u202e", "é", "e\u0301", "'; DROP TABLE members; --", "{{ 7 * 7 }}",
    "%s%n", "=1+1", "<script>alert(1)</script>", "../../etc/passwd", "a" * 300, "9" * 400, "USD", "usd", "JPY", "XXX",
    "2026-02-30", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-01T01:30:00-05:00", [], {}, [[]], [None],
    {"": ""}, {"id": None}, [1] * 100,
)  # fmt: skip
"""Values that code seldom expects."""
TOKENS = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\u0000", b"\\ud800", b"\xff", b"\xc0\x80", b"\xef\xbb\xbf", b"\0",
    b"1e400", b"-", b"&", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"]]>", b"%00", b"+", b"\r\n", b"NaN", b'"id":1,',
)  # fmt: skip
DEEP = 2000
"""Levels of nesting that a recursive parser does not survive."""


def mutated(content: bytes, random: Random) -> bytes:
    """The content with one to four changes."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        content = _in_json(content, random) if random.random() < 0.8 else _in_bytes(content, random)
    return content


def odd_or(value: str, random: Random) -> str:
    """The text, or one that is odd; for fields of forms and parameters."""
    if random.random() < 0.6:
        return value
    odd = random.choice(ODD)
    return (odd if isinstance(odd, str) else json.dumps(odd)).encode(errors="replace").decode()


def changed(value: Any, random: Random) -> Any:
    """A JSON value with one change somewhere in it."""
    whole = [value]
    places = list(_places(whole))
    holder, key = random.choice(places[1:] or places)
    match random.randrange(6):
        case 0:
            del holder[key]
        case 1:
            other, there = random.choice(places)
            holder[key] = deepcopy(other[there])
        case 2 if isinstance(holder[key], int):
            holder[key] += random.choice((-1, 1, 100, -2 * holder[key]))
        case 3 if isinstance(holder[key], str):
            holder[key] = _in_bytes(holder[key].encode(errors="replace"), random).decode(errors="replace")
        case 4 if isinstance(holder, list):
            holder.append(deepcopy(holder[key]))
        case _:
            holder[key] = deepcopy(random.choice(ODD))
    return whole[0] if whole else None


def _in_json(content: bytes, random: Random) -> bytes:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return _in_bytes(content, random)
    try:
        return json.dumps(changed(value, random)).encode()
    except RecursionError:
        return content


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder and key below the value."""
    below = [value]
    while below:
        holder = below.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            yield holder, key
            if isinstance(holder[key], (dict, list)):
                below.append(holder[key])


def _in_bytes(content: bytes, random: Random) -> bytes:
    start = random.randrange(len(content) + 1)
    end = min(len(content), start + random.choice((1, 1, 4, 40)))
    match random.randrange(7):
        case 0:
            return content[:start] + content[end:]
        case 1:
            return content[:start] + random.choice(TOKENS) + content[start:]
        case 2:
            return content[:start] + random.choice(TOKENS) + content[end:]
        case 3:
            return content[:start] + content[start:end] * random.choice((2, 50)) + content[end:]
        case 4:
            return content[:start]
        case 5 if random.random() < 0.1:
            return b"[" * DEEP + content + b"]" * DEEP
        case _:
            return content[:start] + bytes([random.randrange(256)]) + content[end:]
