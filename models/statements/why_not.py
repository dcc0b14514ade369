"""Why no session of an item can be used, and the way out: one answer for pages, API and commands. Read only.

`_RULES` are asked in their order, and the first that has an answer gives it. A further reason is a member of `Reason`,
what it depends on in `Held`, and its rule.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.days import OPEN, last_day
from models.database.arrays import array
from models.errors import MemberErased, TooFewSessions
from models.ledger import kinds
from models.ledger.entries import FROZEN_TO
from models.ledger.good_at import GOOD_THERE, clubs_of
from models.members import overdue
from models.members.clocks import clock_of
from models.members.life import until_words
from models.members.memberships import Member, refuse_erased
from models.payments import matches
from models.wording import day_of, joined, sessions_named, sessions_of
from runtime.language import say, say_n


class Reason(StrEnum):
    """Why, for programs."""

    ERASED = "erased"
    FROZEN = "frozen"
    OVERDUE = "overdue"
    NOT_AT_THIS_CLUB = "not_at_this_club"
    ENDED = "ended"
    EXPIRED = "expired"
    NOT_YET = "not_yet"
    NONE_LEFT = "none_left"
    OTHER_ITEMS = "other_items"
    NEVER_ANY = "never_any"


class WhyNot(NamedTuple):
    """Why no session can be used, and what to do about it, in a sentence each."""

    reason: Reason
    sentence: str
    way_out: str
    day: date | None = None
    """The local day that the sentence names."""
    grant_id: int | None = None
    """The grant that the way out is about."""


class Held(NamedTuple):
    """What a member has of an item at a moment."""

    item_id: int
    item: str
    usable: int
    coming: int
    """Sessions of the next day on which some become usable; 0 of a day that is over, if they are used."""
    coming_day: date | None
    """That day, local at the club."""
    has_come: bool
    """It has begun by now: the question is about an earlier moment."""
    grant_id: int | None
    """Of the grants that had begun, the one that lasts longest; None if the member never had any."""
    expired: int
    """Sessions of that grant that have expired unused, and can be brought back."""
    expired_day: date | None
    """Its last usable day."""
    is_reversed: bool
    """All of it was taken back."""
    frozen: int
    """Sessions that could be used if their membership were not frozen."""
    frozen_to: date | None
    """The last day of that freeze; `OPEN` until further notice."""
    overdue: int
    """Sessions that could be used if the dues of their membership were not overdue."""
    resting_to: date | None
    """The last day of a freeze of a membership, whatever it gave; `OPEN` until further notice."""
    money_went_back: bool
    """Money of that grant's payment went back. If it was taken back without that, its payment is worth nothing now."""
    elsewhere: int
    """Sessions that could be used, but not at the club that is asked about."""
    elsewhere_at: str
    """The clubs where they can be used."""
    overdue_since: date | None = None
    """Since when they are overdue."""
    late_since: date | None = None
    """Since when dues of the member are overdue, also where their sessions can be used."""
    ended: date | None = None
    """The last day of the membership, if the expired sessions went because of it."""


def _named(item: str) -> str:
    """`Spin sessions`."""
    return sessions_named(item)


_Rule = Callable[[Held, Sequence[Held]], WhyNot | None]


def _frozen(held: Held, _: Sequence[Held]) -> WhyNot | None:
    if not held.frozen or held.frozen_to is None:
        return None
    until = until_words(held.frozen_to)
    sentence = say(
        "{sessions} cannot be used: the membership is frozen until {until}.",
        sessions=sessions_of(held.item, held.frozen),
        until=until,
    )
    way_out = say("End the freeze today, and they can be used from tomorrow on.")
    return WhyNot(Reason.FROZEN, sentence, way_out, None if held.frozen_to == OPEN else held.frozen_to)


def _overdue(held: Held, _: Sequence[Held]) -> WhyNot | None:
    if not held.overdue or held.overdue_since is None:
        return None
    since = day_of(held.overdue_since)
    sentence = say(
        "{sessions} cannot be used: dues are overdue since {since}.",
        sessions=sessions_of(held.item, held.overdue),
        since=since,
    )
    way_out = say("They can be used when the dues are paid, or now if you give a reason.")
    return WhyNot(Reason.OVERDUE, sentence, way_out, held.overdue_since)


