"""Bulk actions: the same act on all events that match a filter, done in the background, resumed after a restart.

A bulk action stores its filter and the highest event id at that time, so later events are never part of it. It also
stores its progress, so that no event is handled twice. Several workers share one bulk action, a batch each.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ColumnElement, Index, String, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base, Id, RecordedAt, one_of
from models.errors import NotFound, NothingMatches, OnlyQuarantinedLetThrough, OnlyTroubledDiscarded, WrongState
from models.inbox import queue, search
from models.inbox.events import EventState, WebhookEvent
from models.inbox.repairs import TROUBLED
from models.inbox.search import LOOKED_AT, EventFilter, Scope
from models.staff import actions
from models.staff.actions import MAX_REASON_LENGTH, Actor, reason_given
from runtime.language import say

BATCH = 500
CROWD = 5_000
"""Replays pause while this many events are due, so that new events do not wait behind them."""


class BulkVerb(StrEnum):
    """The verb of a bulk action."""

    REPLAY = "replay"
    DISCARD = "discard"
    RELEASE = "release"
    """Let through."""


class BulkAction(Base):
    """A bulk action: `done` of `total` events, up to the id `reached`."""

    __tablename__ = "bulk_actions"
    __table_args__ = (
        CheckConstraint(one_of("verb", BulkVerb), "verb"),
        Index("ix_bulk_actions_unfinished", "id", postgresql_where=text("finished_at IS NULL")),
        Index(
            "uq_bulk_actions_unfinished", "verb", func.md5(text("filter")), unique=True,
            postgresql_where=text("finished_at IS NULL"),
        ),
    )  # fmt: skip

    id: Mapped[Id]
    verb: Mapped[str]
    filter: Mapped[str]
    """An EventFilter as JSON."""
    up_to: Mapped[int] = mapped_column(BigInteger)
    """The highest event id in its scope."""
    total: Mapped[int] = mapped_column(BigInteger)
    """The number that the person confirmed."""
    done: Mapped[int] = mapped_column(BigInteger, server_default="0")
    reached: Mapped[int] = mapped_column(BigInteger, server_default="0")
    reason: Mapped[str] = mapped_column(String(MAX_REASON_LENGTH))
    asked_by: Mapped[str] = mapped_column(String(200))
    asked_at: Mapped[RecordedAt]
    finished_at: Mapped[datetime | None]
    cancelled: Mapped[bool] = mapped_column(server_default="false")

    @property
    def wanted(self) -> EventFilter:
        """The filter."""
        return EventFilter.from_json(self.filter)


def scope(session: Session, verb: BulkVerb, wanted: EventFilter) -> Scope:
    """The events that the bulk action would handle now: those that match and allow it."""
    return search.scope(session, wanted, *_possible(verb))


def _possible(verb: str) -> tuple[ColumnElement[bool], ...]:
    event = WebhookEvent
    if verb == BulkVerb.DISCARD:
        return (event.state.in_(TROUBLED),)
    if verb == BulkVerb.RELEASE:
        return event.state == EventState.QUARANTINED, event.pruned_at.is_(None)
    return event.conflicts_with.is_(None), event.pruned_at.is_(None)


def ask(session: Session, verb: BulkVerb, wanted: EventFilter, scope: Scope, reason: str, *, by: Actor) -> BulkAction:
    """Starts a bulk action on all events in the scope; a worker takes it next.

    Asked for the same again while it is not finished, it returns the one that is under way.
    Raises NothingMatches, OnlyTroubledDiscarded, OnlyQuarantinedLetThrough, ReasonMissing or TextTooLong.
    """
    why = reason_given(reason)
    if not scope.events:
        raise NothingMatches(verb=verb)
    if verb == BulkVerb.DISCARD and wanted.state not in TROUBLED:
        raise OnlyTroubledDiscarded
    if verb == BulkVerb.RELEASE and wanted.state != EventState.QUARANTINED:
        raise OnlyQuarantinedLetThrough
    new = insert(BulkAction).values(
        verb=verb.value, filter=wanted.as_json(), reached=scope.first - 1, up_to=scope.up_to, total=scope.events,
        reason=why, asked_by=by.name[:200],
    )  # fmt: skip
    act = session.scalars(new.on_conflict_do_nothing().returning(BulkAction)).one_or_none()
    if act is None:
        same = BulkAction.verb == verb.value, BulkAction.filter == wanted.as_json(), BulkAction.finished_at.is_(None)
        under_way = session.scalar(select(BulkAction).where(*same))
        if under_way is None:  # it was finished between the two statements
            raise NothingMatches(verb=verb)
        return under_way
    subject = f"act {act.id} on {scope.events:,} events: {act.filter}"
    actions.log(session, by, f"{verb} all", subject, reason=why)
    return act


def work(session: Session, *, limit: int = BATCH) -> bool:
    """Handles the next batch of the oldest unfinished bulk action. Returns whether there may be more to do.

    Commit, and call again. Skips one that another worker holds; a replay waits while CROWD events are due.
    """
    waiting = select(BulkAction).where(BulkAction.finished_at.is_(None)).order_by(BulkAction.id).limit(1)
    act = session.scalar(waiting.with_for_update(skip_locked=True).execution_options(populate_existing=True))
    if act is None or (act.verb != BulkVerb.DISCARD and queue.is_crowded(session, CROWD)):
        return False
    event, end = WebhookEvent, _end_of_step(act)
    query = select(event.id).where(
        event.id > act.reached, event.id <= end, *act.wanted.conditions(), *_possible(act.verb)
    )
    ids = session.scalars(query.order_by(event.id).limit(limit)).all()
    if act.verb == BulkVerb.DISCARD:
        done = queue.discard(session, ids, act.reason, act=act.id)
    else:
        done = queue.replay(session, ids, let_through=act.verb == BulkVerb.RELEASE, act=act.id)
    act.done += len(done)
    act.reached = ids[-1] if len(ids) == limit else end
    if act.reached >= act.up_to:
        act.finished_at = session.scalars(select(func.clock_timestamp())).one()
    session.flush()
    return True


def _end_of_step(act: BulkAction) -> int:
    """The last id of this batch: a filter without an index scans the inbox in bounded steps."""
    return act.up_to if act.wanted.is_selective else min(act.up_to, act.reached + LOOKED_AT)


def cancel(session: Session, act_id: int, *, by: Actor) -> None:
    """Stops a bulk action; events not handled yet stay as they are. Raises NotFound or WrongState."""
    act = session.get(BulkAction, act_id, with_for_update=True, populate_existing=True)
    if act is None:
        raise NotFound(what="act", name=act_id)
    if act.finished_at is not None:
        raise WrongState(what=say("Act {id}", id=act_id), state="finished", verb="stopped")
    act.cancelled, act.finished_at = True, session.scalars(select(func.clock_timestamp())).one()
    actions.log(session, by, f"stop {act.verb} all", f"act {act_id}, {act.done:,} of {act.total:,} done")
    session.flush()


def latest(session: Session, *, limit: int = 100) -> Sequence[BulkAction]:
    """The latest bulk actions, the newest first."""
    return session.scalars(select(BulkAction).order_by(BulkAction.id.desc()).limit(limit)).all()
