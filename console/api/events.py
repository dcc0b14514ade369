"""Webhook events: what became of each, why, and what it did. Bodies are for the console, which masks them."""

from datetime import datetime

from flask_openapi3 import Tag

from console.api import paging
from console.api.fields import TIME, Answer, Id, Moment, Sought, field, id_of, parameter
from console.api.gate import read
from console.api.paging import Listing, PageQuery
from console.request import database
from models.errors import NotFound
from models.inbox import search
from models.inbox import story as event_story
from models.inbox.events import EventSource, EventState
from models.inbox.search import EventFilter
from models.inbox.story import Story
from models.ledger.kinds import EntryKind
from models.payments.facts import FactKind
from models.payments.references import PaymentState

TAG = Tag(name="Events", description="What the processors' webhooks said, and what became of it.")


class EventQuery(PageQuery):
    """Which events."""

    endpoint: Sought | None = parameter("Received by that endpoint.", "stripe", default=None)
    event_id: Sought | None = parameter("With that id of the processor's.", "evt_1", default=None)
    payment: Sought | None = parameter("About the payment that the processor calls so.", "in_1Qx7", default=None)
    member_id: Id | None = parameter("About that member's payments.", 1, default=None)
    state: EventState | None = parameter("In that state.", "quarantined", default=None)
    since: Moment | None = parameter("Received from then on.", TIME, default=None)
    until: Moment | None = parameter("Received before then.", TIME, default=None)


class FactOfEvent(Answer):
    """One thing that an event means for a payment."""

    kind: FactKind = field("What it means.", "paid")
    cause: str | None = field("The refund or dispute that it is about.", None)
    amount_minor: int | None = field("In minor units; null is the whole amount, or none.", 8900)
    currency: str | None = field("ISO 4217.", "USD")
    occurred_at: datetime = field("When it happened, by the processor's clock.", TIME)
    payment_id: int = id_of("payment")
    payment: str = field("What the event calls the payment.", "in_1Qx7")
    payment_state: PaymentState = field("Where that payment stands now.", "settled", validation_alias="state")
    problem: str | None = field("What is wrong with that payment.", None)
    membership_id: int | None = field("The membership that the payment is for.", 1)
    member_id: int | None = field("That membership's member.", 1)


class EntryOfEvent(Answer):
    """A movement of sessions that an event caused."""

    id: int = id_of("ledger entry", validation_alias="entry_id")
    kind: EntryKind = field("What it is.", "grant")
    grant_id: int = id_of("credit grant that it moves")
    member_id: int = id_of("member")
    item_id: int = id_of("item")
    item: str = field("The item's name.", "Spin")
    quantity: int = field("Sessions given (plus) or taken (minus).", 8)
    shortfall: int = field("By how much it moves the grant's shortfall.", 0)
    recorded_at: datetime = field("When it was written down.", TIME)


class FailedTry(Answer):
    """A try of an event that failed."""

    attempt: int = field("Which try.", 1)
    failed_at: datetime = field("When.", TIME)
    error: str = field("What it failed with.", "OperationalError: the database is not reachable")


class Event(Answer):
    """A webhook event and what became of it."""

    id: int = id_of("event")
    endpoint: str = field("The endpoint that received it.", "stripe")
    event_id: str = field("The processor's id.", "evt_1")
    type: str = field("The processor's word for what happened.", "invoice.paid")
    source: EventSource = field("Whether it was delivered, or we asked for it.", "webhook")
    received_at: datetime = field("When it was stored.", TIME)
    state: EventState = field(
        "Waiting or being tried again (`pending`), done (`processed`), without effect (`ignored`), authentic but "
        "unusable (`quarantined`), or given up after the last try (`dead`): `reason` or `error` says why.",
        "processed",
    )
    reason: str | None = field("Why it is ignored or quarantined.", None)
    error: str | None = field("What the last try failed with.", None)
    attempts: int = field("How often it was tried.", 1)
    next_attempt_at: datetime | None = field("When it is due; null unless it is pending.", None)
    finished_at: datetime | None = field("When it got its state; null while it is pending.", TIME)
    conflicts_with: int | None = field("The first event of that id, where this one says something else.", None)
    contradicted_by: list[int] = field("Events of the same id that say something else.", [])
    facts: list[FactOfEvent] = field("What it means for which payments.", [])
    entries: list[EntryOfEvent] = field("What it did to members' sessions.", [])
    failed_tries: list[FailedTry] = field("The first first.", [])


class Events(Listing[Event]):
    """Events, the newest first."""


@read("/events", TAG)
def list_events(query: EventQuery) -> Events:
    """List webhook events, or find one by its endpoint and the processor's id.

    A search through a long history looks at a part of it at a time: a page may have few rows, or none, and a cursor.
    """
    wanted = EventFilter(**query.model_dump(exclude={"cursor", "limit"}))
    found = search.page(database(), wanted, limit=query.limit, before=query.last_seen("webhook_events"))
    rows = [_shown(story) for story in event_story.stories(database(), found.events)]
    return Events(data=rows, next_cursor=paging.cursor("webhook_events", found.older))


@read("/events/<id:event_id>", TAG)
def get_event(event_id: int) -> Event:
    """Get a webhook event: what became of it, why, and what it did."""
    story = event_story.story(database(), event_id)
    if story is None:
        raise NotFound(what="event", name=event_id)
    return _shown(story)


def _shown(story: Story) -> Event:
    event, others = story.event, [other.id for other in story.others]
    due = event.next_attempt_at if event.state == EventState.PENDING else None
    return Event.of(event, story, next_attempt_at=due, contradicted_by=others, failed_tries=story.errors)
