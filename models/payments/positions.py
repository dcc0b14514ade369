"""A payment laid on the table: everything settling has to know about it, read for many at once."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import columns
from models.ledger import held_grants
from models.ledger.clawback import Grant
from models.payments import entitlement, facts, references
from models.payments.contradictions import contradictions
from models.payments.entitlement import Owed, Terms
from models.payments.facts import Fact, KnownFact, Paid
from models.payments.references import Locked, PaymentState


@dataclass(slots=True)
class Match:
    """The membership that a payment is for, as far as settling needs it."""

    membership_id: int
    member_id: int
    currency: str
    time_zone: str
    shortfall_policy: str
    terms: list[Terms] = field(default_factory=list)


@dataclass(slots=True)
class Position:
    """What is known of one payment, the state it ought to have, what it owes, and the grants it has.

    A problem is either why the payment is held, or what its facts say that cannot be.
    """

    payment: Locked
    known: list[KnownFact[Fact]]
    paid: KnownFact[Paid] | None = None
    match: Match | None = None
    state: PaymentState = PaymentState.HEARD_OF
    problem: str | None = None
    contradicting: frozenset[Fact] = frozenset()
    """The facts that the problem is about, where the payment is not held."""
    owed: list[Owed] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)

    def problem_with(self, fact: Fact) -> str | None:
        """The problem, as far as the fact is part of it."""
        return self.problem if self.state == PaymentState.HELD or fact in self.contradicting else None

    @property
    def facts(self) -> list[Fact]:
        """What was said of it."""
        return [known.fact for known in self.known]

    @property
    def billing_references(self) -> list[str]:
        """By which its membership is found: the most specific of the telling that counts first, then all others."""
        if self.paid is None:
            return []
        first = self.paid.fact
        told = [fact for fact in self.facts if isinstance(fact, Paid)]
        told.sort(key=lambda paid: (paid != first, paid.occurred_at, paid.payment, paid.billing_references))
        return list(dict.fromkeys(reference for paid in told for reference in paid.billing_references))


def read(session: Session, roots: Collection[int]) -> list[Position]:
    """The positions of these payments, which stay locked until the transaction ends, in the order of ids."""
    locked = references.lock(session, roots)
    root_of = {row: payment.root for payment in locked for row in payment.ids}
    known: defaultdict[int, list[KnownFact[Fact]]] = defaultdict(list)
    for row, fact in facts.of_payments(session, list(root_of)):
        known[root_of[row]].append(fact)
    positions = [Position(payment, known[payment.root]) for payment in locked]
    for position in positions:
        paid = entitlement.payment_of(position.facts)
        told = (known for known in position.known if isinstance(known.fact, Paid) and known.fact == paid)
        position.paid = cast("KnownFact[Paid] | None", next(told, None))
    _match(session, [position for position in positions if position.paid])
    for position in positions:
        _judge(position)
    return positions


def _judge(position: Position) -> None:
    if position.paid is None:
        return
    paid = position.paid.fact
    found = contradictions(position.facts)
    position.problem = "; ".join(one.what for one in found) or None
    position.contradicting = frozenset(fact for one in found for fact in one.facts)
    if position.match is None:
        position.state = PaymentState.UNMATCHED
        return
    if paid.currency != position.match.currency:
        position.state = PaymentState.HELD
        position.problem = f"paid in {paid.currency}, but the membership is in {position.match.currency}"
        return
    position.state = PaymentState.SETTLED
    position.owed = entitlement.entitlement(position.facts, position.match.terms)


_MEMBERSHIPS = text("""
    SELECT endpoint, reference, membership_id
    FROM billing_references
    JOIN unnest(CAST(:endpoints AS text[]), CAST(:references AS text[])) AS wanted (endpoint, reference)
      USING (endpoint, reference)
""")

# The terms in force when it was paid; before the first, the first.
_TERMS = text("""
    SELECT paid.root, m.id, m.member_id, m.currency, c.time_zone, c.shortfall_policy,
           p.item_id, p.quantity, p.days_to_expire
    FROM unnest(CAST(:roots AS bigint[]), CAST(:ids AS bigint[]), CAST(:moments AS timestamptz[]))
      AS paid (root, membership_id, at)
    JOIN memberships m ON m.id = paid.membership_id
    JOIN clubs c ON c.id = m.club_id
    CROSS JOIN LATERAL (
        SELECT id FROM membership_terms t WHERE t.membership_id = m.id
        ORDER BY t.since <= paid.at DESC, CASE WHEN t.since <= paid.at THEN t.since END DESC,
                 CASE WHEN t.since <= paid.at THEN t.id END DESC, t.since, t.id
        LIMIT 1
    ) terms
    LEFT JOIN pinned_terms p ON p.terms_id = terms.id
    ORDER BY paid.root, p.item_id
""")


def _match(session: Session, positions: list[Position]) -> None:
    """Finds each payment's membership; one that it was matched to before is kept."""
    chosen = {position.payment.root: position.payment.membership_id for position in positions}
    wanted = [
        (position.payment.endpoint, reference, position.payment.root)
        for position in positions
        if position.payment.membership_id is None
        for reference in position.billing_references
    ]
    if wanted:
        rows = session.execute(_MEMBERSHIPS, columns(("endpoints", "references", "roots"), wanted)).all()
        found = {(endpoint, reference): membership_id for endpoint, reference, membership_id in rows}
        for endpoint, reference, root in wanted:
            chosen[root] = chosen[root] or found.get((endpoint, reference))
    matched = [
        (position.payment.root, chosen[position.payment.root], position.paid.fact.occurred_at)
        for position in positions
        if position.paid and chosen[position.payment.root]
    ]
    position_of = {position.payment.root: position for position in positions}
    for root, *membership, item_id, quantity, days in session.execute(
        _TERMS, columns(("roots", "ids", "moments"), matched)
    ).all():
        position = position_of[root]
        if position.match is None:
            position.match = Match(*membership)
        if item_id is not None:
            position.match.terms.append(Terms(item_id, quantity, days))


def lay_out_grants(session: Session, positions: list[Position]) -> dict[int, Grant]:
    """Gives each position its grants; returns these and its members' grants with an open shortfall, locked, by id."""
    position_of = {row: position for position in positions for row in position.payment.ids}
    grants = held_grants.of_payments(
        session, position_of, {position.match.member_id for position in positions if position.match}
    )
    for grant in grants.values():
        if grant.payment_id in position_of:
            position_of[grant.payment_id].grants.append(grant)
    return grants