def _elsewhere(held: Held, _: Sequence[Held]) -> WhyNot | None:
    if not held.elsewhere:
        return None
    sentence = say(
        "{sessions} can be used at {clubs} only, not at this club.",
        sessions=sessions_of(held.item, held.elsewhere), clubs=held.elsewhere_at,
    )  # fmt: skip
    way_out = say_n(
        "Use it there, or give one that is good here by an adjustment.",
        "Use them there, or give one that is good here by an adjustment.",
        held.elsewhere,
    )  # fmt: skip
    return WhyNot(Reason.NOT_AT_THIS_CLUB, sentence, way_out)


def _ended(held: Held, _: Sequence[Held]) -> WhyNot | None:
    if not held.expired or held.expired_day is None or held.ended is None:
        return None
    sessions, ended = sessions_of(held.item, held.expired), day_of(held.ended)
    sentence = say("The membership of the last {sessions} ended on {ended}.", sessions=sessions, ended=ended)
    if held.expired_day != held.ended:
        sentence = say(
            "The membership of the last {sessions} ended on {ended}, and they could be used until {day}.",
            sessions=sessions, ended=ended, day=day_of(held.expired_day),
        )  # fmt: skip
    way_out = say_n(
        "A manager can reopen the membership, or bring it back by extending grant {grant}.",
        "A manager can reopen the membership, or bring them back by extending grant {grant}.",
        held.expired, grant=held.grant_id,
    )  # fmt: skip
    return WhyNot(Reason.ENDED, sentence, way_out, held.ended, held.grant_id)


def _expired(held: Held, _: Sequence[Held]) -> WhyNot | None:
    if not held.expired or held.expired_day is None:
        return None
    sessions, day = sessions_of(held.item, held.expired), day_of(held.expired_day)
    sentence = say("The last {sessions} expired on {day}.", sessions=sessions, day=day)
    way_out = say_n(
        "A manager can bring it back, by extending grant {grant}.",
        "A manager can bring them back, by extending grant {grant}.",
        held.expired, grant=held.grant_id,
    )  # fmt: skip
    if held.coming and held.coming_day:
        more = say_n(
            "{n} more can be used from {day}.", "{n} more can be used from {day}.",
            held.coming, day=day_of(held.coming_day),
        )  # fmt: skip
        way_out += f" {more}"
    return WhyNot(Reason.EXPIRED, sentence, way_out, held.expired_day, held.grant_id)


def _not_yet(held: Held, _: Sequence[Held]) -> WhyNot | None:
    if held.coming_day is None or (not held.coming and (held.grant_id or not held.has_come)):
        return None
    day = day_of(held.coming_day)
    if held.has_come:
        sentence = say(
            "There were no {sessions} at that time: the next came on {day}.", sessions=_named(held.item), day=day
        )
        return WhyNot(Reason.NOT_YET, sentence, say("Say a later time, if it was later."), held.coming_day)
    sentence = say(
        "The next {sessions} can be used from {day}, not before.", sessions=sessions_of(held.item, held.coming), day=day
    )
    way_out = say("Come back on that day, or give one by an adjustment.")
    return WhyNot(Reason.NOT_YET, sentence, way_out, held.coming_day)


def _none_left(held: Held, _: Sequence[Held]) -> WhyNot | None:
    if held.grant_id is None:
        return None
    if held.is_reversed:
        sessions, way_out = _named(held.item), say("They come back when it is paid again.")
        sentence = say("The last {sessions} were taken back, because their payment was.", sessions=sessions)
        if not held.money_went_back:
            way_out = say("Where they came from says why.")
            sentence = say(
                "The last {sessions} were taken back, because their payment counts for none any more.",
                sessions=sessions,
            )
        return WhyNot(Reason.NONE_LEFT, sentence, way_out, grant_id=held.grant_id)
    sentence = say("No {sessions} are left.", sessions=_named(held.item))
    way_out = say("More come with the next payment of the dues.")
    return WhyNot(Reason.NONE_LEFT, sentence, way_out, grant_id=held.grant_id)


