"""Commands about webhook events: events, replay, discard, quarantine."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from difflib import SequenceMatcher
from itertools import zip_longest
from shutil import get_terminal_size
from typing import Any, TypeVar

import click
from sqlalchemy.orm import Session, sessionmaker

from console.cli import show
from console.cli.installed import Failed, database, opened, operator, reason_option
from console.cli.moments import MOMENT
from models.errors import NotFound
from models.inbox import bulk, bulk_outcome, error_groups, masking, repairs, search
from models.inbox import story as event_story
from models.inbox.bulk import BulkAction, BulkVerb
from models.inbox.events import EventState, WebhookEvent
from models.inbox.search import EventFilter
from models.members.lookup import the_member
from models.wording import counted, money
from runtime.settings import Settings

_FILTERS: dict[str, dict[str, Any]] = {
    "--state": {"type": click.Choice([state.value for state in EventState])},
    "--endpoint": {},
    "--type": {},
    "--since": {"type": MOMENT, "help": "Received at this time or later."},
    "--until": {"type": MOMENT, "help": "Received before this time."},
    "--attempts": {"type": click.IntRange(min=0), "help": "Tried at least this often."},
    "--error": {"help": "A part of the last error or of the reason."},
    "--event-id": {"help": "The processor's id."},
    "--payment": {"help": "Events about the payment with this reference."},
    "--member": {"metavar": "EMAIL|ID", "help": "Events about this member's payments."},
    "--body": {"help": "A part of the body."},
    "--group": {"help": "Those of this error group, as `spp errors` names it."},
    "--act": {"type": click.IntRange(min=1), "help": "Those whose last bulk action had this number."},
}
_HEAD = ("id", "endpoint", "event_id", "type", "received_at", "state", "why", "attempts", "delivery")
_PARTS = {
    "decisions": ("What people decided", ("at", "by", "verb", "reason", "act_id")),
    "errors": ("Failed tries", ("attempt", "failed_at", "error")),
    "facts": ("Payment facts", ("kind", "payment", "amount", "state", "member")),
    "entries": ("Ledger entries", ("entry_id", "kind", "quantity", "item", "member", "recorded_at")),
}
Command = TypeVar("Command", bound=Callable[..., object])


def filter_options(command: Command) -> Command:
    """Add the options that filter events; `_filter` reads them."""
    for name, more in reversed(_FILTERS.items()):
        command = click.option(name, **more)(command)
    return command


def _filter(
    session: Session, loaded: Settings, *, member: str | None = None, group: str | None = None, **asked: Any
) -> EventFilter:
    """The filter that the options describe. Raises NotFound, SeveralMembers or UnknownErrorGroup."""
    wanted = EventFilter(**asked, member_id=the_member(session, member).id if member else None)
    return error_groups.narrowed(wanted, group, loaded.endpoints) if group else wanted


@click.group(invoke_without_command=True)
@click.pass_context
@filter_options
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@show.json_option
def events(context: click.Context, /, limit: int, **asked: Any) -> None:
    """List webhook events, the newest first, or show one."""
    if not context.invoked_subcommand:
        _list(limit, **asked)


def _list(limit: int, hint: str = "", **asked: Any) -> None:
    with opened() as (loaded, make), make() as session:
        page = search.page(session, _filter(session, loaded, **asked), limit=limit)
        rows = [_line(event) for event in page.events]
    show.listing(rows, "id", "endpoint", "event", "type", "received", "state", "tries", "why")
    if page.back_to:
        click.echo(f"\nSearched back to {show.cell(page.back_to)}; --until continues from there.", err=True)
    if rows and hint:
        click.echo(f"\n{hint}", err=True)


def _line(event: WebhookEvent) -> dict[str, Any]:
    due = event.next_attempt_at if event.state == EventState.PENDING else None
    return {
        "id": event.id, "endpoint": event.endpoint, "event_id": event.event_id, "type": event.type,
        "received_at": event.received_at, "state": event.state, "attempts": event.attempts,
        "why": event.reason or event.error, "next_attempt_at": due, "api_version": event.api_version,
        "waits_since": event.waits_since if event.waits else None, "conflicts_with": event.conflicts_with,
    }  # fmt: skip


@events.command("show")
@click.argument("number", type=click.IntRange(min=1), metavar="ID")
@show.json_option
def show_event(number: int) -> None:
    """Show one event with its tries, payment facts, ledger entries and body (secrets and card numbers masked).

    If it conflicts with the first event of its id, the two bodies stand side by side.
    """
    with database() as session:
        story = event_story.story(session, number)
        if story is None:
            raise NotFound(what="event", name=number)
        event, first = story.event, story.first
        pretty = _sorted if first else masking.shown
        known = {
            **_line(event), "delivery": event.delivery, "headers": json.loads(event.headers or "{}"),
            "errors": [
                {"attempt": one.attempt, "failed_at": one.failed_at, "error": one.error} for one in story.errors
            ],
            "decisions": [one._asdict() for one in story.decisions],
            "facts": [fact._asdict() for fact in story.facts], "entries": [entry._asdict() for entry in story.entries],
            "body": pretty(event.body) if event.pruned_at is None else None,
            "first_body": pretty(first.body) if first and first.pruned_at is None else None,
        }  # fmt: skip
    if show.as_json(known):
        return
    for name in _HEAD:
        click.echo(f"  {name.replace('_', ' '):12}{show.cell(known[name])}")
    if event.waits:
        since, again = show.cell(event.waits_since), show.cell(event.next_attempt_at)
        click.echo(f"  {'waits since':12}{since}, asked again {again}")
    for name, value in known["headers"].items():
        click.echo(f"  {name}: {value}")
    for fact in known["facts"]:
        fact["amount"] = money(fact["amount_minor"], fact["currency"]) if fact["currency"] else None
    for key, (title, columns) in _PARTS.items():
        if known[key]:
            click.echo(f"\n{title}")
            headings = [name.replace("_", " ") for name in columns]
            show.table(headings, [[row[name] for name in columns] for row in known[key]])
    click.echo()
    body = known["body"] or "Its body was pruned."
    if first is None:
        click.echo(body)
    else:
        _side_by_side(
            [_title(first), *(known["first_body"] or "Its body was pruned.").splitlines()],
            [_title(event), *body.splitlines()],
        )


def _title(event: WebhookEvent) -> str:
    return f"event {event.id}, {event.source}, {show.cell(event.received_at)}"


def _sorted(body: bytes) -> str:
    """The body with its keys sorted, so that a comparison shows only what differs."""
    with suppress(ValueError, RecursionError):
        body = json.dumps(json.loads(body), sort_keys=True, ensure_ascii=False).encode()
    return masking.shown(body)


def _side_by_side(one: list[str], other: list[str]) -> None:
    width = max(30, (get_terminal_size((160, 24)).columns - 3) // 2)
    for left, mark, right in (one[0], " ", other[0]), *_differences(one[1:], other[1:]):
        click.echo(f"{left[:width]:{width}} {mark} {right[:width]}".rstrip())


def _differences(one: list[str], other: list[str]) -> Iterator[tuple[str, str, str]]:
    for kind, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        for left, right in zip_longest(one[a:b], other[c:d], fillvalue=""):
            yield left, " " if kind == "equal" else "|", right


_dry_run = click.option("--dry-run", is_flag=True, help="Print how many events match, and change nothing.")
_yes = click.option("--yes", is_flag=True, help="Do not ask for confirmation of the number.")
_ids = click.argument("ids", nargs=-1, type=click.IntRange(min=1), metavar="[ID...]")


@click.command()
@_ids
@filter_options
@click.option("--reason", default="Tried again from the command line.", help="Kept in the action log.")
@_dry_run
@_yes
@show.json_option
def replay(ids: tuple[int, ...], **more: Any) -> None:
    """Process events again: those with these ids, or all that match a filter.

    Replaying an event that had its effect changes nothing.
    """
    _act(BulkVerb.REPLAY, ids, **more)


@click.command()
@_ids
@filter_options
@reason_option
@_dry_run
@_yes
@show.json_option
def discard(ids: tuple[int, ...], **more: Any) -> None:
    """Give failed or quarantined events no effect: those with these ids, or all that match a filter.

    They are kept, with the reason. An event that waits for its processor can be discarded by its id.
    """
    _act(BulkVerb.DISCARD, ids, **more)


@click.group(invoke_without_command=True)
@click.pass_context
@show.json_option
def quarantine(context: click.Context) -> None:
    """List quarantined events: authentic, but unusable. Show, release or discard them.

    The list is that of `spp events --state quarantined`; show and discard are `spp events show` and `spp discard`.
    """
    if not context.invoked_subcommand:
        hint = "`spp quarantine show ID`, then `release ID --reason TEXT` or `discard ID --reason TEXT`."
        _list(10_000, hint, state=EventState.QUARANTINED.value)


quarantine.add_command(show_event)
quarantine.add_command(discard)


@quarantine.command("release")
@_ids
@filter_options
@reason_option
@_dry_run
@_yes
@show.json_option
def release(ids: tuple[int, ...], **more: Any) -> None:
    """Process quarantined events after all: those with these ids, or all that match a filter.

    Of two events with one id, both count then, as far as they differ. `spp errors --foresee` says what it comes to.
    """
    _act(BulkVerb.RELEASE, ids, **more)


DONE = {BulkVerb.REPLAY: "due again", BulkVerb.DISCARD: "discarded", BulkVerb.RELEASE: "due again"}
_ACTS = {BulkVerb.REPLAY: repairs.replay, BulkVerb.DISCARD: repairs.discard, BulkVerb.RELEASE: repairs.release}


def _answer(ids: list[int], done: str) -> None:
    *others, last = map(str, ids)
    subject = f"Events {', '.join(others)} and {last} are" if others else f"Event {last} is"
    show.answer({"events": ids}, f"{subject} {done}.")


def _act(verb: BulkVerb, ids: tuple[int, ...], *, reason: str, dry_run: bool, yes: bool, **asked: Any) -> None:
    """Act on the named events in one transaction, or on all that match in a bulk action, after confirmation."""
    if bool(ids) == any(value is not None for value in asked.values()):
        raise click.UsageError("Name the events either by their ids, or by a filter such as --state dead.")
    if ids and dry_run:
        raise click.UsageError("--dry-run counts what a filter matches; it does not go with ids.")
    with opened() as (loaded, make):
        if ids:
            with make.begin() as session:
                done = _ACTS[verb](session, ids, reason, by=operator())
            _answer(done, DONE[verb])
            return
        number = None
        with make.begin() as session:
            if verb == BulkVerb.RELEASE:
                asked["state"] = asked.get("state") or EventState.QUARANTINED.value
            wanted = _filter(session, loaded, **asked)
            scope = bulk.scope(session, verb, wanted)
            events = scope.events
            if events and not dry_run:
                if not yes:
                    click.confirm(f"{verb.capitalize()} {counted(events, 'event')}?", abort=True, err=True)
                number = bulk.ask(session, verb, wanted, scope, reason, by=operator()).id
        if number is None:
            show.answer({"events": events}, f"{counted(events, 'event')} match{'es' * (events == 1)}.")
            return
        events = _finish(make, number)
        with make() as session:
            parts = bulk_outcome.outcome(session, session.get_one(BulkAction, number))
    are = "is" if events == 1 else "are"
    now = {one.kind: one.number for one in parts}
    show.answer(
        {"bulk_action": number, "events": events, "outcome": now},
        f"{counted(events, 'event')} {are} {DONE[verb]}.",
        f"Now: {', '.join(one.what for one in parts)}. `spp events --act {number}` shows them.",
    )


def _finish(make: sessionmaker[Session], number: int) -> int:
    """Work on the bulk action until it is finished, and return its number of events.

    Workers do so too, and go on if we are interrupted.
    """
    with show.progress("events") as progress:
        while True:
            with make.begin() as session:
                worked = bulk.work(session)
            if not worked:
                time.sleep(0.2)
            with make() as session:
                action = session.get_one(BulkAction, number)
                progress(action.done / action.total)
                if action.finished_at is not None:
                    break
    if action.cancelled:
        raise Failed(f"Another person stopped the bulk action after {action.done:,} events.")
    return action.done
