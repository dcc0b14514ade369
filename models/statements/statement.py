"""A member's balances, grants, and entries with their causes, now or as of a moment. Read only.

The present is read from the grants' projections. What a member had *as of* a moment is computed from the entries that
were recorded by then, because that is what was shown at the time: an event of Monday that arrived on Wednesday is not
in Tuesday's balance, and an extension counts from when it was recorded. Only expiry goes by the moment itself,
recorded or not. For a moment in the future, the result is what will be left if nothing more happens.

Entries and their balances run in the order in which things happened; of one moment, in the order of recording.

The present is that of the member: of a test member whose clock is ahead, later than everybody else's. A moment of *as
of* is everybody's.

Sessions of a later tranche are *coming* until its day, and those of a frozen membership are *frozen*, unless its club
allows use: they are no part of what is usable.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from models.catalogue.days import OPEN
from models.catalogue.items import GoodAt, good_at
from models.members.clocks import clock_of
from models.members.life import until_words
from models.payments.worth import first_day
from models.statements.statement_queries import AS_OF, ENTRIES, NOW


class Coming(NamedTuple):
    """Sessions of an item that become usable on one day."""

    day: date
    """Local at the club."""
    usable_from: datetime
    """The beginning of that day, in UTC."""
    sessions: int


class Balance(NamedTuple):
    """One item of one member at one moment."""

    item_id: int
    item: str
    usable: int
    expires_next: int
    """Sessions that expire at `next_expiry`."""
    next_expiry: datetime | None
    """UTC; None if nothing usable ever expires."""
    shortfall: int
    frozen: int
    """Sessions that could be used if their membership were not frozen; they are not among the usable ones."""
    frozen_to: date | None
    """The last frozen local day of those that can be used first; None where none is, and until further notice."""
    coming_days: Sequence[Coming]
    """What is not usable yet, the next day first."""

    @property
    def coming(self) -> int:
        """Sessions that are not usable yet."""
        return sum(one.sessions for one in self.coming_days)

    @property
    def frozen_until(self) -> str:
        """Until when they are frozen: `Jan 16, 2026`, or `further notice`."""
        return until_words(self.frozen_to or OPEN)

    @property
    def comes_next(self) -> Coming | None:
        """What becomes usable next; None if nothing is coming."""
        return next(iter(self.coming_days), None)


class GrantLine(NamedTuple):
    """One grant; `is_expired` is by the clock, whether its expiry is recorded or not."""

    grant_id: int
    item_id: int
    item: str
    payment: str | None
    """The reference of the payment that gave it; None if it was given by hand."""
    endpoint: str | None
    quantity: int
    used: int
    """Redeemed and not returned."""
    remaining: int
    shortfall: int
    effective_at: datetime
    expires_at: datetime | None
    is_expired: bool
    time_zone: str | None
    """Of the club of its membership; the grant expires by that club's days. None if it was given by hand."""
    given_by: str | None
    """The person who gave it by hand."""
    note: str | None
    reversed: int
    """Sessions whose money went back, whether taken, expired or used."""
    entry_id: int
    """The entry that opened it."""
    membership_id: int | None
    """The membership whose dues gave it; None if it was given by hand."""
    club_id: int | None
    club: str | None
    expired: int
    """Sessions recorded as expired."""
    forgiven: int
    """Used sessions whose money went back, and which the club has forgiven."""
    tranche: int
    """Its number among the grants of its item that its payment made for the membership."""
    is_coming: bool
    """It is not usable yet."""
    club_ids: Sequence[int]
    """The clubs where it is good, if those are listed."""
    good_at: GoodAt

    @property
    def usable_from(self) -> date | None:
        """The local day on which its tranche begins; None for what was usable from the payment on."""
        return first_day(self.tranche)


class GrantPage(NamedTuple):
    """Some grants, the oldest first; `newer` is the cursor of the next page, None on the last."""

    grants: Sequence[GrantLine]
    newer: int | None