def _other_items(held: Held, others: Sequence[Held]) -> WhyNot | None:
    has = joined([sessions_of(one.item, one.usable) for one in others if one.usable])
    if not has:
        return None
    sessions = _named(held.item)
    sentence = say("There are no {sessions}, only {others}.", sessions=sessions, others=has)
    way_out = say("Use one of those, or change the plan to one with {sessions}.", sessions=sessions)
    return WhyNot(Reason.OTHER_ITEMS, sentence, way_out)


def _never_any(held: Held, _: Sequence[Held]) -> WhyNot:
    if held.late_since:
        way_out = say("Dues are overdue since {day}: they come when those are paid.", day=day_of(held.late_since))
    elif held.resting_to:
        way_out = say(
            "The membership is frozen until {until}, and dues of frozen days give none by most terms. They come with "
            "the first payment of the dues after that.",
            until=until_words(held.resting_to),
        )
    else:
        way_out = say("They come with the first payment of the dues. If that was made, it may wait in review.")
    return WhyNot(Reason.NEVER_ANY, say("There were never any {sessions}.", sessions=_named(held.item)), way_out)


_RULES: Sequence[_Rule] = (
    _frozen, _overdue, _elsewhere, _ended, _expired, _not_yet, _none_left, _other_items, _never_any,
)  # fmt: skip

# The item that is asked about, and all that the member has. What counts as usable is what a redemption draws on.
_HELD = text(f"""
    WITH held AS (
        SELECT g.*, c.time_zone, g.effective_at <= :at AS has_begun,
               g.expires_at IS NULL OR g.expires_at > :now AS is_live, {FROZEN_TO} AS frozen_to,
               coalesce(g.membership_id = ANY(CAST(:late AS bigint[])), false) AS is_late, {GOOD_THERE} AS good_there
        FROM credit_grants g JOIN grant_clubs c ON c.grant_id = g.id
        WHERE g.member_id = :member
    ), grants AS (
        SELECT *, is_live AND has_begun AND frozen_to IS NULL AND NOT is_late AS can_be_used,
            effective_at = coalesce(
                min(effective_at) FILTER (WHERE is_live AND NOT has_begun AND remaining > 0) OVER item,
                min(effective_at) FILTER (WHERE NOT has_begun) OVER item
            ) AS is_next
        FROM held WINDOW item AS (PARTITION BY item_id)
    ), sums AS (
        SELECT item_id,
               coalesce(sum(remaining) FILTER (WHERE can_be_used AND good_there), 0) AS usable,
               coalesce(sum(remaining) FILTER (WHERE can_be_used AND NOT good_there), 0) AS elsewhere,
               array_agg(id) FILTER (WHERE can_be_used AND NOT good_there AND remaining > 0) AS away,
               coalesce(sum(remaining) FILTER (
                   WHERE is_live AND has_begun AND frozen_to IS NULL AND is_late AND good_there), 0) AS overdue,
               coalesce(sum(remaining) FILTER (
                   WHERE is_live AND has_begun AND frozen_to IS NOT NULL AND good_there), 0) AS frozen,
               min(frozen_to) AS frozen_to,
               coalesce(sum(remaining) FILTER (WHERE is_live AND is_next), 0) AS coming,
               min(CAST(effective_at AT TIME ZONE time_zone AS date)) FILTER (WHERE is_next) AS coming_day,
               coalesce(bool_or(effective_at <= :now) FILTER (WHERE is_next), false) AS has_come
        FROM grants GROUP BY item_id
    ), longest AS (
        SELECT DISTINCT ON (item_id) * FROM grants WHERE has_begun
        ORDER BY item_id, expires_at DESC NULLS FIRST, id DESC
    )
    SELECT i.id, i.name, CAST(coalesce(s.usable, 0) AS bigint) AS usable, CAST(coalesce(s.coming, 0) AS bigint),
           s.coming_day, coalesce(s.has_come, false), l.id, l.is_live, l.expires_at, l.time_zone,
           coalesce(l.reversed = l.quantity, false),
           CAST(greatest(0, least(l.remaining + e.expired, l.quantity - l.reversed - e.used)) AS bigint),
           l.membership_id,
           CAST(coalesce(s.frozen, 0) AS bigint), s.frozen_to, CAST(coalesce(s.overdue, 0) AS bigint),
           (
               SELECT max(coalesce(f.last_day, '9999-12-31'))
               FROM frozen_memberships f JOIN memberships m ON m.id = f.membership_id
               WHERE m.member_id = :member AND CAST(CAST(:at AS timestamptz) AT TIME ZONE f.time_zone AS date)
                     BETWEEN f.first_day AND coalesce(f.last_day, '9999-12-31')
           ),
           EXISTS (
               SELECT FROM payments paid JOIN payments named ON named.root_id = paid.root_id
               JOIN payment_facts f ON f.payment_id = named.id AND f.kind = 'reversed'
               WHERE paid.id = l.payment_id
           ),
           CAST(coalesce(s.elsewhere, 0) AS bigint), s.away
    FROM items i
    LEFT JOIN sums s ON s.item_id = i.id
    LEFT JOIN longest l ON l.item_id = i.id
    CROSS JOIN LATERAL (
        SELECT coalesce(-sum(e.quantity) FILTER (WHERE {kinds.EXPIRED}), 0) AS expired,
               coalesce(-sum(e.quantity) FILTER (WHERE {kinds.USED}), 0) AS used
        FROM ledger_entries e WHERE e.grant_id = l.id
    ) e
    WHERE i.id = CAST(:item AS bigint) OR i.id IN (SELECT item_id FROM sums)
    ORDER BY i.name
""")


