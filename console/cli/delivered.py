"""What became of deliveries that `spp send` posted: the events that were stored, and what they did."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from console.cli.installed import database
from local.processes import wait_until
from models.inbox import outcome
from models.inbox.outcome import Look, Outcome
from models.operations import heartbeats
from models.operations.alarms import HEARTBEAT_S
from webhooks.processors import Delivery, Processor

PATIENCE_S = 10.0
"""How long a worker's result is waited for."""


class Answer(NamedTuple):
    """How the webhook server answered a delivery."""

    status: int
    body: str
    delivery: str
    """Its correlation id."""


@dataclass(frozen=True)
class Event:
    """An event of a delivery, as this installation's database has it."""

    outcome: Outcome
    is_new: bool
    """Whether this delivery brought it. A repeat changes nothing."""


@dataclass(frozen=True)
class Result:
    """A delivery's answer, and its events."""

    answer: Answer
    events: Sequence[Event]
    has_worker: bool
    """Whether a worker of this installation runs."""

    def as_json(self) -> dict[str, Any]:
        """For --json."""
        events = [{**asdict(one.outcome), "is_new": one.is_new} for one in self.events]
        return {"status": self.answer.status, "body": self.answer.body, "events": events}


def results(processor: Processor, deliveries: Sequence[Delivery], answers: Sequence[Answer]) -> list[Result]:
    """What became of each delivery, once a worker is done with all of them, or has had its time.

    Nothing is known of events that another installation's server has stored, or while the database does not answer.
    """
    pairs = list(zip(deliveries, answers, strict=True))
    try:
        with database() as session:
            stored = [_stored(session, processor, *pair) for pair in pairs]
            ages = [worker.age_s for worker in heartbeats.workers(session, limit=1)]
        works = bool(ages) and ages[0] < HEARTBEAT_S
        ids = [event_id for events in stored for event_id in events]
        if works:
            wait_until(partial(_are_settled, ids), PATIENCE_S, every_s=0.1)
        with database() as session:
            known = {one.event_id: one for one in outcome.outcomes(session, ids)}
    except SQLAlchemyError:
        return [Result(answer, [], False) for answer in answers]
    return [
        Result(answer, [Event(known[event_id], is_new) for event_id, is_new in events.items()], works)
        for answer, events in zip(answers, stored, strict=True)
    ]


def _stored(session: Session, processor: Processor, delivery: Delivery, answer: Answer) -> Mapping[int, bool]:
    """The rows of the delivery's events, and whether this delivery brought them; none if it was refused."""
    if not 200 <= answer.status < 300:
        return {}
    headers = {name.lower(): value for name, value in delivery.headers.items()}
    name = processor.endpoint.name
    rows = [outcome.find(session, name, one.event_id, one.body) for one in processor.parse(delivery.body, headers)]
    return {row.id: row.delivery == answer.delivery for row in rows if row}


def _are_settled(event_ids: Sequence[int]) -> bool:
    with database() as session:
        return all(one.is_settled or one.is_resting for one in outcome.outcomes(session, event_ids))


def lines(result: Result, console: str | None) -> list[str]:
    """What happened and where to look, for people: a line for each event. `console` is the console's address."""
    answer = result.answer
    if not 200 <= answer.status < 300:
        return [f"refused ({answer.status}): {answer.body}"]
    if not result.events:
        return [
            f"stored ({answer.status}), but not in the database that this command reads: look where the server runs"
        ]
    return [_line(one, result.has_worker, console) for one in result.events]


def _line(event: Event, has_worker: bool, console: str | None) -> str:
    found = event.outcome
    what = found.what
    if not event.is_new:
        # `which credited ...`, `which is in review ...`
        verb = "is " if what.startswith(("in ", "without ", "waiting")) else "was " if what.startswith("given") else ""
        return f"a duplicate of event {found.event_id}, which {verb}{what}: {_where(found, console)}"
    if not (found.is_settled or found.is_resting or has_worker):
        what = "no worker runs, so it waits: start `spp up`"
    elif not found.is_settled and not found.what.startswith("waiting: "):
        what = f"still waiting for a worker after {PATIENCE_S:.0f} s"
    return f"stored as event {found.event_id}, {what}: {_where(found, console)}"


def _where(found: Outcome, console: str | None) -> str:
    """The page to look at, or the command where no console is known."""
    paths = {
        Look.REVIEW: ("/review/", "`spp review`"),
        Look.MEMBER: (f"/members/{found.member_id}", f"`spp member {found.member_id}`"),
        Look.EVENT: (f"/operations/events/{found.event_id}", f"`spp events show {found.event_id}`"),
    }
    path, command = paths[found.look]
    return f"{console}{path}" if console else command
