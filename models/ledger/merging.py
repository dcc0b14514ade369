"""Merging two members who are one person: what one has goes to the other, which stays. It can be undone for a day.

Nothing is posted: memberships, with their billing references, and grants change hands as they are. Whose they were
first stays in them, and that is what the chain over the ledger covers. What came in or was used meanwhile stays on the
grants, and goes back with them if the merge is undone.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.database import locks
from models.errors import MergedAlready, MergedForTest, MergedWithItself, NotFound, NotUndoable
from models.members.memberships import Member, refuse_erased, with_merged
from models.staff import actions
from models.staff.actions import Actor
from models.wording import counted, joined, sessions_of
from runtime.language import say

UNDOABLE = timedelta(days=1)


class Merge(NamedTuple):
    """Two members who are to become one."""

    gone: Member
    stays: Member
    words: str
    """What moves, for the person who decides."""


_MOVES = text("""
    SELECT (SELECT count(*) FROM memberships WHERE member_id = :member) AS memberships,
           (SELECT count(*) FROM billing_references b JOIN memberships m ON m.id = b.membership_id
            WHERE m.member_id = :member) AS billing,
           (SELECT count(*) FROM credit_grants WHERE member_id = :member) AS grants,
           (SELECT count(*) FROM adjustments WHERE member_id = :member AND decided_at IS NULL) AS waiting
""")
_SESSIONS = text("""
    SELECT i.name, CAST(sum(g.remaining) FILTER (WHERE g.expires_at IS NULL OR g.expires_at > :now) AS bigint) AS left,
           CAST(sum(g.shortfall) AS bigint) AS short
    FROM credit_grants g JOIN items i ON i.id = g.item_id WHERE g.member_id = :member GROUP BY i.name ORDER BY i.name
""")


def plan(session: Session, gone_id: int, stays_id: int, *, now: datetime, lock: bool = False) -> Merge:
    """What merging the first into the second would move. Changes nothing.

    Raises NotFound, MergedWithItself, MergedAlready, MemberErased, or MergedForTest.
    """
    if gone_id == stays_id:
        raise MergedWithItself
    gone, stays = _pair(session, gone_id, stays_id, lock=lock)
    for member, field in ((gone, "from_member_id"), (stays, None)):
        if member.merged_into is not None:
            raise MergedAlready(field=field, number=member.id, into=member.merged_into)
        refuse_erased(member, field)
        if member.is_test:
            raise MergedForTest(field=field, number=member.id)
    return Merge(gone, stays, _words(session, gone, stays, now))


def _words(session: Session, gone: Member, stays: Member, now: datetime) -> str:
    counts = session.execute(_MOVES, {"member": gone.id}).one()
    of_items = session.execute(_SESSIONS, {"member": gone.id, "now": now}).all()
    left = joined([sessions_of(row.name, row.left) for row in of_items if row.left]) or say("no sessions")
    parts = [
        counted(counts.memberships, "membership"),
        counted(counts.billing, "billing reference"),
        say("{grants} with {sessions}", grants=counted(counts.grants, "grant"), sessions=left),
        *(say("a shortfall of {sessions}", sessions=sessions_of(row.name, row.short)) for row in of_items if row.short),
    ]
    if counts.waiting:
        parts.append(
            say("{adjustments} waiting for a second person", adjustments=counted(counts.waiting, "adjustment"))
        )
    what = joined(parts, apart=True)
    return say("{what} move from {gone} to {stays}.", what=what, gone=_named(gone), stays=_named(stays))


def _pair(session: Session, gone_id: int, stays_id: int, *, lock: bool) -> tuple[Member, Member]:
    """The two members, locked in the order of their ids."""
    query = select(Member).where(Member.id.in_([gone_id, stays_id])).order_by(Member.id)
    query = query.with_for_update(key_share=True) if lock else query
    known = {member.id: member for member in session.scalars(query.execution_options(populate_existing=True))}
    for wanted, field in ((gone_id, "from_member_id"), (stays_id, None)):
        if wanted not in known:
            raise NotFound(field=field, what="member", name=wanted)
    return known[gone_id], known[stays_id]


_GIVE = text("""
    WITH bought AS (
        UPDATE memberships SET member_id = :stays, first_member_id = coalesce(first_member_id, member_id)
        WHERE member_id = :gone
    )
    UPDATE credit_grants SET member_id = :stays, first_member_id = coalesce(first_member_id, member_id)
    WHERE id IN (SELECT id FROM credit_grants WHERE member_id = :gone ORDER BY id FOR NO KEY UPDATE)
