"""The memberships that payments are matched to, with all that settling has to know of them."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import array
from models.members import lives
from models.payments.entitlement import Buyer
from models.payments.money_back import FeeKept
from models.payments.worth import ItemTerms, Terms


class Match(NamedTuple):
    """What settling needs of a membership that a payment is for."""

    membership_id: int
    member_id: int
    currency: str
    shortfall_policy: str
    buyer: Buyer
    erased_at: datetime | None = None
    """When its member was erased."""
    clock_ahead: timedelta = timedelta(0)
    """By how much its member's clock is ahead, of a test member."""
    earlier: Sequence[tuple[datetime, str, Buyer]] = ()
    """Of each club that it had before: until when, its shortfall policy, and the buyer there."""

    def at(self, moment: datetime) -> "Match":
        """The same with the club that it had then."""
        for until, policy, buyer in self.earlier:
            if moment < until:
                return self._replace(shortfall_policy=policy, buyer=buyer)
        return self


_MEMBERSHIPS = text("""
    SELECT m.id, m.member_id, m.currency, n.erased_at, n.clock_ahead, c.time_zone, c.shortfall_policy,
           c.refund_fee_percent, c.refund_fee_most_minor, t.since, t.dues_minor, t.interval, t.interval_count,
           t.partial, t.release, t.release_times, t.frozen_dues, t.on_end, t.on_end_days, c.id AS club_id,
           m.credits_from,
           (SELECT string_agg(concat_ws(' ', p.item_id, p.quantity, p.days_to_expire), ',' ORDER BY p.item_id)
            FROM pinned_terms p WHERE p.terms_id = t.id AND p.quantity > 0) AS items,
           (SELECT json_agg(json_build_array(e.until, o.id, o.time_zone, o.shortfall_policy, o.refund_fee_percent,
                                             o.refund_fee_most_minor) ORDER BY e.until, e.id)
            FROM earlier_clubs e JOIN clubs o ON o.id = e.club_id WHERE e.membership_id = m.id) AS earlier
    FROM memberships m
    JOIN members n ON n.id = m.member_id
    JOIN clubs c ON c.id = m.club_id
    JOIN membership_terms t ON t.membership_id = m.id
    WHERE m.id = ANY(CAST(:ids AS bigint[]))
    ORDER BY m.id, t.since, t.id
""")


def read(session: Session, ids: Collection[int]) -> dict[int, Match]:
    """What settling needs of these memberships, with all versions of their terms."""
    memberships: dict[int, Match] = {}
    if not ids:
        return memberships
    known = lives.read(session, ids)
    for row in session.execute(_MEMBERSHIPS, {"ids": array(ids)}).all():
        membership_id, member_id, currency, erased_at, ahead, zone, policy, percent, most_minor, *pinned = row
        since, dues_minor, interval, count, partial, release, times, frozen, on_end, end_days, club_id, *more = pinned
        credits_from, items, clubs = more
        match = memberships.get(membership_id)
        if match is None:
            versions: list[Terms] = []
            buyer = Buyer(versions, zone, FeeKept(percent, most_minor), known.of(membership_id, club_id), credits_from)
            earlier = [
                (
                    datetime.fromisoformat(until),
                    rule,
                    Buyer(versions, there, FeeKept(share, most), known.of(membership_id, former), credits_from),
                )
                for until, former, there, rule, share, most in clubs or ()
            ]
            match = Match(membership_id, member_id, currency, policy, buyer, erased_at, ahead, earlier)
            memberships[membership_id] = match
        terms = Terms(
            since, dues_minor, interval, count, partial, release, times, _items(items), frozen, on_end, end_days
        )
        match.buyer.versions.append(terms)
    return memberships


# Many memberships have the same terms.
@lru_cache(4096)
def _items(stored: str | None) -> tuple[ItemTerms, ...]:
    """The terms that stand as `item quantity days,...`."""
    each = stored.split(",") if stored else ()
    return tuple(ItemTerms(*map(int, one.split())) for one in each)
