"""Payments: one row per reference that an event has named, joined where two references name the same payment.

A payment may have several references (Stripe's invoice, payment intent and charge). Each has a row. The root is the row
with the lowest id, and `root_id` names it in every row; a payment with one reference is its own root. Joining sets
`same_as` in the other rows, and PostgreSQL computes `root_id` from that. The root carries the payment's state and is
locked while it settles. Facts stay with the reference that they name, so that joining rewrites none.

Two views, made by the migration, are read by statements: `paid_payments` has every root with what was paid, by the
earliest `Paid` fact; `grant_clubs` has the membership and club of every grant.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.arrays import Batch, array
from models.database.base import Base, Id, RecordedAt, Reference, one_of


class PaymentState(StrEnum):
    """The state of a payment, kept in its root."""

    HEARD_OF = "heard_of"
    """It has facts, but no `Paid` fact yet."""
    UNMATCHED = "unmatched"
    """Paid, but no membership has any of its billing references yet."""
    SETTLED = "settled"
    """The ledger shows what its facts say."""
    NOT_DUES = "not_dues"
    """Paid, and everything that was billed is marked as not dues."""
    FREEZE_FEE = "freeze_fee"
    """Paid on a day on which its membership was frozen, and less than the dues: it gives nothing by the terms."""
    BEFORE_CUT_OVER = "before_cut_over"
    """Paid before the cut-over of every membership that it is for: an earlier system has given its sessions."""
    HELD = "held"
    """Its facts contradict each other or its membership; it has no effect until that is corrected."""


class Payment(Base):
    """One reference of a payment; the payment itself is its root."""

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("endpoint", "reference"),
        Index("ix_payments_unmatched", "id", postgresql_where=text("state = 'unmatched'")),
        Index("ix_payments_held", "id", postgresql_where=text("state = 'held'")),
        Index("ix_payments_settle_again", "id", postgresql_where=text("settle_again")),
        Index(
            "ix_payments_partly_matched",
            "id",
            postgresql_where=text("state = 'settled' AND billing_references IS NOT NULL"),
        ),
        CheckConstraint(one_of("state", PaymentState), "state"),
        CheckConstraint("same_as < id", "root_is_lowest"),
        CheckConstraint(
            "state NOT IN ('settled', 'freeze_fee', 'before_cut_over') OR membership_id IS NOT NULL",
            "settled_is_matched",
        ),
    )

    id: Mapped[Id]
    endpoint: Mapped[str] = mapped_column(String(63))
    reference: Mapped[Reference]
    same_as: Mapped[int | None] = mapped_column(ForeignKey("payments.id"))
    """The root, where that is another row; NULL in the root itself. `root_id` names the root of every row."""
    root_id: Mapped[int] = mapped_column(BigInteger, Computed("coalesce(same_as, id)", persisted=True), index=True)
    state: Mapped[str] = mapped_column(server_default=PaymentState.HEARD_OF.value)
    problem: Mapped[str | None]
    """Why it is held, or the contradiction between its facts."""
    settle_again: Mapped[bool] = mapped_column(server_default=text("false"))
    """The worker's sweep is to settle it again: what decides its worth was changed."""
    membership_id: Mapped[int | None] = mapped_column(ForeignKey("memberships.id"), index=True)
    billing_references: Mapped[list[str] | None] = mapped_column(ARRAY(String))
    """The references by which what is unmatched of it would find its membership; NULL if nothing is unmatched."""
    recorded_at: Mapped[RecordedAt]


class PaymentMatch(Base):
    """One membership of a payment that pays for several; a payment for one membership has no such row."""

    __tablename__ = "payment_matches"

    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), primary_key=True)
    """The payment's root."""
    membership_id: Mapped[int] = mapped_column(ForeignKey("memberships.id"), primary_key=True, index=True)


Key = tuple[str, str]
"""An endpoint and a payment reference."""

_INSERT = Batch(
    """
    INSERT INTO payments (endpoint, reference) SELECT * FROM ROWS
    ON CONFLICT DO NOTHING
    RETURNING endpoint, reference, id, root_id
    """,
    endpoint="text", reference="text",
)  # fmt: skip

_KNOWN = Batch(
    """
    SELECT p.endpoint, p.reference, p.id, p.root_id
    FROM payments p JOIN ROWS ON (p.endpoint, p.reference) = (new.endpoint, new.reference)
    """,
    endpoint="text", reference="text",
)  # fmt: skip


def identify(session: Session, keys: Iterable[Key]) -> tuple[dict[Key, int], set[int]]:
    """The ids of the payments with these references, made where missing, and the roots of all."""
    # Sorted, so that two workers inserting the same rows wait for each other instead of deadlocking.
    wanted = sorted(keys)
    ids: dict[Key, int] = {}
    roots: set[int] = set()
    for statement in (_INSERT, _KNOWN):
        missing = [key for key in wanted if key not in ids]
        if missing:
            rows = statement.execute(session, missing).all()
            for endpoint, reference, payment_id, root in rows:
                ids[endpoint, reference] = payment_id
                roots.add(root)
    return ids, roots


