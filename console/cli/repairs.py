"""Commands that see to it that no payment is left behind: unmatched, link, quarantine, reconcile."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from difflib import SequenceMatcher
from itertools import zip_longest
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click
from sqlalchemy import select

from console.cli import show
from console.cli.installed import billing_reference, database, installed_settings, json_option, operator, settle_waiting
from console.cli.moments import MOMENT
from models.database.engine import make_engine, sessions
from models.errors import NotFound
from models.inbox import masking, repairs
from models.inbox.events import EventState, WebhookEvent
from models.members.memberships import add_billing_reference, the_membership
from models.payments import references
from models.payments.references import Payment
from models.wording import age, money
from runtime import settings
from runtime.settings import DatabaseRole

if TYPE_CHECKING:
    from worker.reconciling import Report

reason_option = click.option("--reason", required=True, help="Kept in the action log.")


@click.command()
@json_option
def unmatched(as_json: bool) -> None:
    """List paid dues without sessions: those that no membership has claimed yet, then those that are held."""
    now = datetime.now(UTC)
    with database() as session:
        rows = references.unmatched(session)
        held = references.held(session)
    if as_json:
        show.as_json([row._asdict() for row in (*rows, *held)])
        return
    show.table(["endpoint", "payment", "amount", "paid", "waiting", "billing references, or why it is held"], [
        [row.endpoint, row.payment, money(row.amount_minor, row.currency), row.paid_at, age(now - row.paid_at),
         row.problem or " ".join(row.billing_references)
         or "none: find out whose it is, and ask the processor to name them"]
        for row in (*rows, *held)
    ])  # fmt: skip
    if rows:
        click.echo("\nspp link ENDPOINT:REFERENCE EMAIL gives such a payment, and all later ones, to a member.")
    if rows or held:
        click.echo("spp set-aside ENDPOINT:PAYMENT --reason TEXT takes one that is no member's dues out of this list.")


@click.command()
@click.argument("reference", metavar="ENDPOINT:REFERENCE")
@click.argument("email")
@click.option("--membership", "membership_id", type=int, help="Which one, where the member has several.")
@json_option
def link(reference: str, email: str, membership_id: int | None, as_json: bool) -> None:
    """Let a membership have the payments with this billing reference, those that wait and those to come."""
    endpoint, name = billing_reference(reference)
    with database() as session:
        if settings.load(DatabaseRole.CONSOLE).endpoint(endpoint) is None:
            raise NotFound(what="endpoint", name=endpoint)
        membership = the_membership(session, email, membership_id)
        add_billing_reference(session, membership, endpoint, name, by=operator())
        settled = settle_waiting(session)
        answer = {"membership": membership.id, "waiting_payments_settled": settled}
    if as_json:
        show.as_json(answer)
    else:
        click.echo(f"{reference} belongs to membership {answer['membership']}; {settled} waiting payments are settled.")


@click.command("set-aside")
@click.argument("payment", metavar="ENDPOINT:PAYMENT")
@reason_option
@json_option
def set_aside(payment: str, reason: str, as_json: bool) -> None:
    """Take an unmatched or held payment out of the lists and alarms: it is not dues of any member here."""
    endpoint, reference = billing_reference(payment)
    with database() as session:
        named = (Payment.endpoint == endpoint) & (Payment.reference == reference)
        root = session.scalar(select(Payment.root_id).where(named))
        if root is None:
            raise NotFound(what="payment", name=payment)
        references.set_aside(session, root, reason=reason, by=operator())
    if as_json:
        show.as_json({"set_aside": payment})
    else:
        click.echo(f"{payment} is set aside.")


@click.group(invoke_without_command=True)
@click.pass_context
@json_option
def quarantine(context: click.Context, as_json: bool) -> None:
    """List what is authentic but cannot count; show, release or discard it."""
    if context.invoked_subcommand:
        return
    query = select(WebhookEvent).where(WebhookEvent.state == EventState.QUARANTINED).order_by(WebhookEvent.id)
    with database() as session:
        rows = [
            {
                "id": event.id, "endpoint": event.endpoint, "event_id": event.event_id, "type": event.type,
                "received_at": event.received_at, "reason": event.reason, "conflicts_with": event.conflicts_with,
            }
            for event in session.scalars(query)
        ]  # fmt: skip
    if as_json:
        show.as_json(rows)
        return
    show.table(["id", "endpoint", "event", "type", "received", "why"], [list(row.values())[:6] for row in rows])
    if rows:
        click.echo("\nspp quarantine show ID, and then: release ID --reason TEXT, or discard ID --reason TEXT.")


event_ids = click.argument("ids", nargs=-1, required=True, type=click.IntRange(min=1), metavar="ID...")


@quarantine.command("show")
@click.argument("number", type=click.IntRange(min=1), metavar="ID")
@json_option
def show_quarantined(number: int, as_json: bool) -> None:
    """Show an event's body; where it conflicts with the first of its id, both side by side."""
    with database() as session:
        event = session.get(WebhookEvent, number)
        if event is None:
            raise NotFound(what="event", name=number)
        first = session.get(WebhookEvent, event.conflicts_with) if event.conflicts_with else None
        titles = [f"event {one.id}, {one.source}, {show.cell(one.received_at)}" for one in (first, event) if one]
        texts = [bytes(one.body) for one in (first, event) if one]
        reason = event.reason
    if as_json:
        show.as_json({"reason": reason, **dict(zip(titles, (_pretty(text) for text in texts), strict=True))})
        return
    click.echo(f"{reason or 'not in quarantine'}\n")
    columns = [_pretty(text).splitlines() for text in texts]
    if len(columns) == 1:
        click.echo("\n".join([titles[0], *columns[0]]))
        return
    width = max(30, (get_terminal_size((160, 24)).columns - 3) // 2)
    for left, mark, right in (titles[0], " ", titles[1]), *_side_by_side(*columns):
        click.echo(f"{left[:width]:{width}} {mark} {right[:width]}".rstrip())


def _pretty(body: bytes) -> str:
    with suppress(ValueError, RecursionError):
        # In one order, so that only what differs stands out.
        body = json.dumps(json.loads(body), sort_keys=True, ensure_ascii=False).encode()
    return masking.shown(body)


def _side_by_side(one: list[str], other: list[str]) -> Iterator[tuple[str, str, str]]:
    for kind, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        for left, right in zip_longest(one[a:b], other[c:d], fillvalue=""):
            yield left, " " if kind == "equal" else "|", right


@quarantine.command("release")
@event_ids
@reason_option
@json_option
def release(ids: tuple[int, ...], reason: str, as_json: bool) -> None:
    """Let events through after all; of two with one id both will count then, as far as they differ."""
    with database() as session:
        due = repairs.release(session, ids, reason, by=operator())
    _tell(as_json, "due", due, "due again")


@quarantine.command("discard")
@event_ids
@reason_option
@json_option
def discard(ids: tuple[int, ...], reason: str, as_json: bool) -> None:
    """Decide that events have no effect; they are kept, with the reason."""
    with database() as session:
        done = repairs.discard(session, ids, reason, by=operator())
    _tell(as_json, "discarded", done, "discarded")


def _tell(as_json: bool, key: str, ids: list[int], done: str) -> None:
    if as_json:
        show.as_json({key: ids})
    else:
        click.echo(f"{show.events_are(ids)} {done}.")


@click.command()
@click.argument("endpoint", required=False)
@click.option("--since", type=MOMENT, help="By default where the last run ended, less three days.")
@click.option("--until", type=MOMENT, help="By default a quarter of an hour ago.")
@click.option("--dry-run", is_flag=True, help="Compare, and store nothing.")
@json_option
def reconcile(
    endpoint: str | None, since: datetime | None, until: datetime | None, dry_run: bool, as_json: bool
) -> None:
    """Ask the processors what was paid and refunded, and take in what their webhooks did not tell.

    Of one endpoint, or of all whose processor can be asked and which have an API key. Exit 1 where one failed.
    """
    from webhooks.processors import adapter
    from worker.reconciling import Reconciling, Report

    with installed_settings(DatabaseRole.WORKER) as loaded:
        wanted = [one for one in loaded.endpoints if endpoint in {None, one.name}]
        if endpoint and not wanted:
            raise NotFound(what="endpoint", name=endpoint)
        engine = make_engine(loaded.database_url)
        reports = []
        try:
            for one in wanted:
                processor = adapter(one)
                if endpoint is None and (processor.horizon is None or not one.api_key):
                    why = "has no list to ask for" if processor.horizon is None else "has no API key"
                    reports.append(Report(one.name, warnings=[f"left out: {one.processor} {why}"]))
                    continue
                with show.progress(one.name) as progress:
                    report = Reconciling(sessions(engine), processor).run(
                        since=since,
                        until=until,
                        dry_run=dry_run,
                        progress=progress,
                    )
                reports.append(report)
        finally:
            engine.dispose()
    _show_reports(reports, dry_run, as_json)
    if any(report.error for report in reports):
        raise click.exceptions.Exit(1)


def _show_reports(reports: "list[Report]", dry_run: bool, as_json: bool) -> None:
    if as_json:
        show.as_json([
            {"endpoint": report.endpoint, "since": report.since, "until": report.until, **vars(report.counts),
             "dry_run": dry_run, "warnings": report.warnings, "error": report.error}
            for report in reports
        ])  # fmt: skip
        return
    headings = ["endpoint", "since", "until", "seen", "already known", "missing" if dry_run else "added", "differing",
                "without effect"]  # fmt: skip
    show.table(headings, [
        [report.endpoint, report.since, report.until, *vars(report.counts).values()] for report in reports
    ])  # fmt: skip
    for report in reports:
        for line in filter(None, [*report.warnings, report.error and f"FAILED: {report.error}"]):
            click.echo(f"  {report.endpoint}: {line}")