class EntryLine(NamedTuple):
    """One entry and its cause: the fact's payment and event, or the person's action."""

    entry_id: int
    occurred_at: datetime
    recorded_at: datetime
    kind: str
    item: str
    grant_id: int
    quantity: int
    balance: int
    """Sessions of the item on all the member's grants after this entry, and what happened before it."""
    grant_balance: int
    """Sessions on its own grant after it."""
    shortfall: int
    payment: str | None
    fact_id: int | None
    endpoint: str | None
    event_id: str | None
    redemption_id: int | None
    action_id: int | None
    actor: str | None
    """The person who did it by hand."""
    expires_at: datetime | None
    """The expiry that an opening entry or an extension sets."""
    note: str | None
    item_id: int
    cause: str | None
    """The cause of a reversal or restoration, as the processor's adapter names it."""
    counter_grant_id: int | None
    """The other grant of a debt repayment."""
    tranche: int
    """That of its grant."""
    enlarges: bool
    """It gives further sessions to a grant that was there."""
    shortens: bool
    """It is an extension to an earlier expiry than before."""
    used_at: datetime | None
    """When the sessions were used; what follows is the occasion of that use, for a return too."""
    class_reference: str | None
    class_name: str | None
    trainer: str | None
    club_id: int | None
    """The club where they were used; None if it was not recorded."""
    club: str | None

    @property
    def usable_from(self) -> date | None:
        """The local day on which the tranche of its grant begins; None for what was usable from the payment on."""
        return first_day(self.tranche)


class Page(NamedTuple):
    """Some entries, the newest first; `older` is the cursor of the next page, None on the last."""

    entries: Sequence[EntryLine]
    older: int | None


def balances(session: Session, member_id: int, now: datetime, *, as_of: datetime | None = None) -> Sequence[Balance]:
    """What is usable and what is coming, per item the member ever had; exact by the clock, whatever jobs ran.

    With `as_of`, what this function returned at that moment.
    """
    statement, _ = NOW if as_of is None else AS_OF
    rows = session.execute(statement, {"member": member_id, "now": as_of or clock_of(session, member_id, now)})
    return [
        Balance._make(
            [
                *row[:-4],
                None if row.frozen_to == OPEN else row.frozen_to,
                list(map(Coming, *(days or () for days in row[-3:]))),
            ]
        )
        for row in rows
    ]


def grants(session: Session, member_id: int, now: datetime, *, as_of: datetime | None = None) -> Sequence[GrantLine]:
    """Every grant, the oldest first. With `as_of`, what this function returned at that moment."""
    return _read_grants(session, member_id, now, as_of)


def grant(session: Session, member_id: int, grant_id: int, now: datetime) -> GrantLine | None:
    """One grant of the member; None if the member has no grant of that id."""
    return next(iter(_read_grants(session, member_id, now, grant=grant_id)), None)


def grant_page(
    session: Session, member_id: int, now: datetime, *, limit: int, after: int | None = None,
    as_of: datetime | None = None,
) -> GrantPage:  # fmt: skip
    """Up to `limit` of the same grants, starting after the cursor `after`."""
    found = _read_grants(session, member_id, now, as_of, after=after, limit=limit + 1)
    return GrantPage(found[:limit], found[limit - 1].grant_id if len(found) > limit else None)


def _read_grants(
    session: Session, member_id: int, now: datetime, as_of: datetime | None = None, **wanted: int | None
) -> list[GrantLine]:
    _, statement = NOW if as_of is None else AS_OF
    moment = as_of or clock_of(session, member_id, now)
    values = {"member": member_id, "now": moment, "grant": None, "after": None, "limit": None, **wanted}
    rows = session.execute(statement, values)
    return [GrantLine._make([*row, club_ids or (), good_at(club_ids)]) for *row, club_ids in rows]


def entries(session: Session, member_id: int, *, as_of: datetime | None = None) -> Sequence[EntryLine]:
    """Every entry with its cause and the balance after it, as things happened; only what was recorded up to `as_of`."""
    return _entries(session, member_id, at=as_of)[::-1]


def entry(session: Session, member_id: int, entry_id: int) -> EntryLine | None:
    """One of the same entries; None if the member has no entry of that id."""
    return next(iter(_entries(session, member_id, entry=entry_id)), None)


def page(
    session: Session, member_id: int, *, limit: int, before: int | None = None, as_of: datetime | None = None,
    item_id: int | None = None, grant_id: int | None = None, since: datetime | None = None,
    until: datetime | None = None,
) -> Page:  # fmt: skip
    """Up to `limit` of the same entries older than the cursor `before`, the newest first.

    Only those of one item or one grant, and of what happened from `since` on and before `until`, if given.
    """
    wanted = {"at": as_of, "before": before, "item": item_id, "grant": grant_id, "since": since, "until": until}
    found = _entries(session, member_id, limit=limit + 1, **wanted)
    return Page(found[:limit], found[limit - 1].entry_id if len(found) > limit else None)


_ALL = dict.fromkeys(("at", "before", "limit", "item", "grant", "entry", "since", "until"))


def _entries(session: Session, member_id: int, **wanted: datetime | int | None) -> list[EntryLine]:
    return [EntryLine(*row) for row in session.execute(ENTRIES, {**_ALL, "member": member_id, **wanted})]
