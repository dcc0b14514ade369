"""When the sessions of a payment expire, computed from its facts. As with sessions, settling posts the difference.

The days count from the payment, or from the crediting if that was late. Days on which the money was away before it came
back do not count. Extensions by hand are added.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from models.catalogue.days import Period, end_of, expires_at, last_day
from models.ledger import held_grants
from models.ledger.clawback import Grant
from models.ledger.entries import Move
from models.ledger.kinds import EntryKind
from models.payments import money_back
from models.payments.entitlement import Owed
from models.payments.facts import Fact, KnownFact, Paid, Restored
from models.payments.positions import Position


class Expiry(NamedTuple):
    """When sessions expire (UTC; None is never), and whether the days count from the crediting because it was late."""

    at: datetime | None
    late: bool


def starts_at(position: Position, owed: Owed) -> datetime:
    """From when the sessions can be used, in UTC: from the payment, or from the beginning of their local day."""
    assert position.paid is not None, "only such payments owe"  # noqa: S101 -- narrows the type
    if owed.starts is None:
        return position.paid.fact.occurred_at
    return end_of(owed.starts - timedelta(days=1), position.memberships[owed.membership_id].buyer.zone)


def expiry(position: Position, owed: Owed, credited_at: datetime, late_after_s: int) -> Expiry:
    """The expiry of sessions credited at `credited_at`. `late_after_s` is the delay that counts as late; 0 is none.

    Only what is usable from the payment on can be late; the days of a later tranche count from its own day.
    """
    starts = starts_at(position, owed)
    late = owed.starts is None and _is_late(starts, credited_at, late_after_s)
    away = _away(position, owed, late_after_s)
    zone = position.memberships[owed.membership_id].buyer.zone
    return Expiry(expires_at(credited_at if late else starts, owed.days_to_expire, zone, away), late)


def changes(session: Session, read: Sequence[Position]) -> dict[int, Move]:
    """By grant id, the extension (longer or shorter) of each grant whose expiry differs from what its facts say.

    An extension by hand is never shortened.
    """
    wrong: dict[int, tuple[Position, Owed, Grant, datetime]] = {}
    for position in read:
        by_key = {grant.key: grant for grant in reversed(position.grants)}
        for owed in position.owed if by_key else ():
            grant = by_key.get(owed.key)
            if grant and grant.expires_at:
                at = expiry(position, owed, grant.recorded_at, grant.late_after_s).at
                if at and at != grant.expires_at:
                    wrong[grant.id] = (position, owed, grant, at)
    if not wrong:
        return {}
    zones = {
        grant_id: position.memberships[owed.membership_id].buyer.zone
        for grant_id, (position, owed, _, _) in wrong.items()
    }
    by_hand = held_grants.extended_by_hand(session, zones)
    moves = {}
    for grant_id, (position, owed, grant, at) in wrong.items():
        if days := by_hand.get(grant_id):
            at = max(end_of(last_day(at, zones[grant_id]) + days, zones[grant_id]), grant.expires_at or at)
        if at != grant.expires_at:
            moves[grant_id] = _extension(position, owed, grant, at)
    return moves


def _extension(position: Position, owed: Owed, grant: Grant, at: datetime) -> Move:
    came_back = _away(position, owed, grant.late_after_s)
    cause = _last(position, Restored if came_back else Paid)
    note = "days on which its money was away do not count" if came_back else "an earlier telling of the payment counts"
    return Move(grant.id, EntryKind.EXTENSION, 0, cause.fact.occurred_at, expires_at=at, fact_id=cause.id, note=note)


def _last(position: Position, kind: type[Fact]) -> KnownFact[Fact]:
    """The fact that causes the date: the `Paid` fact that counts, or the last fact of this kind."""
    if position.paid and kind is Paid:
        return position.paid
    return max((known for known in position.known if isinstance(known.fact, kind)), key=lambda known: known.id)


def _is_late(occurred_at: datetime, recorded_at: datetime, late_after_s: int) -> bool:
    return bool(late_after_s) and (recorded_at - occurred_at).total_seconds() > late_after_s


def _away(position: Position, owed: Owed, late_after_s: int) -> list[Period]:
    """The periods in which money was away that came back. A fact recorded late counts from when it was recorded."""
    if not any(isinstance(known.fact, Restored) for known in position.known):
        return []

    def known_at(known: KnownFact[Fact]) -> datetime:
        at = known.fact.occurred_at
        return known.recorded_at if _is_late(at, known.recorded_at, late_after_s) else at

    def reversed_by(facts: Sequence[Fact]) -> int:
        return sum(one.reversed for one in position.entitlement_by(facts).owed if one.key == owed.key)

    return money_back.away([(known_at(known), known.fact) for known in position.known], reversed_by)
