"""Translate texts that are stored in US English into the language of the page.

What is stored was made of a text that `runtime/language.py` knows as `stored`, with values in its braces: the text is
recognized, and translated with the same values. A text that is not recognized stays as it is.
"""

import re
from ast import literal_eval
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from babel.numbers import get_currency_symbol

from models.currencies import CURRENT, digits
from models.errors.base import WORDED
from models.wording import money
from runtime.language import ENGLISH, STORED, Language, current, day_of, locale, translated, translated_n
from runtime.language import grouped as grouped_number

_HOLE = re.compile(r"\{(\w+)(![rs])?\}")
_DAY = re.compile(r"[A-Z][a-z]{2} \d{1,2}, \d{4}")
_MONEY = re.compile(r"(\D+?)\N{NO-BREAK SPACE}?(\d[\d,]*(?:\.\d+)?)")
_COUNT = re.compile(r"(\d[\d,]*) (\D+)")


def retold(text: str | None) -> str:
    """The text in the current language, as far as it is known."""
    if not text or locale() == ENGLISH:
        return text or ""
    return _retold(text, current())


# A page repeats few texts many times.
@lru_cache(4096)
def _retold(text: str, language: Language) -> str:  # noqa: ARG001 -- the language is a part of the key
    if (translation := translated(text)) != text:
        return translation
    if (known := _known(text)) is not None:
        return known
    parts = text.split("; ")
    return "; ".join(_known(part) or translated(part) for part in parts)


def _known(text: str) -> str | None:
    """The text by the one that it was made of; None where that is not known."""
    for template, pattern, quoted in _patterns(len(STORED)):
        if found := pattern.fullmatch(text):
            return translated(template).format(**_values(found.groupdict(), quoted))
    return None


@lru_cache(1)
def _patterns(known: int) -> list[tuple[str, re.Pattern[str], set[str]]]:  # noqa: ARG001 -- more are known later
    """Every text with its pattern and its holes that hold what Python quotes, the longest first."""
    found = []
    for template in sorted(STORED, key=lambda one: -len(_HOLE.sub("", one))):
        pattern, seen = "", set[str]()
        for place, part in enumerate(_HOLE.split(template)):
            if place % 3 == 0:
                pattern += re.escape(part)
            elif place % 3 == 1:
                pattern += f"(?P={part})" if part in seen else f"(?P<{part}>(?:(?!; ).)+?)"
                seen.add(part)
        quoted = {name for name, conversion in _HOLE.findall(template) if conversion == "!r"}
        found.append((template, re.compile(pattern, re.DOTALL), quoted))
    return found


def _values(values: Mapping[str, str], quoted: set[str]) -> dict[str, object]:
    return {
        name: _unquoted(value) if name in quoted else _value(value, is_ours=name in WORDED)
        for name, value in values.items()
    }


def _unquoted(value: str) -> object:
    try:
        return literal_eval(value)
    except (ValueError, SyntaxError):
        return value


def _value(value: str, *, is_ours: bool = False) -> str:
    """A day, an amount or a number of things as they are written in the current language, and words of ours."""
    if is_ours and (translation := translated(value)) != value:
        return translation
    if _DAY.fullmatch(value):
        return day_of(datetime.strptime(value, "%b %d, %Y").date())  # noqa: DTZ007 -- a day has no zone
    if (found := _MONEY.fullmatch(value)) and (code := _codes().get(found[1])):
        return money(int(Decimal(found[2].replace(",", "")).scaleb(digits(code))), code)
    if found := _COUNT.fullmatch(value):
        number, noun = int(found[1].replace(",", "")), found[2]
        one = noun if number == 1 else noun.removesuffix("s")
        return translated_n(f"{{n}} {one}", f"{{n}} {one}s", number).format(n=grouped_number(number))
    return "; ".join(_known(part) or part for part in value.split("; "))


@lru_cache(1)
def _codes() -> dict[str, str]:
    """By how an amount begins in US English, its currency."""
    return {get_currency_symbol(code, ENGLISH): code for code in CURRENT}
