"""Settling: what the facts say is owed, against what the ledger shows; only the difference is posted.

Everything needed is read for all payments at once and written at once: the number
of statements does not grow with the number of payments.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import columns
from models.ledger import clawback, entries, grants
from models.ledger.clawback import Lot
from models.ledger.entries import Move, NewGrant
from models.payments import cases, dates, facts, references
from models.payments.cases import Case
from models.payments.entitlement import Owed
from models.payments.facts import FACTS_PER_EVENT, Fact, KnownFact, Linked, Restored, Reversed, Told
from models.payments.references import PaymentState


def take_in(session: Session, told: Sequence[Told], *, now: datetime, late_credit: timedelta) -> dict[int, str]:
    """Records what events say and settles every payment they touch.

    Returns, by event id, the problem of each event that contradicts its payment or whose
    payment is held. `now` and `late_credit` as in `settle`.
    """
    if not told:
        return {}
    ids, roots = references.identify(session, facts.references(told))
    facts.record(session, told, ids, now)
    links = [
        (ids[endpoint, fact.payment], ids[endpoint, fact.other])
        for _, endpoint, said in told
        for fact in said
        if isinstance(fact, Linked)
    ]
    if links:
        roots = references.join(session, links, roots)
    troubled = {
        row: case for case in settle(session, roots, now=now, late_credit=late_credit) for row in case.payment.ids
    }
    return {
        event_id: problem
        for event_id, endpoint, said in (told if troubled else ())
        for fact in said
        if (case := troubled.get(ids[endpoint, fact.payment])) and (problem := case.problem_with(fact))
    }


def settle(session: Session, roots: Collection[int], *, now: datetime, late_credit: timedelta) -> list[Case]:
    """Makes the ledger show what the facts of these payments say; again, it changes nothing.

    Locks the payments, then their grants, each in the order of ids. Sessions credited
    more than `late_credit` after their payment count their days from `now`; zero turns
    that off. Returns the payments with a problem.
    """
    read = cases.read(session, roots)
    lots = cases.lay_out_lots(session, read)
    late_after_s = int(late_credit.total_seconds())
    dated = dates.changes(session, read)
    new = _grant(session, read, now, late_after_s)
    lots |= {lot.id: lot for lot in new}
    moves = _settle_lots(session, read, lots, dated, now)
    debts = defaultdict(list)
    for lot in sorted(lots.values(), key=lambda lot: lot.id):
        if lot.shortfall:
            debts[lot.member_id, lot.item_id].append(lot)
    for lot in new:
        if lot.expires_at is not None and lot.expires_at <= now:
            continue
        moves += clawback.repay(lot, debts[lot.member_id, lot.item_id], now)
    entries.post(session, moves)
    _write_states(session, read)
    return [case for case in read if case.problem]


def _settle_lots(
    session: Session, read: list[Case], lots: dict[int, Lot], dated: dict[int, Move], now: datetime
) -> list[Move]:
    """The moves that make each lot show as reversed what ought to be, and expire when it ought to."""
    targets = {lot.id: (case, lot, target) for case in read for lot, target in _targets(case) if lot.reversed != target}
    grants.read_entries(session, dated.keys() | targets.keys(), lots)
    moves = [lots[grant_id].apply(extension) for grant_id, extension in dated.items()]
    for case, lot, target in targets.values():
        assert case.match is not None, "only matched payments have lots"  # noqa: S101 -- narrows the type
        cause = _cause(case, (Reversed, Linked) if target > lot.reversed else (Restored,))
        moves += clawback.reverse(
            lot,
            target,
            policy=case.match.shortfall_policy,
            fact_id=cause.id,
            occurred_at=cause.fact.occurred_at,
            now=now,
        )
    for move in list({move.grant_id: move for move in moves if move.fact_id}.values()):
        lot = lots[move.grant_id]
        if lot.expires_at is None or lot.expires_at > now:
            note = "it can be used longer than was known when it expired"
            moves += clawback.bring_back(lot, move.occurred_at, fact_id=move.fact_id, note=note)
    return moves


def _grant(session: Session, read: list[Case], now: datetime, late_after_s: int) -> list[Lot]:
    """Makes the grants that are owed and missing, and lays them out with the others."""
    wanted: list[NewGrant] = []
    by_key: dict[tuple[int, int], Case] = {}
    for case in read:
        held = {lot.item_id for lot in case.lots}
        for owed in case.owed:
            if owed.item_id not in held:
                new = _new_grant(case, owed, now, late_after_s)
                by_key[new.payment_id, new.item_id] = case
                wanted.append(new)
    if not wanted:
        return []
    ids = entries.grant(session, wanted)
    lots = []
    for new in wanted:
        key = (new.payment_id, new.item_id)
        expiry, at = new.expires_at, new.recorded_at
        lot = Lot(
            ids[key], new.payment_id, new.member_id, new.item_id, new.quantity, new.quantity, 0, 0, expiry, at,
            late_after_s,
        )  # fmt: skip
        by_key[key].lots.append(lot)
        lots.append(lot)
    return lots


def _new_grant(case: Case, owed: Owed, now: datetime, late_after_s: int) -> NewGrant:
    assert case.match is not None and case.paid is not None, "only such payments owe"  # noqa: S101, PT018 -- narrows types
    paid_at = case.paid.fact.occurred_at
    expiry, late = dates.expiry(case, owed, now, late_after_s)
    return NewGrant(
        payment_id=case.payment.root,
        member_id=case.match.member_id,
        item_id=owed.item_id,
        quantity=owed.quantity,
        effective_at=min(paid_at, now),
        expires_at=expiry,
        occurred_at=paid_at,
        recorded_at=now,
        fact_id=case.paid.id,
        note="credited late: days to expire count from the day of crediting" if late and expiry else None,
        late_after_s=late_after_s,
    )


def _targets(case: Case) -> list[tuple[Lot, int]]:
    """Each lot with the sessions of it that ought to be reversed.

    Where references turned out to name one payment after each had been credited,
    the first lot of an item stands and the others are reversed whole. A lot made by terms that
    turned out not to be in force when it was paid keeps what the right ones give, as far as it has it.
    """
    if case.state != PaymentState.SETTLED:
        return []
    kept_of = {owed.item_id: owed.quantity - owed.reversed for owed in case.owed}
    return [
        (lot, lot.quantity - min(lot.quantity, kept_of.pop(lot.item_id, 0)))
        for lot in sorted(case.lots, key=lambda lot: lot.id)
    ]


def _cause(case: Case, kinds: tuple[type[Fact], ...]) -> KnownFact[Fact]:
    """The last told fact of these kinds; where none explains the change, the last told.

    Of what one event told, a reversal explains more than the link told beside it.
    """
    told = [known for known in case.known if isinstance(known.fact, kinds)] or case.known
    return max(told, key=lambda known: (known.id // FACTS_PER_EVENT, not isinstance(known.fact, Linked), known.id))


_WRITE_STATES = text("""
    UPDATE payments p
    SET state = new.state, problem = new.problem, membership_id = new.membership_id,
        billing_references = string_to_array(new.billing_references, E'\\n')
    FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:problems AS text[]),
                CAST(:membership_ids AS bigint[]), CAST(:billing_references AS text[]))
         AS new (id, state, problem, membership_id, billing_references)
    WHERE p.id = new.id
