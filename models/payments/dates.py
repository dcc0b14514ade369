"""Until when the sessions of a payment can be used, as its facts say by now: settled by difference, as sessions are.

The days count from the payment, or from the crediting where that was late. Days on which the money was away and
came back do not count. What people have put off by hand comes on top.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from models.catalogue.days import Period, end_of, expires_at, last_day
from models.ledger import grants
from models.ledger.clawback import Lot
from models.ledger.entries import EntryKind, Move
from models.payments import entitlement
from models.payments.cases import Case
from models.payments.entitlement import Owed
from models.payments.facts import Fact, KnownFact, Paid, Restored


class Expiry(NamedTuple):
    """When sessions expire, UTC, None is never; and whether that counts from their crediting because it was late."""

    at: datetime | None
    late: bool


def expiry(case: Case, owed: Owed, credited_at: datetime, late_after_s: int) -> Expiry:
    """When sessions expire that were credited then; `late_after_s` is how late that may be, 0 for any time."""
    assert case.match is not None and case.paid is not None, "only such payments owe"  # noqa: S101, PT018 -- narrows types
    paid_at = case.paid.fact.occurred_at
    late = _is_late(paid_at, credited_at, late_after_s)
    away = _away(case, owed.quantity, late_after_s)
    return Expiry(expires_at(credited_at if late else paid_at, owed.days_to_expire, case.match.time_zone, away), late)


def changes(session: Session, read: Sequence[Case]) -> dict[int, Move]:
    """By lot, the extension, either way, of each that expires otherwise than the facts say by now.

    What people have put off is never shortened.
    """
    wrong: dict[int, tuple[Case, Lot, datetime]] = {}
    for case in read:
        by_item = {lot.item_id: lot for lot in reversed(case.lots)}
        for owed in case.owed if by_item else ():
            lot = by_item.get(owed.item_id)
            if lot and lot.expires_at:
                at = expiry(case, owed, lot.recorded_at, lot.late_after_s).at
                if at and at != lot.expires_at:
                    wrong[lot.id] = (case, lot, at)
    if not wrong:
        return {}
    zones = {grant_id: case.match.time_zone for grant_id, (case, _, _) in wrong.items() if case.match}
    by_hand = grants.extended_by_hand(session, zones)
    moves = {}
    for grant_id, (case, lot, at) in wrong.items():
        if days := by_hand.get(grant_id):
            at = max(end_of(last_day(at, zones[grant_id]) + days, zones[grant_id]), lot.expires_at or at)
        if at != lot.expires_at:
            moves[grant_id] = _extension(case, lot, at)
    return moves


def _extension(case: Case, lot: Lot, at: datetime) -> Move:
    came_back = _away(case, lot.quantity, lot.late_after_s)
    cause = _last(case, Restored if came_back else Paid)
    note = "days on which its money was away do not count" if came_back else "an earlier telling of the payment counts"
    return Move(lot.id, EntryKind.EXTENSION, 0, cause.fact.occurred_at, expires_at=at, fact_id=cause.id, note=note)


def _last(case: Case, kind: type[Fact]) -> KnownFact[Fact]:
    """What the date comes from: the telling that counts, or the last that told of money come back."""
    if case.paid and kind is Paid:
        return case.paid
    return max((known for known in case.known if isinstance(known.fact, kind)), key=lambda known: known.id)


def _is_late(occurred_at: datetime, recorded_at: datetime, late_after_s: int) -> bool:
    return bool(late_after_s) and (recorded_at - occurred_at).total_seconds() > late_after_s


def _away(case: Case, quantity: int, late_after_s: int) -> list[Period]:
    """When money of the payment was away that came back; what we heard of late counts from when we did."""
    if not any(isinstance(known.fact, Restored) for known in case.known):
        return []

    def known_at(known: KnownFact[Fact]) -> datetime:
        at = known.fact.occurred_at
        return known.recorded_at if _is_late(at, known.recorded_at, late_after_s) else at

    return entitlement.away([(known_at(known), known.fact) for known in case.known], quantity)
