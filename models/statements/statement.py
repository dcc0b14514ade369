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

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from models.catalogue.days import OPEN
from models.catalogue.items import GoodAt, good_at
from models.ledger import kinds
from models.ledger.entries import FROZEN_TO_AS_OF, FROZEN_TO_NOW
from models.members.clocks import clock_of
from models.members.life import until_words
from models.payments.worth import first_day


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
    """The club where they were used, if somebody said so."""
    club: str | None

    @property
    def usable_from(self) -> date | None:
        """The local day on which the tranche of its grant begins; None for what was usable from the payment on."""
        return first_day(self.tranche)


class Page(NamedTuple):
    """Some entries, the newest first; `older` is the cursor of the next page, None on the last."""

    entries: Sequence[EntryLine]
    older: int | None


_GRANT_ROWS = """
    SELECT id, item_id, membership_id, quantity, remaining, shortfall, reversed, effective_at, expires_at
    FROM credit_grants WHERE member_id = :member
"""

_GRANT_ROWS_AS_OF = f"""
    SELECT g.id, g.item_id, g.membership_id, g.effective_at, {kinds.SUMS}
    FROM credit_grants g
    JOIN ledger_entries e ON e.grant_id = g.id AND e.recorded_at <= :now
    WHERE g.member_id = :member
    GROUP BY g.id
"""


def _balances(grants: str, frozen_to: str) -> TextClause:
    return text(f"""
    WITH held AS ({grants}), grants AS (
        SELECT *, is_live AND frozen_to IS NULL AS usable
        FROM (
            SELECT *, effective_at <= :now AND (expires_at IS NULL OR :now < expires_at) AS is_live,
                   {frozen_to} AS frozen_to
            FROM held g
        ) held
    ), next AS (
        SELECT item_id, min(expires_at) AS expires_at FROM grants WHERE usable AND remaining > 0 GROUP BY item_id
    ), coming AS (
        SELECT item_id, array_agg(day ORDER BY effective_at) AS days,
               array_agg(effective_at ORDER BY effective_at) AS moments,
               array_agg(sessions ORDER BY effective_at) AS sessions
        FROM (
            SELECT g.item_id, g.effective_at, CAST(g.effective_at AT TIME ZONE c.time_zone AS date) AS day,
                   CAST(sum(g.remaining) AS bigint) AS sessions
            FROM grants g JOIN grant_clubs c ON c.grant_id = g.id
            WHERE g.effective_at > :now AND g.remaining > 0
            GROUP BY 1, 2, 3
        ) days
        GROUP BY item_id
    )
    SELECT i.id, i.name,
           CAST(coalesce(sum(l.remaining) FILTER (WHERE l.usable), 0) AS bigint),
           CAST(coalesce(sum(l.remaining) FILTER (WHERE l.usable AND l.expires_at = n.expires_at), 0) AS bigint),
           n.expires_at, CAST(sum(l.shortfall) AS bigint),
           CAST(coalesce(sum(l.remaining) FILTER (WHERE l.is_live AND l.frozen_to IS NOT NULL), 0) AS bigint),
           min(l.frozen_to) FILTER (WHERE l.is_live AND l.remaining > 0) AS frozen_to, c.days, c.moments, c.sessions
    FROM grants l
    JOIN items i ON i.id = l.item_id
    LEFT JOIN next n ON n.item_id = l.item_id
    LEFT JOIN coming c ON c.item_id = l.item_id
    GROUP BY i.id, i.name, n.expires_at, c.days, c.moments, c.sessions
    ORDER BY i.name
""")


def _grants(grants: str, entered: str = "true") -> TextClause:
    return text(f"""
    SELECT g.id, g.item_id, i.name, f.reference, f.endpoint, g.quantity, f.used, g.remaining, g.shortfall,
           g.effective_at, g.expires_at, coalesce(g.expires_at <= :now, false), c.time_zone, a.actor, f.note,
           g.reversed, f.opened_by, c.membership_id, c.club_id, c.club, f.expired,
           greatest(0, least(f.used, f.reversed_without_effect - f.gone)), held.tranche, g.effective_at > :now,
           held.club_ids
    FROM (
        SELECT * FROM ({grants}) held
        WHERE id = coalesce(CAST(:grant AS bigint), id)
          AND (CAST(:after AS bigint) IS NULL OR (effective_at, id) > (
              SELECT effective_at, id FROM credit_grants WHERE id = CAST(:after AS bigint) AND member_id = :member
          ))
        ORDER BY effective_at, id
        LIMIT :limit
    ) g
    JOIN credit_grants held ON held.id = g.id
    JOIN items i ON i.id = g.item_id
    LEFT JOIN grant_clubs c ON c.grant_id = g.id AND c.membership_id IS NOT NULL
    LEFT JOIN actions a ON a.id = held.action_id
    CROSS JOIN LATERAL (
        -- What opened it; later ones of these entries only make it larger.
        SELECT (array_agg(p.reference ORDER BY e.id) FILTER (WHERE {kinds.OPENS}))[1] AS reference,
               (array_agg(p.endpoint ORDER BY e.id) FILTER (WHERE {kinds.OPENS}))[1] AS endpoint,
               (array_agg(e.note ORDER BY e.id) FILTER (WHERE {kinds.OPENS}))[1] AS note,
               min(e.id) AS opened_by,
               coalesce(-sum(e.quantity) FILTER (WHERE {kinds.USED}), 0) AS used,
               coalesce(-sum(e.quantity) FILTER (WHERE {kinds.EXPIRED}), 0) AS expired,
               coalesce(-sum(e.quantity) FILTER (WHERE {kinds.GONE}), 0) AS gone,
               -- Neither taken nor owed: what was gone before, and what was used and then forgiven.
               coalesce(sum(e.reversed + e.quantity - e.shortfall) FILTER (WHERE {kinds.TAKES_BACK}), 0)
                   AS reversed_without_effect
        FROM ledger_entries e
        LEFT JOIN payment_facts f ON f.id = e.fact_id AND {kinds.OPENS}
        LEFT JOIN payments p ON p.id = f.payment_id
        WHERE e.grant_id = g.id AND {entered}
    ) f
    ORDER BY g.effective_at, g.id
""")


