"""Crediting: claim due events, interpret them, settle their payments, mark them done.

One event and 500 take the same path. A group is one transaction; where it fails, its
events are tried one by one, so that a poisonous one holds up no other. What a failed
try was about is recorded outside the transaction that failed.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

import structlog
from sqlalchemy.orm import Session, sessionmaker

from models.inbox import queue, thin_events
from models.inbox.events import EventState
from models.inbox.queue import Claimed, Outcome
from models.inbox.thin_events import Waiting
from models.members import clocks
from models.payments import announcements, settlement
from models.payments.facts import Fact
from models.payments.recorded import FACTS_PER_EVENT, EventFacts
from runtime import telemetry
from runtime.settings import Settings
from webhooks.processors import Ignored, NotYet, Processor, Unusable, adapters
from worker.recording import brief, event_failed

GROUP_LIMIT = 500
CLOCK_SKEW = timedelta(days=1)

log = structlog.get_logger()


@dataclass
class Group:
    """Claimed events with their facts, outcomes by event id, events that wait, and failures of adapters."""

    events: list[Claimed] = field(default_factory=list)
    facts: list[EventFacts] = field(default_factory=list)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    failed: list[tuple[Claimed, Exception]] = field(default_factory=list)


@dataclass(frozen=True)
class Crediting:
    """The body of the task, the sweep and the timer alike. `now` is a parameter for tests."""

    settings: Settings
    sessions: sessionmaker[Session]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @cached_property
    def _processors(self) -> dict[str, Processor]:
        return adapters(self.settings.endpoints)

    def drain(self, keep_on: Callable[[], bool] = lambda: True) -> int:
        """Goes on until nothing is due, or `keep_on` says no between groups; returns events finished.

        While there are full groups, two are worked on at once: one in Python while PostgreSQL is at the other.
        """
        group = self._take(retried=False)
        if len(group.events) < GROUP_LIMIT or not keep_on():
            finished = self._drain_from(group, keep_on)
        else:
            with ThreadPoolExecutor(1, "drain") as beside:
                other = beside.submit(lambda: self._drain_from(self._take(retried=False), keep_on))
                finished = self._drain_from(group, keep_on) + other.result()
        while keep_on() and (group := self._take(retried=True)).events:
            finished += self._work(group)
        return finished

    def _drain_from(self, group: Group, keep_on: Callable[[], bool]) -> int:
        """Works on this group, and while groups are full on the next; returns events finished."""
        finished = self._work(group)
        while len(group.events) == GROUP_LIMIT and keep_on():
            # One of those tried before after each group, so that a steady stream does not starve them.
            finished += self._work(self._take(retried=True))
            group = self._take(retried=False)
            finished += self._work(group)
        return finished

    def sweep(self, keep_on: Callable[[], bool] = lambda: True) -> int:
        """Applies ends where clubs say so, settles what found a membership or changed its worth, then drains.

        Last come the payments that a closure reaches, with a drain after each batch, so that none delays crediting.
        """
        self._apply_ends(keep_on)
        matched = 1
        while matched and keep_on():
            with self.sessions.begin() as session:
                matched = settlement.settle_matched(session, now=self.now(), late_credit=self.settings.late_credit)
        self._look_after_waits()
        finished = self.drain(keep_on)
        while keep_on() and self._settle_closures():
            finished += self.drain(keep_on)
        return finished

    def _settle_closures(self) -> bool:
        with self.sessions.begin() as session:
            return settlement.settle_closures(session, now=self.now(), late_credit=self.settings.late_credit)

    def _look_after_waits(self) -> None:
        ours = self.settings
        with self.sessions.begin() as session:
            thin_events.explain_orphans(session, self._processors)
            brought = queue.trust_clock(session, lease_s=ours.lease_s, base_s=ours.retry_base_s, cap_s=ours.retry_cap_s)
        if brought:
            log.warning("clock_was_ahead", events=brought)

    def _apply_ends(self, keep_on: Callable[[], bool]) -> None:
        processors = {endpoint.name: endpoint.processor for endpoint in self.settings.endpoints}
        applied = 1
        while applied and keep_on():
            with self.sessions.begin() as session:
                applied = announcements.apply_ends(session, processors, now=self.now())
            if applied:
                log.info("announced_ends_applied", memberships=applied)

    def _take(self, *, retried: bool) -> Group:
        """Claims due events and interprets them."""
        with self.sessions.begin() as session:
            events = queue.claim(session, retried=retried, limit=GROUP_LIMIT, lease_s=self.settings.lease_s)
        return self.read(events)

    def read(self, events: list[Claimed]) -> Group:
        """Interprets events; writes nothing."""
        group = Group(events)
        now = self.now()
        for event in events:
            try:
                if event.attempts > self.settings.max_attempts:
                    raise RuntimeError("its worker died in every try")
                group.facts.append(EventFacts(event.id, event.endpoint, self._interpret(event, now)))
                group.outcomes[event.id] = Outcome(event.id, EventState.PROCESSED)
            except Ignored as why:
                group.outcomes[event.id] = Outcome(event.id, EventState.IGNORED, str(why))
            except Unusable as why:
                group.outcomes[event.id] = Outcome(event.id, EventState.QUARANTINED, str(why))
            except NotYet as why:
                group.waiting.append(Waiting(event.id, waiting_for(self._processors[event.endpoint], why)))
            except Exception as error:  # noqa: BLE001 -- an adapter's mistake concerns its event alone
                group.failed.append((event, error))
        return group

    def _work(self, group: Group) -> int:
        try:
            return self._settle(group)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it belongs to one event, and is recorded there
            if len(group.events) == 1:
                event_failed(self.sessions, self.settings, group.events[0], brief(error), "event_failed")
                return 0
            log.warning("group_failed", events=len(group.events), error=brief(error))
            return sum(self._work(self.read([event])) for event in group.events)

    def _settle(self, group: Group) -> int:
        if not group.events:
            return 0
        attributes = {"events": len(group.events)}
        with telemetry.span("credit", attributes=attributes), self.sessions.begin() as session:
            problems = settlement.take_in(session, group.facts, now=self.now(), late_credit=self.settings.late_credit)
            for event in group.events:
                if not event.let_through and (problem := problems.get(event.id)):
                    group.outcomes[event.id] = Outcome(event.id, EventState.QUARANTINED, problem)
            queue.finish(session, list(group.outcomes.values()))
            base_s, cap_s = self.settings.retry_base_s, self.settings.retry_cap_s
            thin_events.wait(session, group.waiting, base_s=base_s, cap_s=cap_s)
        for event, error in group.failed:
            event_failed(self.sessions, self.settings, event, brief(error), "event_failed")
        states = Counter(outcome.state.value for outcome in group.outcomes.values())
        deliveries = list(dict.fromkeys(event.delivery for event in group.events if event.delivery))
        if group.waiting:
            states["waiting"] = len(group.waiting)
        log.info("credited", events=len(group.events), outcomes=states, deliveries=deliveries)
        return len(group.outcomes)

    def _interpret(self, event: Claimed, now: datetime) -> list[Fact]:
        processor = self._processors.get(event.endpoint)
        if processor is None:
            raise LookupError(f"endpoint {event.endpoint!r} is not in SPP_ENDPOINTS: add it again, then replay")
        facts = processor.interpret(event.type, event.body, event.resource)
        oldest = now - timedelta(days=self.settings.max_event_age_days)
        if any(fact.occurred_at < oldest for fact in facts):
            raise Unusable(f"older than {self.settings.max_event_age_days} days (SPP_MAX_EVENT_AGE_DAYS)")
        if any(fact.occurred_at > now + CLOCK_SKEW for fact in facts):
            self._check_ahead(processor, facts, now)
        if len(facts) > FACTS_PER_EVENT:
            raise Unusable(f"tells more than {FACTS_PER_EVENT} facts")
        return facts

    def _check_ahead(self, processor: Processor, facts: Sequence[Fact], now: datetime) -> None:
        """Let a test endpoint's facts through that no test member's clock is behind. Raises Unusable for others."""
        ahead = timedelta(0)
        if processor.endpoint.mode == "test":
            with self.sessions() as session:
                ahead = clocks.furthest(session)
        if any(fact.occurred_at > now + CLOCK_SKEW + ahead for fact in facts):
            raise Unusable("from the future")


def waiting_for(processor: Processor, why: Exception) -> str:
    """Why an event waits, as it is shown."""
    return f"waits for {processor.endpoint.processor}: {why}"[:2000]
