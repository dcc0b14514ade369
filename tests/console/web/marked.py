"""A language that puts each text of the catalogues between marks, and what of a page stands outside them."""

import re
from gettext import NullTranslations
from html.parser import HTMLParser

from babel.messages.catalog import Catalog

OPEN, CLOSE = "⟦⟧"
_READ_OUT = {"alt", "aria-description", "aria-label", "data-label", "data-found", "data-recent", "placeholder", "title"}
"""The attributes that people read, or hear."""
_OF_MACHINES = {"code", "pre", "script", "style"}
_EMPTY = {"br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
_CODES = re.compile(
    r"[\w.+-]+@[\w.-]+"  # e-mail addresses
    r"|https?://\S+"
    r"|\S*[0-9_/]\S*"  # ids, days and numbers with what hangs on them
    r"|\b[A-Z]{3}\b"  # currencies, time zones
    r"|\b[a-z]+(?:\.[a-z]+)+\b"  # types of events, names of files
)
_WORD = re.compile(r"[^\W\d_]{2,}")


class Marked(NullTranslations):
    """The texts of a catalogue between marks, so that all others of a page stand out."""

    def __init__(self, catalogue: Catalog) -> None:
        super().__init__()
        self._known = {one.id if isinstance(one.id, str) else one.id[0] for one in catalogue}

    def gettext(self, message: str) -> str:
        return f"{OPEN}{message}{CLOSE}" if message in self._known else message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        said = msgid1 if n == 1 else msgid2
        return f"{OPEN}{said}{CLOSE}" if msgid1 in self._known else said


def outside(page: str, data: re.Pattern[str]) -> list[str]:
    """The texts of the page with words outside marks, but for data: values of the sample, addresses, ids, numbers."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    words = ((text, _CODES.sub(" ", data.sub(" ", text))) for text in reader.found)
    return [text for text, bare in words if _WORD.search(bare)]


class _Reader(HTMLParser):
    """Collects what a page says outside marks, which can begin in one element and end in another."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = 0
        self._of_others: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag not in _EMPTY and (self._of_others or tag in _OF_MACHINES or self._is_of_others(tag, said)):
            self._of_others.append(tag)
        shown = _READ_OUT | ({"value"} if tag == "input" and said.get("type") in ("button", "submit") else set())
        for name in shown & said.keys():
            self.found += _between(said[name] or "", 0)[0]

    def _is_of_others(self, tag: str, said: dict[str, str | None]) -> bool:
        return tag != "html" and ("lang" in said or said.get("translate") == "no")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._of_others:
            while self._of_others.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        texts, self._inside = _between(data, self._inside)
        if not self._of_others:
            self.found += texts


def _between(text: str, inside: int) -> tuple[list[str], int]:
    """The parts of the text that stand outside marks, and how many marks are still open at its end."""
    parts, outside = [], ""
    for piece in re.split(f"([{OPEN}{CLOSE}])", text):
        match piece:
            case "⟦":
                inside += 1
            case "⟧":
                inside -= 1
            case _ if not inside:
                outside += piece
                parts.append(" ".join(piece.split()))
    return [part for part in parts if part], inside