""")


def _write_states(session: Session, read: list[Case]) -> None:
    # Unmatched ones each time, because a further telling may have named further billing references.
    changed = [
        case
        for case in read
        if case.state != case.payment.state or case.problem or case.state == PaymentState.UNMATCHED
    ]
    if changed:
        rows = [
            (
                case.payment.root,
                case.state.value,
                case.problem,
                case.match.membership_id if case.match else None,
                "\n".join(case.billing_references) if case.state == PaymentState.UNMATCHED else None,
            )
            for case in changed
        ]
        names = ("ids", "states", "problems", "membership_ids", "billing_references")
        session.execute(_WRITE_STATES, columns(names, rows))


_MATCHED = text("""
    SELECT DISTINCT p.id FROM payments p
    JOIN billing_references b ON b.endpoint = p.endpoint AND b.reference = ANY(p.billing_references)
    WHERE p.state = 'unmatched'
    ORDER BY p.id
    LIMIT :limit
""")


def settle_matched(session: Session, *, now: datetime, late_credit: timedelta, limit: int = 500) -> int:
    """Settles up to `limit` unmatched payments whose billing reference a membership has by now; says how many."""
    roots = list(session.scalars(_MATCHED, {"limit": limit}))
    if roots:
        settle(session, roots, now=now, late_credit=late_credit)
    return len(roots)


def unsettled(session: Session, roots: Collection[int]) -> list[Case]:
    """The payments among these for which settling would post something. Writes nothing.

    Unmatched ones are left out: one that a membership has matched by now is settled by the next sweep.
    """
    read = cases.read(session, roots)
    cases.lay_out_lots(session, read)
    return [
        case
        for case in read
        if case.payment.state != PaymentState.UNMATCHED
        and (
            case.state != case.payment.state
            or {owed.item_id for owed in case.owed} - {lot.item_id for lot in case.lots}
            or any(lot.reversed != target for lot, target in _targets(case))
        )
    ]
