"""The list of members: filters, counts and order for pages, API and commands, and what a row says. Read only.

Main verb: `page`. Filters go by everybody's clock, also for test members; what a row says goes by the member's own.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.days import local_day
from models.database.arrays import array
from models.ledger.entries import FROZEN_TO_NOW
from models.members import lives, overdue
from models.members.memberships import Member
from models.members.overdue import Overdue
from models.members.search import OF_CLUBS, with_memberships
from models.staff import theirs
from models.staff.theirs import Clubs


class State(StrEnum):
    """What became of a member's memberships."""

    ACTIVE = "active"
    """One of them has not ended, and is not frozen."""
    FROZEN = "frozen"
    """One of them has not ended, and is frozen today."""
    ENDED = "ended"
    """All of them have ended."""


class DuesState(StrEnum):
    """Whether dues are owed."""

    GOOD = "good"
    OVERDUE = "overdue"


class Order(StrEnum):
    """By what the list is sorted."""

    ID = "id"
    NAME = "name"
    EXPIRES = "expires"
    """Whose sessions expire next first; those without sessions that expire last."""
    JOINED = "joined"
    """The newest first."""
    LEFT = "left"
    """Those with the fewest sessions left first."""


EXPIRING = (7, 14, 30)
"""Days within which sessions expire, to choose from."""
MAX_DAYS = 3660


class MemberFilter(NamedTuple):
    """Which members are wanted: those for whom all of this is so. None and False ask nothing."""

    club_id: int | None = None
    """They have a membership there."""
    offer_id: int | None = None
    """One of their memberships is of this offer now."""
    state: State | None = None
    dues: DuesState | None = None
    nothing_left: bool = False
    """They have no session that could be used today, if nothing were frozen or overdue."""
    expiring_days: int | None = None
    """Sessions of theirs expire within so many days."""


EVERYBODY = MemberFilter()
"""The filter that asks nothing."""


class Leaf(NamedTuple):
    """The members of one page; the cursors are those of the page before and the one after, None at the ends."""

    member_ids: Sequence[int]
    before: int | None
    after: int | None


class Left(NamedTuple):
    """What a member has of one item."""

    item_id: int
    item: str
    usable: int
    frozen: int
    next_expiry: datetime | None
    """When the next of the usable ones expire; None if none ever expire."""
    time_zone: str | None
    """Of the club by whose days they do."""


class Row(NamedTuple):
    """One member of the list."""

    member: Member
    left: Sequence[Left]
    """Of each item of which something is left."""
    overdue: Sequence[Overdue]
    """Their memberships whose dues are overdue, the longest first."""
    life: Mapping[int, Sequence[str]]
    """By membership, how it stands in words: `Frozen until Jan 16, 2027`."""
    frozen: frozenset[int]
    """Their memberships that are frozen now: the first of their words says until when."""


class Counts(NamedTuple):
    """How many members each filter would show alone."""

    all: int
    clubs: Mapping[int, int]
    offers: Mapping[int, int]
    states: Mapping[State, int]
    dues: Mapping[DuesState, int]
    nothing_left: int
    expiring: Mapping[int, int]


_OF_TODAY = "CAST(CAST(:now AS timestamptz) AT TIME ZONE c.time_zone AS date)"
# Driven by the acts, which are few beside memberships.
_ACTS = "life_in_force e JOIN memberships t ON t.id = e.membership_id JOIN clubs c ON c.id = t.club_id"
_ENDED = f"SELECT t.id FROM {_ACTS} WHERE e.kind = 'end' AND e.last_day < {_OF_TODAY}"
_FROZEN = f"""SELECT t.id FROM {_ACTS}
        WHERE e.kind = 'freeze' AND {_OF_TODAY} BETWEEN e.first_day AND coalesce(e.last_day, '9999-12-31')"""
_LIVE = "g.remaining > 0 AND g.effective_at <= :now AND (g.expires_at IS NULL OR g.expires_at > :now)"
_EXPIRES = "g.remaining > 0 AND g.effective_at <= :now AND g.expires_at > :now AND g.expires_at <= :until"
_OFFER_NOW = """coalesce((
        SELECT t.offer_id FROM membership_terms v JOIN payment_terms t ON t.id = v.payment_term_id
        WHERE v.membership_id = s.id AND v.since <= :now ORDER BY v.since DESC, v.id DESC LIMIT 1
    ), s.offer_id)"""
