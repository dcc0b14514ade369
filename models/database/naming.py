"""Names that staff give, and rows that nothing may refer to: the database decides, and its refusal is put in words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg.errors import ForeignKeyViolation, UniqueViolation
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.errors import NameMissing, NameTaken, SppError, TextTooLong

MAX_NAME_LENGTH = 200


def name_given(text: str) -> str:
    """The name as it is kept, without blanks around it. Raises NameMissing or TextTooLong."""
    name = text.strip()
    if not name:
        raise NameMissing
    if len(name) > MAX_NAME_LENGTH:
        raise TextTooLong(field="name", what="The name", limit=MAX_NAME_LENGTH, length=len(name))
    return name


@contextmanager
def named_once(session: Session, what: str, name: str) -> Iterator[None]:
    """Writes what the block names, or undoes it and raises NameTaken; `what` reads like `an item`."""
    with _refused_by(session, UniqueViolation, lambda: NameTaken(what=what, name=name)):
        yield


@contextmanager
def unless_in_use(session: Session, refusal: Callable[[], SppError]) -> Iterator[None]:
    """Writes what the block deletes, or undoes it and raises the refusal where something refers to it."""
    with _refused_by(session, ForeignKeyViolation, refusal):
        yield


@contextmanager
def _refused_by(session: Session, violation: type[Exception], refusal: Callable[[], SppError]) -> Iterator[None]:
    session.flush()  # what was changed before the block is not its fault
    try:
        with session.begin_nested():
            yield
    except IntegrityError as error:
        if not isinstance(error.orig, violation):
            raise
        raise refusal() from None
