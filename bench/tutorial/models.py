"""The tables of the tutorial's service."""

import os
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Engine, ForeignKey, String, create_engine, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The tutorial's declarative base."""

    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it so)
        dict[str, Any]: JSONB,
        datetime: DateTime(timezone=True),
        int: BigInteger,
    }


class Event(Base):
    """One stored webhook event; its unique id keeps a second delivery out."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    stripe_id: Mapped[str] = mapped_column(String(255), unique=True)
    type: Mapped[str] = mapped_column(String(100))
    payload: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    processed_at: Mapped[datetime | None]


class Plan(Base):
    """What a member bought."""

    __tablename__ = "plans"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    bucket_terms: Mapped[list["BucketTerms"]] = relationship(order_by="BucketTerms.id")


class BucketTerms(Base):
    """How many sessions of which kind each payment of a plan brings, and for how long."""

    __tablename__ = "bucket_terms"

    id: Mapped[int] = mapped_column(primary_key=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"), index=True)
    item: Mapped[str] = mapped_column(String(100))
    quantity: Mapped[int]
    days_to_expire: Mapped[int]


class Membership(Base):
    """A member's plan, found by the processor's subscription."""

    __tablename__ = "memberships"

    id: Mapped[int] = mapped_column(primary_key=True)
    subscription: Mapped[str] = mapped_column(String(255), unique=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"))
    plan: Mapped[Plan] = relationship()


class Payment(Base):
    """One paid invoice."""

    __tablename__ = "payments"

    id: Mapped[int] = mapped_column(primary_key=True)
    invoice: Mapped[str] = mapped_column(String(255), unique=True)
    membership_id: Mapped[int] = mapped_column(ForeignKey("memberships.id"), index=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"))
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    paid_at: Mapped[datetime]
    grants: Mapped[list["Grant"]] = relationship(back_populates="payment")


class Grant(Base):
    """Sessions of one kind from one payment."""

    __tablename__ = "grants"

    id: Mapped[int] = mapped_column(primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), index=True)
    item: Mapped[str] = mapped_column(String(100))
    quantity: Mapped[int]
    remaining: Mapped[int]
    expires_at: Mapped[datetime]
    payment: Mapped[Payment] = relationship(back_populates="grants")
    entries: Mapped[list["LedgerEntry"]] = relationship(back_populates="grant")


class LedgerEntry(Base):
    """What moved a grant's balance."""

    __tablename__ = "ledger_entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    grant_id: Mapped[int] = mapped_column(ForeignKey("grants.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    quantity: Mapped[int]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())
    grant: Mapped[Grant] = relationship(back_populates="entries")


def make_engine(pool_size: int) -> Engine:
    """An engine on DATABASE_URL that keeps `pool_size` connections open."""
    return create_engine(os.environ["DATABASE_URL"], pool_size=pool_size, max_overflow=0)
