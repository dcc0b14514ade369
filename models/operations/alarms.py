"""PURE: alarms: what has to be told of the figures, as rules with their thresholds.

`monitoring/alerts.yml` states the same rules for Prometheus, by the same names and numbers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from models.operations.figures import EndpointFigures, Figures
from models.operations.heartbeats import ProcessKind, WebProcess, Worker
from models.operations.jobs import JobLine
from models.operations.silence import Silence
from models.wording import counted

OLDEST_DUE_S = 30
HEARTBEAT_S = 15
RECEIVER_HEARTBEAT_S = 30
BAD_SIGNATURES = 5
BAD_SIGNATURE_RATE = 0.05
UNMATCHED_S = 24 * 60 * 60
PAUSED_S = 24 * 60 * 60
WAITING_S = 24 * 60 * 60


class Severity(StrEnum):
    """Whether money does not turn into sessions now, or somebody has to look into something today."""

    CRITICAL = "critical"
    WARNING = "warning"


class Alarm(NamedTuple):
    """Something that a person has to know."""

    rule: str
    severity: Severity
    endpoint: str | None
    """None where it is about all of them."""
    message: str
    """What is wrong and what to do, in one line."""
    since: datetime | None = None
    """UTC; None where the figures do not tell."""


class Stopped(NamedTuple):
    """An expiry run that its breaker has stopped: what it would have expired, and what is usual."""

    run_id: int
    at: datetime
    grants: int
    usual: int


class Audited(NamedTuple):
    """The last audit that came to its end."""

    at: datetime
    findings: int
    first: str | None


class Paused(NamedTuple):
    """An endpoint that is paused."""

    endpoint: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the rules look at."""

    figures: Figures
    workers: Sequence[Worker] = ()
    jobs: Sequence[JobLine] = ()
    silences: Sequence[Silence] = ()
    stopped: Stopped | None = None
    audited: Audited | None = None
    paused: Sequence[Paused] = ()
    broker_error: str | None = None
    """Why the broker does not answer; None where it does, and where nobody asked it."""
    web: Sequence[WebProcess] = ()

    @property
    def receiver_age_s(self) -> float | None:
        """Since any receiver's last heartbeat; None where there was none within a day."""
        return min((one.age_s for one in self.web if one.kind == ProcessKind.RECEIVER), default=None)

    def ago(self, seconds: float) -> datetime:
        """That long before the figures' moment."""
        return self.figures.at - timedelta(seconds=seconds)


Found = tuple[str | None, str, datetime | None]
"""The endpoint, the message, since when."""


def _oldest_due(now: Situation) -> Iterator[Found]:
    total = now.figures.total
    if total.oldest_due_s is not None and total.oldest_due_s > OLDEST_DUE_S:
        what = f"{counted(total.due, 'event')} due, the first for {total.oldest_due_s:.0f} s"
        yield None, f"{what}: see whether workers run and what they log.", now.ago(total.oldest_due_s)


def _no_worker(now: Situation) -> Iterator[Found]:
    age = min((worker.age_s for worker in now.workers), default=None)
    if age is None:
        yield None, "No worker has given a sign of life within a day: start one.", None
    elif age > HEARTBEAT_S:
        yield None, f"No worker has given a sign of life for {age:.0f} s: start one.", now.ago(age)


def _no_receiver(now: Situation) -> Iterator[Found]:
    if not now.figures.endpoints:
        return
    mend = "start it, or see what it logs. Payments are not received meanwhile; processors send them again"
    if now.receiver_age_s is None:
        yield None, f"No webhook server has answered within a day: {mend}.", None
    elif now.receiver_age_s > RECEIVER_HEARTBEAT_S:
        what = f"No webhook server has answered for {now.receiver_age_s:.0f} s"
        yield None, f"{what}: {mend}.", now.ago(now.receiver_age_s)


def _dead_letters(now: Situation) -> Iterator[Found]:
    for endpoint, figures in now.figures.endpoints.items():
        if figures.dead:
            what = f"{counted(figures.dead, 'dead letter')} on {endpoint}"
            yield endpoint, f"{what}: read the error, mend its cause, and replay.", None


def _quarantined(now: Situation) -> Iterator[Found]:
    for endpoint, figures in now.figures.endpoints.items():
        if figures.quarantined:
            what = f"{counted(figures.quarantined, 'event')} in quarantine on {endpoint}"
            yield endpoint, f"{what}: read why, then let through or discard.", None


def _held(now: Situation) -> Iterator[Found]:
    for endpoint, figures in now.figures.endpoints.items():
        if figures.held:
            what = f"{counted(figures.held, 'payment')} on {endpoint} held, without sessions"
            yield endpoint, f"{what}: read why under Unmatched, give the sessions by hand or set it aside.", None


def _broker(now: Situation) -> Iterator[Found]:
    if now.broker_error:
        what = f"The broker does not answer ({now.broker_error})"
        yield None, f"{what}: sessions are still credited, by the workers' timers. Bring it back.", None


def _late_jobs(now: Situation) -> Iterator[Found]:
    late = [(job.name, job.due_at) for job in now.jobs if job.overdue and job.due_at]
    if late:
        jobs = ", ".join(f"{name} (due {due_at:%Y-%m-%d %H:%M} UTC)" for name, due_at in late)
        yield None, f"Overdue: {jobs}. See whether beat and a worker run.", min(due_at for _, due_at in late)


