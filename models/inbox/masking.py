"""Bodies for people: pretty-printed, each number and text as it was sent, with secrets and card numbers masked.

A body may have any size and form, and may be written to break its reader. That is why the tokenizers are our own: json
and ElementTree lose escapes, duplicate names, comments and the spelling of numbers, and refuse what is broken or too
deep, which is just what people need to see.
"""

import html
import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import unquote_plus

from models.inbox.private import Rule, masked, rule_of, without_cards
from runtime.language import say

MAX_SHOWN = 100_000
"""Characters of a body; the rest is left out."""

_UNPRINTABLE = dict.fromkeys({*range(32), *range(127, 160)} - {*map(ord, "\t\n\r")}, "\N{REPLACEMENT CHARACTER}")
"""Control characters, which a terminal may interpret."""

# An unclosed token extends to the end of the text, so that each text is read in one pass.
_JSON = re.compile(r'"(?:\\.|[^"\\])*"?|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_FRACTION = re.compile(r"(-?\d+)(\.\d+(?:e[+-]?\d+)?)", re.IGNORECASE)
_XML = re.compile(r"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<[^>]*>?|[^<]+", re.DOTALL)
_XML_NAME = re.compile(r"<([^\s/>]+)")
_FORM = re.compile(r"[^\s=&<>{}\"]+=[^\s&]*(?:&[^\s=&]+=[^\s&]*)*\s*")


def shown(body: bytes) -> str:
    """A body as people see it: JSON, XML and forms on lines of their own; nothing but secrets is changed."""
    parts, size = [], 0
    for part in _lines(_decoded(body)):
        parts.append(part)
        size += len(part)
        if size > MAX_SHOWN:
            parts = ["".join(parts)[:MAX_SHOWN], "\n" + say("... and so on: {n} bytes in all", n=len(body))]
            break
    return "".join(parts).translate(_UNPRINTABLE)


def _decoded(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _lines(text: str) -> Iterator[str]:
    if _is_json(text):
        return _json(text)
    if text.lstrip().startswith("<"):
        return _xml(text)
    if _FORM.fullmatch(text):
        return _form(text)
    return iter([masked(text)])


def _is_json(text: str) -> bool:
    try:
        # Numbers stay texts, because int() refuses very long ones.
        json.loads(text, strict=False, parse_int=str, parse_float=str)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _json(text: str) -> Iterator[str]:
    around: list[tuple[str, Rule]] = []
    before, rule = "", Rule.ALL
    for match in _JSON.finditer(text):
        piece = match[0]
        opened, inherited = around[-1] if around else ("", Rule.ALL)
        is_name = opened == "{" and before in ("{", ",")
        if piece in ("}", "]"):
            del around[-1:]
            breaks = before not in ("{", "[")
        else:
            breaks = before in ("{", "[", ",")
        if breaks:
            yield _new_line(len(around))
        if piece in ("{", "["):
            around.append((piece, rule))
        elif piece == ",":
            rule = inherited
        elif piece == ":":
            rule = rule_of(_unescaped(before), inherited)
        yield ": " if piece == ":" else _token(piece, Rule.ALL if is_name else rule)
        before = piece


def _token(piece: str, rule: Rule) -> str:
    if piece.startswith('"'):
        return _as_sent(piece, rule, _unescaped, partial(json.dumps, ensure_ascii="\\" in piece))
    if piece in ("null", "true", "false", "{", "[", "}", "]", ","):
        return piece
    if rule not in (Rule.NOTHING, Rule.END) and (number := _FRACTION.fullmatch(piece)):
        # The digits of a fraction are never a card number.
        return masked(number[1], rule) + number[2]
    return masked(piece, rule)


def _unescaped(piece: str) -> str:
    try:
        return str(json.loads(piece, strict=False))
    except ValueError:
        return piece.strip('"')


def _xml(text: str) -> Iterator[str]:
    around: list[Rule] = []
    within = False
    for match in _XML.finditer(text.strip()):
        piece, rule = match[0], around[-1] if around else Rule.ALL
        is_text = not piece.startswith("<") or piece.startswith("<![CDATA[")
        if not piece.strip():
            continue
        if piece.startswith("</"):
            del around[-1:]
        if match.start() and not (within and (is_text or piece.startswith("</"))):
            yield _new_line(len(around))
        yield _as_sent(piece, rule if is_text else Rule.ALL, html.unescape, str if piece.startswith("<") else _escaped)
        name = _XML_NAME.match(piece)
        if name and not is_text and not piece.startswith(("<!", "<?")) and not piece.endswith("/>"):
            around.append(rule_of(name[1], rule))
            within = True
        elif not is_text:
            within = False


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


def _form(text: str) -> Iterator[str]:
    for number, field in enumerate(text.strip().split("&")):
        name, _, value = map(unquote_plus, field.partition("="))
        yield ("\n" if number else "") + masked(name) + "="
        if xml := _encoded_xml(value):
            yield "\n"
            yield from _xml(xml)
        else:
            yield masked(value, rule_of(name))


def _encoded_xml(value: str) -> str | None:
    """The XML that the value is in base64, as Braintree sends it."""
    try:
        text = _decoded(b64decode(value.replace(" ", "+")))
    except ValueError:
        return None
    return text if text.lstrip().startswith("<") else None


def _as_sent(piece: str, rule: Rule, read: Callable[[str], str], write: Callable[[str], str]) -> str:
    """The piece itself where nothing of what it says has to be masked."""
    value = read(piece)
    seen = masked(value, rule)
    return without_cards(piece if seen == value else write(seen), rule)


def _new_line(depth: int) -> str:
    return "\n" + "  " * depth
