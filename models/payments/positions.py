"""Everything that settling has to know about a payment, read for many payments at once."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from models.catalogue.days import ONE_DAY, local_day
from models.database.arrays import Batch, array
from models.ledger import held_grants
from models.ledger.clawback import Grant
from models.members.settling_again import payments_of
from models.payments import claims, entitlement, matches, money_back, recorded, references, sentences
from models.payments.claims import Asked
from models.payments.contradictions import contradictions
from models.payments.entitlement import Entitlement, Owed
from models.payments.facts import Announced, Claimed, DuesFailed, Fact, KnownFact, Paid
from models.payments.matches import Match
from models.payments.references import Key, Locked, PaymentState
from models.payments.reviews import Reason, ReviewReason
from models.payments.shares import Division
from models.payments.worth import first_day
from models.wording import day_of
from runtime.language import in_english

NO_DUES = frozenset(
    {
        ReviewReason.PART, ReviewReason.EXTRA, ReviewReason.NOTHING, ReviewReason.PAYER_ONLY, ReviewReason.FROZEN,
        ReviewReason.ENDED,
    }
)  # fmt: skip
"""What stands in review for one of these reasons are not the dues beside which a fee gives nothing."""
OF_ITS_TIME = frozenset({ReviewReason.FROZEN, ReviewReason.ENDED})


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
    """What was paid, with the id of the earliest `Paid` fact."""
    references: list[str] = field(default_factory=list)
    """Every reference by which its memberships could be found."""
    matches: dict[str, list[int]] = field(default_factory=dict)
    """Reference -> the memberships that it is for."""
    memberships: dict[int, Match] = field(default_factory=dict)
    not_dues: frozenset[str] = frozenset()
    """The references among those of its lines that are marked as not dues."""
    beside_dues: frozenset[int] = frozenset()
    """The memberships whose dues another payment paid on the same day."""
    state: PaymentState = PaymentState.HEARD_OF
    problem: str | None = None
    contradicting: frozenset[Fact] = frozenset()
    """The facts that contradict each other, where the payment is not held."""
    division: Division = field(default_factory=Division)
    before_cut_over: frozenset[int] = frozenset()
    """The memberships whose cut-over was after it."""
    owners: list[int] = field(default_factory=list)
    """The memberships that it pays for; where it pays for none, those that its references name."""
    owed: list[Owed] = field(default_factory=list)
    why_not_claimed: str | None = None
    """Why the code that came with it gave it no membership."""
    reasons: list[Reason] = field(default_factory=list)
    """Why staff should look at it."""
    grants: list[Grant] = field(default_factory=list)
    failures: list[DuesFailed] = field(default_factory=list)
    """Attempts to collect it that failed. They are not among `known`, so nothing above depends on them."""

    def __post_init__(self) -> None:
        self.facts = [known.fact for known in self.known]
        paid = money_back.payment_of(self.facts)
        if paid is not None:
            first = min(
                (known for known in self.known if isinstance(known.fact, Paid)),
                key=lambda known: (known.fact.occurred_at, known.fact.payment != paid.payment, known.id),
            )
            self.paid = KnownFact(first.id, paid, first.recorded_at)
            of_lines = [reference for line in paid.lines for reference in line.references]
            self.references = list(dict.fromkeys([*(paid.billing_references or paid.payer), *of_lines]))

    def problem_with(self, fact: Fact) -> str | None:
        """The problem, if the fact is part of it."""
        is_part = self.state == PaymentState.HELD and not isinstance(fact, DuesFailed | Announced | Claimed)
        return self.problem if is_part or fact in self.contradicting else None

    def entitlement_by(self, facts: Sequence[Fact]) -> Entitlement:
        """What it came to if these facts were all."""
        buyers = {membership_id: match.buyer for membership_id, match in self.memberships.items()}
        return entitlement.entitlement(facts, self.matches, buyers, self.not_dues, self.beside_dues)

    @property
    def may_be_a_fee(self) -> bool:
        """Whether it would be worth nothing beside other dues: a part by its amount alone."""
        if not self.reasons:
            return False
        kinds = {one.reason for one in self.reasons}
        covers = any(share.bill.covers for share in self.division.shares)
        return ReviewReason.EXTRA in kinds or (ReviewReason.PART in kinds and not covers)

    def why_nothing(self, membership_id: int | None, tranche: int = 0) -> str | None:
        """Why a tranche of it gives a membership nothing, where the reason is its time; None for any other reason."""
        match, starts = self.memberships.get(membership_id or 0), first_day(tranche)
        ended = match.buyer.life.ended if match else None
        if ended and starts and starts > ended:
            return sentences.BEGINS_AFTER_END.format(day=day_of(starts), ended=day_of(ended))
        if membership_id in self.before_cut_over:
            return sentences.BEFORE_CUT_OVER
        if self.state == PaymentState.FREEZE_FEE:
            return sentences.FREEZE_FEE
        return next((one.what for one in self.reasons if one.reason in OF_ITS_TIME), None)

    @property
    def is_dues(self) -> bool:
        """Whether it pays for a whole interval at least; `_BESIDE` says the same of what was settled before."""
        return self.state == PaymentState.SETTLED and NO_DUES.isdisjoint(one.reason for one in self.reasons)

    @property
    def waits_for(self) -> list[str]:
        """The references by which what is unmatched of it would find its membership."""
        if self.paid is None or self.state == PaymentState.NOT_DUES:
            return []
        paid, whole = self.paid.fact, self.state == PaymentState.UNMATCHED
        lines = (
            [one for one in paid.lines if self.not_dues.isdisjoint(one.references)] if whole else self.division.unplaced
        )
        named = (paid.billing_references or paid.payer) if whole else ()
        return list(dict.fromkeys([*named, *(one for line in lines for one in line.references)]))


@in_english
def read(session: Session, roots: Collection[int], *, decide: bool = False) -> list[Position]:
    """The positions of these payments in the order of ids. The payments stay locked until the transaction ends.

    With `decide`, claims give memberships what these payments name. Otherwise nothing is written.
    """
    locked = references.lock(session, roots)
    root_of = {row: payment.root for payment in locked for row in payment.ids}
    known: defaultdict[int, list[KnownFact[Fact]]] = defaultdict(list)
    failures: defaultdict[int, list[DuesFailed]] = defaultdict(list)
    endpoint_of, claimed = {payment.root: payment.endpoint for payment in locked}, set[Key]()
    for row, fact in recorded.of_payments(session, list(root_of)):
        if isinstance(fact.fact, DuesFailed):
            failures[root_of[row]].append(fact.fact)
        elif isinstance(fact.fact, Claimed):
            claimed.add((endpoint_of[root_of[row]], fact.fact.payment))
        elif not isinstance(fact.fact, Announced):
            known[root_of[row]].append(fact)
    positions = [Position(payment, known[payment.root], failures=failures[payment.root]) for payment in locked]
    judge(session, positions, claimed if decide else None)
    return positions


@in_english
def judge(session: Session, positions: list[Position], claimed: Collection[Key] | None = None) -> None:
    """Find what the facts come to. `claimed` is None where no claim is to be decided: then nothing is written."""
    paid = [position for position in positions if position.paid]
    _match(session, paid, claimed)
    for position in paid:
        _judge(position)
    _look_beside(session, paid)


_BESIDE = Batch(
    f"""
    SELECT DISTINCT new.root, new.membership_id
    FROM ROWS
    CROSS JOIN LATERAL (
        {payments_of("new.membership_id")}
    ) theirs
    JOIN paid_payments p USING (id)
    WHERE p.id <> new.root AND p.state = 'settled'
      AND p.paid_at BETWEEN new.paid_at - interval '1 day' AND new.paid_at + interval '1 day'
      AND NOT p.id = ANY(CAST(:read AS bigint[]))
      AND NOT EXISTS (
          SELECT FROM payment_reviews r WHERE r.payment_id = p.id AND r.reason = ANY(CAST(:no_dues AS text[]))
      )
    """,
    root="bigint", membership_id="bigint", paid_at="timestamptz",
)  # fmt: skip


def _look_beside(session: Session, positions: list[Position]) -> None:
    """Judge again what may be a fee, if the membership's dues were paid on the same day."""
    wanted = {
        (position.payment.root, owner, position.paid.fact.occurred_at): position
        for position in positions
        if position.may_be_a_fee and position.paid
        for owner in position.owners
    }
    if not wanted:
        return
    read = array([position.payment.root for position in positions])
    beside = {tuple(row) for row in _BESIDE.execute(session, list(wanted), read=read, no_dues=array(NO_DUES))}
    for root, owner, paid_at in wanted:
        # Those that were read here do not stand in the table as they are now.
        beside |= {
            (root, owner)
            for other in positions
            if other.paid and other.is_dues and other.payment.root != root and owner in other.owners
            if abs(other.paid.fact.occurred_at - paid_at) <= ONE_DAY
        }
    for (root, owner, _), position in wanted.items():
        if (root, owner) in beside:
            position.beside_dues |= {owner}
    for position in {position.payment.root: position for position in wanted.values() if position.beside_dues}.values():
        _judge(position)