_THEIRS = "SELECT s.member_id FROM memberships s WHERE s.withdrawn_at IS NULL"
_RUNS = f"NOT EXISTS (SELECT FROM ({_ENDED}) over WHERE over.id = s.id)"
_RESTS = f"EXISTS (SELECT FROM ({_FROZEN}) rests WHERE rests.id = s.id)"
_STATES = {
    State.ACTIVE: f"m.id IN ({_THEIRS} AND {_RUNS} AND NOT {_RESTS})",
    State.FROZEN: f"m.id IN ({_THEIRS} AND s.id IN ({_FROZEN}) AND {_RUNS})",
    State.ENDED: f"m.id IN ({_THEIRS} AND s.id IN ({_ENDED}))"
    f" AND NOT EXISTS ({_THEIRS} AND s.member_id = m.id AND {_RUNS})",
}
_OVERDUE = "SELECT s.member_id FROM overdue_memberships o JOIN memberships s ON s.id = o.membership_id"
_DUES = {
    DuesState.GOOD: f"NOT EXISTS (SELECT FROM ({_OVERDUE}) late WHERE late.member_id = m.id)",
    DuesState.OVERDUE: f"m.id IN ({_OVERDUE})",
}
_NOTHING_LEFT = f"NOT EXISTS (SELECT FROM credit_grants g WHERE g.member_id = m.id AND {_LIVE})"
_EXPIRING = f"m.id IN (SELECT g.member_id FROM credit_grants g WHERE {_EXPIRES})"

_HELD = f"""
    SELECT g.member_id, sum(g.remaining) AS left, min(g.expires_at) AS expires
    FROM credit_grants g WHERE {_LIVE} GROUP BY g.member_id
"""


class _Key(NamedTuple):
    """How an order is written: what it sorts by, and the same of the cursor's member."""

    key: str
    cursor: str
    newest_first: bool = False


_ORDERS = {
    Order.ID: _Key("m.id", ":cursor"),
    Order.JOINED: _Key("m.id", ":cursor", newest_first=True),
    Order.NAME: _Key("lower(m.name)", "(SELECT lower(name) FROM members WHERE id = :cursor)"),
    Order.EXPIRES: _Key(
        "coalesce(h.expires, 'infinity')",
        "coalesce((SELECT expires FROM held WHERE member_id = :cursor), 'infinity')",
    ),
    Order.LEFT: _Key("coalesce(h.left, 0)", "coalesce((SELECT h.left FROM held h WHERE member_id = :cursor), 0)"),
}


def _conditions(wanted: MemberFilter, *, with_erased: bool) -> str:
    """The filter as SQL about the member `m`."""
    found = ["m.merged_into IS NULL", OF_CLUBS]
    if not with_erased:
        found.append("m.erased_at IS NULL")
    if wanted.club_id is not None:
        found.append(f"m.id IN ({_THEIRS} AND s.club_id = :club)")
    if wanted.offer_id is not None:
        found.append(f"m.id IN ({_THEIRS} AND {_OFFER_NOW} = :offer)")
    if wanted.state is not None:
        found.append(_STATES[wanted.state])
    if wanted.dues is not None:
        found.append(_DUES[wanted.dues])
    if wanted.nothing_left:
        found.append(_NOTHING_LEFT)
    if wanted.expiring_days is not None:
        found.append(_EXPIRING)
    return " AND ".join(found)


def _values(wanted: MemberFilter, now: datetime, club_ids: Clubs) -> dict[str, object]:
    return {
        "now": now, "club": wanted.club_id, "offer": wanted.offer_id,
        "until": now + timedelta(days=min(wanted.expiring_days or 0, MAX_DAYS)),
        "clubs": theirs.written(club_ids),
    }  # fmt: skip


def page(
    session: Session, wanted: MemberFilter = EVERYBODY, *, now: datetime, limit: int, order: Order = Order.NAME,
    after: int | None = None, before: int | None = None, club_ids: Clubs = None,
    with_erased: bool = False,
) -> Leaf:  # fmt: skip
    """Up to `limit` of these members in that order: those next to the cursor's member, or else the first.

    Without those that were merged into others or, unless wanted, erased; with `club_ids` only members of these clubs.
    """
    cursor = before or after
    known = session.get(Member, cursor) if cursor else None
    key, at, newest_first = _ORDERS[order]
    backwards = bool(known and before)
    down = newest_first != backwards
    asked = _conditions(wanted, with_erased=with_erased)
    if known:
        asked += f" AND ({key}, m.id) {'<' if down else '>'} ({at}, :cursor)"
    direction = "DESC" if down else "ASC"
    held = f"WITH held AS MATERIALIZED ({_HELD})" if "h." in key else ""
    query = text(f"""
        {held} SELECT m.id FROM members m {"LEFT JOIN held h ON h.member_id = m.id" if held else ""}
        WHERE {asked} ORDER BY {key} {direction}, m.id {direction} LIMIT :limit
    """)
    found = list(session.scalars(query, {**_values(wanted, now, club_ids), "cursor": cursor, "limit": limit + 1}))
    more, found = len(found) > limit, found[:limit]
    if not found:
        return Leaf([], None, None)
    if backwards:
        return Leaf(found[::-1], found[-1] if more else None, found[0])
    return Leaf(found, found[0] if known else None, found[-1] if more else None)


