"""`spp status`: the overview in a terminal."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Any

import click
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from console import broker_state
from console.broker_state import BrokerState
from console.cli import show
from console.cli.installed import data_folder, opened
from local import stacks
from models.operations import alarms
from models.operations.alarms import Alarm, Situation
from models.operations.figures import EndpointFigures
from models.operations.first_steps import FirstSteps, first_steps
from models.operations.headline import Part, headline
from models.operations.heartbeats import ProcessKind
from models.operations.recent import Recent
from models.operations.situation import Lookout, Members
from models.wording import counted, duration
from runtime.logs import first_line
from runtime.settings import Settings

EVERY_S = 2
WIDTH = 80
CLEAR = "\x1b[H\x1b[2J"


@dataclass(frozen=True)
class Seen:
    """The state at one moment."""

    now: Situation
    alarms: Sequence[Alarm]
    broker: BrokerState
    members: Members
    first_steps: FirstSteps | None = None
    """None once a payment has given sessions."""
    console: str | None = None
    """The address of the console that `spp up` runs here."""


@click.command()
@click.option("--watch", is_flag=True, help="Redraw every 2 s, until Ctrl-C.")
@show.json_option
def status(watch: bool) -> None:
    """Show whether payments turn into sessions: queues, workers, jobs, broker and alarms."""
    with opened(pool_size=1) as (loaded, make):
        broker = broker_state.recent(loaded.broker_url)
        look, has_endpoint = lookout(make, loaded, broker), bool(loaded.endpoints)

        def seen() -> Seen:
            now = look.now()
            with make() as session:
                steps = first_steps(session, has_endpoint=has_endpoint)
            up = stacks.on(data_folder())
            return Seen(now, alarms.fired(now), broker(), look.members(), steps, up.console if up else None)

        if not watch:
            _show(seen())
            return
        with suppress(KeyboardInterrupt):
            while True:
                try:
                    _show(seen(), CLEAR)
                except SQLAlchemyError as error:
                    message = f"The database does not answer: {first_line(error)}"
                    show.answer({"error": message}, CLEAR + message)
                time.sleep(EVERY_S)


def lookout(make: sessionmaker[Session], settings: Settings, broker: Recent[BrokerState]) -> Lookout:
    """The source of the figures, uncached."""
    return Lookout(make, settings, now_s=0, broker=lambda: broker().trouble)


def _show(seen: Seen, before: str = "") -> None:
    now = seen.now
    known = {
        "headline": as_json(now.figures.total),
        "alarms": [alarm._asdict() for alarm in seen.alarms],
        **asdict(now.figures),
        "workers": [worker._asdict() for worker in now.workers],
        "web": [process._asdict() for process in now.web],
        "jobs": [asdict(job) for job in now.jobs],
        "broker": asdict(seen.broker),
        "console": seen.console,
        "first_steps": [step._asdict() for step in seen.first_steps.steps] if seen.first_steps else None,
        **seen.members._asdict(),
    }
    show.answer(known, before + "\n".join(screen(seen)))


def screen(seen: Seen) -> list[str]:
    """The overview as lines of at most 80 characters: 24 lines for three endpoints where nothing waits for anybody."""
    now, figures = seen.now, seen.now.figures
    rows = [("total", figures.total), *figures.endpoints.items()]
    waiting = str(headline(figures.total))
    worst = next((alarm.severity.upper() for alarm in seen.alarms), "WARNING" if waiting else "OK")
    lines = [f"Sessions Per Payment   {figures.at:%Y-%m-%d %H:%M:%S} UTC   {worst}", waiting]
    lines += [*_table(_BACKLOG, rows), "", *_table(_FLOW, rows), ""]
    seen_of = [
        f"{worker.process[:30]:30} {duration(worker.age_s)} ago, {worker.events:,} events, "
        f"{(worker.memory_bytes or 0) / 1e6:.0f} MB" + (f", {worker.doing}" if worker.doing else "")
        for worker in now.workers
    ]
    more = f" (the latest 3 of {len(seen_of)})" if len(seen_of) > 3 else ""
    lines += [f"Workers{more}{'' if seen_of else ': none'}", *(f"  {line}" for line in seen_of[:3])]
    lines.append(f"Web      {_web(now)}")
    lines += wrap(f"Jobs     {_jobs(now)}", WIDTH, subsequent_indent=" " * 9)
    lines.append(f"Broker   {seen.broker.summary}")
    late = f". Overdue {seen.members.overdue:,}: /members/?standing=overdue" if seen.members.overdue else ""
    expired = counted(figures.expired_sessions, "session")
    lines.append(f"Expired  {expired} today{late}")
    lines = [line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in lines]
    for label, text in (
        ("Console", seen.console), ("To do", _to_do(figures.total)), ("Next", _next(seen.first_steps))
    ):  # fmt: skip
        lines += wrap(f"{label:8} {text}", WIDTH, subsequent_indent=" " * 9) if text else []
    for alarm in seen.alarms:
        lines += wrap(f"{alarm.severity.upper():8} {alarm.message}", WIDTH, subsequent_indent=" " * 9)
    return lines


def as_json(total: EndpointFigures) -> dict[str, Any]:
    """The headline for programs."""
    found = headline(total)
    parts = [{"figure": one.figure, "number": one.number, "what": one.what} for one in found.parts]
    nothing = [{"figure": one.figure, "number": one.number, "what": one.what} for one in found.without_sessions]
    return {"number": found.number, "text": str(found), "parts": parts, "without_sessions": nothing}


def _to_do(total: EndpointFigures) -> str:
    """`2 in review (`spp review`), 1 failed (`spp errors --state dead`)`; empty if nothing waits."""
    return ", ".join(f"{one.what} (`{_command(one)}`)" for one in headline(total).parts)


def _command(part: Part) -> str:
    """The command that lists it."""
    if part.state is None:
        return "spp review"
    return f"spp errors --state {part.state}" if part.figure == part.state else f"spp events --state {part.state}"


def _next(steps: FirstSteps | None) -> str:
    """The next of the first steps, until a payment has given sessions."""
    if steps is None:
        return ""
    what = steps.next.hint or steps.next.what
    return f"{what} (first steps: {steps.done} of {len(steps.steps)} done)"


_BACKLOG = {
    "due": lambda one: f"{one.due:,}", "oldest": lambda one: duration(one.oldest_due_s),
    "paused": lambda one: f"{one.paused_due:,}", "retry": lambda one: f"{one.retrying:,}",
    "thin": lambda one: f"{one.thin:,}", "dead": lambda one: f"{one.dead:,}",
    "quarant": lambda one: f"{one.quarantined:,}", "review": lambda one: f"{one.in_review:,}",
}  # fmt: skip
_FLOW = {
    "in/s": lambda one: f"{one.received_per_s:.1f}", "cred/s": lambda one: f"{one.credited_per_s:.1f}",
    "in/h": lambda one: f"{one.received_hour:,}", "cred/h": lambda one: f"{one.credited_hour:,}",
    "p50/h": lambda one: duration(one.p50_hour_s), "p99/h": lambda one: duration(one.p99_hour_s),
    "dupl/h": lambda one: f"{one.duplicates_hour:,}", "bad/h": lambda one: f"{one.bad_signatures_hour:,}",
}  # fmt: skip


def _table(columns: dict[str, Any], rows: Sequence[tuple[str, EndpointFigures]]) -> list[str]:
    lines = [f"{'':14}" + "".join(f"{name:>8}" for name in columns)]
    return lines + [f"{name[:13]:14}" + "".join(f"{of(one):>8}" for of in columns.values()) for name, one in rows]


def _web(now: Situation) -> str:
    """The number of processes of each kind within a day, and the age of the latest answer."""
    parts = []
    for kind in (ProcessKind.RECEIVER, ProcessKind.CONSOLE):
        ages = [one.age_s for one in now.web if one.kind == kind]
        latest = "the latest " if len(ages) > 1 else ""
        answered = f"{latest}answered {duration(min(ages))} ago" if ages else ""
        parts.append(f"{counted(len(ages), kind)}, {answered}" if ages else f"no {kind}")
    return "; ".join(parts)


def _jobs(now: Situation) -> str:
    """The time since the last run of each job; overdue ones are marked, and those that never ran come last."""
    ran = [
        f"{job.name}{'!' if job.overdue else ''} {duration((now.figures.at - job.started_at).total_seconds())}"
        for job in now.jobs
        if job.started_at
    ]
    never = [f"{job.name}{'!' if job.overdue else ''}" for job in now.jobs if not job.started_at]
    parts = [", ".join(ran) + " ago"] if ran else []
    return "; ".join([*parts, f"never {', '.join(never)}"] if never else parts)
