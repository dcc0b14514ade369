"""Unique names and rows in use: the database refuses, and its refusal becomes an error in words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg.errors import ForeignKeyViolation, UniqueViolation
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.errors import NameMissing, NameTaken, SppError, TextTooLong

MAX_NAME_LENGTH = 200


def name_given(text: str) -> str:
    """The name without surrounding blanks. Raises NameMissing or TextTooLong."""
    name = text.strip()
    if not name:
        raise NameMissing
    if len(name) > MAX_NAME_LENGTH:
        raise TextTooLong(what="The name", limit=MAX_NAME_LENGTH, length=len(name))
    return name


@contextmanager
def named_once(session: Session, what: str, name: str) -> Iterator[None]:
    """Flush the block's changes, or undo them and raise NameTaken. `what` reads like `an item`."""
    with _refused_by(session, UniqueViolation, lambda: NameTaken(what=what, name=name)):
        yield


@contextmanager
def unless_in_use(session: Session, refusal: Callable[[], SppError]) -> Iterator[None]:
    """Flush the block's deletions, or undo them and raise the refusal if something refers to the row."""
    with _refused_by(session, ForeignKeyViolation, refusal):
        yield


@contextmanager
def _refused_by(session: Session, violation: type[Exception], refusal: Callable[[], SppError]) -> Iterator[None]:
    session.flush()  # so that earlier changes cannot fail inside the block
    try:
        with session.begin_nested():
            yield
    except IntegrityError as error:
        if not isinstance(error.orig, violation):
            raise
        raise refusal() from None
