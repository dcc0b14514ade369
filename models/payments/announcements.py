"""Announcements of processors about subscriptions, as proposals for memberships. Verbs: `apply`, `dismiss`.

An announcement changes nothing by itself: `proposals.py` says what is open, and a person answers it. Only where a club
says so the worker's sweep applies ends, with `apply_ends`; pauses it never does.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ForeignKey, TextClause, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.catalogue.days import local_day
from models.database import locks
from models.database.arrays import array
from models.database.base import Base, RecordedAt
from models.errors import AnnouncementOver, SppError
from models.members import life
from models.members.life import Done, LifeAct
from models.members.memberships import Membership, lock_member
from models.members.settling_again import payments_of
from models.payments import recorded
from models.payments.facts import Announced
from models.payments.proposals import OF_ENDS, UNDOES, Act, Does, Proposal, Word, proposals
from models.staff import actions, theirs
from models.staff.actions import Actor
from models.staff.theirs import Clubs, Kind
from runtime.language import in_english

PROVIDERS = {
    "adyen": "Adyen", "authorize_net": "Authorize.Net", "braintree": "Braintree", "gocardless": "GoCardless",
    "paypal": "PayPal", "square": "Square", "stripe": "Stripe",
}  # fmt: skip
"""Processors as people call them."""


class AnnouncementAnswer(Base):
    """A person's answer to one announcement for one membership. A trigger refuses every change."""

    __tablename__ = "announcement_answers"

    fact_id: Mapped[int] = mapped_column(ForeignKey("payment_facts.id"), primary_key=True)
    membership_id: Mapped[int] = mapped_column(ForeignKey("memberships.id"), primary_key=True, index=True)
    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id"))
    """Who answered, how and why: the act on the membership's life, or a dismissal."""
    recorded_at: Mapped[RecordedAt]


class Announcement(NamedTuple):
    """An open proposal for a membership."""

    membership_id: int
    member_id: int
    member: str
    club: str
    time_zone: str
    endpoint: str
    reference: str
    proposal: Proposal
    processors: Mapping[str, str]
    """Endpoint -> its processor; of one that is not there the endpoint's name is shown."""

    @property
    def place(self) -> tuple[datetime, int, int]:
        """Its place in a list; that of the latest is the largest."""
        return self.proposal.announced_at, self.proposal.fact_id, self.membership_id

    def words(self, now: datetime) -> str:
        """What was announced, in one sentence without its full stop."""
        processor = self.processors.get(self.endpoint, "")
        return self.proposal.sentence(PROVIDERS.get(processor, self.endpoint), local_day(now, self.time_zone))


_HEARD_BY = """
    heard AS (
        SELECT announced.payment_id AS payment_id, announced.payment_id AS id FROM announced
        UNION
        SELECT heard.payment_id, f.payment_id
        FROM heard JOIN payment_facts f ON f.other_payment_id = heard.id AND f.kind = 'replaced'
    ), pairs AS (
        SELECT DISTINCT heard.payment_id, b.membership_id
        FROM heard JOIN payments p USING (id)
        JOIN billing_references b ON (b.endpoint, b.reference) = (p.endpoint, p.reference)
        -- What was replaced by another may end: the other one goes on.
        WHERE NOT EXISTS (
            SELECT FROM payment_facts f WHERE f.payment_id = heard.payment_id AND f.kind = 'replaced'
        )
    )
"""
"""The memberships that get what is announced for a billing reference, also in the place of one that it replaced."""

_OF_MEMBERSHIPS = text(f"""
    WITH RECURSIVE named AS (
        SELECT p.id FROM billing_references b JOIN payments p ON (p.endpoint, p.reference) = (b.endpoint, b.reference)
        WHERE b.membership_id = ANY(CAST(:memberships AS bigint[]))
        UNION
        SELECT f.other_payment_id FROM named JOIN payment_facts f ON f.payment_id = named.id AND f.kind = 'replaced'
    ), announced AS (
        SELECT DISTINCT f.payment_id FROM named JOIN payment_facts f ON f.payment_id = named.id AND f.kind = 'announced'
    ), {_HEARD_BY}
    SELECT payment_id, membership_id FROM pairs WHERE membership_id = ANY(CAST(:memberships AS bigint[]))
""")

