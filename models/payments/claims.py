"""Claims: a membership's code came back with a billing reference, so that the reference becomes the membership's.

Settling decides, with the payments that wait for the reference, so a claim and its payment may come in any order. Which
reference a code gives follows from all of its claims: by the processor's clock the earliest that counts. A claim counts

- where no membership has the reference, and staff have not taken it from this one: it takes nothing away;
- where the code has given its membership no other reference: a second subscription with one code is for staff;
- where an endpoint in test mode reported it, for the membership of a test member;
- by itself, where the gym's server or we set the code. Where the payer could have edited it: only with a payment, if
  the membership awaits its first one, in its own currency, and what was due is the dues of its term.

A payer's reference (a customer) that a code gave leads to the first payment of the dues that this payer made for a
subscription, and gives the membership that subscription. Where it has any further reference, it is not looked for.

In one case the first to come decides: a reference that was given stays given, as its sessions may have been used. An
earlier claim of the same code, or of the same reference, that is reported after that is for staff.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import locks
from models.database.arrays import Batch, array
from models.members.awaiting import AWAITS, PAID
from models.payments import sentences
from models.payments.facts import Claimed, Paid
from models.payments.references import Key
from models.staff import actions
from models.wording import money


class Claimant(NamedTuple):
    """The membership that has a code."""

    membership_id: int
    member_id: int
    currency: str
    erased: bool
    is_test: bool
    """Whether its member is a test member, for whom only test endpoints pay."""
    awaits: bool
    """Whether it awaits its first payment."""
    dues: Sequence[tuple[str, int]]
    """Its dues, each with the moment since when."""
    has: Sequence[Sequence[str]] | None
    """Its billing references, each with its endpoint first."""

    def dues_at(self, moment: datetime) -> int:
        """Its dues in minor units for a payment made then; the first ones for one before the sign-up."""
        return next(
            (dues for since, dues in reversed(self.dues) if datetime.fromisoformat(since) <= moment), self.dues[0][1]
        )


class Asked(NamedTuple):
    """A payment that no membership has."""

    endpoint: str
    paid: Paid

    @property
    def closest(self) -> list[Key]:
        """What it is looked up by."""
        return [(self.endpoint, one) for one in self.paid.billing_references or self.paid.payer]

    @property
    def payers(self) -> list[Key]:
        """Who paid, where it names something closer."""
        return [(self.endpoint, one) for one in self.paid.payer] if self.paid.billing_references else []


@dataclass(slots=True)
class Decided:
    """The references that were given, each to a membership; and why others were not, by the payment that asked."""

    given: dict[Key, int] = field(default_factory=dict)
    why_not: dict[int, str] = field(default_factory=dict)


_CODES = Batch(
    """
    SELECT DISTINCT f.cause
    FROM ROWS
    JOIN payments p ON (p.endpoint, p.reference) = (new.endpoint, new.reference)
    JOIN payment_facts f ON f.payment_id = p.id AND f.kind = 'claimed'
    WHERE new.asked OR NOT EXISTS (
        SELECT FROM billing_references b WHERE (b.endpoint, b.reference) = (new.endpoint, new.reference)
    )
    """,
    endpoint="text", reference="text", asked="boolean",
)  # fmt: skip

_CLAIMS = text("""
    SELECT p.endpoint, p.reference, f.occurred_at, f.cause, f.shape IS NOT NULL AS from_link, f.amount_minor, f.currency
    FROM payment_facts f JOIN payments p ON p.id = f.payment_id
    WHERE f.kind = 'claimed' AND f.cause = ANY(CAST(:codes AS text[]))
    ORDER BY f.occurred_at, p.endpoint, p.reference, f.cause, from_link
""")

_CLAIMANTS = text(f"""
    SELECT m.code, m.id, m.member_id, m.currency, n.erased_at IS NOT NULL AS erased, n.is_test,
           {AWAITS} AS awaits,
           (SELECT json_agg(json_build_array(t.since, t.dues_minor) ORDER BY t.since, t.id)
            FROM membership_terms t WHERE t.membership_id = m.id) AS dues,
           (SELECT json_agg(json_build_array(b.endpoint, b.reference))
            FROM billing_references b WHERE b.membership_id = m.id) AS has
    FROM memberships m JOIN members n ON n.id = m.member_id
    WHERE m.code = ANY(CAST(:codes AS text[])) AND m.withdrawn_at IS NULL
