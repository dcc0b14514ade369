"""What nobody is to see of what was sent: card numbers wherever they stand, and values whose name gives them away.

A number that only looks like a card's is hidden too; one that fails the check of card numbers is an id, and stays.
"""

import re
from enum import Enum

HIDDEN = "****"
SHOWN_AT_THE_END = 4
"""Characters of a card's or an account's number, by which people know it."""

_SHORTEST_CARD, _LONGEST_CARD = 13, 19
_GROUPS = r"\d+(?:[ +\N{NO-BREAK SPACE}\N{NON-BREAKING HYPHEN}\N{EN DASH}-]{1,3}\d+)*"
_DIGITS = re.compile(_GROUPS)
_BEHIND_ESCAPES = re.compile(
    rf"(?:(?<=\\u[0-9a-f]{{4}})|(?<=\\x[0-9a-f]{{2}})|(?<=%[0-9a-f]{{2}})){_GROUPS}", re.IGNORECASE
)
"""Of an escape in a text the last digits are none of the number behind it."""
_GROUP = re.compile(r"\d+")
_SHORTEST_GROUP = 3
"""Cards are written in groups of three digits and more, but for the last; days and hours are not."""

_HIDDEN_NAME = "token|secret|password|passphrase|authorization|signature|api[_-]?key|private[_-]?key"
_CODE = "cvc2?|cvv2?|card[_-]?code|security[_-]?code"
_ACCOUNT = "account[_-]?number|iban"
_SECRET_NAME, _ACCOUNT_NAME = (
    re.compile(f"(?:{ends})$", re.IGNORECASE) for ends in (f"{_HIDDEN_NAME}|{_CODE}", _ACCOUNT)
)
_NAMED = re.compile(
    rf"""(?P<name>{_HIDDEN_NAME}|{_CODE}|{_ACCOUNT}) ["'\]]{{0,2}}\s{{0,3}}[:=]\s{{0,3}}
        (?: "(?P<quoted>(?:\\.|[^"\\])*) | '(?P<single>[^']*)
          | (?P<bare>(?:(?:Basic|Bearer|Digest)[ ])?[^\s"',;&<>{{}}\[\]]+) )""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


class Rule(Enum):
    """How much of a value may be seen."""

    ALL = "all"
    END = "end"
    NOTHING = "nothing"


def rule_of(name: str) -> Rule:
    """How much of a value of this name may be seen: nothing of `client_secret` or `apiKey`, the end of an `iban`."""
    name = name.rstrip("]")
    if _SECRET_NAME.search(name):
        return Rule.NOTHING
    return Rule.END if _ACCOUNT_NAME.search(name) else Rule.ALL


def masked(value: str, rule: Rule = Rule.ALL) -> str:
    """A value as it may be seen: by its rule, and never with a card's number or a named secret in it."""
    if rule is Rule.ALL or not value.strip():
        return without_cards(_NAMED.sub(_without_named, value))
    known_by = value[-SHOWN_AT_THE_END:] if rule is Rule.END and len(value) > 2 * SHOWN_AT_THE_END else ""
    return HIDDEN + known_by


def without_cards(text: str) -> str:
    """The text with all but the last four digits of every card's number in it starred out."""
    return _BEHIND_ESCAPES.sub(_starred, _DIGITS.sub(_starred, text))


def _without_named(match: re.Match[str]) -> str:
    kind = match.lastgroup or "name"
    start = match.start(kind) - match.start()
    return match[0][:start] + masked(match[kind], rule_of(match["name"]))


def _starred(match: re.Match[str]) -> str:
    text = match[0]
    groups = [group.span() for group in _GROUP.finditer(text)]
    hidden: set[int] = set()
    for first in range(len(groups)):
        places: list[int] = []
        for start, end in groups[first : first + _LONGEST_CARD]:
            if len(places) + end - start > _LONGEST_CARD:
                break
            places += range(start, end)
            if len(places) >= _SHORTEST_CARD and _passes([int(text[place]) for place in places]):
                hidden.update(places[:-SHOWN_AT_THE_END])
            if end - start < _SHORTEST_GROUP:
                break
    return "".join("*" if place in hidden else letter for place, letter in enumerate(text)) if hidden else text


def _passes(digits: list[int]) -> bool:
    """The check of card numbers, after Luhn."""
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2])
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0
