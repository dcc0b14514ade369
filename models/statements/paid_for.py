"""The memberships that payments are for: usually one; several where a payment pays for several. Read only."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, or_, select, text
from sqlalchemy.orm import Session

from models.database.arrays import array
from models.members.memberships import Membership
from models.payments.references import Payment, PaymentMatch


class PaidFor(NamedTuple):
    """A membership that a payment is for, with the offer and the payment term that it has now."""

    membership_id: int
    member_id: int
    member: str
    offer: str
    term: str


_PAID_FOR = text("""
    SELECT p.id, m.id, m.member_id, n.name, o.name, t.name
    FROM payments p
    CROSS JOIN LATERAL (
        SELECT p.membership_id AS id
        UNION SELECT further.membership_id FROM payment_matches further WHERE further.payment_id = p.id
    ) is_for
    JOIN memberships m ON m.id = is_for.id
    JOIN members n ON n.id = m.member_id
    JOIN payment_terms t ON t.id = (
        SELECT v.payment_term_id FROM membership_terms v
        WHERE v.membership_id = m.id AND v.since <= clock_timestamp() ORDER BY v.since DESC, v.id DESC LIMIT 1
    )
    JOIN offers o ON o.id = t.offer_id
    WHERE p.id = ANY(CAST(:roots AS bigint[]))
    ORDER BY p.id, m.id <> p.membership_id, m.id
""")


def of_payments(session: Session, roots: Collection[int]) -> dict[int, list[PaidFor]]:
    """By root, the memberships that the payment is for; none of a payment that is nobody's yet."""
    found: defaultdict[int, list[PaidFor]] = defaultdict(list)
    for root, *row in session.execute(_PAID_FOR, {"roots": array(roots)}):
        found[root].append(PaidFor(*row))
    return found


def is_for(session: Session, membership_ids: Sequence[int]) -> ColumnElement[bool]:
    """The condition that a payment is for one of these memberships."""
    # By their ids: with a subquery, a plan would look for them among all payments.
    further = select(PaymentMatch.payment_id).where(PaymentMatch.membership_id.in_(membership_ids))
    return or_(Payment.membership_id.in_(membership_ids), Payment.id.in_(session.scalars(further).all()))


def of_member(session: Session, member_id: int) -> ColumnElement[bool]:
    """The condition that a payment is for one of the member's memberships."""
    return is_for(session, session.scalars(select(Membership.id).where(Membership.member_id == member_id)).all())
