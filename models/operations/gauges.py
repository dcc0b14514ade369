"""PURE: the situation as gauges for Prometheus: what each is called, what it says, and its values by labels.

The labels are bounded: the configured endpoints, with all others folded into one called `other`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from models.operations.alarms import DATABASE, HEARTBEAT_S, RECEIVER_HEARTBEAT_S, RULES, Situation, fired
from models.operations.figures import EndpointFigures
from models.operations.heartbeats import ProcessKind

OTHER = "other"
QUANTILES = {"0.5": "p50", "0.99": "p99"}

_OF_ENDPOINTS = (
    ("due_events", "due", "Events to be credited or fetched now, without those of paused endpoints"),
    ("oldest_due_seconds", "oldest_due_s", "How long the first of the due events has been due"),
    ("paused_due_events", "paused_due", "Events that are due, but whose endpoint is paused"),
    ("retrying_events", "retrying", "Events that failed and wait for their next try"),
    ("thin_events", "thin", "Events that wait until what they name is fetched"),
    ("waiting_events", "waiting", "Thin events that wait for an API, or for what they name to be final"),
    ("longest_waiting_seconds", "longest_waiting_s", "How long the first of the waiting events has waited"),
    ("failing_events", "failing", "Events that failed, and have been tried again for more than 5 minutes"),
    ("late_events", "late", "Events that have waited too long, for whatever reason"),
    ("dead_events", "dead", "Failed events: given up after the last try"),
    ("quarantined_events", "quarantined", "Events in quarantine"),
    ("in_review_payments", "in_review", "Payments that staff must look at, whatever they gave"),
    ("oldest_in_review_seconds", "oldest_in_review_s", "How long the first payment in review has stood there"),
    ("unmatched_payments", "unmatched", "Payments in review that no membership has claimed"),
    ("oldest_unmatched_seconds", "oldest_unmatched_s", "How long the first unmatched payment has been in review"),
    ("held_payments", "held", "Payments in review that contradict their membership"),
    ("gave_nothing_payments", "nothing", "Payments in review that gave no sessions by the terms of their membership"),
    ("payer_only_payments", "payer_only", "Payments in review of which only the payer is known"),
)
_OF_WINDOWS = (
    ("received_events", "received", ("minute", "hour", "day"), "Events received within the window"),
    ("credited_events", "credited", ("minute", "hour", "day"), "Events processed within the window"),
    (
        "answered_deliveries",
        "answered",
        ("hour", "day"),
        "Answered events and deliveries; the hour is the clock's last two",
    ),
    ("duplicate_events", "duplicates", ("hour", "day"), "Repeats of known events; the hour is the clock's last two"),
    ("bad_signatures", "bad_signatures", ("hour", "day"), "Deliveries refused; the hour is the clock's last two"),
)


class Gauge(NamedTuple):
    """One gauge. A row is known by its labels' values, a tuple of texts."""

    name: str
    what: str
    labels: tuple[str, ...]
    rows: Mapping[Any, float]


def plain(name: str, what: str, value: float) -> Gauge:
    """A gauge without labels."""
    return Gauge(name, what, (), {(): value})


def alarms(now: Situation | None, names: Iterable[str]) -> Gauge:
    """1 for each alarm that has fired; the one about the database is always there, so that its absence is an alarm too.

    `now` is None if the database does not answer.
    """
    known = {"", *names}
    rows = {
        (alarm.rule, endpoint if (endpoint := alarm.endpoint or "") in known else OTHER, alarm.severity.value): 1
        for alarm in (fired(now) if now else [])
    }
    rows |= {(DATABASE, "", RULES[DATABASE].value): now is None}
    return Gauge("alarm", "1 for each alarm that has fired", ("rule", "endpoint", "severity"), rows)


def gauges(now: Situation, names: Iterable[str]) -> Iterator[Gauge]:
    """Every gauge of the situation, for the configured endpoints of these names."""
    known = list(names)
    yield from _of_endpoints(_folded(now.figures.endpoints, known))
    yield from _of_the_whole(now, known)


def _folded(endpoints: Mapping[str, EndpointFigures], names: Iterable[str]) -> dict[str, EndpointFigures]:
    known = {name: endpoints[name] for name in names}
    others = [one for name, one in endpoints.items() if name not in known]
    return known | ({OTHER: _together(others)} if others else {})


