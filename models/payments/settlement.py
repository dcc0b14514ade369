"""Settling: compare what the facts say is owed with what the ledger shows, and post the difference.

Everything is read and written for all payments at once: the number of statements does not grow with the number of
payments.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.clubs import ShortfallPolicy
from models.database import locks
from models.database.arrays import Batch, array
from models.ledger import clawback, entries, held_grants
from models.ledger.clawback import Grant
from models.ledger.entries import Move, NewGrant
from models.members import closure_walk
from models.payments import claims, dates, failed_dues, positions, recorded, references, reviews, sentences
from models.payments.entitlement import Owed
from models.payments.facts import Claimed, Fact, KnownFact, Linked, Paid, Restored, Reversed
from models.payments.money_back import kept_as_fee
from models.payments.positions import Position
from models.payments.recorded import FACTS_PER_EVENT, EventFacts
from models.payments.references import PaymentState
from models.wording import money
from runtime.language import in_english


@in_english
def take_in(session: Session, events: Sequence[EventFacts], *, now: datetime, late_credit: timedelta) -> dict[int, str]:
    """Record the facts of events and settle every payment that they name.

    Returns, by event id, the problem of each event that contradicts its payment or whose payment is held. `now`
    and `late_credit` are as in `settle`.
    """
    if not events:
        return {}
    ids, roots = references.identify(session, recorded.references(events))
    recorded.record(session, events, ids, now)
    links = [
        (ids[endpoint, fact.payment], ids[endpoint, fact.other])
        for _, endpoint, named in events
        for fact in named
        if isinstance(fact, Linked)
    ]
    if links:
        roots = references.join(session, links, roots)
    claimed = {
        ids[endpoint, fact.payment] for _, endpoint, named in events for fact in named if isinstance(fact, Claimed)
    }
    roots |= claims.waiting(session, claimed)
    troubled = {
        row: position
        for position in settle(session, roots, now=now, late_credit=late_credit)
        for row in position.payment.ids
    }
    claims.look_again(session, claimed)
    return {
        event_id: problem
        for event_id, endpoint, named in (events if troubled else ())
        for fact in named
        if (position := troubled.get(ids[endpoint, fact.payment])) and (problem := position.problem_with(fact))
    }


@in_english
def settle(session: Session, roots: Collection[int], *, now: datetime, late_credit: timedelta) -> list[Position]:
    """Make the ledger and the review show what the facts of these payments say. Idempotent.

    Locks the payments, then their grants, each in the order of ids. Sessions credited more than `late_credit` after
    their payment count their days from `now`; zero turns that off. Returns the payments with a problem.
    """
    locks.settle(session)
    read = positions.read(session, roots, decide=True)
    grants = positions.read_grants(session, read)
    clock = _clocks(read, now)
    late_after_s = int(late_credit.total_seconds())
    dated = dates.changes(session, read, now)
    larger = [(position, grant, more) for position in read for grant, more in _larger(position)]
    new = _grant(session, read, now, late_after_s)
    grants |= {grant.id: grant for grant in new}
    given = {grant.id: grant.quantity for grant in new} | {grant.id: more for _, grant, more in larger}
    moves = [_enlarge(position, grant, more) for position, grant, more in larger]
    moves += _settle_grants(session, read, grants, dated, clock)
    debts = defaultdict(list)
    for grant in sorted(grants.values(), key=lambda grant: grant.id):
        if grant.shortfall:
            debts[grant.member_id, grant.item_id].append(grant)
    for grant_id, sessions in given.items():
        grant = grants[grant_id]
        if grant.expires_at is not None and grant.expires_at <= clock(grant.member_id):
            continue
        moves += clawback.repay(grant, sessions, debts[grant.member_id, grant.item_id], clock(grant.member_id))
    entries.post(session, moves)
    _write_states(session, read)
    failed_dues.write(session, read)
    judged_anew = reviews.write(session, [(position.payment.ids, position.reasons) for position in read], now)
    _look_again(session, read, judged_anew, now)
    return [position for position in read if position.problem]


Clock = Callable[[int], datetime]
"""The present moment for the member with an id."""


def _clocks(read: list[Position], now: datetime) -> Clock:
    """`now` for everybody but the test members whose clocks are ahead."""
    matches = [match for position in read for match in position.memberships.values()]
    ahead = {match.member_id: match.clock_ahead for match in matches if match.clock_ahead}
    return lambda member_id: now + ahead[member_id] if member_id in ahead else now


def _larger(position: Position) -> list[tuple[Grant, int]]:
    """The grants that turn out to be of more sessions than they have, each with how many more."""
    if not position.grants:
        return []
    owed = {one.key: one.quantity for one in position.owed}
    first = _first_of_each(position.grants)
    return [(grant, more) for grant in first if (more := owed.get(grant.key, 0) - grant.quantity) > 0]


def _enlarge(position: Position, grant: Grant, more: int) -> Move:
    cause = _cause(position, (Paid, Linked))
    return clawback.enlarge(grant, more, fact_id=cause.id, occurred_at=cause.fact.occurred_at)


def _settle_grants(
    session: Session, read: list[Position], grants: dict[int, Grant], dated: dict[int, Move], clock: Clock
) -> list[Move]:
    """The moves that bring each grant to its target of reversed sessions and to its expiry."""
    targets = {
        grant.id: (position, grant, target)
        for position in read
        for grant, target in _targets(position)
        if grant.reversed != target
    }
    held_grants.read_entries(session, dated.keys() | targets.keys(), grants)
    moves = [grants[grant_id].apply(extension) for grant_id, extension in dated.items()]
    for position, grant, target in targets.values():
        cause = _cause(position, (Reversed, Linked) if target > grant.reversed else (Restored,))
        match = position.memberships.get(grant.membership_id or 0)
        fee = kept_as_fee(position.facts, match.buyer.fee_kept) if match and isinstance(cause.fact, Reversed) else 0
        paid = position.paid.fact if position.paid else None
        moves += clawback.reverse(
            grant,
            target,
            policy=match.shortfall_policy if match else ShortfallPolicy.REPAY,
            fact_id=cause.id,
            occurred_at=cause.fact.occurred_at,
            now=clock(grant.member_id),
            note=sentences.ALL_BUT_FEE.format(fee=money(fee, paid.currency))
            if fee and paid
            else position.why_nothing(grant.membership_id, grant.tranche),
        )
    for move in list({move.grant_id: move for move in moves if move.fact_id}.values()):
        grant = grants[move.grant_id]
        if grant.expires_at is None or grant.expires_at > clock(grant.member_id):
            note = sentences.LONGER_THAN_KNOWN
            moves += clawback.bring_back(grant, move.occurred_at, fact_id=move.fact_id, note=note)
    return moves


def _grant(session: Session, read: list[Position], now: datetime, late_after_s: int) -> list[Grant]:
    """Make the grants that are owed and missing, and add them to their positions."""
    wanted: list[NewGrant] = []
    by_key: dict[tuple[int | None, ...], Position] = {}
    for position in read:
        held = {grant.key for grant in position.grants}
        for owed in position.owed:
            if owed.key not in held:
                by_key[position.payment.root, *owed.key] = position
                wanted.append(_new_grant(position, owed, now, late_after_s))
    if not wanted:
        return []
    ids = entries.grant(session, wanted, recorded_at=now, late_after_s=late_after_s)
    grants = []
    for new in wanted:
        key = (new.payment_id, new.membership_id, new.item_id, new.tranche)
        grant = Grant(
            ids[key], new.payment_id, new.member_id, new.membership_id, new.item_id, new.tranche, new.quantity,
            new.quantity, 0, 0, new.expires_at, now, new.effective_at, late_after_s,
        )  # fmt: skip
        by_key[key].grants.append(grant)
        grants.append(grant)
    return grants


def _new_grant(position: Position, owed: Owed, now: datetime, late_after_s: int) -> NewGrant:
    assert position.paid is not None, "only such payments owe"  # noqa: S101 -- narrows the type
    paid_at, match = position.paid.fact.occurred_at, position.memberships[owed.membership_id]
    expiry, late = dates.expiry(position, owed, now, late_after_s)
    return NewGrant(
        payment_id=position.payment.root,
        member_id=match.member_id,
        membership_id=owed.membership_id,
        item_id=owed.item_id,
        tranche=owed.tranche,
        quantity=owed.quantity,
        effective_at=dates.starts_at(position, owed) if owed.starts else min(paid_at, now + match.clock_ahead),
        expires_at=expiry,
        occurred_at=paid_at,
        fact_id=position.paid.id,
        note=sentences.CREDITED_LATE if late and expiry else None,
    )


def _targets(position: Position) -> list[tuple[Grant, int]]:
    """Each grant with its target: how many of its sessions should count as reversed.

    If two references turn out to be one payment after each was credited, the first grant of each tranche stays and the
    others are reversed whole. So is a grant of a tranche that is not owed after all.
    """
    if position.state not in _DECIDED:
        return []
    kept_of = {owed.key: owed.quantity - owed.reversed for owed in position.owed}
    return [
        (grant, grant.quantity - min(grant.quantity, kept_of.pop(grant.key, 0)))
        for grant in sorted(position.grants, key=lambda grant: grant.id)
    ]


_DECIDED = {
    PaymentState.SETTLED, PaymentState.NOT_DUES, PaymentState.FREEZE_FEE, PaymentState.BEFORE_CUT_OVER,
}  # fmt: skip


def _first_of_each(grants: Iterable[Grant]) -> Collection[Grant]:
    """Of the grants of one tranche the first: the one that stays."""
    return {grant.key: grant for grant in sorted(grants, key=lambda grant: -grant.id)}.values()


def _cause(position: Position, kinds: tuple[type[Fact], ...]) -> KnownFact[Fact]:
    """The last recorded fact of these kinds; if there is none, the last fact of any kind.

    Among the facts of one event, a reversal explains more than a link.
    """
    known = [known for known in position.known if isinstance(known.fact, kinds)] or position.known
    return max(known, key=lambda known: (known.id // FACTS_PER_EVENT, not isinstance(known.fact, Linked), known.id))


_WRITE_STATES = Batch(
    """
    UPDATE payments p
    SET state = new.state, problem = new.problem, membership_id = new.membership_id, settle_again = false,
        billing_references = string_to_array(new.billing_references, E'\\n')
    FROM ROWS WHERE p.id = new.id
    """,
    id="bigint", state="text", problem="text", membership_id="bigint", billing_references="text",
)  # fmt: skip

_WRITE_FURTHER = Batch(
    "INSERT INTO payment_matches (payment_id, membership_id) SELECT * FROM ROWS ON CONFLICT DO NOTHING",
    payment_id="bigint", membership_id="bigint",
)  # fmt: skip


def _write_states(session: Session, read: list[Position]) -> None:
    changed = []
    for position in read:
        before, owners, waits_for = position.payment, position.owners, position.waits_for
        after = (position.state, owners[:1], {*owners}, waits_for, position.problem, False)
        matched = before.memberships[:1], {*before.memberships}
        if after != (before.state, *matched, before.waits_for, None, before.settle_again):
            changed.append(
                (
                    before.root,
                    position.state.value,
                    position.problem,
                    next(iter(owners), None),
                    "\n".join(waits_for) or None,
                )
            )
    if changed:
        _WRITE_STATES.execute(session, changed)
    several = [
        (position.payment.root, owner) for position in read if len(position.owners) > 1 for owner in position.owners
    ]
    if several:
        _WRITE_FURTHER.execute(session, several)


_LOOK_AGAIN = text("""
    UPDATE payments p SET settle_again = true FROM payment_reviews r
    WHERE r.payment_id = p.id AND r.reason IN ('part', 'extra') AND r.recorded_at > :now - interval '40 days'
      AND (p.membership_id = ANY(CAST(:owners AS bigint[])) OR EXISTS (
          SELECT FROM payment_matches m WHERE m.payment_id = p.id AND m.membership_id = ANY(CAST(:owners AS bigint[]))
      ))
      AND NOT p.id = ANY(CAST(:roots AS bigint[])) AND NOT p.settle_again