_LOCK = text("""
    SELECT id, root_id, endpoint, state, membership_id, billing_references, settle_again
    FROM payments
    WHERE id = ANY(CAST(:roots AS bigint[]))
    ORDER BY id
    FOR NO KEY UPDATE
""")

_JOINED = text("""
    SELECT root_id, id, membership_id FROM payments
    WHERE root_id = ANY(CAST(:roots AS bigint[])) AND id <> root_id
    UNION ALL
    SELECT p.root_id, NULL, m.membership_id FROM payments p JOIN payment_matches m ON m.payment_id = p.id
    WHERE p.root_id = ANY(CAST(:roots AS bigint[]))
    ORDER BY 2 NULLS LAST, 3
""")
"""The further rows of payments, then the further memberships."""


@dataclass(slots=True)
class Locked:
    """One payment under lock: its root, the memberships it was matched to, and the ids of all its rows."""

    root: int
    endpoint: str
    state: PaymentState
    memberships: list[int]
    waits_for: list[str]
    """The references by which what was unmatched of it would find its membership."""
    settle_again: bool
    ids: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.ids = [self.root]


def lock(session: Session, roots: Collection[int]) -> list[Locked]:
    """Lock payments by their roots, in the order of ids, and return them.

    Joining locks both roots, so that the rows of a locked payment stay the same.
    """
    wanted = set(roots)
    while True:
        rows = session.execute(_LOCK, {"roots": array(wanted)}).all()
        found = {root for _, root, *_ in rows}
        if found <= wanted:
            break
        # One of them was joined to a lower root while we waited for its lock.
        wanted |= found
    payments = {
        row.id: Locked(
            row.id,
            row.endpoint,
            PaymentState(row.state),
            [row.membership_id] if row.membership_id else [],
            row.billing_references or [],
            row.settle_again,
        )
        for row in rows
        if row.id == row.root_id
    }
    # A second statement with a new snapshot: the first one may have waited, and does not see what was joined then.
    for root, payment_id, membership_id in session.execute(_JOINED, {"roots": array(payments)}):
        payment = payments[root]
        if payment_id is not None:
            payment.ids.append(payment_id)
        # Of payments that turned out to be one, each matched by itself, the match of the first stays.
        is_further = payment_id is None or not payment.memberships
        if membership_id and is_further and membership_id not in payment.memberships:
            payment.memberships.append(membership_id)
    return list(payments.values())


_JOIN = Batch(
    """
    UPDATE payments p
    SET same_as = new.root, state = 'heard_of', problem = NULL, billing_references = NULL, settle_again = false
    FROM ROWS WHERE p.id = new.id
    """,
    id="bigint", root="bigint",
)  # fmt: skip


def join(session: Session, pairs: Iterable[tuple[int, int]], roots: Collection[int]) -> set[int]:
    """Join each pair of ids into one payment. Returns the roots of all afterwards.

    `roots` are the roots of every payment in the pairs, as `identify` returned them.
    """
    locked = lock(session, roots)
    root_of = {payment_id: payment.root for payment in locked for payment_id in payment.ids}
    members = defaultdict(set, {payment.root: set(payment.ids) for payment in locked})
    moved: set[int] = set()
    for one, other in pairs:
        low, high = sorted((root_of[one], root_of[other]))
        if low != high:
            for payment_id in members.pop(high):
                root_of[payment_id] = low
                members[low].add(payment_id)
                moved.add(payment_id)
    if moved:
        _JOIN.execute(session, [(payment_id, root_of[payment_id]) for payment_id in sorted(moved)])
    return set(root_of.values())


class PaidPayment(NamedTuple):
    """The amount of a payment, and when it was paid."""

    endpoint: str
    amount_minor: int
    currency: str
    paid_at: datetime


_PAID = Batch(
    """
    SELECT p.endpoint, p.reference, paid.amount_minor, paid.currency, paid.paid_at
    FROM ROWS
    JOIN payments p ON (p.endpoint, p.reference) = (new.endpoint, new.reference)
    JOIN paid_payments paid ON paid.id = p.root_id
    """,
    endpoint="text",
    reference="text",
)


def paid(session: Session, keys: Iterable[Key]) -> dict[Key, PaidPayment]:
    """What was paid, by each reference that belongs to a paid payment; to name a payment as people do."""
    rows = _PAID.execute(session, sorted(set(keys)))
    return {(row.endpoint, row.reference): PaidPayment(row.endpoint, *row[2:]) for row in rows}