def why_not(
    session: Session, *, member_id: int, item_id: int, now: datetime, at: datetime | None = None,
    club_id: int | None = None,
) -> WhyNot | None:  # fmt: skip
    """Why the member can use no session of the item, or could not `at` an earlier moment; None if they can.

    With a club: why none can be used there.
    """
    try:
        refuse_erased(session.get_one(Member, member_id))
    except MemberErased as error:
        return WhyNot(Reason.ERASED, str(error), say("Later payments stand in review."), error.details["day"])
    return _answers(session, member_id, now, at, item_id, club_id).get(item_id)


def of_member(session: Session, member_id: int, now: datetime, club_id: int | None = None) -> dict[int, WhyNot]:
    """The same for every item that the member has ever had and cannot use, by its id."""
    return _answers(session, member_id, now, None, None, club_id)


@contextmanager
def explained(
    session: Session, *, member_id: int, item_id: int, now: datetime, at: datetime | None = None,
    club_id: int | None = None,
) -> Iterator[None]:  # fmt: skip
    """Add the reason and the way out to a refusal of the block, where no session at all can be used."""
    try:
        yield
    except TooFewSessions as error:
        if why := why_not(session, member_id=member_id, item_id=item_id, now=now, at=at, club_id=club_id):
            error.explain(why._asdict())
        raise


def _ended_on(session: Session, membership_id: int, last: date) -> date | None:
    """The last day of the membership, if by its end nothing of it could be used after that day."""
    match = matches.read(session, [membership_id])[membership_id]
    buyers = [match.buyer, *(buyer for _, _, buyer in match.earlier)]
    return match.buyer.life.ended if any(buyer.limit == last for buyer in buyers) else None


def _answers(
    session: Session, member_id: int, now: datetime, at: datetime | None, item_id: int | None, club_id: int | None
) -> dict[int, WhyNot]:
    now = clock_of(session, member_id, now)
    every_late = overdue.of_members(session, [member_id])
    late, late_since = overdue.refusing(every_late, now), every_late[0].day if every_late else None
    since, ids = late[0].day if late else None, array(one.membership_id for one in late)
    values: dict[str, object] = {
        "member": member_id,
        "item": item_id,
        "now": now,
        "at": min(at or now, now),
        "late": ids,
        "club": club_id,
    }
    every = []
    for row in session.execute(_HELD, values):
        *of_item, grant, is_live, expires_at, zone, is_reversed, expired, owner = row[:13]
        over = None if grant is None or is_live else last_day(expires_at, zone)
        left = expired if over else 0
        ended = _ended_on(session, owner, over) if left and over and owner and not row.usable else None
        more, away = row[13:-1], clubs_of(session, row.away) if row.away else ""
        every.append(Held._make((*of_item, grant, left, over, is_reversed, *more, away, since, late_since, ended)))
    found = {}
    for held in every:
        if not held.usable:
            others = [one for one in every if one is not held]
            found[held.item_id] = next(why for rule in _RULES if (why := rule(held, others)))
    return found
