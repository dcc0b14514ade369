"""The language of what is shown: texts are translated, and dates, numbers and amounts written, for one locale.

`say` translates. The locale is a context variable, which only the console's pages set: the API, commands, workers and
mails keep US English. What is stored is written `in_english`, whoever acts.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from enum import StrEnum
from functools import wraps
from gettext import NullTranslations
from typing import NamedTuple, ParamSpec, TypeVar

from babel.dates import format_date
from babel.numbers import get_group_symbol


class Spoken(StrEnum):
    """The locales that pages are written in."""

    EN_US = "en_US"
    EN_GB = "en_GB"
    ES = "es"


ENGLISH = Spoken.EN_US.value
LOCALES: Mapping[str, str] = {
    Spoken.EN_US.value: "English (US)",
    Spoken.EN_GB.value: "English (UK)",
    Spoken.ES.value: "Español",
}
"""Each of them by its own name."""

Texts = Mapping[str, str]
"""A table whose values are texts to translate where they are shown: the catalogues take in all that say so."""

P = ParamSpec("P")
T = TypeVar("T")


class Language(NamedTuple):
    """A locale and its texts."""

    locale: str
    texts: NullTranslations


SOURCE = Language(ENGLISH, NullTranslations())
"""The language in which the texts are written."""
_CURRENT: ContextVar[Language] = ContextVar("language", default=SOURCE)


def current() -> Language:
    """The language in which texts are written now."""
    return _CURRENT.get()


def locale() -> str:
    """Its locale."""
    return current().locale


def speak(language: Language = SOURCE) -> None:
    """Write in this language from now on, in this context."""
    _CURRENT.set(language)


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Write in this language within the block."""
    token = _CURRENT.set(language)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def in_english(function: Callable[P, T]) -> Callable[P, T]:
    """Write what the function makes in US English: it is stored, or compared with what is."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with speaking(SOURCE):
            return function(*args, **kwargs)

    return wrapped


def translated(text: str) -> str:
    """The text in the current language, as it stands in the catalogue."""
    return _CURRENT.get().texts.gettext(text) if text else ""


def translated_n(one: str, many: str, number: int) -> str:
    """The text for so many, as it stands in the catalogue."""
    return _CURRENT.get().texts.ngettext(one, many, number)


def say(text: str, /, **values: object) -> str:
    """The text in the current language, with the values in its braces."""
    return translated(text).format(**values) if values else translated(text)


def say_n(one: str, many: str, number: int, /, **values: object) -> str:
    """The text for so many: `say_n("{n} session", "{n} sessions", 2)`. `{n}` is the number as it is written."""
    return translated_n(one, many, number).format(**{"n": grouped(number), **values})


def noted(text: str) -> str:
    """The text itself, which the catalogues take in: it is translated where it is shown."""
    return text


STORED: set[str] = set()
"""The texts that `stored` and the errors have made known."""


def stored(text: str) -> str:
    """A text that is stored in US English, with values in its braces; `models/retelling.py` knows it again.

    Called where a module is loaded, so that every process knows it.
    """
    STORED.add(text)
    return text


def grouped(number: int) -> str:
    """A whole number with its thousands apart: `2,000`, in Spanish `2.000`."""
    return f"{number:,}".replace(",", get_group_symbol(locale()))


def day_of(day: date) -> str:
    """A local day: `Jan 31, 2027`, in the United Kingdom `31 Jan 2027`."""
    return format_date(day, "medium", locale())