""")
_ONCE_MORE = text("UPDATE payments SET settle_again = true WHERE id = ANY(CAST(:roots AS bigint[]))")


def _look_again(session: Session, read: list[Position], judged_anew: Collection[int], now: datetime) -> None:
    """Have what may be a fee beside these payments judged again, now that they are there or are judged anew.

    And what is new and may be a fee itself, once this is committed: its dues may be settled at this very moment.
    """
    roots = [position.payment.root for position in read]
    changed = [one for one in read if not one.may_be_a_fee or one.payment.root in judged_anew]
    if owners := {owner for position in changed for owner in position.owners}:
        session.execute(_LOOK_AGAIN, {"owners": array(owners), "roots": array(roots), "now": now})
    new = [position for position in read if position.payment.state != position.state]
    if fees := [position.payment.root for position in new if position.may_be_a_fee]:
        session.execute(_ONCE_MORE, {"roots": array(fees)})


_MATCHED = text("""
    WITH RECURSIVE replacing AS (
        SELECT f.other_payment_id AS id
        FROM payment_facts f
        JOIN payments old ON old.id = f.payment_id
        JOIN billing_references b ON (b.endpoint, b.reference) = (old.endpoint, old.reference)
        WHERE f.kind = 'replaced'
        UNION
        SELECT f.other_payment_id FROM replacing r JOIN payment_facts f ON f.payment_id = r.id AND f.kind = 'replaced'
    )
    SELECT DISTINCT p.id FROM payments p
    JOIN billing_references b ON b.endpoint = p.endpoint AND b.reference = ANY(p.billing_references)
    WHERE p.state = 'unmatched' OR (p.state = 'settled' AND p.billing_references IS NOT NULL)
    UNION
    SELECT p.id FROM replacing r JOIN payments new USING (id)
    JOIN payments p ON p.endpoint = new.endpoint AND new.reference = ANY(p.billing_references)
    WHERE p.state = 'unmatched'
    UNION SELECT id FROM payments WHERE settle_again
    ORDER BY id
    LIMIT :limit
