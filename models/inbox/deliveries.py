"""Counts of answers per endpoint, hour and outcome; kept in PostgreSQL so that they survive restarts."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import BigInteger, Connection, Index, String
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.arrays import Batch
from models.database.base import Base


class DeliveryCount(Base):
    """The number of events or refused deliveries of one endpoint in one hour (UTC) with one outcome."""

    __tablename__ = "delivery_counts"
    __table_args__ = (Index("ix_delivery_counts_hour", "hour"),)

    endpoint: Mapped[str] = mapped_column(String(63), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(String(40), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


_ADD = Batch(
    """
    INSERT INTO delivery_counts (endpoint, hour, outcome, count)
    SELECT endpoint, date_trunc('hour', now(), 'UTC'), outcome, count
    FROM ROWS
    ORDER BY endpoint, outcome
    ON CONFLICT (endpoint, hour, outcome) DO UPDATE SET count = delivery_counts.count + excluded.count
    """,
    endpoint="text",
    outcome="text",
    count="bigint",
)


def add(session: Session | Connection, counts: Mapping[tuple[str, str], int]) -> None:
    """Adds these counts, by endpoint and outcome, to those of this hour."""
    if counts:
        _ADD.execute(session, [(endpoint, outcome, count) for (endpoint, outcome), count in counts.items()])
