"""Reviews: paid payments that staff must look at, each reason in one sentence.

Settling writes the reasons that hold, and takes away those that do not hold any more. A person answers a reason; one
whose sentence changes afterwards stands open again. So the list depends on facts, terms, marks and answers only, never
on the order in which they came.
"""

from collections.abc import Mapping, Sequence
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
    CLAIM = "claim"
    """A membership's code came with it, but does not count by itself."""
    HELD = "held"
    """It contradicts its membership: it credits nothing until that is corrected."""
    UNPLACED = "unplaced"
    """No membership has the reference of one of its lines."""
    NOTHING = "nothing"
    """It gave no sessions, and is not proven to be no dues."""
    FROZEN = "frozen"
    """The dues were paid while the membership was frozen."""
    ENDED = "ended"
    """It was paid after the end of the membership, for a time after it."""
    PART = "part"
    """It gave a part of the sessions."""
    MORE = "more"
    """It is more than the dues."""
    LESS = "less"
    """It is less than the dues, though it pays for a whole interval."""
    EXTRA = "extra"
    """It was paid beside the dues: a fee, not a part of them."""
    SEVERAL = "several"
    """There is another charge for the same period."""
    SHAPE = "shape"
    """The period or the lines that it says it pays for make no sense."""
    PAYER_ONLY = "payer_only"
    """Only its payer is known, and it is not the dues."""
    BALANCE = "balance"
    """It was paid from the payer's own balance, in whole or in part."""
    NOT_DUES_REFUND = "not_dues_refund"
    """Money went back for a line that is marked as not dues."""
    CUT_OVER = "cut_over"
    """Money of a payment before the cut-over of its membership went back."""
    OUTSIDE = "outside"
    """Money was given back outside the processor."""
    NOTED = "noted"
    """The processor says something that its events do not explain, or they contradict each other."""
    ERASED = "erased"
    """Its member was erased before it was settled: it credits nothing."""


class PaymentReview(Base):
    """One reason for which one payment stands in review, and how it was answered."""

    __tablename__ = "payment_reviews"
    __table_args__ = (
        CheckConstraint(one_of("reason", ReviewReason), "reason"),
        Index("ix_payment_reviews_open", "recorded_at", "payment_id", postgresql_where=text("answered_by IS NULL")),
        Index("ix_payment_reviews_fees", "recorded_at", postgresql_where=text("reason IN ('part', 'extra')")),
    )

    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), primary_key=True)
    """The payment's root."""
    reason: Mapped[str] = mapped_column(primary_key=True)
    what: Mapped[str]
    """The reason in one sentence."""
    recorded_at: Mapped[datetime]
    """Since when this sentence stands."""
    answered_by: Mapped[int | None] = mapped_column(ForeignKey("actions.id"))
    """The action that answered it; NULL while it is open."""


class Reason(NamedTuple):
    """Why staff should look at a payment, in one sentence."""

    reason: ReviewReason
    what: str


_WRITE = Batch(
    """
    WITH wanted AS (
        SELECT * FROM ROWS
    ), gone AS (
        DELETE FROM payment_reviews r
        WHERE r.payment_id = ANY(CAST(:payments AS bigint[])) AND (r.reason = 'several') = :compared
          AND NOT EXISTS (SELECT FROM wanted w WHERE (w.payment_id, w.reason) = (r.payment_id, r.reason))
        RETURNING r.payment_id
    ), changed AS (
        INSERT INTO payment_reviews AS known (payment_id, reason, what, recorded_at)
        SELECT payment_id, reason, what, :now FROM wanted
        ON CONFLICT (payment_id, reason) DO UPDATE
        SET what = excluded.what, recorded_at = excluded.recorded_at, answered_by = NULL
        WHERE known.what <> excluded.what
        RETURNING known.payment_id
    )
    SELECT payment_id FROM gone UNION SELECT payment_id FROM changed
    """,
    payment_id="bigint", reason="text", what="prose",
)  # fmt: skip


def write(session: Session, wanted: Sequence[tuple[Sequence[int], Sequence[Reason]]], now: datetime) -> set[int]:
    """Make the review show these reasons, and no others that settling finds, for payments that are locked.

    Each comes as all its ids, the root first, with its reasons. An answer stands as long as the sentence that it
    answered. Returns the payments for which anything changed.
    """
    after: dict[tuple[int, str], list[str]] = {}
    for (root, *_), reasons in wanted:
        for reason, what in reasons:
            after.setdefault((root, reason.value), []).append(what)
    # A payment for several memberships can have the same sentence for each: keep it once.
    rows = [(*key, "; ".join(dict.fromkeys(whats))) for key, whats in after.items()]
    ids = array(payment_id for ids, _ in wanted for payment_id in ids)
    return {payment_id for (payment_id,) in _WRITE.execute(session, rows, payments=ids, compared=False, now=now)}


_SEVERAL = text("SELECT payment_id FROM payment_reviews WHERE reason = 'several' AND recorded_at > :since")


def write_several(session: Session, wanted: Mapping[int, str], *, since: datetime, now: datetime) -> None:
    """Make the review show these sentences for several charges, and no others since that moment."""
    known = session.scalars(_SEVERAL, {"since": since}).all()
    rows = [(payment_id, ReviewReason.SEVERAL.value, what) for payment_id, what in wanted.items()]
    _WRITE.execute(session, rows, payments=array(known), compared=True, now=now)
