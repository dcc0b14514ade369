"""What processors sent, for people: on lines of its own, each number and text as it was sent, secrets and cards masked.

Nothing is believed of a body: it may be of any size and form, and may be written to break its reader.
"""

import base64
import html
import json
import re
from binascii import Error
from collections.abc import Iterator
from urllib.parse import unquote_plus

from models.private import HIDDEN, Rule, masked, rule_of

MAX_SHOWN = 100_000
"""Characters of a body; the rest is left out."""

# Where something never ends, the rest of the text is taken, once: each is read in one pass.
_JSON = re.compile(r'"(?:\\.|[^"\\])*"?|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_XML = re.compile(r"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<[^>]*>?|[^<]+", re.DOTALL)
_FORM = re.compile(r"[^\s=&<>{}\"]+=[^\s&]*(?:&[^\s=&]+=[^\s&]*)*\s*")


def shown(body: bytes) -> str:
    """A body as people see it: JSON, XML and forms on lines of their own, and in all else only what is secret changed."""
    text = body.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    parts, size = [], 0
    for part in _readable(text):
        parts.append(part)
        size += len(part)
        if size > MAX_SHOWN:
            return f"{''.join(parts)[:MAX_SHOWN]}\n... and more: it has {len(body)} bytes"
    return "".join(parts)


def _readable(text: str) -> Iterator[str]:
    if _is_json(text):
        return _json(text)
    if text.lstrip().startswith("<"):
        return _xml(text)
    if _FORM.fullmatch(text):
        return _form(text)
    return iter([masked(text)])


def _is_json(text: str) -> bool:
    try:
        # Numbers are read as texts, so that none is too long.
        json.loads(text, strict=False, parse_int=str, parse_float=str)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _json(text: str) -> Iterator[str]:
    containers: list[str] = []
    hidden_in: int | None = None
    before, key, rule = "", "", Rule.ALL
    for match in _JSON.finditer(text):
        piece = match[0]
        names = containers[-1:] == ["{"] and before in ("{", ",")
        if piece in ("}", "]"):
            containers = containers[:-1]
            hidden_in = hidden_in if hidden_in is not None and len(containers) > hidden_in else None
            line = before not in ("{", "[")
        else:
            line = before in ("{", "[", ",")
        yield "\n" + "  " * len(containers) if line else ""
        if piece in ("{", "["):
            if hidden_in is None and rule is not Rule.ALL:
                hidden_in = len(containers)
            containers.append(piece)
        ...