""")


@in_english
def settle_matched(session: Session, *, now: datetime, late_credit: timedelta, limit: int = 500) -> int:
    """Settle up to `limit` payments that found a membership since, or whose worth was changed. Returns how many."""
    roots = list(session.scalars(_MATCHED, {"limit": limit}))
    if roots:
        settle(session, {*roots, *claims.waiting(session, roots)}, now=now, late_credit=late_credit)
    return len(roots)


@in_english
def settle_closures(
    session: Session, *, now: datetime, late_credit: timedelta, limit: int = closure_walk.BATCH
) -> bool:
    """Settle the payments of the next `limit` grants that a closure reaches; whether there is more to do."""
    roots = closure_walk.advance(session, limit=limit)
    if roots:
        settle(session, roots, now=now, late_credit=late_credit)
    return roots is not None


class Compared(NamedTuple):
    """Payments whose facts say something else than what is stored, by their roots."""

    unsettled: list[int]
    """Settling would post something."""
    dues: list[int]
    """Other failed dues are owed than `failed_dues` has."""
    waiting: int
    """How many were left out: settling would post something, but a sweep is to settle them anyway. They are unmatched,
    or their worth or days were changed."""


@in_english
def compare(session: Session, roots: Collection[int]) -> Compared:
    """What settling these payments would change. Writes nothing; the payments stay locked."""
    read = positions.read(session, roots)
    positions.read_grants(session, read)
    dated = {one.position.payment.root for one in dates.wrong(session, read)}
    differing = {
        position.payment.root: position.payment
        for position in read
        if position.state != position.payment.state
        or {owed.key for owed in position.owed} - {grant.key for grant in position.grants}
        or _larger(position)
        or position.payment.root in dated
        or any(grant.reversed != target for grant, target in _targets(position))
    }
    waiting = closure_walk.among(session, differing)
    waiting |= {root for root, one in differing.items() if one.settle_again or one.state == PaymentState.UNMATCHED}
    return Compared(sorted(differing.keys() - waiting), failed_dues.differing(session, read), len(waiting))
