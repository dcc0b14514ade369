"""Commands about webhook events: events, replay, discard."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from console.cli import show
from console.cli.installed import Failed, database, installed_settings, json_option, operator, the_member
from console.cli.moments import MOMENT
from models.database.engine import make_engine, sessions
from models.errors import NotFound
from models.inbox import bulk, masking, repairs, search
from models.inbox import story as event_story
from models.inbox.bulk import BulkAction, BulkVerb
from models.inbox.events import EventState, WebhookEvent
from models.inbox.search import EventFilter
from models.wording import counted, money

_FILTERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--state", {"type": click.Choice([state.value for state in EventState])}),
    ("--endpoint", {}),
    ("--type", {}),
    ("--since", {"type": MOMENT, "help": "Received from then on."}),
    ("--until", {"type": MOMENT, "help": "Received before then."}),
    ("--attempts", {"type": click.IntRange(min=0), "help": "Tried at least so often."}),
    ("--error", {"help": "A part of the last error or of the reason."}),
    ("--event-id", {"help": "The processor's id."}),
    ("--payment", {"help": "Events about the payment with that reference."}),
    ("--member", {"metavar": "EMAIL", "help": "Events about that member's payments."}),
    ("--body", {"help": "A part of the body."}),
)
Command = TypeVar("Command", bound=Callable[..., object])


def filter_options(command: Command) -> Command:
    """The options that narrow down which events are meant; `wanted` reads them."""
    for name, more in reversed(_FILTERS):
        command = click.option(name, **more)(command)
    return command


def wanted(session: Session, *, member: str | None, **asked: Any) -> EventFilter:
    """The filter that the options ask for. Raises NotFound for a member that is none."""
    return EventFilter(**asked, member_id=the_member(session, member).id if member else None)


@click.group(invoke_without_command=True)
@click.pass_context
@filter_options
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@json_option
def events(context: click.Context, /, limit: int, as_json: bool, **asked: Any) -> None:
    """List webhook events, the newest first, or show one."""
    if context.invoked_subcommand:
        return
    with database() as session:
        page = search.page(session, wanted(session, **asked), limit=limit)
        rows = [_line(event) for event in page.events]
    if as_json:
        show.as_json(rows)
        return
    show.table(["id", "endpoint", "event", "type", "received", "state", "tries", "why"], [
        [*list(row.values())[:7], row["why"] or ""] for row in rows
    ])  # fmt: skip
    if page.back_to:
        click.echo(f"\nLooked back to {show.cell(page.back_to)}; --until goes on from there.")


def _line(event: WebhookEvent) -> dict[str, Any]:
    due = event.next_attempt_at if event.state == EventState.PENDING else None
    return {
        "id": event.id, "endpoint": event.endpoint, "event_id": event.event_id, "type": event.type,
        "received_at": event.received_at, "state": event.state, "attempts": event.attempts,
        "why": event.reason or event.error, "next_attempt_at": due, "api_version": event.api_version,
        "waits_since": event.waits_since if event.waits else None,
    }  # fmt: skip


@events.command("show")
@click.argument("number", type=click.IntRange(min=1), metavar="ID")
@json_option
def show_event(number: int, as_json: bool) -> None:
    """Show one event: its body (secrets and card numbers masked), its tries, what it told and what that did."""
    with database() as session:
        story = event_story.story(session, number)
        if story is None:
            raise NotFound(what="event", name=number)
        event = story.event
        told = {
            **_line(event), "delivery": event.delivery, "headers": json.loads(event.headers or "{}"),
            "errors": [
                {"attempt": one.attempt, "failed_at": one.failed_at, "error": one.error} for one in story.errors
            ],
            "facts": [fact._asdict() for fact in story.facts], "entries": [entry._asdict() for entry in story.entries],
            "body": masking.shown(event.body) if event.pruned_at is None else None,
        }  # fmt: skip
    if as_json:
        show.as_json(told)
        return
    for fact in told["facts"]:
        minor, currency = fact["amount_minor"], fact["currency"]
        fact["amount"] = money(minor, currency) if minor is not None and currency else None
    for name in ("id", "endpoint", "event_id", "type", "received_at", "state", "why", "attempts", "delivery"):
        click.echo(f"  {name.replace('_', ' '):12}{show.cell(told[name])}")
    if event.waits:
        click.echo(
            f"  {'waits since':12}{show.cell(event.waits_since)}, asked again {show.cell(event.next_attempt_at)}"
        )
    for name, value in told["headers"].items():
        click.echo(f"  {name}: {value}")
    for title, key, columns in (
        ("Failed tries", "errors", ("attempt", "failed_at", "error")),
        ("What it told", "facts", ("kind", "payment", "amount", "state", "member")),
        ("What it did", "entries", ("entry_id", "kind", "quantity", "item", "member", "recorded_at")),
    ):
        if told[key]:
            click.echo(f"\n{title}")
            show.table(
                [name.replace("_", " ") for name in columns], [[row[name] for name in columns] for row in told[key]]
            )
    click.echo(f"\n{told['body'] or 'Its body was pruned.'}")


_ids = click.argument("ids", nargs=-1, type=click.IntRange(min=1), metavar="[ID...]")
_dry_run = click.option("--dry-run", is_flag=True, help="Say how many it would be, and change nothing.")
_yes = click.option("--yes", is_flag=True, help="Do not ask whether the number is right.")


@click.command()
@_ids
@filter_options
@click.option("--reason", default="Tried again from the command line.", help="Kept in the action log.")
@_dry_run
@_yes
@json_option
def replay(ids: tuple[int, ...], **more: Any) -> None:
    """Send events through the same path again: these, or all that match. Harmless for one that had its effect."""
    _act(BulkVerb.REPLAY, repairs.replay, ids, **more)


@click.command()
@_ids
@filter_options
@click.option("--reason", required=True, help="Kept in the action log.")
@_dry_run
@_yes
@json_option
def discard(ids: tuple[int, ...], **more: Any) -> None:
    """Decide that dead or quarantined events have no effect: these, or all that match. They are kept.

    By its id, also one that waits for its processor.
    """
    _act(BulkVerb.DISCARD, repairs.discard, ids, **more)


def _act(
    verb: BulkVerb, act: Callable[..., list[int]], ids: tuple[int, ...], *, reason: str, dry_run: bool, yes: bool,
    as_json: bool, **asked: Any,
) -> None:  # fmt: skip
    if ids and any(value is not None for value in asked.values()):
        raise click.UsageError("Name events by their ids, or by a filter, not by both.")
    if not ids and not any(value is not None for value in asked.values()):
        raise click.UsageError("Say which events: by their ids, or by a filter such as --state dead.")
    if ids and dry_run:
        raise click.UsageError("--dry-run tells how many match a filter; ids are as many as you name.")
    if ids:
        with database() as session:
            done = act(session, ids, reason, by=operator())
        show.as_json({"events": done}) if as_json else click.echo(_done(verb, done))
        return
    with installed_settings() as loaded:
        engine = make_engine(loaded.database_url)
        try:
            told = _on_all(engine, verb, asked, None if dry_run else reason, sure=yes)
        finally:
            engine.dispose()
    if as_json:
        show.as_json(told)
        return
    count, is_one = counted(told["events"], "event"), told["events"] == 1
    if "act" not in told:
        click.echo(f"{count} {'matches' if is_one else 'match'}.")
    else:
        click.echo(f"{count} {'is' if is_one else 'are'} {DONE[verb]}.")


def _on_all(engine: Engine, verb: BulkVerb, asked: dict[str, Any], reason: str | None, *, sure: bool) -> dict[str, int]:
    """Does it to all that match, after asking; without a reason, or where nothing matches, tells only how many."""
    with sessions(engine).begin() as session:
        chosen = wanted(session, **asked)
        scope = bulk.scope(session, verb, chosen)
        if reason is None or not scope.events:
            return {"events": scope.events}
        if not sure:
            click.confirm(f"{verb.capitalize()} {counted(scope.events, 'event')}?", abort=True, err=True)
        act = bulk.ask(session, verb, chosen, scope, reason, by=operator()).id
    return {"act": act, "events": _finish(engine, act)}


DONE = {BulkVerb.REPLAY: "due again", BulkVerb.DISCARD: "discarded"}


def _done(verb: BulkVerb, ids: Sequence[int]) -> str:
    return f"{show.events_are(ids)} {DONE[verb]}."


def _finish(engine: Engine, number: int) -> int:
    """Works on that act until it is finished, together with the workers, who go on if we are interrupted.

    Says how many events it came to.
    """
    make = sessions(engine)
    with show.progress("events") as told:
        while True:
            with make.begin() as session:
                worked = bulk.work(session)
            if not worked:
                time.sleep(0.2)
            with make() as session:
                act = session.get_one(BulkAction, number)
                told(act.done / act.total)
                if act.finished_at is not None:
                    break
    if act.cancelled:
        raise Failed(f"Somebody stopped it after {act.done:,} events.")
    return act.done