def _judge(position: Position) -> None:
    if position.paid is None:
        return
    paid = position.paid.fact
    contradicting = contradictions(position.facts)
    position.problem = "; ".join(one.what for one in contradicting) or None
    position.contradicting = frozenset(fact for one in contradicting for fact in one.facts)
    found = position.entitlement_by(position.facts)
    position.owed, position.division, position.reasons, *_ = found
    position.before_cut_over = found.before_cut_over
    position.owners = [share.membership_id for share in position.division.shares] or sorted(position.memberships)
    if found.gives_nothing == PaymentState.BEFORE_CUT_OVER:
        # Whatever is wrong with it belongs to the earlier system.
        position.state = PaymentState.BEFORE_CUT_OVER
        return
    if position.problem:
        position.reasons.append(Reason(ReviewReason.NOTED, position.problem))
    owners = [position.memberships[owner] for owner in position.owners]
    if other := [one for one in owners if one.currency != paid.currency]:
        position.problem = sentences.OTHER_CURRENCY.format(paid=paid.currency, currency=other[0].currency)
        position.state = PaymentState.HELD
        position.owed, position.reasons = [], [Reason(ReviewReason.HELD, position.problem)]
    elif not position.division.is_dues:
        position.state = PaymentState.NOT_DUES
    elif position.payment.state != PaymentState.SETTLED and (gone := [one for one in owners if one.erased_at]):
        # What was settled before stays settled, whatever else arrives for it.
        day = local_day(gone[0].erased_at or paid.occurred_at, gone[0].buyer.zone)
        position.state, position.owed = PaymentState.HELD, []
        position.reasons = [Reason(ReviewReason.ERASED, sentences.ERASED.format(day=day))]
    elif position.division.shares:
        position.state = found.gives_nothing or PaymentState.SETTLED
    else:
        position.state = PaymentState.UNMATCHED
        first = [*(paid.billing_references or paid.payer), *(one for line in paid.lines for one in line.references[:1])]
        named = " or ".join(one for one in dict.fromkeys(first) if one in position.waits_for)
        what = sentences.UNMATCHED.format(references=named or sentences.ANY_REFERENCE)
        position.reasons.insert(0, Reason(ReviewReason.UNMATCHED, what))
        if position.why_not_claimed:
            position.reasons.insert(0, Reason(ReviewReason.CLAIM, position.why_not_claimed))


