"""The tables of grants and entries. Only `entries.py` writes them.

A grant's definition never changes. `remaining`, `shortfall`, `reversed` and `expires_at` are projections: only entries
move them, in the same statement. The database refuses a remaining below zero or above the quantity, and every change of
an entry.
"""

from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.database.base import Base, Id, RecordedAt
from models.ledger.kinds import CHECKS


class CreditGrant(Base):
    """A grant: sessions of one item, from one payment or one adjustment, with one expiry.

    Usable while effective_at <= t < expires_at.
    """

    __tablename__ = "credit_grants"
    __table_args__ = (
        UniqueConstraint("payment_id", "membership_id", "item_id", "tranche"),
        Index("ix_credit_grants_member_id_item_id", "member_id", "item_id"),
        Index("ix_credit_grants_expiring", "expires_at", postgresql_where=text("remaining > 0")),
        Index("ix_credit_grants_shortfall", "member_id", postgresql_where=text("shortfall > 0")),
        CheckConstraint("num_nonnulls(payment_id, action_id) = 1", "one_origin"),
        CheckConstraint("(payment_id IS NULL) = (membership_id IS NULL)", "paid_for_a_membership"),
        CheckConstraint("tranche >= 0", "tranche"),
        CheckConstraint("0 <= remaining AND remaining <= quantity", "remaining"),
        CheckConstraint("0 <= shortfall AND shortfall <= quantity", "shortfall"),
        CheckConstraint("0 <= reversed AND reversed <= quantity", "reversed"),
    )

    id: Mapped[Id]
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"))
    action_id: Mapped[int | None] = mapped_column(ForeignKey("actions.id"))
    """The action that gave it by hand; NULL if a payment gave it."""
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    """Whose it is; only a merge of two members, or its undo, changes that."""
    first_member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"))
    """For whom it was made, where a merge has moved it since."""
    membership_id: Mapped[int | None] = mapped_column(ForeignKey("memberships.id"))
    """The membership whose dues gave it; NULL if it was given by hand."""
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    tranche: Mapped[int] = mapped_column(server_default="0")
    """Which of the grants that one payment makes of the item: 0 for what is usable from the payment on, or the local
    day on which it begins as a number (20260228). Each has its own `effective_at`."""
    first_quantity: Mapped[int]
    """What its first entry gave."""
    quantity: Mapped[int]
    """The sum of the entries that opened it: more than one where its payment turned out to be worth more."""
    effective_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    """UTC; NULL is never."""
    remaining: Mapped[int]
    shortfall: Mapped[int] = mapped_column(server_default="0")
    """Sessions already used when their payment was reversed, and neither repaid nor forgiven."""
    reversed: Mapped[int] = mapped_column(server_default="0")
    """Sessions whose money went back, whether taken, expired or used."""
    recorded_at: Mapped[RecordedAt]
    """When it was credited, by the worker's clock."""
    club_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    """Where it is good, as its item said when it was made: `models.catalogue.items.good_at` reads it. Home is the club
    that `grant_clubs` has."""
    late_after_s: Mapped[int] = mapped_column(server_default="0")
    """If it was credited longer than this after its payment, its days count from the crediting; 0 turns that off."""


class LedgerEntry(Base):
    """A signed, immutable movement on one grant, and its cause."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        Index("ix_ledger_entries_grant_id", "grant_id"),
        Index(
            "ix_ledger_entries_redemption_id",
            "redemption_id",
            postgresql_where=text("redemption_id IS NOT NULL"),
        ),
        Index(
            "ix_ledger_entries_expiry_run_id",
            "expiry_run_id",
            "grant_id",
            postgresql_where=text("expiry_run_id IS NOT NULL"),
        ),
        *(CheckConstraint(check, name) for name, check in CHECKS.items()),
    )

    id: Mapped[Id]
    grant_id: Mapped[int] = mapped_column(ForeignKey("credit_grants.id"))
    kind: Mapped[str]
    quantity: Mapped[int]
    """Moves remaining."""
    shortfall: Mapped[int] = mapped_column(server_default="0")
    """Moves the grant's shortfall."""
    reversed: Mapped[int] = mapped_column(server_default="0")
    """Moves the grant's reversed."""
    expires_at: Mapped[datetime | None]
    """The expiry that a grant begins with, and an extension's new one; NULL is never."""
    occurred_at: Mapped[datetime]
    """The time at the source: the processor's or the desk's clock. For an expiry, the grant's expires_at."""
    recorded_at: Mapped[RecordedAt]
    fact_id: Mapped[int | None] = mapped_column(ForeignKey("payment_facts.id"))
    redemption_id: Mapped[int | None] = mapped_column(ForeignKey("redemptions.id"))
    action_id: Mapped[int | None] = mapped_column(ForeignKey("actions.id"))
    """The action of the person who did it by hand."""
    counter_grant_id: Mapped[int | None] = mapped_column(ForeignKey("credit_grants.id"))
    """The other grant of a debt repayment: the one whose shortfall is repaid, or the one that repaid it."""
    note: Mapped[str | None]
    expiry_run_id: Mapped[int | None] = mapped_column(ForeignKey("expiry_runs.id"))
    """The run that recorded an expiry, also in the entries that undo it."""
