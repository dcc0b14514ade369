"""Operations: what keeps payments from their sessions, events by the kind of their error, and acts on many of them."""

from datetime import datetime

from flask import current_app, g
from flask_openapi3 import Tag

from console import foresight
from console.api.fields import REASON, TIME, Answer, Body, Expected, Id, Sought, Why, field, id_of, parameter
from console.api.fields import Query as Parameters
from console.api.gate import act, read
from console.request import actor, database
from models.errors import CountChanged, NotFound
from models.inbox import bulk, bulk_outcome, error_groups
from models.inbox.bulk import BulkVerb
from models.inbox.events import EventState, WebhookEvent
from models.inbox.search import EventFilter
from models.operations.alarms import Severity
from models.operations.headline import headline
from models.payments.foreseen import ForeseenKind
from models.staff.accounts import Role

TAG = Tag(name="Operations", description="What waits for somebody, and acts on many webhook events.")
GROUP = "stripe.3f9a0c52d1e7"


class Waiting(Answer):
    """A number of payments or events that wait for somebody."""

    figure: str = field("What they are.", "quarantined")
    number: int = field("How many.", 3)
    what: str = field("The same in words.", "3 quarantined")


class AlarmNow(Answer):
    """An alarm that has fired."""

    rule: str = field("Its rule.", "dead_letters")
    severity: Severity = field("Critical: money does not turn into sessions now.", "critical")
    endpoint: str | None = field("The endpoint; null if it concerns all.", "stripe")
    message: str = field("What is wrong, and what to do.", "1 event failed on stripe: read the error, and replay.")
    since: datetime | None = field("Since when; null if that is not known.", TIME)


class Operations(Answer):
    """Whether money is turning into sessions."""

    at: datetime = field("The moment that is described.", TIME)
    text: str = field("The headline; empty if nothing waits.", "1 payment or event needs somebody: 1 failed")
    number: int = field("How many payments and events wait for somebody.", 1)
    parts: list[Waiting] = field("The same by what they wait for.", [])
    without_sessions: list[Waiting] = field("Of the payments in review, those that gave no sessions.", [])
    alarms: list[AlarmNow] = field("The alarms that have fired, the most severe first.", [])


class ErrorGroup(Answer):
    """Failed or quarantined events of one processor and type with the same kind of error."""

    name: str = field("The name of the group.", GROUP)
    state: EventState = field("Failed (`dead`) or `quarantined`.", "dead")
    type: str = field("The processor's type of event.", "invoice.paid")
    events: int = field("How many.", 14)
    first_seen: datetime = field("When the first was received.", TIME)
    last_seen: datetime = field("When the last was received.", TIME)
    example: int = id_of("newest event")
    error: str = field("Its error or reason.", "LookupError: no price for sub_1")
    endpoints: list[str] = field("The endpoints that received them.", ["stripe"])


class ErrorGroups(Answer):
    """Error groups, seen last first; at most 100."""

    data: list[ErrorGroup] = field("The groups.", [])


class GroupsQuery(Parameters):
    """The groups to list."""

    state: EventState | None = parameter("Only the failed (`dead`) or the `quarantined`.", "dead", default=None)


class ForesightQuery(Parameters):
    """The quarantined events that would be let through."""

    group: Sought = parameter("The name of their error group.", GROUP)


class Outlook(Answer):
    """Events that would come to the same kind of thing."""

    kind: ForeseenKind = field("The kind.", "held")
    events: int = field("How many of those that were looked at.", 3)
    what: str = field("The same in words.", "3 events cannot settle")
    example: int = id_of("one of these events")
    of_example: str = field("What this one would come to.", "Its payment cannot settle: paid in EUR, ...")


class Foresight(Answer):
    """What letting a group through would come to."""

    looked_at: int = field("So many of the newest events were looked at, at most 50.", 14)
    outlooks: list[Outlook] = field("By kind, the most frequent first.", [])


class EventForesight(Answer):
    """What letting one event through would come to."""

    kind: ForeseenKind = field("The kind.", "held")
    what: str = field("In words.", "Its payment cannot settle: paid in EUR, but the membership is in USD.")
    payment: str | None = field("The reference of its payment, if that would be in review.", "in_1Qx7")
    member_id: int | None = field("The member to whom sessions can be given by hand.", 1)


