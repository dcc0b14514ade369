"""What letting events through would come to, in plain words, before a person decides: for pages, API and `spp`.

Interprets and judges each event as a worker does, and writes nothing. Imports the worker when it is asked, because few
requests and commands need it.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from models.inbox.events import WebhookEvent
from models.inbox.queue import Claimed
from models.inbox.search import EventFilter
from models.payments import foreseen
from models.payments.foreseen import Foreseen, ForeseenKind
from runtime.language import say, say_n
from runtime.settings import Settings

LOOKED_AT = 50
"""Of a group, so many of the newest events are looked at."""


def _words(kind: ForeseenKind, events: int) -> str:
    """`12 events give sessions`"""
    return {
        ForeseenKind.GIVES: say_n("{n} event gives sessions", "{n} events give sessions", events),
        ForeseenKind.TAKES: say_n("{n} event takes sessions back", "{n} events take sessions back", events),
        ForeseenKind.SAME: say_n("{n} event changes no sessions", "{n} events change no sessions", events),
        ForeseenKind.HELD: say_n("{n} event cannot settle", "{n} events cannot settle", events),
        ForeseenKind.UNMATCHED: say_n("{n} event is nobody's yet", "{n} events are nobody's yet", events),
        ForeseenKind.UNREADABLE: say_n(
            "{n} event goes back into quarantine", "{n} events go back into quarantine", events
        ),
        ForeseenKind.IGNORED: say_n("{n} event has no effect", "{n} events have no effect", events),
        ForeseenKind.WAITS: say_n("{n} event waits for its processor", "{n} events wait for their processor", events),
        ForeseenKind.FAILS: say_n("{n} event fails", "{n} events fail", events),
    }[kind]


class Outlook(NamedTuple):
    """The events of a group that would come to the same kind of thing, with one of them."""

    kind: ForeseenKind
    events: int
    what: str
    """`12 events give sessions`"""
    example: int
    """The id of one of them."""
    of_example: Foreseen


class Foresight(NamedTuple):
    """What letting a group through would come to."""

    looked_at: int
    """So many of the newest; where the group has more, the rest is not looked at."""
    outlooks: Sequence[Outlook]


def of_event(make: sessionmaker[Session], settings: Settings, session: Session, event: WebhookEvent) -> Foreseen:
    """What letting this event through would come to."""
    from worker.crediting import Crediting
    from worker.recording import brief

    claimed = Claimed(
        event.id, event.endpoint, event.event_id, event.type, bytes(event.body), 0, event.resource, event.delivery,
        let_through=True,
    )  # fmt: skip
    group = Crediting(settings, make).read([claimed])
    if group.failed:
        what = say("It fails: {why}. Mend the cause first.", why=brief(group.failed[0][1]))
        return Foreseen(ForeseenKind.FAILS, what)
    if group.waiting:
        return Foreseen(ForeseenKind.WAITS, say("It {waits}.", waits=group.waiting[0].why))
    if not group.facts:
        reason, is_unusable = group.outcomes[event.id].reason, group.outcomes[event.id].state == "quarantined"
        if is_unusable:
            what = say("It goes back into quarantine: {reason}. Letting it through does not help.", reason=reason)
            return Foreseen(ForeseenKind.UNREADABLE, what)
        return Foreseen(ForeseenKind.IGNORED, say("It has no effect: {reason}.", reason=reason))
    with session.begin_nested() as savepoint:
        found = foreseen.foresee(session, group.facts[0], datetime.now(UTC))
        savepoint.rollback()
    return found


def of_group(make: sessionmaker[Session], settings: Settings, session: Session, wanted: EventFilter) -> Foresight:
    """What letting all that match through would come to, by the newest of them; the most frequent first."""
    query = select(WebhookEvent).where(*wanted.conditions(), WebhookEvent.pruned_at.is_(None))
    events = session.scalars(query.order_by(WebhookEvent.id.desc()).limit(LOOKED_AT)).all()
    by: dict[ForeseenKind, list[tuple[int, Foreseen]]] = defaultdict(list)
    for event in events:
        one = of_event(make, settings, session, event)
        by[one.kind].append((event.id, one))
    outlooks = [
        Outlook(kind, len(some), _words(kind, len(some)), *some[0])
        for kind, some in sorted(by.items(), key=lambda item: -len(item[1]))
    ]
    return Foresight(len(events), outlooks)