# The last word on each subject, as far as a statement can tell that it is open.
_MAY_BE_OPEN = text(f"""
    WITH RECURSIVE last AS (
        SELECT payment_id, id, what, ends_at
        FROM (
            SELECT f.payment_id, f.id, f.shape ->> 'what' AS what, CAST(f.shape ->> 'at' AS timestamptz) AS ends_at,
                   rank() OVER (
                       PARTITION BY f.payment_id, f.shape ->> 'what' IN ('ends', 'goes_on') ORDER BY f.occurred_at DESC
                   ) AS place
            FROM payment_facts f WHERE f.kind = 'announced'
        ) ranked
        WHERE place = 1
    ), announced AS (
        SELECT DISTINCT payment_id FROM last
    ), {_HEARD_BY}
    SELECT DISTINCT pairs.payment_id, pairs.membership_id
    FROM pairs JOIN last USING (payment_id)
    JOIN memberships m ON m.id = pairs.membership_id
    JOIN clubs c ON c.id = m.club_id AND (c.apply_announcements OR NOT :by_itself)
    WHERE NOT EXISTS (
        SELECT FROM announcement_answers a WHERE (a.fact_id, a.membership_id) = (last.id, pairs.membership_id)
    ) AND CASE last.what
        WHEN 'ends' THEN NOT EXISTS (
            SELECT FROM life_in_force e WHERE e.kind = 'end' AND e.membership_id = m.id
            AND e.last_day = CAST((last.ends_at - interval '1 microsecond') AT TIME ZONE c.time_zone AS date))
        WHEN 'goes_on' THEN EXISTS (SELECT FROM life_in_force e WHERE e.kind = 'end' AND e.membership_id = m.id)
        WHEN 'paused' THEN NOT :by_itself
        ELSE NOT :by_itself AND EXISTS (
            SELECT FROM payment_facts f
            WHERE f.payment_id = last.payment_id AND f.kind = 'announced' AND f.shape ->> 'what' = 'paused')
        END
""")

_SUBJECTS = text("""
    SELECT pair.payment_id, pair.membership_id, m.member_id, member.name AS member, c.name AS club,
           c.time_zone, p.endpoint, p.reference
    FROM unnest(CAST(:payments AS bigint[]), CAST(:memberships AS bigint[])) AS pair (payment_id, membership_id)
    JOIN memberships m ON m.id = pair.membership_id
    JOIN members member ON member.id = m.member_id AND member.erased_at IS NULL
    JOIN clubs c ON c.id = m.club_id JOIN payments p ON p.id = pair.payment_id
""")

_ANSWERED = text("""
    SELECT membership_id, fact_id FROM announcement_answers WHERE membership_id = ANY(CAST(:memberships AS bigint[]))
""")

_ACTS = text("""
    SELECT membership_id, id, kind = 'end', first_day, last_day FROM life_in_force
    WHERE membership_id = ANY(CAST(:memberships AS bigint[])) ORDER BY first_day, last_day, id
""")


def of_memberships(
    session: Session, membership_ids: Collection[int], processors: Mapping[str, str]
) -> list[Announcement]:
    """The open proposals for these memberships, the latest first. `processors`: endpoint -> processor."""
    return _open(session, _OF_MEMBERSHIPS, {"memberships": array(membership_ids)}, processors)


def every(session: Session, processors: Mapping[str, str], club_ids: Clubs = None) -> list[Announcement]:
    """All open proposals for memberships of these clubs, the latest first."""
    found = _open(session, _MAY_BE_OPEN, {"by_itself": False}, processors)
    seen = theirs.of(session, Kind.MEMBERSHIP, {one.membership_id for one in found}, club_ids)
    return [one for one in found if one.membership_id in seen]


def count(session: Session) -> int:
    """How many are open."""
    return len(every(session, {}))


def _open(
    session: Session, pairs: TextClause, values: Mapping[str, object], processors: Mapping[str, str]
) -> list[Announcement]:
    rows = session.execute(pairs, values).all()
    payments, memberships = [row.payment_id for row in rows], [row.membership_id for row in rows]
    if not rows:
        return []
    words: defaultdict[int, list[Word]] = defaultdict(list)
    for payment_id, known in recorded.of_payments(session, sorted(set(payments))):
        if isinstance(known.fact, Announced):
            words[payment_id].append(Word(known.id, known.fact))
    these = {"memberships": array(set(memberships))}
    answered: defaultdict[int, set[int]] = defaultdict(set)
    for membership_id, fact_id in session.execute(_ANSWERED, these):
        answered[membership_id].add(fact_id)
    acts: defaultdict[int, list[Act]] = defaultdict(list)
    for membership_id, *act in session.execute(_ACTS, these):
        acts[membership_id].append(Act(*act))
    found = [
        Announcement(of, row.member_id, row.member, row.club, zone, row.endpoint, row.reference, proposal, processors)
        for row in session.execute(_SUBJECTS, {"payments": array(payments), "memberships": array(memberships)})
        for of, zone in [(row.membership_id, row.time_zone)]
        for proposal in proposals(words[row.payment_id], answered[of], acts[of], zone)
    ]
    return sorted(found, key=lambda one: one.place, reverse=True)