class BulkBody(Body):
    """An act on all events of an error group, or on chosen ones."""

    verb: BulkVerb = field("What to do with each; `release` lets it through.", "replay", strict=False)
    state: EventState = field("The state that they are in now.", "dead", strict=False)
    group: Sought | None = field("The name of their error group; null for any.", GROUP, default=None)
    event_ids: list[Id] | None = field("Only these; null for all.", None, default=None, min_length=1, max_length=1000)
    expected: Expected = field("How many there are: you confirm that.", 14)
    reason: Why = field(REASON, "The price is there again.")


class BulkAction(Answer):
    """An act on many events, which workers do in the background."""

    id: int = id_of("bulk action")
    verb: BulkVerb = field("What is done with each.", "replay")
    total: int = field("How many events it is for.", 14)
    done: int = field("How many of them it has reached.", 14)
    reason: str = field("Why.", "The price is there again.")
    asked_by: str = field("Who asked for it.", "operator@example.com")
    asked_at: datetime = field("When.", TIME)
    finished_at: datetime | None = field("When it had reached all of them, or was stopped.", TIME)
    cancelled: bool = field("Whether somebody stopped it.", False)
    outcome: list[Waiting] = field("What became of the events that it has reached, at this moment.", [])
    settled: bool = field("Whether it and the workers are done with all of its events.", True)


@read("/operations", TAG)
def get_operations() -> Operations:
    """Get what keeps payments from their sessions, and the alarms: the headline of the console's Operations."""
    lookout = current_app.extensions["spp_lookout"]
    now = lookout.now()
    found = headline(now.figures.total)
    return Operations(
        at=now.figures.at,
        text=str(found),
        number=found.number,
        parts=[Waiting.of(one) for one in found.parts],
        without_sessions=[Waiting.of(one) for one in found.without_sessions],
        alarms=[AlarmNow.of(one) for one in lookout.alarms()],
    )


@read("/error-groups", TAG)
def list_error_groups(query: GroupsQuery) -> ErrorGroups:
    """List failed and quarantined events by the kind of their error."""
    found = error_groups.groups(database(), current_app.config["SPP"].endpoints, state=query.state)
    return ErrorGroups(data=[ErrorGroup.of(one) for one in found])


@read("/error-groups/foresight", TAG)
def foresee_group(query: ForesightQuery) -> Foresight:
    """Say what letting a group of quarantined events through would come to. Changes nothing."""
    wanted = error_groups.narrowed(
        EventFilter(state=EventState.QUARANTINED), query.group, current_app.config["SPP"].endpoints
    )
    found = foresight.of_group(g.factory, current_app.config["SPP"], database(), wanted)
    outlooks = [Outlook.of(one, of_example=one.of_example.what) for one in found.outlooks]
    return Foresight(looked_at=found.looked_at, outlooks=outlooks)


@read("/events/<id:event_id>/foresight", TAG)
def foresee_event(event_id: int) -> EventForesight:
    """Say what letting an event through would come to. Changes nothing."""
    event = database().get(WebhookEvent, event_id)
    if event is None or event.pruned_at is not None:
        raise NotFound(what="event with a body", name=event_id)
    return EventForesight.of(foresight.of_event(g.factory, current_app.config["SPP"], database(), event))


@act("/bulk-actions", TAG, "/bulk-actions/{id}", Role.OPERATOR)
def start_bulk_action(body: BulkBody) -> BulkAction:
    """Replay, let through or discard all events of an error group, or chosen ones, in the background."""
    session = database()
    ids = tuple(sorted(set(body.event_ids))) if body.event_ids else None
    wanted = EventFilter(state=body.state, ids=ids)
    if body.group:
        wanted = error_groups.narrowed(wanted, body.group, current_app.config["SPP"].endpoints)
    scope = bulk.scope(session, body.verb, wanted)
    if scope.events != body.expected:
        raise CountChanged(found=scope.events, expected=body.expected)
    return _shown(bulk.ask(session, body.verb, wanted, scope, body.reason, by=actor()))


@read("/bulk-actions/<id:act_id>", TAG)
def get_bulk_action(act_id: int) -> BulkAction:
    """Get how far a bulk action is, and what became of its events."""
    found = database().get(bulk.BulkAction, act_id)
    if found is None:
        raise NotFound(what="bulk action", name=act_id)
    return _shown(found)


def _shown(one: bulk.BulkAction) -> BulkAction:
    parts = bulk_outcome.outcome(database(), one)
    outcome = [Waiting(figure=part.kind, number=part.number, what=part.what) for part in parts]
    return BulkAction.of(one, outcome=outcome, settled=bulk_outcome.is_settled(one, parts))
