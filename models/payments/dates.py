"""When the sessions of a payment expire, computed from its facts. As with sessions, settling posts the difference.

The days count from the payment, or from the crediting if that was late. Days on which the money was away before it came
back, on which the membership was frozen, or its club closed, do not count; the end of the membership is a limit.
Extensions by hand are added.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from models.catalogue.days import ONE_DAY, OPEN, DayRange, days_of, end_of, last_day, local_day, within
from models.ledger import held_grants
from models.ledger.clawback import Grant
from models.ledger.entries import Move
from models.ledger.held_grants import ByHand
from models.ledger.kinds import EntryKind
from models.payments import money_back, sentences
from models.payments.entitlement import Buyer, Owed
from models.payments.facts import Fact, KnownFact, Restored
from models.payments.positions import Position
from models.wording import counted, day_of


class Expiry(NamedTuple):
    """When sessions expire (UTC; None is never), and whether the days count from the crediting because it was late."""

    at: datetime | None
    late: bool


def starts_at(position: Position, owed: Owed) -> datetime:
    """From when the sessions can be used, in UTC: from the payment, or from the beginning of their local day."""
    assert position.paid is not None, "only such payments owe"  # noqa: S101 -- narrows the type
    if owed.starts is None:
        return position.paid.fact.occurred_at
    return end_of(owed.starts - ONE_DAY, position.memberships[owed.membership_id].buyer.zone)


def expiry(position: Position, owed: Owed, credited_at: datetime, late_after_s: int) -> Expiry:
    """The expiry of sessions credited at `credited_at`. `late_after_s` is the delay that counts as late; 0 is none.

    Only what is usable from the payment on can be late; the days of a later tranche count from its own day.
    """
    starts = starts_at(position, owed)
    late = owed.starts is None and _is_late(starts, credited_at, late_after_s)
    buyer = position.memberships[owed.membership_id].buyer
    away = _away(position, owed, buyer.zone, late_after_s)
    base = local_day(credited_at if late else starts, buyer.zone)
    last = buyer.last_usable_day(owed.item_id, base, owed.days_to_expire, away)
    return Expiry(end_of(last, buyer.zone) if last else None, late)


class Wrong(NamedTuple):
    """A grant with another expiry than its facts, and the acts on its membership, say."""

    position: Position
    owed: Owed
    grant: Grant
    at: datetime | None
    """What they say, and what staff have added."""

    @property
    def buyer(self) -> Buyer:
        """By whose days and rules it expires."""
        return self.position.memberships[self.owed.membership_id].buyer


def wrong(session: Session, read: Sequence[Position]) -> list[Wrong]:
    """The grants whose expiry differs from what their facts, and the acts on their memberships, say.

    Days that staff have added by hand are added to that, and a day that they have set is kept.
    """
    found = []
    for position in read:
        by_key = {grant.key: grant for grant in reversed(position.grants)}
        for owed in position.owed if by_key else ():
            grant = by_key.get(owed.key)
            if grant and (at := expiry(position, owed, grant.recorded_at, grant.late_after_s).at) != grant.expires_at:
                found.append(Wrong(position, owed, grant, at))
    if not found:
        return []
    by_hand = held_grants.extended_by_hand(session, {one.grant.id: one.buyer.zone for one in found})
    added = [one._replace(at=_later(one.at, by_hand.get(one.grant.id), one.buyer.zone)) for one in found]
    return [one for one in added if one.at != one.grant.expires_at]


def _later(at: datetime | None, by_hand: ByHand | None, zone: str) -> datetime | None:
    if at is None or by_hand is None:
        return at
    return by_hand.until and max(end_of(last_day(at, zone) + by_hand.days, zone), by_hand.until)


def changes(session: Session, read: Sequence[Position], now: datetime) -> dict[int, Move]:
    """By grant id, the extension (longer or shorter) that makes each wrong expiry right."""
    return {one.grant.id: _extension(one, now) for one in wrong(session, read)}


def _extension(one: Wrong, now: datetime) -> Move:
    position, owed, grant, at = one
    buyer, life = one.buyer, one.buyer.life
    base, last = local_day(grant.effective_at, buyer.zone), last_day(at, buyer.zone) if at else OPEN
    frozen, closed = (
        within(days, base + ONE_DAY, last) if at else 0 for days in (life.frozen, life.closed.get(owed.item_id, ()))
    )
    skipped = [counted(frozen, "frozen day") if frozen else "", counted(closed, "closed day") if closed else ""]
    notes = [sentences.NOT_COUNTED.format(days=days) for days in skipped if days]
    if at is None and life.frozen:
        notes.append(sentences.FROZEN_ON)
    if at and life.ended and last == buyer.limit:
        notes.append(sentences.MEMBERSHIP_ENDED.format(day=day_of(life.ended)))
    if _away(position, owed, buyer.zone, grant.late_after_s):
        notes.append(sentences.MONEY_AWAY)
        back = _last(position, Restored)
        fact_id, occurred_at = back.id, back.fact.occurred_at
    else:
        assert position.paid is not None, "only such payments owe"  # noqa: S101 -- narrows the type
        fact_id, occurred_at = position.paid.id, now
    note = "; ".join(notes) or sentences.COUNTED_ANEW
    return Move(grant.id, EntryKind.EXTENSION, 0, occurred_at, expires_at=at, fact_id=fact_id, note=note)


def _last(position: Position, kind: type[Fact]) -> KnownFact[Fact]:
    """The last recorded fact of this kind."""
    return max((known for known in position.known if isinstance(known.fact, kind)), key=lambda known: known.id)


def _is_late(occurred_at: datetime, recorded_at: datetime, late_after_s: int) -> bool:
    return bool(late_after_s) and (recorded_at - occurred_at).total_seconds() > late_after_s


def _away(position: Position, owed: Owed, zone: str, late_after_s: int) -> list[DayRange]:
    """The days on which money was away that came back. A fact recorded late counts from when it was recorded."""
    if not any(isinstance(known.fact, Restored) for known in position.known):
        return []

    def known_at(known: KnownFact[Fact]) -> datetime:
        at = known.fact.occurred_at
        return known.recorded_at if _is_late(at, known.recorded_at, late_after_s) else at

    def reversed_by(facts: Sequence[Fact]) -> int:
        return sum(one.reversed for one in position.entitlement_by(facts).owed if one.key == owed.key)

    periods = money_back.away([(known_at(known), known.fact) for known in position.known], reversed_by)
    return [days_of(period, zone) for period in periods]
