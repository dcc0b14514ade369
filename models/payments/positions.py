"""Everything that settling has to know about a payment, read for many payments at once."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy.orm import Session

from models.database.arrays import Batch
from models.ledger import held_grants
from models.ledger.clawback import Grant
from models.payments import entitlement, facts, references
from models.payments.contradictions import contradictions
from models.payments.entitlement import Owed, Terms
from models.payments.facts import Fact, KnownFact, Paid
from models.payments.references import Locked, PaymentState


@dataclass(slots=True)
class Match:
    """What settling needs of a payment's membership."""

    membership_id: int
    member_id: int
    currency: str
    time_zone: str
    shortfall_policy: str
    terms: list[Terms] = field(default_factory=list)


@dataclass(slots=True)
class Position:
    """One payment with its facts, the state that follows from them, what it owes, and the grants it has.

    `problem` is the reason why the payment is held, or the contradiction between its facts.
    """

    payment: Locked
    known: list[KnownFact[Fact]]
    facts: list[Fact] = field(init=False)
    """Those of `known`, without their ids."""
    paid: KnownFact[Paid] | None = None
    match: Match | None = None
    state: PaymentState = PaymentState.HEARD_OF
    problem: str | None = None
    contradicting: frozenset[Fact] = frozenset()
    """The facts that contradict each other, where the payment is not held."""
    owed: list[Owed] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.facts = [known.fact for known in self.known]

    def problem_with(self, fact: Fact) -> str | None:
        """The problem, if the fact is part of it."""
        return self.problem if self.state == PaymentState.HELD or fact in self.contradicting else None

    @property
    def billing_references(self) -> list[str]:
        """The references by which to find its membership: first those of the `Paid` fact that counts, most specific
        first, then those of the others.
        """
        if self.paid is None:
            return []
        first = self.paid.fact
        every = [fact for fact in self.facts if isinstance(fact, Paid)]
        every.sort(key=lambda paid: (paid != first, paid.occurred_at, paid.payment, paid.billing_references))
        return list(dict.fromkeys(reference for paid in every for reference in paid.billing_references))


def read(session: Session, roots: Collection[int]) -> list[Position]:
    """The positions of these payments in the order of ids. The payments stay locked until the transaction ends."""
    locked = references.lock(session, roots)
    root_of = {row: payment.root for payment in locked for row in payment.ids}
    known: defaultdict[int, list[KnownFact[Fact]]] = defaultdict(list)
    for row, fact in facts.of_payments(session, list(root_of)):
        known[root_of[row]].append(fact)
    positions = [Position(payment, known[payment.root]) for payment in locked]
    for position in positions:
        paid = entitlement.payment_of(position.facts)
        if paid is not None:
            known_paid = next(one for one in position.known if one.fact == paid)
            position.paid = cast("KnownFact[Paid]", known_paid)
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


_MEMBERSHIPS = Batch(
    """
    SELECT endpoint, reference, membership_id FROM billing_references JOIN ROWS USING (endpoint, reference)
    """,
    endpoint="text", reference="text",
)  # fmt: skip

# The terms in force when it was paid; before the first, the first.
_TERMS = Batch(
    """
    SELECT new.root, m.id, m.member_id, m.currency, c.time_zone, c.shortfall_policy,
           p.item_id, p.quantity, p.days_to_expire
    FROM ROWS
    JOIN memberships m ON m.id = new.membership_id
    JOIN clubs c ON c.id = m.club_id
    CROSS JOIN LATERAL (
        SELECT id FROM membership_terms t WHERE t.membership_id = m.id
        ORDER BY t.since <= new.paid_at DESC, CASE WHEN t.since <= new.paid_at THEN t.since END DESC,
                 CASE WHEN t.since <= new.paid_at THEN t.id END DESC, t.since, t.id
        LIMIT 1
    ) terms
    LEFT JOIN pinned_terms p ON p.terms_id = terms.id
    ORDER BY new.root, p.item_id
    """,
    root="bigint", membership_id="bigint", paid_at="timestamptz",
)  # fmt: skip


def _match(session: Session, positions: list[Position]) -> None:
    """Find each payment's membership, or keep the one that it was matched to before."""
    chosen = {position.payment.root: position.payment.membership_id for position in positions}
    wanted = [
        (position.payment.root, (position.payment.endpoint, reference))
        for position in positions
        if position.payment.membership_id is None
        for reference in position.billing_references
    ]
    if wanted:
        rows = _MEMBERSHIPS.execute(session, [key for _, key in wanted]).all()
        found = {(endpoint, reference): membership_id for endpoint, reference, membership_id in rows}
        for root, key in wanted:
            chosen[root] = chosen[root] or found.get(key)
    matched = [
        (position.payment.root, chosen[position.payment.root], position.paid.fact.occurred_at)
        for position in positions
        if position.paid and chosen[position.payment.root]
    ]
    position_of = {position.payment.root: position for position in positions}
    for root, *membership, item_id, quantity, days in _TERMS.execute(session, matched).all():
        position = position_of[root]
        if position.match is None:
            position.match = Match(*membership)
        if item_id is not None:
            position.match.terms.append(Terms(item_id, quantity, days))


def read_grants(session: Session, positions: list[Position]) -> dict[int, Grant]:
    """Give each position its grants. Returns, by id, these and the members' grants with an open shortfall, locked."""
    position_of = {row: position for position in positions for row in position.payment.ids}
    grants = held_grants.of_payments(
        session, position_of, {position.match.member_id for position in positions if position.match}
    )
    for grant in grants.values():
        if grant.payment_id in position_of:
            position_of[grant.payment_id].grants.append(grant)
    return grants
