"""Repairs by people: replay, release from quarantine, discard.

Each applies to all of the named events or to none, and is written to the action log with its reason.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.errors import NotRepairable
from models.inbox import queue
from models.inbox.events import EventState, WebhookEvent
from models.staff import actions
from models.staff.actions import Actor, reason_given
from runtime.language import Texts, noted, say

_IS: Texts = {
    EventState.PENDING: "it is pending",
    EventState.PROCESSED: "it is processed",
    EventState.IGNORED: "it is ignored",
    EventState.QUARANTINED: "it is quarantined",
    EventState.DEAD: "it is dead",
}
TROUBLED = frozenset({EventState.QUARANTINED, EventState.DEAD})


def replay(session: Session, ids: Collection[int], reason: str, *, by: Actor) -> list[int]:
    """Replays events, whatever their state. Returns their ids, in order.

    Raises NotRepairable, ReasonMissing or TextTooLong.
    """
    why = reason_given(reason)
    for event in _locked(session, ids, noted("replayed")):
        if event.conflicts_with is not None:
            why_not = say("it contradicts event {id}, so it has to be let through", id=event.conflicts_with)
            raise _not(event, "replayed", why_not)
    return _logged(session, by, "replay", queue.replay(session, list(ids)), why)


def release(session: Session, ids: Collection[int], reason: str, *, by: Actor) -> list[int]:
    """Lets quarantined events count. Of two events with one id both count then, as far as they differ.

    An event that contradicts another can be let through again after a discard or a failure.
    Raises NotRepairable, ReasonMissing or TextTooLong.
    """
    why = reason_given(reason)
    for event in _locked(session, ids, noted("let through")):
        if not event.can_be_let_through:
            raise _not(event, "let through", _IS[event.state])
    return _logged(session, by, "release", queue.replay(session, list(ids), let_through=True), why)


def discard(session: Session, ids: Collection[int], reason: str, *, by: Actor) -> list[int]:
    """Gives quarantined, dead or waiting events no effect; they are kept, with the reason.

    Raises NotRepairable, ReasonMissing or TextTooLong.
    """
    why = reason_given(reason)
    for event in _locked(session, ids, noted("discarded")):
        if not event.can_be_discarded:
            raise _not(event, "discarded", _IS[event.state])
    return _logged(session, by, "discard", queue.discard(session, list(ids), why), why)


def _locked(session: Session, ids: Collection[int], verb: str) -> Sequence[WebhookEvent]:
    query = select(WebhookEvent).where(WebhookEvent.id.in_(ids)).order_by(WebhookEvent.id).with_for_update()
    found = session.scalars(query.execution_options(populate_existing=True)).all()
    if missing := sorted(set(ids) - {event.id for event in found}):
        raise NotRepairable(ids=", ".join(map(str, missing)), verb=verb, why="there is no such event")
    for event in found:
        if event.pruned_at is not None:
            raise _not(event, verb, noted("its body was pruned"))
    return found


def _not(event: WebhookEvent, verb: str, why: str) -> NotRepairable:
    return NotRepairable(ids=event.id, verb=verb, why=why)


def _logged(session: Session, by: Actor, verb: str, ids: list[int], reason: str) -> list[int]:
    for number in ids:
        actions.log(session, by, verb, f"event {number}", reason=reason)
    return ids
