"""Webhook events: the state of each, its reason and its effects. Bodies are shown only in the console, masked."""

from datetime import datetime

from flask import current_app
from flask_openapi3 import Tag

from console.api import paging
from console.api.fields import TIME, Answer, Id, Moment, Sought, field, id_of, parameter
from console.api.gate import read
from console.api.paging import Listing, PageQuery
from console.api.payments import FactFields
from console.request import database
from models.errors import NotFound
from models.inbox import error_groups, search
from models.inbox import story as event_story
from models.inbox.events import EventSource, EventState
from models.inbox.search import EventFilter
from models.inbox.story import Story
from models.ledger.kinds import EntryKind
from models.payments.references import PaymentState

TAG = Tag(name="Events", description="The processors' webhook events, with their state and effects.")


class EventQuery(PageQuery):
    """The events to list."""

    endpoint: Sought | None = parameter("Events received by this endpoint.", "stripe", default=None)
    event_id: Sought | None = parameter("The event with this id of the processor's.", "evt_1", default=None)
    payment: Sought | None = parameter(
        "Events about the payment with this id of the processor's.", "in_1Qx7", default=None
    )
    member_id: Id | None = parameter("Events about this member's payments.", 1, default=None)
    state: EventState | None = parameter("Events in this state.", "quarantined", default=None)
    group: Sought | None = parameter("Events of this error group.", "stripe.3f9a0c52d1e7", default=None)
    act: Id | None = parameter("Events whose last bulk action was this one.", 1, default=None)
    since: Moment | None = parameter("Received at this time or later.", TIME, default=None)
    until: Moment | None = parameter("Received before this time.", TIME, default=None)


class FactOfEvent(FactFields):
    """One fact that an event states about a payment."""

    payment_id: int = id_of("payment")
    payment: str = field("The payment's id in the event.", "in_1Qx7")
    payment_state: PaymentState = field("The payment's state now.", "settled", validation_alias="state")
    problem: str | None = field("The reason why the payment is held.", None)
    membership_id: int | None = field("The membership the payment is for.", 1)
    member_id: int | None = field("That membership's member.", 1)


class EntryOfEvent(Answer):
    """A movement of sessions that an event caused."""

    id: int = id_of("ledger entry", validation_alias="entry_id")
    kind: EntryKind = field("The kind of movement.", "grant")
    grant_id: int = id_of("credit grant that it moves")
    member_id: int = id_of("member")
    item_id: int = id_of("item")
    item: str = field("The item's name.", "Spin")
    quantity: int = field("Sessions given (plus) or taken (minus).", 8)
    shortfall: int = field("The change of the grant's shortfall.", 0)
    recorded_at: datetime = field("When it was recorded.", TIME)


class Decision(Answer):
    """What a person decided about an event."""

    verb: str = field("`replay`, `release` (let through) or `discard`.", "release")
    by: str = field("Who.", "operator@example.com")
    at: datetime = field("When.", TIME)
    reason: str | None = field("Why.", "Their clock was wrong.")
    bulk_action_id: int | None = field(
        "The bulk action that it was part of; null if it was decided alone.", None, validation_alias="act_id"
    )


class FailedTry(Answer):
    """A failed try to process an event."""

    attempt: int = field("The number of the try.", 1)
    failed_at: datetime = field("When it failed.", TIME)
    error: str = field("The error.", "OperationalError: the database is not reachable")


class Event(Answer):
    """A webhook event with its state and effects."""

    id: int = id_of("event")
    endpoint: str = field("The endpoint that received it.", "stripe")
    event_id: str = field("The processor's id.", "evt_1")
    type: str = field("The processor's type of event.", "invoice.paid")
    source: EventSource = field("Whether it was delivered as a webhook or fetched from the processor.", "webhook")
    received_at: datetime = field("When it was stored.", TIME)
    state: EventState = field(
        "Waiting or between tries (`pending`), done (`processed`), without effect (`ignored`), authentic but unusable "
        "(`quarantined`), or given up after the last try (`dead`): `reason` or `error` says why.",
        "processed",
    )
    reason: str | None = field("Why it is ignored or quarantined.", None)
    error: str | None = field("The error of the last try.", None)
    attempts: int = field("The number of tries.", 1)
    next_attempt_at: datetime | None = field("The time of the next try; null unless it is pending.", None)
    finished_at: datetime | None = field("When it reached its state; null while it is pending.", TIME)
    conflicts_with: int | None = field("The first event with the same id, if this one has other content.", None)
    contradicted_by: list[int] = field("Events with the same id and other content.", [])
    facts: list[FactOfEvent] = field("The facts it states about payments.", [])
    entries: list[EntryOfEvent] = field("The movements of sessions that it caused.", [])
    decisions: list[Decision] = field("What people decided about it, the first first.", [])
    failed_tries: list[FailedTry] = field("The failed tries, the oldest first.", [])


class Events(Listing[Event]):
    """Events, the newest first."""


@read("/events", TAG)
def list_events(query: EventQuery) -> Events:
    """List webhook events, or find one by its endpoint and the processor's id.

    A search reads a long history in parts: a page may have few rows or none and still a cursor.
    """
    wanted = EventFilter(**query.model_dump(exclude={"cursor", "limit", "group"}))
    if query.group:
        wanted = error_groups.narrowed(wanted, query.group, current_app.config["SPP"].endpoints)
    found = search.page(database(), wanted, limit=query.limit, before=query.last_seen("webhook_events"))
    rows = [_shown(story) for story in event_story.stories(database(), found.events)]
    return Events(data=rows, next_cursor=paging.cursor("webhook_events", found.older))


@read("/events/<id:event_id>", TAG)
def get_event(event_id: int) -> Event:
    """Get a webhook event with its state, reason and effects."""
    story = event_story.story(database(), event_id)
    if story is None:
        raise NotFound(what="event", name=event_id)
    return _shown(story)


def _shown(story: Story) -> Event:
    event, others = story.event, [other.id for other in story.others]
    due = event.next_attempt_at if event.state == EventState.PENDING else None
    return Event.of(event, story, next_attempt_at=due, contradicted_by=others, failed_tries=story.errors)