def _of_endpoints(endpoints: Mapping[str, EndpointFigures]) -> Iterator[Gauge]:
    for name, figure, what in _OF_ENDPOINTS:
        rows = {(endpoint,): getattr(one, figure) or 0 for endpoint, one in endpoints.items()}
        yield Gauge(name, what, ("endpoint",), rows)
    for name, figure, windows, what in _OF_WINDOWS:
        found = {(endpoint, window): one for endpoint, one in endpoints.items() for window in windows}
        counts = {key: getattr(one, f"{figure}_{key[1]}") for key, one in found.items()}
        yield Gauge(name, what, ("endpoint", "window"), counts)
    delays = {
        (endpoint, window, quantile): getattr(one, f"{figure}_{window}_s")
        for endpoint, one in endpoints.items()
        for window in ("hour", "day")
        for quantile, figure in QUANTILES.items()
    }
    measured = {key: seconds for key, seconds in delays.items() if seconds is not None}
    what = "From being posted to being credited, of what was received within the window"
    yield Gauge("credit_delay_seconds", what, ("endpoint", "window", "quantile"), measured)


def _of_the_whole(now: Situation, names: Iterable[str]) -> Iterator[Gauge]:
    alive = [worker for worker in now.workers if worker.age_s <= HEARTBEAT_S]
    age = min((worker.age_s for worker in now.workers), default=float("inf"))
    yield plain("worker_heartbeat_age_seconds", "Since the last heartbeat of any worker", age)
    yield plain("workers_alive", f"Worker processes seen within {HEARTBEAT_S} s", len(alive))
    memory = sum(worker.memory_bytes or 0 for worker in alive)
    yield plain("workers_memory_bytes", "Resident memory of the living worker processes together", memory)
    fresh = [one for one in now.web if one.kind == ProcessKind.RECEIVER and one.age_s <= RECEIVER_HEARTBEAT_S]
    what = f"Processes of the webhook server that answered within {RECEIVER_HEARTBEAT_S} s"
    yield plain("receivers_alive", what, len(fresh))
    if now.figures.endpoints:
        receiver_age = float("inf") if now.receiver_age_s is None else now.receiver_age_s
        yield plain("receiver_heartbeat_age_seconds", "Since any webhook server last answered", receiver_age)
    overdue = {(job.name.value,): job.overdue for job in now.jobs}
    yield Gauge("job_overdue", "Whether the job did not run when it was due", ("name",), overdue)
    took = {(job.name.value,): job.took_s for job in now.jobs if job.took_s is not None}
    yield Gauge("job_duration_seconds", "How long the job's last run took", ("name",), took)
    silent, paused = {one.endpoint for one in now.silences}, {one.endpoint: one.at for one in now.paused}
    quiet = {(name,): name in silent for name in names}
    yield Gauge("endpoint_silent", "Whether dues were expected and nothing came", ("endpoint",), quiet)
    since = {(name,): (now.figures.at - paused[name]).total_seconds() if name in paused else 0 for name in names}
    yield Gauge("endpoint_paused_seconds", "For how long the endpoint has been paused", ("endpoint",), since)
    yield plain("expiry_stopped", "Whether an expiry run was stopped by its breaker", now.stopped is not None)
    yield plain(
        "expired_grants_today", "Grants expired and written down since midnight UTC", now.figures.expired_grants
    )
    yield plain("expired_sessions_today", "Sessions of these grants", now.figures.expired_sessions)
    yield plain("double_credits", "Grants more than payments for them: must be 0", now.figures.double_credits)
    if now.audited:
        yield plain("audit_findings", "Differences that the last audit found", now.audited.findings)
        audit_age = (now.figures.at - now.audited.at).total_seconds()
        yield plain("audit_age_seconds", "Since the last audit came to its end", audit_age)


def _together(some: Iterable[EndpointFigures]) -> EndpointFigures:
    """Counts added up, and the longest of durations."""
    kept: dict[str, Any] = {}
    for field in fields(EndpointFigures):
        values = [value for one in some if (value := getattr(one, field.name)) is not None]
        kept[field.name] = max(values, default=None) if field.name.endswith("_s") else sum(values)
    return EndpointFigures(**kept)