_NOW = _balances(_GRANT_ROWS, FROZEN_TO_NOW), _grants(_GRANT_ROWS)
_AS_OF = _balances(_GRANT_ROWS_AS_OF, FROZEN_TO_AS_OF), _grants(_GRANT_ROWS_AS_OF, "e.recorded_at <= :now")

_ENTRIES = text(f"""
    WITH entered AS (
        SELECT e.*, g.item_id, g.tranche,
               sum(e.quantity) OVER (PARTITION BY g.item_id ORDER BY e.occurred_at, e.id) AS balance,
               sum(e.quantity) OVER (PARTITION BY e.grant_id ORDER BY e.occurred_at, e.id) AS grant_balance
        FROM credit_grants g
        JOIN ledger_entries e ON e.grant_id = g.id
        WHERE g.member_id = :member AND e.recorded_at <= coalesce(CAST(:at AS timestamptz), 'infinity')
          AND g.item_id = coalesce(CAST(:item AS bigint), g.item_id)
    ), wanted AS (
        SELECT * FROM entered
        WHERE (CAST(:before AS bigint) IS NULL OR (occurred_at, id) < (
              SELECT occurred_at, id FROM entered WHERE id = CAST(:before AS bigint)
          ))
          AND occurred_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
          AND occurred_at < coalesce(CAST(:until AS timestamptz), 'infinity')
          AND grant_id = coalesce(CAST(:grant AS bigint), grant_id) AND id = coalesce(CAST(:entry AS bigint), id)
        ORDER BY occurred_at DESC, id DESC
        LIMIT :limit
    )
    SELECT e.id, e.occurred_at, e.recorded_at, e.kind, i.name, e.grant_id, e.quantity, e.balance, e.grant_balance,
           e.shortfall, p.reference, e.fact_id, w.endpoint, w.event_id, e.redemption_id, e.action_id, a.actor,
           e.expires_at, coalesce(e.note, o.note), e.item_id, f.cause, e.counter_grant_id, e.tranche,
           e.kind = 'grant' AND EXISTS (SELECT FROM ledger_entries b WHERE b.grant_id = e.grant_id AND b.id < e.id),
           e.kind = 'extension' AND coalesce(e.expires_at, 'infinity') < (
               SELECT coalesce(before.expires_at, 'infinity') FROM ledger_entries before
               WHERE before.grant_id = e.grant_id AND before.id < e.id AND {kinds.DATES.replace("e.", "before.")}
               ORDER BY before.id DESC LIMIT 1
           ), o.occurred_at, o.class_reference, o.class_name, o.trainer, o.club_id, c.name
    FROM wanted e
    JOIN items i ON i.id = e.item_id
    LEFT JOIN payment_facts f ON f.id = e.fact_id
    LEFT JOIN payments p ON p.id = f.payment_id
    LEFT JOIN webhook_events w ON w.id = f.event_id
    LEFT JOIN actions a ON a.id = e.action_id
    LEFT JOIN redemptions r ON r.id = e.redemption_id
    LEFT JOIN redemptions o ON o.id = coalesce(r.undoes, r.id)
    LEFT JOIN clubs c ON c.id = o.club_id
    ORDER BY e.occurred_at DESC, e.id DESC
""")


def balances(session: Session, member_id: int, now: datetime, *, as_of: datetime | None = None) -> Sequence[Balance]:
    """What is usable and what is coming, per item the member ever had; exact by the clock, whatever jobs ran.

    With `as_of`, what this function returned at that moment.
    """
    statement, _ = _NOW if as_of is None else _AS_OF
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
    _, statement = _NOW if as_of is None else _AS_OF
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
    return [EntryLine(*row) for row in session.execute(_ENTRIES, {**_ALL, "member": member_id, **wanted})]
