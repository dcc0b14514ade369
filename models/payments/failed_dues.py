"""Failed dues: what was to be paid, was tried, and is owed still. Settling writes them from a payment's facts alone.

Whose they are is found when they are read, by the billing references of memberships (`models/members/overdue.py`). So
it does not matter in which order a failure, its success, a sign-up and a link arrive.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.arrays import Batch, array
from models.database.base import Base, Reference
from models.payments import money_back
from models.payments.facts import DuesFailed
from models.payments.positions import Position


class FailedDues(Base):
    """One failed attempt to collect dues, by one of the references that it names. A success takes it away.

    Where each try is a payment of its own (`is_one_try`), it stays: the view `overdue_memberships` leaves it out as
    soon as a later payment was made for the same reference.
    """

    __tablename__ = "failed_dues"
    __table_args__ = (Index("ix_failed_dues_endpoint_reference", "endpoint", "reference"),)

    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), primary_key=True)
    """The payment's root."""
    reference: Mapped[Reference] = mapped_column(primary_key=True)
    failed_at: Mapped[datetime] = mapped_column(primary_key=True)
    endpoint: Mapped[str] = mapped_column(String(63))
    is_one_try: Mapped[bool]
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    """Of an attempt that names only its payer: it is of the dues if it is what a membership's dues are."""


_WRITE = Batch(
    """
    WITH wanted AS (
        SELECT * FROM ROWS
    ), gone AS (
        DELETE FROM failed_dues d
        WHERE d.payment_id = ANY(CAST(:payments AS bigint[])) AND NOT EXISTS (
            SELECT FROM wanted w
            WHERE (w.payment_id, w.reference, w.failed_at) = (d.payment_id, d.reference, d.failed_at)
        )
    )
    INSERT INTO failed_dues (payment_id, reference, failed_at, endpoint, is_one_try, amount_minor)
    SELECT payment_id, reference, failed_at, endpoint, is_one_try, amount_minor FROM wanted
    ON CONFLICT (payment_id, reference, failed_at)
    DO UPDATE SET is_one_try = excluded.is_one_try, amount_minor = excluded.amount_minor
    """,
    payment_id="bigint", reference="text", failed_at="timestamptz", endpoint="text", is_one_try="boolean",
    amount_minor="bigint",
)  # fmt: skip


def write(session: Session, read: Sequence[Position]) -> None:
    """Make `failed_dues` show what these payments, which are locked, still owe. Costs nothing where none failed."""
    failed = [position for position in read if position.failures]
    if not failed:
        return
    ids = array(payment_id for position in failed for payment_id in position.payment.ids)
    _WRITE.execute(session, [(*key, *rest) for key, rest in _owed(failed).items()], payments=ids)


_STORED = text("""
    SELECT payment_id, reference, failed_at, endpoint, is_one_try, amount_minor
    FROM failed_dues WHERE payment_id = ANY(CAST(:payments AS bigint[]))
""")


def differing(session: Session, read: Sequence[Position]) -> list[int]:
    """The roots of those of these payments for which `failed_dues` has something else than `write` would write."""
    root_of = {payment_id: position.payment.root for position in read for payment_id in position.payment.ids}
    rows = session.execute(_STORED, {"payments": array(root_of)})
    stored = {(payment_id, *rest) for payment_id, *rest in rows}
    owed = {(*key, *rest) for key, rest in _owed(read).items()}
    return sorted({root_of[payment_id] for payment_id, *_ in stored ^ owed})


def _owed(read: Sequence[Position]) -> dict[tuple[int, str, datetime], tuple[str, bool, int | None]]:
    """What these payments still owe: by payment, reference and moment the endpoint, `is_one_try` and the amount."""
    return {
        (position.payment.root, reference, fact.occurred_at): (
            position.payment.endpoint,
            fact.is_one_try,
            None if fact.billing_references else fact.amount_minor,
        )
        for position in read
        if position.failures
        for fact in sorted(_open(position), key=repr)
        for reference in fact.billing_references or fact.payer
    }


def _open(position: Position) -> Iterator[DuesFailed]:
    """The failures of a payment that is not paid, or failed after all; none of before the bill was closed."""
    back = {cause.partition(":")[0] for cause in money_back.causes_in_force(position.facts)}
    if position.paid and "failure" not in back:
        return
    closed = [fact.occurred_at for fact in position.failures if fact.closed]
    for fact in position.failures:
        if not fact.closed and not any(fact.occurred_at <= moment for moment in closed):
            yield fact
