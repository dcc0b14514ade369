"""A payment laid on the table: everything settling has to know about it, read for many at once."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import columns
from models.ledger import grants
from models.ledger.clawback import Lot
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
class Case:
    """What is known of one payment, the state it ought to have, what it owes, and the lots it has.

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
    lots: list[Lot] = field(default_factory=list)

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


def read(session: Session, roots: Collection[int]) -> list[Case]:
    """The cases of these payments, which stay locked until the transaction ends, in the order of ids."""
    locked = references.lock(session, roots)
    root_of = {row: payment.root for payment in locked for row in payment.ids}
    known: defaultdict[int, list[KnownFact[Fact]]] = defaultdict(list)
    for row, fact in facts.of_payments(session, list(root_of)):
        known[root_of[row]].append(fact)
    cases = [Case(payment, known[payment.root]) for payment in locked]
    for case in cases:
        paid = entitlement.payment_of(case.facts)
        told = (known for known in case.known if isinstance(known.fact, Paid) and known.fact == paid)
        case.paid = cast("KnownFact[Paid] | None", next(told, None))
    _match(session, [case for case in cases if case.paid])
    for case in cases:
        _judge(case)
    return cases


def _judge(case: Case) -> None:
    if case.paid is None:
        return
    paid = case.paid.fact
    found = contradictions(case.facts)
    case.problem = "; ".join(one.what for one in found) or None
    case.contradicting = frozenset(fact for one in found for fact in one.facts)
    if case.match is None:
        case.state = PaymentState.UNMATCHED
        return
    if paid.currency != case.match.currency:
        case.state = PaymentState.HELD
        case.problem = f"paid in {paid.currency}, but the membership is in {case.match.currency}"
        return
    case.state = PaymentState.SETTLED
    case.owed = entitlement.entitlement(case.facts, case.match.terms)


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


def _match(session: Session, cases: list[Case]) -> None:
    """Finds each payment's membership; one that it was matched to before is kept."""
    chosen = {case.payment.root: case.payment.membership_id for case in cases}
    wanted = [
        (case.payment.endpoint, reference, case.payment.root)
        for case in cases
        if case.payment.membership_id is None
        for reference in case.billing_references
    ]
    if wanted:
        rows = session.execute(_MEMBERSHIPS, columns(("endpoints", "references", "roots"), wanted)).all()
        found = {(endpoint, reference): membership_id for endpoint, reference, membership_id in rows}
        for endpoint, reference, root in wanted:
            chosen[root] = chosen[root] or found.get((endpoint, reference))
    matched = [
        (case.payment.root, chosen[case.payment.root], case.paid.fact.occurred_at)
        for case in cases
        if case.paid and chosen[case.payment.root]
    ]
    case_of = {case.payment.root: case for case in cases}
    for root, *membership, item_id, quantity, days in session.execute(
        _TERMS, columns(("roots", "ids", "moments"), matched)
    ).all():
        case = case_of[root]
        if case.match is None:
            case.match = Match(*membership)
        if item_id is not None:
            case.match.terms.append(Terms(item_id, quantity, days))


def lay_out_lots(session: Session, cases: list[Case]) -> dict[int, Lot]:
    """Gives each case its lots; returns them and those of its members with an open shortfall, all locked, by id."""
    case_of = {row: case for case in cases for row in case.payment.ids}
    lots = grants.of_payments(session, case_of, {case.match.member_id for case in cases if case.match})
    for lot in lots.values():
        if lot.payment_id in case_of:
            case_of[lot.payment_id].lots.append(lot)
    return lots