""")

_OWNERS = Batch(
    """
    SELECT endpoint, reference, b.membership_id, true AS now
    FROM ROWS JOIN billing_references b USING (endpoint, reference)
    UNION ALL
    SELECT endpoint, reference, f.membership_id, false
    FROM ROWS JOIN former_references f USING (endpoint, reference)
    """,
    endpoint="text", reference="text",
)  # fmt: skip

_GIVE = Batch(
    "INSERT INTO billing_references (endpoint, reference, membership_id) SELECT * FROM ROWS ON CONFLICT DO NOTHING",
    endpoint="text", reference="text", membership_id="bigint",
)  # fmt: skip


def decide(session: Session, claimed: Collection[Key], asked: Mapping[int, Asked], matched: Collection[int]) -> Decided:
    """Give references to the memberships whose codes claim them, and say why not for payments that wait.

    `claimed` are references that were claimed, `asked` the payments that no membership has, by their roots, and
    `matched` the memberships of other payments that are being settled. The payments are locked.
    """
    asking = {key for one in asked.values() for key in (*one.closest, *one.payers)}
    wanted = {*claimed, *asking}
    rows = [(*key, key in asking) for key in sorted(wanted)]
    codes = [code for (code,) in _CODES.execute(session, rows)] if rows else []
    if not codes:
        return Decided()
    # All claims of one code, and of one reference, are decided one after the other.
    locks.each(session, codes)
    locks.each(session, [f"{endpoint} {reference}" for endpoint, reference in wanted])
    return _Decision(session, codes, asked, wanted, {*matched}).made()


class _Decision:
    """One decision about the claims of some codes, which are locked."""

    def __init__(
        self, session: Session, codes: Sequence[str], asked: Mapping[int, Asked], wanted: set[Key], matched: set[int]
    ) -> None:
        self.session, self.asked, self.wanted, self.matched = session, asked, wanted, matched
        self.decided = Decided()
        these = {"codes": array(codes)}
        self.claims = [
            (row.endpoint, Claimed(row.reference, row.occurred_at, row.cause, row.from_link, *row[5:]))
            for row in session.execute(_CLAIMS, these)
        ]
        self.claimants = {code: Claimant(*rest) for code, *rest in session.execute(_CLAIMANTS, these)}
        self.owners: defaultdict[Key, set[int]] = defaultdict(set)
        self.had: defaultdict[Key, set[int]] = defaultdict(set)
        keys = self.wanted | {(endpoint, claim.payment) for endpoint, claim in self.claims}
        for endpoint, reference, membership_id, now in _OWNERS.execute(session, sorted(keys)):
            (self.owners if now else self.had)[endpoint, reference].add(membership_id)

    def made(self) -> Decided:
        """The decision, written down."""
        for endpoint, claim in self.claims:
            key = endpoint, claim.payment
            if key in self.wanted and not self.owners.get(key) and self._why_not(key, claim) is None:
                self._give(key, self.claimants[claim.code])
        waiting = sorted(self.asked.values(), key=lambda one: (one.paid.occurred_at, one.endpoint, one.paid.payment))
        for one in waiting:
            for key in one.payers:
                self._teach(one, key)
        for root, one in self.asked.items():
            if not any(self.owners.get(key) for key in one.closest):
                why_not = self._why_it_waits(one)
                self.decided.why_not |= {root: why_not} if why_not else {}
        if given := self.decided.given:
            _GIVE.execute(self.session, [(*key, owner) for key, owner in given.items()])
        return self.decided

    def _give(self, key: Key, claimant: Claimant) -> None:
        self.decided.given[key] = claimant.membership_id
        self.owners[key].add(claimant.membership_id)
        subject = f"{key[1]} on {key[0]} to membership {claimant.membership_id}, by its code"
        by = actions.BY_THE_PROVIDER
        actions.log(self.session, by, "add billing reference", subject, member_id=claimant.member_id)

    def _teach(self, one: Asked, payer: Key) -> None:
        """Give what a payment names to the membership that a code gave its payer, where that has nothing else."""
        for endpoint, claim in self.claims:
            claimant = self.claimants.get(claim.code)
            if (endpoint, claim.payment) != payer or claimant is None or any(map(self.owners.get, one.closest)):
                continue
            given = {key for key, owner in self.decided.given.items() if owner == claimant.membership_id}
            if {payer} == given | {(had, named) for had, named in claimant.has or ()} and _is_dues(claimant, _due(one)):
                self._give(one.closest[0], claimant)

    def _why_it_waits(self, one: Asked) -> str | None:
        """Why no claim has given this payment a membership; None where no code came with it."""
        for endpoint, claim in self.claims:
            key = endpoint, claim.payment
            if key in one.closest:
                return self._why_not(key, claim)
        return None

    def _why_not(self, key: Key, claim: Claimed) -> str | None:
        """Why the claim does not count, in a sentence without a name; None where it does."""
        claimant = self.claimants.get(claim.code)
        if claimant is None:
            return sentences.CODE_OF_NOBODY.format(code=claim.code)
        code_of = partial(str.format, membership=claimant.membership_id)
        if claimant.erased:
            return code_of(sentences.CODE_OF_ERASED)
        test = self.session.info.get("test_endpoints")
        if claimant.is_test and test is not None and key[0] not in test:
            return code_of(sentences.CODE_OF_TEST, endpoint=key[0])
        if claimant.membership_id in self.had.get(key, ()):
            return code_of(sentences.CODE_TAKEN, reference=claim.payment)
        for endpoint, other in self.claims:
            theirs = endpoint, other.payment
            owners = self.owners.get(theirs, set()) | self.had.get(theirs, set())
            if other.code == claim.code and theirs != key and claimant.membership_id in owners:
                return code_of(sentences.CODE_USED, reference=other.payment, endpoint=endpoint)
        if not claim.from_link:
            return None
        due = [_due(one) for one in self.asked.values() if key in one.closest]
        if due and claim.amount_minor is not None and claim.currency:
            due.append((claim.amount_minor, claim.currency, claim.occurred_at))
        if not claimant.awaits or claimant.membership_id in self.matched:
            return code_of(sentences.CODE_NOT_AWAITED)
        if not self._is_first(claimant, due):
            billed = " and ".join(dict.fromkeys(money(minor, currency) for minor, currency, _ in due))
            dues = money(claimant.dues_at(claim.occurred_at), claimant.currency)
            return code_of(sentences.CODE_OF_OTHER_DUES, dues=dues, billed=billed)
        return None

    def _is_first(self, claimant: Claimant, due: Sequence[tuple[int, str, datetime]]) -> bool:
        """Whether the membership awaits its first payment, and one of these amounts is its dues."""
        awaits = claimant.awaits and claimant.membership_id not in self.matched
        return awaits and any(_is_dues(claimant, one) for one in due)


def _is_dues(claimant: Claimant, due: tuple[int, str, datetime]) -> bool:
    minor, currency, at = due
    return not claimant.erased and currency == claimant.currency and 0 < minor == claimant.dues_at(at)


def _due(one: Asked) -> tuple[int, str, datetime]:
    return one.paid.due, one.paid.currency, one.paid.occurred_at


_WAITING = text("""
    SELECT DISTINCT p.id
    FROM payments c
    JOIN payment_facts f ON f.payment_id = c.id AND f.kind = 'claimed'
    JOIN payments p ON p.endpoint = c.endpoint AND p.state = 'unmatched'
    WHERE c.id = ANY(CAST(:claimed AS bigint[])) AND (
        c.reference = ANY(p.billing_references)
        OR EXISTS (
            SELECT FROM payments part JOIN payment_facts paid ON paid.payment_id = part.id AND paid.kind = 'paid'
            WHERE part.root_id = p.id AND jsonb_exists(paid.shape -> 'payer', c.reference)
        )
    )
""")


def waiting(session: Session, claimed: Collection[int]) -> set[int]:
    """The payments that no membership has and that name one of these references, if it is claimed."""
    return set(session.scalars(_WAITING, {"claimed": array(claimed)})) if claimed else set()


_LOOK_AGAIN = text(f"""
    UPDATE payments SET settle_again = true
    WHERE id IN (
        SELECT p.id FROM payments p
        JOIN payment_facts f ON f.payment_id = p.id AND f.kind = 'claimed'
        JOIN memberships m ON m.code = f.cause
        WHERE p.id = ANY(CAST(:claimed AS bigint[])) AND NOT {PAID}
        ORDER BY p.id
    )
""")


def look_again(session: Session, claimed: Collection[int]) -> None:
    """Have the sweep look at these references once more: a payment that names one may be recorded at this moment."""
    if claimed:
        session.execute(_LOOK_AGAIN, {"claimed": array(claimed)})
