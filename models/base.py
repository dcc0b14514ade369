"""Declarative base, constraint names and column types that all tables share."""

from datetime import datetime
from typing import Annotated

from sqlalchemy import BigInteger, DateTime, Identity, MetaData, String, func
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