_MATCHES = Batch(
    """
    SELECT new.endpoint, new.reference, b.membership_id, n.reference IS NOT NULL AS is_not_dues
    FROM ROWS
    LEFT JOIN billing_references b ON (b.endpoint, b.reference) = (new.endpoint, new.reference)
    LEFT JOIN not_dues n ON (n.endpoint, n.reference) = (new.endpoint, new.reference)
    WHERE b.membership_id IS NOT NULL OR n.reference IS NOT NULL
    ORDER BY b.membership_id
    """,
    endpoint="text", reference="text",
)  # fmt: skip

# References that were replaced at the processor, as often as it happened: whoever had the old one has the new one.
_REPLACED = Batch(
    """
    WITH RECURSIVE earlier AS (
        SELECT new.reference, new.endpoint, p.id AS payment_id, 1 AS steps
        FROM ROWS JOIN payments p ON (p.endpoint, p.reference) = (new.endpoint, new.reference)
        UNION ALL
        SELECT e.reference, e.endpoint, f.payment_id, e.steps + 1
        FROM earlier e JOIN payment_facts f ON f.other_payment_id = e.payment_id AND f.kind = 'replaced'
        WHERE e.steps < 20
    )
    SELECT DISTINCT e.endpoint, e.reference, b.membership_id
    FROM earlier e
    JOIN payments p ON p.id = e.payment_id
    JOIN billing_references b ON (b.endpoint, b.reference) = (p.endpoint, p.reference)
    WHERE e.steps > 1
    ORDER BY b.membership_id
    """,
    endpoint="text", reference="text",
)  # fmt: skip