def find(
    session: Session, membership_id: int, fact_id: int, processors: Mapping[str, str], does: Does | None = None
) -> Announcement:
    """The open proposal for the membership that this fact makes, and that does this. Raises AnnouncementOver."""
    for one in of_memberships(session, [membership_id], processors):
        if fact_id in one.proposal.facts and does in (None, one.proposal.does):
            return one
    raise AnnouncementOver


def apply(session: Session, announcement: Announcement, *, reason: str = "", by: Actor, now: datetime) -> Done:
    """Do to the membership what was announced. The reason is what was announced, unless another is given.

    Raises AnnouncementOver where somebody was faster, and what the act on the membership's life raises.
    """
    proposal = _still_open(session, announcement).proposal
    membership = session.get_one(Membership, announcement.membership_id)
    reason, first, last = reason or _kept_words(announcement, now), proposal.first_day, proposal.last_day
    act = session.get_one(LifeAct, proposal.act) if proposal.act else None
    if act and proposal.does in UNDOES:
        done = life.undo(session, act, reason=reason, by=by, now=now)
    elif act:
        done = life.change(session, act, last=last, reason=reason, by=by, now=now)
    elif first:
        done = life.freeze(session, membership, first=first, last=last, reason=reason, by=by, now=now)
    else:
        assert last is not None, "an end has a day"  # noqa: S101 -- narrows the type
        done = life.end(session, membership, last=last, reason=reason, by=by, now=now)
    _answer(session, announcement, done.act.action_id)
    return done


def dismiss(session: Session, announcement: Announcement, *, reason: str = "", by: Actor, now: datetime) -> None:
    """Leave the membership as it is. Raises as `apply`."""
    words = _kept_words(announcement, now)
    reason = actions.reason_given(reason or words)
    _still_open(session, announcement)
    subject = f"membership {announcement.membership_id}, {announcement.reference}: {words}"
    member_id = lock_member(session, announcement.member_id).id
    action = actions.log(session, by, "dismiss announcement", subject, member_id=member_id, reason=reason)
    _answer(session, announcement, action)


@in_english
def _kept_words(announcement: Announcement, now: datetime) -> str:
    return announcement.words(now)


def _still_open(session: Session, announcement: Announcement) -> Announcement:
    """The announcement as it is now, and nobody else answers before this transaction ends."""
    locks.change(session)
    now = find(session, announcement.membership_id, announcement.proposal.fact_id, announcement.processors)
    if now.proposal.effect != announcement.proposal.effect:
        raise AnnouncementOver
    return now


def _answer(session: Session, announcement: Announcement, action_id: int) -> None:
    fact_id = announcement.proposal.fact_id
    session.add(AnnouncementAnswer(fact_id=fact_id, membership_id=announcement.membership_id, action_id=action_id))
    session.flush()


_CLUBS = text("SELECT EXISTS (SELECT FROM clubs WHERE apply_announcements)")

# An end of the subscription by which the newest payment came; what becomes of an end, if it was an answer, too.
_CLEAR = text(f"""
    SELECT one.place
    FROM unnest(CAST(:memberships AS bigint[]), CAST(:references AS text[]), CAST(:acts AS bigint[]))
        WITH ORDINALITY AS one (membership_id, reference, act_id, place)
    LEFT JOIN LATERAL (
        SELECT f.billing_references
        FROM (
            {payments_of("one.membership_id")}
        ) theirs
        JOIN payments p ON p.root_id = theirs.id
        JOIN payment_facts f ON f.payment_id = p.id AND f.kind = 'paid'
        ORDER BY f.occurred_at DESC, f.id DESC LIMIT 1
    ) newest ON true
    WHERE CASE WHEN one.act_id IS NULL THEN coalesce(one.reference = ANY(newest.billing_references), true)
        ELSE EXISTS (
            SELECT FROM life_acts act JOIN announcement_answers a USING (action_id) WHERE act.id = one.act_id
        ) END
    ORDER BY one.place
""")


def apply_ends(session: Session, processors: Mapping[str, str], *, now: datetime, limit: int = 100) -> int:
    """Apply up to `limit` announced ends at clubs that let them apply by themselves. Returns how many.

    One that is not clear stays a proposal: another subscription pays for the membership by now, or a person has set
    its end.
    """
    if not session.scalar(_CLUBS):
        return 0
    found = _open(session, _MAY_BE_OPEN, {"by_itself": True}, processors)
    found = [one for one in found if one.proposal.does in OF_ENDS]
    asked = {
        "memberships": array(one.membership_id for one in found),
        "references": array(one.reference for one in found),
        "acts": array(one.proposal.act for one in found),
    }
    applied = 0
    for place in session.scalars(_CLEAR, asked).all() if found else ():
        if applied == limit:
            break
        try:
            with session.begin_nested():
                apply(session, found[place - 1], by=actions.BY_THE_PROVIDER, now=now)
            applied += 1
        except SppError:
            continue  # it stays a proposal, and says so when a person applies it
    return applied
