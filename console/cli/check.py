"""`spp check`: the state in one line, for a monitor such as Nagios."""

from enum import IntEnum
from typing import NamedTuple

import click
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from console import broker_state
from console.cli import show
from console.cli.installed import opened
from console.cli.status import lookout
from models.errors import SppError
from models.operations import alarms
from models.operations.alarms import Severity
from models.operations.backlog import OLDEST_DUE_S
from models.operations.figures import EndpointFigures
from models.operations.headline import headline
from models.wording import counted
from runtime.logs import first_line
from runtime.settings import SettingsError


class Code(IntEnum):
    """The exit codes of such monitors."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class Verdict(NamedTuple):
    """The state as a code and a message, and the total of the figures if they are known."""

    code: Code
    message: str
    total: EndpointFigures | None = None


@click.command()
@click.option("--perfdata", is_flag=True, help="Add figures for a graph, after a |.")
@show.json_option
def check(perfdata: bool) -> None:
    """Print the state in one line for a monitor: exit 0 OK, 1 warning, 2 critical, 3 unknown.

    A database that does not answer is critical: nothing is received or credited without it.
    """
    verdict = _judge()
    figures = _performance(verdict.total) if perfdata and verdict.total else ""
    # A monitor shows the first line only, and reads figures after the bar.
    message = " ".join(verdict.message.split()).replace("|", "/")
    answer = {"status": verdict.code.name, "code": verdict.code, "message": verdict.message}
    show.answer(answer, f"{verdict.code.name}: {message}{figures}")
    raise click.exceptions.Exit(verdict.code)


def _judge() -> Verdict:
    try:
        with opened(pool_size=1) as (loaded, make):
            now = lookout(make, loaded, broker_state.recent(loaded.broker_url)).now()
    except OperationalError as error:
        return Verdict(Code.CRITICAL, f"the database does not answer: {first_line(error)}")
    except (SQLAlchemyError, SettingsError, SppError) as error:
        from console.cli.failures import message

        return Verdict(Code.UNKNOWN, message(error) or str(error))
    total = now.figures.total
    found, waiting = alarms.fired(now), str(headline(total))
    if found or waiting:
        critical = any(alarm.severity == Severity.CRITICAL for alarm in found)
        messages = [*([waiting] if waiting else []), *(alarm.message.rstrip(".") for alarm in found)]
        return Verdict(Code.CRITICAL if critical else Code.WARNING, "; ".join(messages), total)
    credited = counted(total.credited_hour, "event")
    return Verdict(Code.OK, f"{total.due:,} due, {credited} credited in the last hour", total)


def _performance(total: EndpointFigures) -> str:
    values = {
        "due": f"{total.due};;;0", "oldest_due": f"{total.oldest_due_s or 0:.1f}s;;{OLDEST_DUE_S};0",
        "received_hour": f"{total.received_hour};;;0", "credited_hour": f"{total.credited_hour};;;0",
        "p99_hour": f"{total.p99_hour_s or 0:.3f}s;;;0", "dead": f"{total.dead};;0;0",
        "quarantined": f"{total.quarantined};;;0", "in_review": f"{total.in_review};;;0",
        "unmatched": f"{total.unmatched};;;0",
    }  # fmt: skip
    return " | " + " ".join(f"{name}={value}" for name, value in values.items())
