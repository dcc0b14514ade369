"""Payments with their facts, their state, and the sessions that they gave. Read only.

`models.payments.entitlement` decides which `Paid` fact counts and how much went back, as it does in settling.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, TextClause, select, text
from sqlalchemy.orm import Session, aliased

from models.database.arrays import array
from models.payments import money_back, recorded
from models.payments.facts import Fact, KnownFact, Paid
from models.payments.references import Payment
from models.statements import paid_for
from models.statements.paid_for import PaidFor


class Gave(NamedTuple):
    """Sessions of an item that a payment gave a membership, and how many of them are reversed with its money."""

    item_id: int
    item: str
    quantity: int
    reversed: int
    membership_id: int
    tranches: int
    """In how many parts it gave them, each usable from a day of its own."""


@dataclass(frozen=True)
class PaymentStory:
    """One payment with all its references."""

    root: Payment
    """The row that has the state."""
    references: Sequence[str]
    """All its references, the first known first."""
    facts: Sequence[KnownFact[Fact]]
    """All its facts, in the order of recording."""
    paid: Paid | None
    """The `Paid` fact that counts; None before there is one."""
    reversed_minor: int
    """How much of it went back, in minor units."""
    memberships: Sequence[PaidFor]
    """Those that it is for."""
    gave: Sequence[Gave]
    """Sessions by membership and item."""

    @property
    def member_id(self) -> int | None:
        """The member of its first membership."""
        return self.memberships[0].member_id if self.memberships else None


@dataclass(frozen=True)
class Page:
    """Some payments, the last heard of first; `older` is the cursor of the page after it, None on the last."""

    payments: Sequence[PaymentStory]
    older: int | None


Condition = ColumnElement[bool] | TextClause
"""Of payments, for a query."""


def page(session: Session, *wanted: Condition, limit: int, before: int | None = None) -> Page:
    """Up to `limit` payments before the cursor `before` that meet these conditions on `Payment`."""
    query = select(Payment).where(Payment.same_as.is_(None), *wanted).order_by(Payment.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(Payment.id < before)
    found = session.scalars(query).all()
    return Page(_stories(session, found[:limit]), found[limit - 1].id if len(found) > limit else None)


def named(reference: str) -> ColumnElement[bool]:
    """The condition that the payment has this reference."""
    row = aliased(Payment)
    return Payment.id.in_(select(row.root_id).where(row.reference == reference))


def story(session: Session, payment_id: int) -> PaymentStory | None:
    """The payment that the row of this id belongs to; None if there is no such row."""
    known = session.get(Payment, payment_id)
    return _stories(session, [session.get_one(Payment, known.root_id)])[0] if known else None


def of_roots(session: Session, ids: Sequence[int]) -> list[PaymentStory]:
    """The payments with these roots, in this order."""
    found = {root.id: root for root in session.scalars(select(Payment).where(Payment.id.in_(ids)))}
    return _stories(session, [found[payment_id] for payment_id in ids])


def _stories(session: Session, roots: Sequence[Payment]) -> list[PaymentStory]:
    """A fixed number of statements, however many payments."""
    ids = [root.id for root in roots]
    root_of: dict[int, int] = {}
    references: dict[int, list[str]] = defaultdict(list)
    for row in session.scalars(select(Payment).where(Payment.root_id.in_(ids)).order_by(Payment.id)):
        root_of[row.id] = row.root_id
        references[row.root_id].append(row.reference)
    known_of: dict[int, list[KnownFact[Fact]]] = defaultdict(list)
    for payment_id, known in recorded.of_payments(session, list(root_of)):
        known_of[root_of[payment_id]].append(known)
    gave, memberships = _given(session, ids), paid_for.of_payments(session, ids)
    stories = []
    for root in roots:
        every = [known.fact for known in known_of[root.id]]
        paid, reversed_minor = money_back.payment_of(every), money_back.money_reversed(every)
        stories.append(
            PaymentStory(
                root, references[root.id], known_of[root.id], paid, reversed_minor, memberships[root.id], gave[root.id]
            )
        )  # fmt: skip
    return stories


_GIVEN = text("""
    SELECT p.root_id, i.id, i.name, sum(g.quantity), sum(g.reversed), g.membership_id, count(DISTINCT g.tranche)
    FROM payments p JOIN credit_grants g ON g.payment_id = p.id JOIN items i ON i.id = g.item_id
    WHERE p.root_id = ANY(CAST(:roots AS bigint[]))
    GROUP BY p.root_id, g.membership_id, i.id
    ORDER BY g.membership_id, i.name
""")


def _given(session: Session, roots: Sequence[int]) -> dict[int, list[Gave]]:
    """By root, what its rows gave together, by membership and item."""
    gave: dict[int, list[Gave]] = defaultdict(list)
    for root, *given in session.execute(_GIVEN, {"roots": array(roots)}):
        gave[root].append(Gave(*given))
    return gave
