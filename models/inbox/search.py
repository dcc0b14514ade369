"""Searching events by a filter: pages of them, exact counts, and the scope of a bulk action.

The inbox is large and most of it is history, so a page reads a bounded number of events, the newest first, and says
how far back it came.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, func, or_, select, union
from sqlalchemy.orm import Session, load_only

from models.inbox.events import EventState, WebhookEvent
from models.members.memberships import Membership
from models.payments.recorded import PaymentFact
from models.payments.references import Payment, PaymentMatch

LOOKED_AT = 50_000
"""The largest number of ids that one page reads."""
OUT_OF_STEP = timedelta(minutes=1)
"""Ids are given in the order in which events are received, or nearly."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; what is None or empty matches all. Times are UTC, `since` inclusive, `until` exclusive."""

    state: str | None = None
    endpoint: str | None = None
    error_group: str | None = None
    """Failed or quarantined with the same kind of error, as the column has it."""
    endpoints: tuple[str, ...] | None = None
    """At one of these endpoints."""
    ids: tuple[int, ...] | None = None
    """Those that were chosen one by one."""
    act: int | None = None
    """Those whose last bulk action was this one."""
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """By when they were received."""
    attempts: int | None = None
    """At least so many."""
    error: str | None = None
    """A part of the last error, or of the reason; letters of either case."""
    event_id: str | None = None
    """The processor's id, whole."""
    payment: str | None = None
    """A payment's whole reference: finds the events with facts about it, by any of its references."""
    member_id: int | None = None
    body: str | None = None
    """A part of the body, exactly so; what is pruned is not found."""

    def as_json(self) -> str:
        """As a bulk action keeps it; `from_json` reads it."""
        return _JSON.dump_json(self, exclude_none=True).decode()

    @classmethod
    def from_json(cls, kept: str) -> "EventFilter":
        """What `as_json` wrote."""
        return _JSON.validate_json(kept)

    @property
    def is_empty(self) -> bool:
        """Whether it matches every event there is."""
        return all(getattr(self, field.name) is None for field in fields(self))

    @property
    def is_selective(self) -> bool:
        """Whether an index finds the events, so that the size of the inbox does not matter."""
        named = (self.event_id, self.payment, self.member_id, self.ids, self.act)
        return any(one is not None for one in named) or self.state in {
            EventState.PENDING,
            EventState.QUARANTINED,
            EventState.DEAD,
        }

    def conditions(self) -> list[ColumnElement[bool]]:
        """What an event has to meet."""
        event = WebhookEvent
        equal = {
            "state": self.state, "endpoint": self.endpoint, "type": self.type, "error_group": self.error_group,
            "bulk_action_id": self.act,
        }  # fmt: skip
        found = [getattr(event, name) == value for name, value in equal.items() if value is not None]
        if self.endpoints is not None:
            found.append(event.endpoint.in_(self.endpoints))
        if self.ids is not None:
            found.append(event.id.in_(self.ids))
        if self.event_id is not None:
            found.append(event.id.in_(_of_id(self.event_id)))
        if self.state == EventState.PENDING:
            # The conditions of the three partial indexes, so that the planner uses them.
            found.append(or_(and_(~event.thin, event.attempts == 0), and_(~event.thin, event.attempts > 0), event.thin))
        if self.since is not None:
            found.append(event.received_at >= self.since)
        if self.until is not None:
            found.append(event.received_at < self.until)
        if self.attempts is not None:
            found.append(event.attempts >= self.attempts)
        if self.error is not None:
            found.append(func.concat_ws(" ", event.error, event.reason).icontains(self.error, autoescape=True))
        if self.body is not None:
            found.append(func.pg_catalog.position(event.body, self.body.encode()) > 0)
        if self.payment is not None:
            found.append(_with_facts_about(_same_payment(Payment.reference == self.payment)))
        if self.member_id is not None:
            of_member = select(Membership.id).where(Membership.member_id == self.member_id)
            paid_for = select(Payment.id).where(Payment.membership_id.in_(of_member))
            further = select(PaymentMatch.payment_id).where(PaymentMatch.membership_id.in_(of_member))
            found.append(_with_facts_about(_same_payment(Payment.id.in_(paid_for.union(further)))))
        return found


_JSON = TypeAdapter(EventFilter)