# References that were moved or removed: the payments that were matched by one stay where they are.
_FORMER = Batch(
    """
    SELECT new.root, f.reference, f.membership_id
    FROM ROWS
    JOIN former_references f
      ON (f.endpoint, f.reference, f.membership_id) = (new.endpoint, new.reference, new.membership_id)
    ORDER BY f.membership_id
    """,
    root="bigint", endpoint="text", reference="text", membership_id="bigint",
)  # fmt: skip


def _match(session: Session, positions: list[Position], claimed: Collection[Key] | None) -> None:
    """Find the memberships of each payment, and which of its references are marked as not dues.

    The memberships that it was matched to before stay the only ones for their part. `claimed` are references that were
    claimed, perhaps without a payment; None where no claim is to be decided.
    """
    wanted = {(position.payment.endpoint, reference) for position in positions for reference in position.references}
    if not wanted and not claimed:
        return
    found: defaultdict[Key, list[int]] = defaultdict(list)
    marked: defaultdict[str, set[str]] = defaultdict(set)
    for endpoint, reference, membership_id, is_not_dues in _MATCHES.execute(session, list(wanted)):
        if membership_id is not None:
            found[endpoint, reference].append(membership_id)
        if is_not_dues:
            marked[endpoint].add(reference)
    missing = {
        (position.payment.endpoint, reference)
        for position in positions
        if not any((position.payment.endpoint, reference) in found for reference in position.references)
        for reference in position.references
    }
    if missing:
        for endpoint, reference, membership_id in _REPLACED.execute(session, list(missing)):
            found[endpoint, reference].append(membership_id)
    if claimed is not None:
        _decide_claims(session, positions, claimed, found)
    for position in positions:
        marks = marked.get(position.payment.endpoint)
        position.not_dues = frozenset(marks.intersection(position.references)) if marks else frozenset()
        before, waited_for = set(position.payment.memberships), set(position.payment.waits_for)
        for reference in position.references:
            every = found.get((position.payment.endpoint, reference), [])
            kept = [one for one in every if one in before] or (every if reference in waited_for else [])
            if one := kept if before else every:
                position.matches[reference] = one
    _match_by_former(session, positions)
    for position in positions:
        if position.payment.memberships and not position.matches and position.references:
            position.matches[position.references[0]] = list(position.payment.memberships)
    memberships = matches.read(
        session, {owner for position in positions for owners in position.matches.values() for owner in owners}
    )
    for position in positions:
        if position.paid:
            at, owners = position.paid.fact.occurred_at, {one for every in position.matches.values() for one in every}
            position.memberships = {owner: memberships[owner].at(at) for owner in owners}


def _decide_claims(
    session: Session, positions: list[Position], claimed: Collection[Key], found: dict[Key, list[int]]
) -> None:
    """Add to `found` what codes give to memberships; and to payments that still have none, why they do not."""
    asked = {
        position.payment.root: Asked(position.payment.endpoint, position.paid.fact)
        for position in positions
        if position.paid and not position.payment.memberships
        if not any((position.payment.endpoint, reference) in found for reference in position.references)
    }
    if not asked and not claimed:
        return
    decided = claims.decide(session, claimed, asked, {owner for owners in found.values() for owner in owners})
    for key, owner in decided.given.items():
        found[key] = [owner]
    for position in positions:
        position.why_not_claimed = decided.why_not.get(position.payment.root)


def _match_by_former(session: Session, positions: list[Position]) -> None:
    """Find the memberships that a payment was matched to by a reference that they do not have any more."""
    wanted = {
        (position.payment.root, position.payment.endpoint, reference, owner): position
        for position in positions
        if position.payment.memberships
        for owner in set(position.payment.memberships).difference(*position.matches.values())
        for reference in position.references
    }
    of_root = {position.payment.root: position for position in wanted.values()}
    for root, reference, owner in _FORMER.execute(session, list(wanted)) if wanted else ():
        matches = of_root[root].matches
        matches[reference] = sorted([*matches.get(reference, ()), owner])


def read_grants(session: Session, positions: list[Position]) -> dict[int, Grant]:
    """Give each position its grants. Returns, by id, these and the members' grants with an open shortfall, locked."""
    position_of = {row: position for position in positions for row in position.payment.ids}
    grants = held_grants.of_payments(
        session,
        position_of,
        {match.member_id for position in positions for match in position.memberships.values()},
    )
    for grant in grants.values():
        if grant.payment_id in position_of:
            position_of[grant.payment_id].grants.append(grant)
    return grants
