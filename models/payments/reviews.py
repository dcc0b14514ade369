"""Reviews: paid payments that staff must look at, each reason in one sentence.

Settling writes the reasons that hold, and takes away those that do not hold any more. A person answers a reason; one
whose sentence changes afterwards stands open again. So the list depends on facts, terms, marks and answers only, never
on the order in which they came.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.arrays import Batch, array
from models.database.base import Base, one_of


class ReviewReason(StrEnum):
    """Why a payment stands in review."""

    UNMATCHED = "unmatched"
    """No membership has any of its references."""
    HELD = "held"
    """It contradicts its membership: it credits nothing until that is corrected."""
    UNPLACED = "unplaced"
    """No membership has the reference of one of its lines."""
    NOTHING = "nothing"
    """It gave no sessions, and is not proven to be no dues."""
    PART = "part"
    """It gave a part of the sessions."""
    MORE = "more"
    """It is more than the dues."""
    LESS = "less"
    """It is less than the dues, though it pays for a whole interval."""
    SEVERAL = "several"
    """It pays for several intervals."""
    PERIOD = "period"
    """The period that it says it pays for makes no sense."""
    PAYER_ONLY = "payer_only"
    """Only its payer is known, and it is not the dues."""
    BALANCE = "balance"
    """It was paid from the payer's own balance, in whole or in part."""
    NOT_DUES_REFUND = "not_dues_refund"
    """Money went back for a line that is marked as not dues."""
    OUTSIDE = "outside"
    """Money was given back outside the processor."""
    FEE_KEPT = "fee_kept"
    """A refund that left a fee counts as all of it."""
    NOTED = "noted"
    """The processor says something that its events do not explain."""


class PaymentReview(Base):
    """One reason for which one payment stands in review, and how it was answered."""

    __tablename__ = "payment_reviews"
    __table_args__ = (
        CheckConstraint(one_of("reason", ReviewReason), "reason"),
        Index("ix_payment_reviews_open", "recorded_at", "payment_id", postgresql_where=text("answered_by IS NULL")),
    )

    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), primary_key=True)
    """The payment's root."""
    reason: Mapped[str] = mapped_column(primary_key=True)
    what: Mapped[str]
    """The reason in one sentence, and what was credited."""
    recorded_at: Mapped[datetime]
    """Since when this sentence stands."""
    answered_by: Mapped[int | None] = mapped_column(ForeignKey("actions.id"))
    """The action that answered it; NULL while it is open."""
