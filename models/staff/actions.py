"""The action log: who did what, when, from where and why, to which member."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ForeignKey, Index, String, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base, Id, RecordedAt
from models.database.naming import visible
from models.database.paging import newest_first
from models.errors import ReasonMissing, TextTooLong
from models.staff import theirs
from models.staff.theirs import Clubs

MAX_REASON_LENGTH = 1000
"""Of what a person writes; what is kept may say more beside it."""


class Actor(NamedTuple):
    """The person or program that acts: a login name, an API token, or a user of the machine; and from where."""

    name: str
    origin: str
    """An address, or `command line`."""


BY_THE_PROVIDER = Actor("the payment provider", "worker")
"""The actor where an announcement of a processor is applied without a person."""


class Action(Base):
    """One action of a person, or of a program with that person's token. A trigger refuses every change."""

    __tablename__ = "actions"
    __table_args__ = (
        Index("ix_actions_actor_id", "actor", "id"),
        Index("ix_actions_verb_id", "verb", "id"),
        Index("ix_actions_event", "subject", postgresql_where=text("verb IN ('replay', 'release', 'discard')")),
    )

    id: Mapped[Id]
    recorded_at: Mapped[RecordedAt]
    actor: Mapped[str] = mapped_column(String(200))
    origin: Mapped[str | None] = mapped_column(String(64))
    verb: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(600))
    """The object of the action, in words with its ids."""
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"), index=True)
    reason: Mapped[str | None] = mapped_column(String(2000))


def reason_given(text: str, field: str = "reason") -> str:
    """A person's reason without surrounding blanks. Raises ReasonMissing or TextTooLong, for that form field."""
    reason = visible(text)
    if not reason:
        raise ReasonMissing(field=field)
    if len(reason) > MAX_REASON_LENGTH:
        raise TextTooLong(field=field, what="The note", limit=MAX_REASON_LENGTH, length=len(reason))
    return reason


def log(
    session: Session, by: Actor, verb: str, subject: str, *, member_id: int | None = None, reason: str | None = None
) -> int:
    """Logs an action, in its own transaction, and returns its id."""
    values = {"actor": by.name[:200], "origin": by.origin[:64], "verb": verb, "subject": subject[:600]}
    new = insert(Action).values(**values, member_id=member_id, reason=reason)
    return session.scalars(new.returning(Action.id)).one()


class Page(NamedTuple):
    """Some actions, the newest first; `older` is the cursor of the next page, None on the last."""

    acts: Sequence[Action]
    older: int | None


def page(
    session: Session, *, limit: int, before: int | None = None, actor: str | None = None, verb: str | None = None,
    member_ids: Sequence[int] | None = None, since: datetime | None = None, until: datetime | None = None,
    club_ids: Clubs = None,
) -> Page:  # fmt: skip
    """Up to `limit` actions, the newest first, from those older than the cursor `before`.

    For somebody who is bound to clubs, those on members of these clubs.

    Optionally of one actor, verb or member (with all of its ids), and recorded from `since` on and before `until`, UTC.
    """
    query = select(Action).where(theirs.only(theirs.member("actions.member_id"), club_ids))
    for column, wanted in ((Action.actor, actor), (Action.verb, verb)):
        if wanted is not None:
            query = query.where(column == wanted)
    if member_ids is not None:
        query = query.where(Action.member_id.in_(member_ids))
    if since is not None:
        query = query.where(Action.recorded_at >= since)
    if until is not None:
        query = query.where(Action.recorded_at < until)
    return Page(*newest_first(session, query, Action.id, limit=limit, before=before))


# A loose index scan: steps from one value to the next, as there are few values and many actions.
_DISTINCT = """
    WITH RECURSIVE known AS (
        (SELECT {column} AS value FROM actions ORDER BY {column} LIMIT 1)
        UNION ALL
        SELECT (SELECT a.{column} FROM actions a WHERE a.{column} > k.value ORDER BY a.{column} LIMIT 1)
        FROM known k WHERE k.value IS NOT NULL
    )
    SELECT value FROM known WHERE value IS NOT NULL
"""
_ACTORS, _VERBS = text(_DISTINCT.format(column="actor")), text(_DISTINCT.format(column="verb"))


def actors(session: Session) -> Sequence[str]:
    """All actors in the log, in order."""
    return session.scalars(_ACTORS).all()


def verbs(session: Session) -> Sequence[str]:
    """All verbs in the log, in order."""
    return session.scalars(_VERBS).all()