""")


def merge(session: Session, gone_id: int, stays_id: int, *, reason: str, by: Actor, now: datetime) -> Merge:
    """Let the second member have all that the first has; what goes by the first one's id or address leads there.

    Raises ReasonMissing, TextTooLong and what `plan` raises.
    """
    reason = actions.reason_given(reason)
    locks.change(session)  # no payment is settled meanwhile, which would grant to the one that goes
    made = plan(session, gone_id, stays_id, now=now, lock=True)
    made.gone.merged_into, made.gone.merged_at = stays_id, now
    session.flush()
    session.execute(_GIVE, {"gone": gone_id, "stays": stays_id})
    actions.log(session, by, "merge members", _subject(made.gone, made.stays), member_id=gone_id, reason=reason)
    session.expire_all()
    return made


_TAKE_MEMBERSHIPS = text("""
    UPDATE memberships SET member_id = :gone, first_member_id = coalesce(first_member_id, member_id)
    WHERE member_id = :stays AND coalesce(first_member_id, member_id) = ANY(:first)
""")
_TAKE_GRANTS = text("""
    UPDATE credit_grants SET member_id = :gone, first_member_id = coalesce(first_member_id, member_id)
    WHERE id IN (
        SELECT id FROM credit_grants
        WHERE member_id = :stays AND CASE WHEN membership_id IS NULL
            THEN coalesce(first_member_id, member_id) = ANY(:first)
            ELSE membership_id IN (SELECT id FROM memberships WHERE member_id = :gone) END
        ORDER BY id FOR NO KEY UPDATE
    )
""")


def undo(session: Session, gone_id: int, *, reason: str, by: Actor, now: datetime) -> Member:
    """Give a merged member back what the merge moved, within a day. Returns that member.

    What its memberships were paid meanwhile is on their grants, and what was used of them meanwhile stays used. Raises
    NotFound, NotUndoable, MemberErased, ReasonMissing or TextTooLong.
    """
    reason = actions.reason_given(reason)
    locks.change(session)
    gone = session.get(Member, gone_id)
    if gone is None:
        raise NotFound(what="member", name=gone_id)
    if gone.merged_into is None:
        raise NotUndoable(number=gone_id, why="it is not merged")
    gone, stays = _pair(session, gone_id, gone.merged_into, lock=True)
    if not is_undoable(gone, now):
        raise NotUndoable(number=gone_id, why="it was made more than a day ago")
    if stays.merged_into is not None:
        why = say(
            "member {member} was merged into member {other} since; undo that first",
            member=stays.id, other=stays.merged_into,
        )  # fmt: skip
        raise NotUndoable(number=gone_id, why=why)
    refuse_erased(stays)
    values = {"gone": gone_id, "stays": stays.id, "first": list(with_merged(session, gone_id))}
    session.execute(_TAKE_MEMBERSHIPS, values)
    session.execute(_TAKE_GRANTS, values)
    subject = _subject(gone, stays)
    gone.merged_into = gone.merged_at = None
    session.flush()
    actions.log(session, by, "undo merge", subject, member_id=gone_id, reason=reason)
    session.expire_all()
    return gone


def merged(session: Session, member_id: int) -> Sequence[Member]:
    """The members that were merged into this one."""
    return session.scalars(select(Member).where(Member.merged_into == member_id).order_by(Member.id)).all()


def is_undoable(member: Member, now: datetime) -> bool:
    """Whether this member's merge is not older than a day."""
    return member.merged_at is not None and now < member.merged_at + UNDOABLE


def _named(member: Member) -> str:
    return say("{name}, {email} (member {number})", name=member.name, email=member.email, number=member.id)


def _subject(gone: Member, stays: Member) -> str:
    return f"member {gone.id} into member {stays.id}"
