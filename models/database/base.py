"""The declarative base, constraint names and column types that all tables share."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from sqlalchemy import (
    BigInteger,
    DateTime,
    Identity,
    MetaData,
    String,
    TextClause,
    TypeDecorator,
    bindparam,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, mapped_column

CONSTRAINT_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All tables; every constraint has a name that migrations and errors can use."""

    metadata = MetaData(naming_convention=CONSTRAINT_NAMES)
    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012 -- SQLAlchemy's declared interface


Id = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]

MinorUnits = Annotated[int, mapped_column(BigInteger)]
"""An amount of money in the currency's minor unit by ISO 4217: 8900 is $89.00, and 8900 yen (models/currencies.py)."""

Currency = Annotated[str, mapped_column(String(3))]
"""ISO 4217, upper case."""

Reference = Annotated[str, mapped_column(String(255))]
"""An identifier that a processor made."""

RecordedAt = Annotated[datetime, mapped_column(server_default=func.clock_timestamp())]
"""When the row was inserted, by the database's clock, UTC."""


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Prose(TypeDecorator[str]):
    """Text for people that may quote foreign input: an error, a reason, a summary.

    NUL and lone surrogates, which PostgreSQL cannot store, become U+FFFD, so that recording a failure never fails
    because of its text.
    """

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: object) -> str | None:  # noqa: ARG002 -- SQLAlchemy's
        """The text in a form that PostgreSQL can store."""
        return value and _UNSTORABLE.sub("\ufffd", value)


def prose(sql: str, *names: str) -> TextClause:
    """A statement whose parameters of these names are Prose; that includes array literals of texts."""
    return text(sql).bindparams(*(bindparam(name, type_=Prose) for name in names))


def one_of(column: str, values: type[StrEnum]) -> str:
    """SQL for the check that the column has one of the enumeration's values."""
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"
