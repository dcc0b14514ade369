"""PURE: the alarms: each rule says what is wrong in the figures, since when, and what to do about it.

To add an alarm, write one rule in the table `_RULES` and its part of the runbook in docs/operations.md. The console's
watcher, `spp status`, and the metric `spp_alarm` for Prometheus all follow from the table.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from models.operations.backlog import OLDEST_DUE_S, WAITING_S
from models.operations.figures import Figures
from models.operations.headline import without_sessions
from models.operations.heartbeats import Process, ProcessKind
from models.operations.jobs import JobLine
from models.operations.silence import Silence
from models.wording import counted, duration
from runtime.language import in_english

HEARTBEAT_S = 15
RECEIVER_HEARTBEAT_S = 30
BAD_SIGNATURES = 5
BAD_SIGNATURE_RATE = 0.05
PAUSED_S = 24 * 60 * 60


class Severity(StrEnum):
    """Critical: money does not turn into sessions now. Warning: somebody has to look into it today."""

    CRITICAL = "critical"
    WARNING = "warning"


class Alarm(NamedTuple):
    """A rule that has fired."""

    rule: str
    severity: Severity
    endpoint: str | None
    """None if the alarm concerns all endpoints."""
    message: str
    """What is wrong and what to do, in one line."""
    since: datetime | None = None
    """UTC; None if unknown."""


class Stopped(NamedTuple):
    """An expiry run that was stopped by its breaker: the grants it would expire, and the usual number."""

    run_id: int
    at: datetime
    grants: int
    usual: int


class Audited(NamedTuple):
    """The last finished audit."""

    at: datetime
    findings: int
    first: str | None


class Paused(NamedTuple):
    """A paused endpoint."""

    endpoint: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Situation:
    """The input of the rules."""

    figures: Figures
    workers: Sequence[Process] = ()
    jobs: Sequence[JobLine] = ()
    silences: Sequence[Silence] = ()
    stopped: Stopped | None = None
    audited: Audited | None = None
    paused: Sequence[Paused] = ()
    broker_error: str | None = None
    """Why the broker does not answer; None if it answers or was not asked."""
    web: Sequence[Process] = ()

    @property
    def receiver_age_s(self) -> float | None:
        """Seconds since the last heartbeat of any receiver; None if there was none within a day."""
        return min((one.age_s for one in self.web if one.kind == ProcessKind.RECEIVER), default=None)

    def ago(self, seconds: float) -> datetime:
        """The moment so many seconds before the figures were read."""
        return self.figures.at - timedelta(seconds=seconds)


class Found(NamedTuple):
    """One finding of a rule; the fields are those of Alarm."""

    message: str
    since: datetime | None = None
    endpoint: str | None = None


Find = Callable[[Situation], Iterator[Found]]


@dataclass(frozen=True)
class _PerEndpoint:
    """A rule that fires for each endpoint with such events."""

    figure: str
    state: str
    remedy: str

    def __call__(self, now: Situation) -> Iterator[Found]:
        for endpoint, figures in now.figures.endpoints.items():
            if count := getattr(figures, self.figure):
                age_s = getattr(figures, f"oldest_{self.figure}_s")
                what = f"{counted(count, 'event')} {self.state} on {endpoint}"
                what += "" if age_s is None else f", the first {duration(int(age_s))} ago"
                yield Found(f"{what}: {self.remedy}.", None if age_s is None else now.ago(age_s), endpoint)


def _oldest_due(now: Situation) -> Iterator[Found]:
    total = now.figures.total
    if total.oldest_due_s is not None and total.oldest_due_s > OLDEST_DUE_S:
        what = f"{counted(total.due, 'event')} due, the first for {total.oldest_due_s:.0f} s"
        yield Found(f"{what}: see whether workers run and what they log.", now.ago(total.oldest_due_s))


def _no_worker(now: Situation) -> Iterator[Found]:
    age = min((worker.age_s for worker in now.workers), default=None)
    if age is None:
        yield Found("No worker has sent a heartbeat within a day: start one.")
    elif age > HEARTBEAT_S:
        yield Found(f"No worker has sent a heartbeat for {age:.0f} s: start one.", now.ago(age))


def _no_receiver(now: Situation) -> Iterator[Found]:
    age = now.receiver_age_s
    if now.figures.endpoints and (age is None or age > RECEIVER_HEARTBEAT_S):
        what = "No webhook server has answered " + ("within a day" if age is None else f"for {age:.0f} s")
        remedy = "start it, or read its log. Payments are not received meanwhile; processors send them again"
        yield Found(f"{what}: {remedy}.", None if age is None else now.ago(age))


def _double_credits(now: Situation) -> Iterator[Found]:
    if now.figures.double_credits:
        yield Found(f"{counted(now.figures.double_credits, 'grant')} more than payments: run `spp audit`.")


def _audit(now: Situation) -> Iterator[Found]:
    if now.audited and now.audited.findings:
        what = f"The audit of {now.audited.at:%Y-%m-%d %H:%M} UTC found {counted(now.audited.findings, 'difference')}"
        yield Found(f"{what}, first: {now.audited.first}", now.audited.at)


def _silent(now: Situation) -> Iterator[Found]:
    for silence in now.silences:
        last = f"last event {silence.since:%Y-%m-%d %H}h UTC" if silence.since else "never an event"
        what = f"{silence.endpoint} is silent: {last}, dues expected {silence.expected:%Y-%m-%d %H:%M} UTC"
        remedy = "Check at the processor whether it sends, and to which URL."
        yield Found(f"{what}. {remedy}", silence.since, silence.endpoint)


def _broker(now: Situation) -> Iterator[Found]:
    if now.broker_error:
        what = f"The broker does not answer ({now.broker_error})"
        yield Found(f"{what}: sessions are still credited, by the workers' timers. Bring it back.")


def _bad_signatures(now: Situation) -> Iterator[Found]:
    for endpoint, figures in now.figures.endpoints.items():
        count, rate = figures.bad_signatures_hour, figures.bad_signature_rate
        if count > BAD_SIGNATURES and rate > BAD_SIGNATURE_RATE:
            what = f"{counted(count, 'bad signature')} on {endpoint} in the last hour, {rate:.0%} of all deliveries"
            yield Found(f"{what}: compare its secret with the processor's.", endpoint=endpoint)


def _review(now: Situation) -> Iterator[Found]:
    for endpoint, figures in now.figures.endpoints.items():
        if figures.in_review:
            waited_s = figures.oldest_in_review_s or 0
            first = f", the first for {duration(timedelta(seconds=int(waited_s)))}"
            nothing = ", ".join(one.what for one in without_sessions(figures))
            what = f"{counted(figures.in_review, 'payment')} in review on {endpoint}{first}"
            what += f" (without sessions: {nothing})" if nothing else ""
            yield Found(f"{what}: link, correct or accept them under Review.", now.ago(waited_s), endpoint)


def _waiting(now: Situation) -> Iterator[Found]:
    for endpoint, figures in now.figures.endpoints.items():
        if (waited_s := figures.longest_waiting_s or 0) > WAITING_S:
            what = f"{counted(figures.waiting, 'event')} waiting for the processor on {endpoint}"
            remedy = "read what each waits for, and check it there"
            yield Found(f"{what}, the first for {waited_s / 3600:.0f} h: {remedy}.", now.ago(waited_s), endpoint)


def _failing(now: Situation) -> Iterator[Found]:
    for endpoint, figures in now.figures.endpoints.items():
        if figures.failing:
            age_s = figures.longest_failing_s or 0
            what = f"{counted(figures.failing, 'event')} on {endpoint} failed and tried again"
            remedy = "read the error, and mend its cause before they are given up"
            yield Found(f"{what}, the first for {duration(int(age_s))}: {remedy}.", now.ago(age_s), endpoint)


def _late_jobs(now: Situation) -> Iterator[Found]:
    late = [(job.name, job.due_at) for job in now.jobs if job.overdue and job.due_at]
    if late:
        jobs = ", ".join(f"{name} (due {due_at:%Y-%m-%d %H:%M} UTC)" for name, due_at in late)
        yield Found(f"Overdue: {jobs}. See whether beat and a worker run.", min(due_at for _, due_at in late))


def _stopped_expiry(now: Situation) -> Iterator[Found]:
    if run := now.stopped:
        what = f"Expiry run {run.run_id} was stopped: {run.grants:,} grants would expire, usual are {run.usual:,}"
        yield Found(f"{what}. If that is right, allow it; else extend the grants.", run.at)


def _long_paused(now: Situation) -> Iterator[Found]:
    for endpoint, at, by in now.paused:
        if (now.figures.at - at).total_seconds() > PAUSED_S:
            what = f"{endpoint} has been paused since {at:%Y-%m-%d %H:%M} UTC by {by}"
            yield Found(f"{what}: its payments wait. Resume it if its reason is gone.", at, endpoint)


_RULES: dict[str, tuple[Severity, Find]] = {
    "oldest_due": (Severity.CRITICAL, _oldest_due),
    "no_worker": (Severity.CRITICAL, _no_worker),
    "no_receiver": (Severity.CRITICAL, _no_receiver),
    "dead_letters": (
        Severity.CRITICAL, _PerEndpoint("dead", "failed", "read the error, fix its cause, and replay")
    ),
    "double_credits": (Severity.CRITICAL, _double_credits),
    "audit": (Severity.CRITICAL, _audit),
    "silence": (Severity.CRITICAL, _silent),
    "quarantined": (
        Severity.WARNING,
        _PerEndpoint("quarantined", "quarantined", "read why, then let them through or discard them"),
    ),
    "failing": (Severity.WARNING, _failing),
    "review": (Severity.WARNING, _review),
    "broker": (Severity.WARNING, _broker),
    "bad_signatures": (Severity.WARNING, _bad_signatures),
    "waiting_on_processor": (Severity.WARNING, _waiting),
    "late_jobs": (Severity.WARNING, _late_jobs),
    "stopped_expiry": (Severity.WARNING, _stopped_expiry),
    "long_paused": (Severity.WARNING, _long_paused),
}  # fmt: skip
"""By name, the most severe first."""

DATABASE = "database"
"""Fires if the database does not answer; the process that notices makes the alarm, as there are no figures then."""

RULES = {name: severity for name, (severity, _) in _RULES.items()} | {DATABASE: Severity.CRITICAL}
"""The severity of each rule, the most severe first."""


@in_english
def fired(now: Situation) -> list[Alarm]:
    """The alarms of this situation, the most severe first."""
    return [
        Alarm(name, severity, one.endpoint, one.message, one.since)
        for name, (severity, find) in _RULES.items()
        for one in find(now)
    ]