def _of_id(event_id: str) -> CompoundSelect[int]:
    """The first event of that id at each endpoint, and those that contradict it; each part by an index of its own."""
    first = select(WebhookEvent.id).where(WebhookEvent.event_id == event_id, WebhookEvent.conflicts_with.is_(None))
    return union(first, select(WebhookEvent.id).where(WebhookEvent.conflicts_with.in_(first)))


def _same_payment(named: ColumnElement[bool]) -> Select[int]:
    """The rows of whole payments, of which one row is so."""
    return select(Payment.id).where(Payment.root_id.in_(select(Payment.root_id).where(named)))


def _with_facts_about(payments: Select[int]) -> ColumnElement[bool]:
    return WebhookEvent.id.in_(select(PaymentFact.event_id).where(PaymentFact.payment_id.in_(payments)))


_LISTED = (
    WebhookEvent.id, WebhookEvent.endpoint, WebhookEvent.event_id, WebhookEvent.type, WebhookEvent.received_at,
    WebhookEvent.state, WebhookEvent.reason, WebhookEvent.attempts, WebhookEvent.next_attempt_at, WebhookEvent.error,
    WebhookEvent.finished_at, WebhookEvent.source, WebhookEvent.thin, WebhookEvent.api_version,
    WebhookEvent.conflicts_with, WebhookEvent.pruned_at, WebhookEvent.waits_since,
)  # fmt: skip
"""All but the bodies."""


class Page(NamedTuple):
    """Some events, the newest first, without their bodies."""

    events: Sequence[WebhookEvent]
    older: int | None
    """The cursor of the next page; None on the last."""
    back_to: datetime | None
    """How far back the page looked, if it stopped before it was full."""


def page(session: Session, wanted: EventFilter, *, limit: int, before: int | None = None) -> Page:
    """Up to `limit` events that meet the filter, from those older than the cursor `before`.

    It looks at no more than LOOKED_AT events of the time that is wanted; where that was not enough, the page
    says how far back it came, and its cursor goes on from there.
    """
    top = before or (session.scalar(select(func.max(WebhookEvent.id))) or 0) + 1
    start = bottom = 0
    if not wanted.is_selective:
        start = _first_received(session, wanted.since - OUT_OF_STEP, top) if wanted.since else 0
        top = _first_received(session, wanted.until + OUT_OF_STEP, top) if wanted.until else top
        bottom = max(start, top - LOOKED_AT)
    query = select(WebhookEvent).options(load_only(*_LISTED)).where(WebhookEvent.id < top, WebhookEvent.id >= bottom)
    found = session.scalars(query.where(*wanted.conditions()).order_by(WebhookEvent.id.desc()).limit(limit + 1)).all()
    if len(found) > limit:
        return Page(found[:limit], found[limit - 1].id, None)
    further = select(WebhookEvent.received_at).where(WebhookEvent.id < bottom, WebhookEvent.id >= start)
    back_to = session.scalar(further.order_by(WebhookEvent.id.desc()).limit(1))
    return Page(found, bottom if back_to else None, back_to)


def _first_received(session: Session, moment: datetime, top: int) -> int:
    """The first id of the events received at that moment or later; `top`, where all below it are earlier."""
    ids = WebhookEvent.id

    def received_at(number: int) -> datetime:
        found = session.scalar(select(WebhookEvent.received_at).where(ids >= number).order_by(ids).limit(1))
        return found or datetime.max.replace(tzinfo=UTC)

    return bisect_left(range(top), moment, key=received_at)


class Scope(NamedTuple):
    """The events that a bulk action would cover at this moment."""

    events: int
    first: int
    up_to: int
    """The lowest and the highest id among them; later ones are not in it."""


def scope(session: Session, wanted: EventFilter, *also: ColumnElement[bool]) -> Scope:
    """How many events meet the filter and the conditions, exactly.

    Over a long history this can run into the statement's time limit.
    """
    ids = WebhookEvent.id
    query = select(func.count(), func.coalesce(func.min(ids), 0), func.coalesce(func.max(ids), 0))
    return Scope(*session.execute(query.where(*wanted.conditions(), *also)).one())


def types(session: Session) -> Sequence[str]:
    """The types among the newest events, in order, for a person to choose from."""
    newest = select(WebhookEvent.type).order_by(WebhookEvent.id.desc()).limit(10_000).subquery()
    return session.scalars(select(newest.c.type).distinct().order_by(newest.c.type)).all()
