"""Declarative base, constraint names and column types that all tables share."""

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
"""An identifier of a processor's making."""

RecordedAt = Annotated[datetime, mapped_column(server_default=func.clock_timestamp())]
"""When we wrote it down, by the database's clock, UTC."""


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Prose(TypeDecorator[str]):
    """Text for people that may quote what somebody else sent: an error, a reason, a summary.

    What PostgreSQL's text cannot hold, NUL and lone surrogates, is stored as U+FFFD, so that recording a failure never
    fails because of what it says.
    """

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: object) -> str | None:  # noqa: ARG002 -- SQLAlchemy's
        """The text as it can be stored."""
        return value and _UNSTORABLE.sub("\ufffd", value)


def prose(sql: str, *names: str) -> TextClause:
    """The statement, in which these parameters are Prose; an array literal of texts is one too."""
    return text(sql).bindparams(*(bindparam(name, type_=Prose) for name in names))


def one_of(column: str, values: type[StrEnum]) -> str:
    """SQL for a check that the column holds one of the enumeration's values."""
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"