def count(session: Session, wanted: MemberFilter, *, now: datetime, club_ids: Clubs = None) -> int:
    """How many members the filter shows."""
    query = text(f"SELECT count(*) FROM members m WHERE {_conditions(wanted, with_erased=False)}")
    return int(session.scalar(query, _values(wanted, now, club_ids)) or 0)


_BY_CLUB_AND_OFFER = text("""
    WITH plans AS (
        SELECT DISTINCT ON (v.membership_id) v.membership_id, t.offer_id
        FROM membership_terms v JOIN payment_terms t ON t.id = v.payment_term_id
        WHERE v.since <= :now ORDER BY v.membership_id, v.since DESC, v.id DESC
    )
    SELECT s.club_id, coalesce(p.offer_id, s.offer_id), array_agg(DISTINCT s.member_id)
    FROM memberships s
    JOIN members m ON m.id = s.member_id
    LEFT JOIN plans p ON p.membership_id = s.id
    WHERE s.withdrawn_at IS NULL AND m.merged_into IS NULL AND m.erased_at IS NULL
      AND (CAST(:clubs AS bigint[]) IS NULL OR s.club_id = ANY(CAST(:clubs AS bigint[])))
    GROUP BY 1, 2
""")


def counts(session: Session, *, now: datetime, club_ids: Clubs = None) -> Counts:
    """How many members each filter shows: reads them all, so keep what it returns for a while."""

    def of(**asked: object) -> int:
        return count(session, MemberFilter(**asked), now=now, club_ids=club_ids)  # type: ignore[arg-type]

    clubs: defaultdict[int, set[int]] = defaultdict(set)
    offers: defaultdict[int, set[int]] = defaultdict(set)
    for club_id, offer_id, members in session.execute(_BY_CLUB_AND_OFFER, _values(MemberFilter(), now, club_ids)):
        clubs[club_id].update(members)
        offers[offer_id].update(members)
    everybody, late = of(), of(dues=DuesState.OVERDUE)
    return Counts(
        everybody,
        {one: len(members) for one, members in clubs.items()},
        {one: len(members) for one, members in offers.items()},
        {state: of(state=state) for state in State},
        {DuesState.GOOD: everybody - late, DuesState.OVERDUE: late},
        of(nothing_left=True),
        {days: of(expiring_days=days) for days in EXPIRING},
    )


_LEFT = text(f"""
    SELECT member_id, id, name, CAST(coalesce(sum(remaining) FILTER (WHERE frozen_to IS NULL), 0) AS bigint),
           CAST(coalesce(sum(remaining) FILTER (WHERE frozen_to IS NOT NULL), 0) AS bigint),
           min(expires_at) FILTER (WHERE frozen_to IS NULL),
           (array_agg(time_zone ORDER BY expires_at) FILTER (WHERE frozen_to IS NULL))[1]
    FROM (
        SELECT g.member_id, i.id, i.name, g.remaining, g.expires_at, {FROZEN_TO_NOW} AS frozen_to, c.time_zone
        FROM credit_grants g
        JOIN members m ON m.id = g.member_id
        JOIN items i ON i.id = g.item_id
        LEFT JOIN memberships s ON s.id = g.membership_id
        LEFT JOIN clubs c ON c.id = s.club_id
        WHERE g.member_id = ANY(CAST(:members AS bigint[])) AND g.remaining > 0
          AND g.effective_at <= :now + m.clock_ahead
          AND (g.expires_at IS NULL OR g.expires_at > :now + m.clock_ahead)
    ) held
    GROUP BY member_id, id, name
    ORDER BY member_id, name
""")


def rows(session: Session, member_ids: Sequence[int], *, now: datetime) -> Sequence[Row]:
    """What the list says of these members, in their order."""
    people = with_memberships(session, member_ids)
    left: defaultdict[int, list[Left]] = defaultdict(list)
    for member_id, *of_item in session.execute(_LEFT, {"members": array(member_ids), "now": now}):
        left[member_id].append(Left(*of_item))
    late: defaultdict[int, list[Overdue]] = defaultdict(list)
    for one in overdue.of_members(session, member_ids):
        late[one.member_id].append(one)
    known = lives.read(session, [bought.id for one in people.values() for bought in one.memberships])
    found = []
    for member in (people[number] for number in member_ids if number in people):
        stands = {
            bought.id: (
                known.of(bought.id, bought.club_id), local_day(member.clock(now), bought.club.time_zone)
            )
            for bought in member.memberships
        }  # fmt: skip
        words = {one: life.words(today) for one, (life, today) in stands.items()}
        frozen = frozenset(one for one, (life, today) in stands.items() if life.frozen_until(today))
        found.append(Row(member, left[member.id], late[member.id], words, frozen))
    return found
