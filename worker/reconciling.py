"""Reconciling: payments whose webhook never came are found in the processor's own lists, and credited all the same.

Events of the processor's history that we never received go through the same inbox, with source `backfill`. Without
an explicit time, a run starts where the last one ended, less an overlap, and never before the first event that the
endpoint received: payments from before this service are not credited.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from sqlalchemy.orm import Session, sessionmaker

from models.inbox import queue, reconciliation, storing, thin_events
from models.inbox.events import EventSource
from models.inbox.reconciliation import Counts, Reconciliation
from models.inbox.storing import NewEvent
from models.inbox.thin_events import Fetched
from models.payments import recorded
from models.payments.facts import (
    Announced,
    Claimed,
    DuesFailed,
    Fact,
    LineRefunded,
    Linked,
    Noted,
    Paid,
    Replaced,
    Restored,
    Reversed,
)
from models.wording import money
from webhooks.processors import Ignored, NotYet, ParsedEvent, Processor, Unavailable, Unusable
from worker.recording import brief

WINDOW = timedelta(days=1)
OVERLAP = timedelta(days=3)
"""Listed again each time, because some APIs list by the time of creation what changes days later."""
IN_FLIGHT = timedelta(minutes=15)
"""What is younger may still be on its way to us."""
RESUMED_FOR = timedelta(days=1)
"""A run cut off longer ago than this is begun again: what it had listed may have changed."""
BATCH = 500


@dataclass
class Report:
    """How the reconciliation of one endpoint went; without an error it came to its end."""

    endpoint: str
    since: datetime | None = None
    until: datetime | None = None
    counts: Counts = field(default_factory=Counts)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True)
class Reconciling:
    """Reconciles one endpoint. `now` is a parameter for tests."""

    sessions: sessionmaker[Session]
    processor: Processor
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def run(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        dry_run: bool = False,
        progress: Callable[[float], object] = lambda _: None,
    ) -> Report:
        """Lists, compares and (but for `dry_run`) stores, a day at a time; each is kept when it is done.

        An interrupted run since the same time is resumed. `progress` gets the share that
        is done. Does not raise for what the processor's API does: the report has the error.
        """
        report = Report(self.processor.endpoint.name)
        if self.processor.horizon is None:
            report.error = f"{self.processor.endpoint.processor} has no list of payments to ask for"
            return report
        with self.sessions.begin() as session:
            run = self._begin(session, report, since, until, self.processor.horizon, dry_run)
        if run is None:
            return report
        try:
            for start, end in _windows(run.reached, run.until):
                counts = self._window(start, end, dry_run)
                report.counts += counts
                run.advance(end, counts)
                self._keep(run, dry_run)
                progress((end - run.since) / (run.until - run.since))
            run.finished_at, run.error = self.now(), None
        except Exception as error:  # noqa: BLE001 -- whatever its API does concerns this endpoint alone
            run.error = report.error = str(error) if isinstance(error, Unavailable) else brief(error)
        self._keep(run, dry_run)
        return report

    def _begin(
        self, session: Session, report: Report, since: datetime | None, until: datetime | None, horizon: timedelta,
        dry_run: bool,
    ) -> Reconciliation | None:  # fmt: skip
        now, endpoint = self.now(), report.endpoint
        reached = reconciliation.watermark(session, endpoint)
        start = since or (reached - OVERLAP if reached else reconciliation.first_received(session, endpoint))
        if start is None:
            report.warnings.append("it has received nothing yet: say --since when to fetch what was paid before")
            return None
        if start < now - horizon:
            report.warnings.append(f"its API tells only the last {horizon.days} days: what was before is not found")
            start = now - horizon
        if reached and now - reached > horizon / 2:
            lost_at = f"{reached + horizon:%Y-%m-%d}"
            report.warnings.append(f"not reconciled since {reached:%Y-%m-%d}; after {lost_at} something would be lost")
        report.since, report.until = start, until or now - IN_FLIGHT
        if report.until <= start:
            report.warnings.append(f"there is nothing to ask for before {report.until:%Y-%m-%d %H:%M} UTC")
            return None
        run = None if dry_run else reconciliation.cut_off(session, endpoint, start, now - RESUMED_FOR)
        if run is None:
            run = Reconciliation(endpoint=endpoint, since=start, reached=start, started_at=now, **asdict(Counts()))
        run.until = report.until
        return run if dry_run else session.merge(run)

    def _keep(self, run: Reconciliation, dry_run: bool) -> None:
        if not dry_run:
            with self.sessions.begin() as session:
                session.merge(run)

    def _window(self, start: datetime, end: datetime, dry_run: bool) -> Counts:
        counts = Counts()
        history = self.processor.fetch_history(start, end)
        # Fetched first, outside of any transaction; then compared and stored.
        while parts := list(islice(history, BATCH)):
            with self.sessions.begin() as session:
                counts += self._batch(session, parts, dry_run)
        return counts

    def _batch(self, session: Session, parts: Sequence[ParsedEvent], dry_run: bool) -> Counts:
        endpoint = self.processor.endpoint.name
        counts = Counts(seen=len(parts))
        missing: list[NewEvent] = []
        kept = storing.bodies(session, [(endpoint, part.event_id) for part in parts])
        meanings = {part: self._meaning(part) for part in parts if (endpoint, part.event_id) not in kept}
        named = [fact.payment for meaning in meanings.values() for fact in meaning or ()]
        known = _Known(recorded.of_references(session, endpoint, named))
        for part in parts:
            event = NewEvent(endpoint, *part, source=EventSource.BACKFILL)
            is_kept = (endpoint, part.event_id) in kept
            first, meaning = kept.get((endpoint, part.event_id)), meanings.get(part)
            if is_kept and (first is None or first == part.body or self.processor.same_content(first, part.body)):
                counts.known += 1
            elif is_kept:
                # The inbox keeps it beside the first, in quarantine.
                counts.differing += 1
                missing.append(event)
            elif meaning and (contradiction := known.contradiction(meaning)):
                counts.differing += 1
                missing.append(replace(event, quarantine_reason=contradiction))
            elif meaning == []:
                counts.without_effect += 1
            elif meaning and all(map(known.knows, meaning)):
                counts.known += 1
            else:
                counts.added += 1
                missing.append(event)
        if missing and not dry_run:
            storing.store(session, missing, lambda _, first, second: self.processor.same_content(first, second))
        if kept and not dry_run:
            self._look_again(session, [event_id for _, event_id in kept])
        return counts

    def _look_again(self, session: Session, event_ids: Sequence[str]) -> None:
        """Has what was not final fetched again now: what waits, and what was ignored though it would wait today."""
        endpoint = self.processor.endpoint.name
        thin_events.hasten(session, endpoint, event_ids)
        queue.replay(session, [one.id for one in thin_events.ignored(session, endpoint, event_ids) if self._waits(one)])

    def _waits(self, event: Fetched) -> bool:
        try:
            self.processor.interpret(event.type, event.body, event.resource)
        except NotYet:
            return True
        except Exception:  # noqa: BLE001 -- whatever it means today, it is final
            return False
        return False

    def _meaning(self, part: ParsedEvent) -> list[Fact] | None:
        """Its facts; empty if it has no effect, None if only the worker can decide."""
        if part.thin or part.quarantine_reason:
            return None
        try:
            return self.processor.interpret(part.type, part.body)
        except (Ignored, NotYet):
            return []
        except Unusable:
            return None


class _Known:
    """The facts that we already have about some payments."""

    def __init__(self, known: Iterable[Fact]) -> None:
        self._known: defaultdict[object, list[Fact]] = defaultdict(list)
        for fact in known:
            self._known[_subject(fact)].append(fact)

    def knows(self, fact: Fact) -> bool:
        """Whether the fact is not news: the last one on its subject, or one at least as late, says all that it says."""
        words = [word for word in self._known[_subject(fact)] if word.occurred_at >= fact.occurred_at]
        last = max(self._known[_subject(fact)], key=lambda word: word.occurred_at, default=None)
        return any(_includes(word, fact) for word in [*words, last] if word is not None)

    def contradiction(self, facts: Iterable[Fact]) -> str | None:
        """Both amounts in words, if a fact has another amount than a known one.

        Refunds and disputes may change with time (a running total, a dispute won in part): a later fact is news.
        """
        for fact in facts:
            for word in self._known[_subject(fact)]:
                news = not isinstance(fact, Paid) and fact.occurred_at != word.occurred_at
                if type(word) is type(fact) and not _agree(word, fact) and not news:
                    return f"the processor's API tells {_amount(fact)}, but we were told {_amount(word)}"
        return None


def _subject(fact: Fact) -> object:
    match fact:
        case Paid():
            return fact.payment, Paid, fact.part
        case LineRefunded():
            return fact.payment, LineRefunded, fact.refund, fact.line
        case Noted():
            return fact.payment, Noted, fact.what
        case DuesFailed():
            return fact.payment, DuesFailed, fact.occurred_at, fact.closed
        case Linked() | Replaced():
            return fact.payment, type(fact), fact.other
        case Announced():
            return fact.payment, fact.occurred_at, fact.what, fact.at
        case Claimed():
            return fact.payment, Claimed, fact.code
        case Reversed() | Restored():
            return fact.payment, fact.cause


def _agree(one: Fact, other: Fact) -> bool:
    """Whether two facts on one subject can both be true: what one of them leaves out, it does not deny."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Paid) and isinstance(other, Paid) and None not in (one.settled_minor, other.settled_minor):
        return (one.settled_minor, *_sum(one)) == (other.settled_minor, *_sum(other))
    return _sum(one) == _sum(other)


def _includes(word: Fact, fact: Fact) -> bool:
    """Whether the word says all that the fact says: they agree, and the fact has no part that the word lacks."""
    if not isinstance(fact, Paid) or not isinstance(word, Paid):
        return _agree(word, fact)
    added = [name for name in _SHAPE if getattr(fact, name) and not getattr(word, name)]
    return _agree(word, fact) and not added


_SHAPE = ("settled_minor", "due_minor", "covers", "lines", "billing_references", "payer")
"""What a processor says of a payment in some places, and leaves out in others."""


def _sum(fact: Fact) -> tuple[int | None, str | None]:
    no_sum = Linked | Replaced | Noted | DuesFailed | Announced | Claimed
    return (0, None) if isinstance(fact, no_sum) else (fact.amount_minor, fact.currency)


def _amount(fact: Fact) -> str:
    minor, currency = _sum(fact)
    if isinstance(fact, Paid) and fact.settled != minor:
        return f"{money(fact.settled, fact.currency)} with the payer's balance"
    return money(minor, currency) if minor is not None and currency else "all of it"


def _windows(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since < until:
        end = min(since + WINDOW, until)
        yield since, end
        since = end