def _bad_signatures(now: Situation) -> Iterator[Found]:
    for endpoint, figures in now.figures.endpoints.items():
        if figures.bad_signatures_hour > BAD_SIGNATURES and figures.bad_signature_rate > BAD_SIGNATURE_RATE:
            what = f"{counted(figures.bad_signatures_hour, 'bad signature')} on {endpoint} in the last hour, "
            what += f"{figures.bad_signature_rate:.0%} of what came"
            yield endpoint, f"{what}: compare its secret with the processor's.", None


def _double_credits(now: Situation) -> Iterator[Found]:
    if now.figures.double_credits:
        yield None, f"{counted(now.figures.double_credits, 'grant')} more than payments: run `spp audit`.", None


def _unmatched(now: Situation) -> Iterator[Found]:
    for endpoint, figures in now.figures.endpoints.items():
        if figures.oldest_unmatched_s is not None and figures.oldest_unmatched_s > UNMATCHED_S:
            what = f"{counted(figures.unmatched, 'payment')} on {endpoint} without a membership, "
            what += f"the first for {figures.oldest_unmatched_s / 3600:.0f} h"
            yield endpoint, f"{what}: find out whose they are, and link them.", now.ago(figures.oldest_unmatched_s)


def _waiting_on_processor(now: Situation) -> Iterator[Found]:
    for endpoint, figures in now.figures.endpoints.items():
        if figures.longest_waiting_s is not None and figures.longest_waiting_s > WAITING_S:
            what = f"{counted(figures.waiting, 'event')} on {endpoint} waiting for the processor, "
            what += f"the first for {figures.longest_waiting_s / 3600:.0f} h"
            yield endpoint, f"{what}: read what each waits for, and see there.", now.ago(figures.longest_waiting_s)


def _silent(now: Situation) -> Iterator[Found]:
    for silence in now.silences:
        heard = f"last heard {silence.since:%Y-%m-%d %H}h UTC" if silence.since else "never heard"
        what = f"{silence.endpoint} is silent: {heard}, dues expected {silence.expected:%Y-%m-%d %H:%M} UTC"
        yield silence.endpoint, f"{what}. See at the processor whether it sends, and to where.", silence.since


def _stopped_expiry(now: Situation) -> Iterator[Found]:
    if run := now.stopped:
        what = f"Expiry run {run.run_id} was stopped: {run.grants:,} grants would expire, usual are {run.usual:,}"
        yield None, f"{what}. See whether that is right, and allow it, or extend the grants.", run.at


def _audit(now: Situation) -> Iterator[Found]:
    if now.audited and now.audited.findings:
        what = f"The audit of {now.audited.at:%Y-%m-%d %H:%M} UTC found {counted(now.audited.findings, 'difference')}"
        yield None, f"{what}, first: {now.audited.first}", now.audited.at


def _long_paused(now: Situation) -> Iterator[Found]:
    for pause in now.paused:
        if (now.figures.at - pause.at).total_seconds() > PAUSED_S:
            what = f"{pause.endpoint} has been paused since {pause.at:%Y-%m-%d %H:%M} UTC by {pause.by}"
            yield pause.endpoint, f"{what}: its payments wait. Resume it if its reason is gone.", pause.at


_RULES: dict[str, tuple[Severity, Callable[[Situation], Iterator[Found]]]] = {
    "oldest_due": (Severity.CRITICAL, _oldest_due),
    "no_worker": (Severity.CRITICAL, _no_worker),
    "no_receiver": (Severity.CRITICAL, _no_receiver),
    "dead_letters": (Severity.CRITICAL, _dead_letters),
    "double_credits": (Severity.CRITICAL, _double_credits),
    "audit": (Severity.CRITICAL, _audit),
    "silence": (Severity.CRITICAL, _silent),
    "quarantined": (Severity.WARNING, _quarantined),
    "held": (Severity.WARNING, _held),
    "broker": (Severity.WARNING, _broker),
    "bad_signatures": (Severity.WARNING, _bad_signatures),
    "unmatched": (Severity.WARNING, _unmatched),
    "waiting_on_processor": (Severity.WARNING, _waiting_on_processor),
    "late_jobs": (Severity.WARNING, _late_jobs),
    "stopped_expiry": (Severity.WARNING, _stopped_expiry),
    "long_paused": (Severity.WARNING, _long_paused),
}

DATABASE = "database"
"""The rule that no figures can tell: the database does not answer. Its alarm is made by whoever noticed."""

RULES = {name: severity for name, (severity, _) in _RULES.items()} | {DATABASE: Severity.CRITICAL}
"""Every rule by its name, the gravest first."""


def fired(now: Situation) -> list[Alarm]:
    """What has to be told, the gravest first."""
    return [
        Alarm(name, severity, endpoint, message, since)
        for name, (severity, find) in _RULES.items()
        for endpoint, message, since in find(now)
    ]


class Unsettled(NamedTuple):
    """Paid payments, or events about them, that stand somewhere without sessions."""

    state: str
    """What they are: `dead`, `quarantined`, `held` or `unmatched`."""
    what: str
    """How many, in words."""


def unsettled(total: EndpointFigures) -> list[Unsettled]:
    """What keeps payments from their sessions until a person sees to it, from the first minute; often nothing."""
    counts = (
        ("dead", total.dead, "dead letter"),
        ("quarantined", total.quarantined, "event"),
        ("held", total.held, "payment"),
        ("unmatched", total.unmatched, "payment"),
    )
    more = {"quarantined": " in quarantine", "held": " held", "unmatched": " unmatched"}
    return [Unsettled(state, counted(n, noun) + more.get(state, "")) for state, n, noun in counts if n]
