"""Names, e-mail addresses and references as people give them, and the database's refusals in words.

One rule each, for pages, API and commands alike.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unicodedata import category, name

from psycopg.errors import ForeignKeyViolation, UniqueViolation
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.errors import InvalidEmail, NameMissing, NameTaken, ReferenceUnusable, SppError, TextTooLong
from runtime.language import noted, say

MAX_NAME_LENGTH = 200

_REFERENCE = re.compile(r"[!-~]{1,255}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Format characters that change how letters and emoji look, and nothing else."""
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and a symbol that have no ink: Hangul fillers, the empty Braille pattern."""


def visible(text: str) -> str:
    """The text without characters that are not seen, and without blanks around it; empty if nothing is left to see.

    Control and format characters are dropped: those that change the direction of what follows make one name look like
    another. Line breaks and tabs stay.
    """
    kept = "".join(one for one in text if one in _JOINERS or one in "\n\t" or category(one) not in {"Cc", "Cf", "Cs"})
    return kept.strip() if any(category(one)[0] in "LNPS" and one not in _BLANK for one in kept) else ""


def name_given(text: str, limit: int = MAX_NAME_LENGTH) -> str:
    """The name as it is kept: what is visible of it, in one line. Raises NameMissing or TextTooLong."""
    given = " ".join(visible(text).splitlines()).replace("\t", " ")
    if not given:
        raise NameMissing
    return _short(given, limit, "name", noted("The name"))


def email_given(text: str, limit: int) -> str:
    """The e-mail address as it is kept, without blanks around it. Raises InvalidEmail or TextTooLong."""
    given = text.strip()
    if not _EMAIL.fullmatch(given) or not given.isprintable():
        raise InvalidEmail(email=text)
    return _short(given, limit, "email", noted("The e-mail address"))


def is_reference(value: object) -> bool:
    """Whether a processor can have made it as an identifier: 1 to 255 printable ASCII characters without blanks."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def reference_given(text: str) -> str:
    """The processor's reference as it is kept, without blanks around it. Raises ReferenceUnusable, naming the fault."""
    given = text.strip()
    if is_reference(given):
        return given
    wrong = next((one for one in given if not "!" <= one <= "~"), None)
    if wrong is None:
        raise ReferenceUnusable(why=say("it has {n} characters", n=len(given)))
    shown = f"{wrong!r} " if wrong.isprintable() and not wrong.isspace() else ""
    which = f"{shown}(U+{ord(wrong):04X}, {name(wrong, say('a control character'))})"
    raise ReferenceUnusable(why=say("it contains {which}", which=which))


def _short(text: str, limit: int, field: str, what: str) -> str:
    if len(text) > limit:
        raise TextTooLong(field=field, what=what, limit=limit, length=len(text))
    return text


@contextmanager
def named_once(session: Session, what: str, name: str) -> Iterator[None]:
    """Runs the block, which writes the name; if the name is taken, undoes it and raises NameTaken.

    `what` reads like `an item`.
    """
    with refused_by(session, UniqueViolation, lambda: NameTaken(what=what, name=name)):
        yield


@contextmanager
def unless_in_use(session: Session, refusal: Callable[[], SppError]) -> Iterator[None]:
    """Runs the block, which deletes; if another row refers to what it deletes, undoes it and raises the refusal."""
    with refused_by(session, ForeignKeyViolation, refusal):
        yield


@contextmanager
def refused_by(session: Session, violation: type[Exception], refusal: Callable[[], SppError]) -> Iterator[None]:
    """Runs the block; if the database refuses it for that, undoes it and raises the refusal."""
    session.flush()  # changes from before the block must not fail inside it
    try:
        with session.begin_nested():
            yield
    except IntegrityError as error:
        if not isinstance(error.orig, violation):
            raise
        raise refusal() from None
