"""Commands that find a payment its membership, or find it at the processor: link, reconcile."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from console.cli import show
from console.cli.installed import opened
from console.cli.lookups import endpoint_and_reference, the_endpoint
from console.cli.memberships import add_references
from console.cli.moments import MOMENT
from models.members.lookup import the_membership
from runtime.settings import DatabaseRole

if TYPE_CHECKING:
    from worker.reconciling import Report


@click.command()
@click.argument("reference", metavar="ENDPOINT:REFERENCE")
@click.argument("email", metavar="EMAIL|ID")
@click.option("--membership", "membership_id", type=int, help="Which one, if the member has several.")
@click.option("--share", is_flag=True, help="Although another membership has it: later payments are divided equally.")
@show.json_option
def link(reference: str, email: str, membership_id: int | None, share: bool) -> None:
    """Give a membership all payments with this billing reference: those that wait and those to come."""
    endpoint, name = endpoint_and_reference(reference)
    with opened() as (loaded, make), make.begin() as session:
        the_endpoint(loaded, endpoint)
        membership = the_membership(session, email, membership_id, now=datetime.now(UTC))
        settled = add_references(session, loaded, membership, [(endpoint, name)], shared=share)
        number = membership.id
    show.answer(
        {"membership": number, "waiting_payments_settled": settled},
        f"{reference} belongs to membership {number}; {settled} waiting payments are settled.",
    )


@click.command()
@click.argument("endpoint", required=False)
@click.option("--since", type=MOMENT, help="By default three days before the end of the last run.")
@click.option("--until", type=MOMENT, help="By default a quarter of an hour ago.")
@click.option("--dry-run", is_flag=True, help="Compare, and store nothing.")
@show.json_option
def reconcile(endpoint: str | None, since: datetime | None, until: datetime | None, dry_run: bool) -> None:
    """Fetch payments and refunds from the processors, and add those that no webhook reported.

    Asks one endpoint, or all that have an API key and whose processor lists payments. Exit 1 if one failed.
    """
    from webhooks.processors import adapter
    from worker.reconciling import Reconciling, Report

    reports = []
    with opened(DatabaseRole.WORKER) as (loaded, make):
        for one in [the_endpoint(loaded, endpoint)] if endpoint else loaded.endpoints:
            processor = adapter(one)
            if endpoint is None and (processor.horizon is None or not one.api_key):
                why = "does not list payments" if processor.horizon is None else "has no API key"
                reports.append(Report(one.name, warnings=[f"left out: {one.processor} {why}"]))
                continue
            with show.progress(one.name) as progress:
                run = Reconciling(make, processor).run
                reports.append(run(since=since, until=until, dry_run=dry_run, progress=progress))
    _show_reports(reports, dry_run)
    if any(report.error for report in reports):
        raise click.exceptions.Exit(1)


def _show_reports(reports: "list[Report]", dry_run: bool) -> None:
    if show.as_json([
        {"endpoint": report.endpoint, "since": report.since, "until": report.until, **vars(report.counts),
         "dry_run": dry_run, "warnings": report.warnings, "error": report.error}
        for report in reports
    ]):  # fmt: skip
        return
    headings = ["endpoint", "since", "until", "seen", "already known", "missing" if dry_run else "added", "differing",
                "without effect"]  # fmt: skip
    show.table(
        headings, [[report.endpoint, report.since, report.until, *vars(report.counts).values()] for report in reports]
    )
    for report in reports:
        for line in filter(None, [*report.warnings, report.error and f"FAILED: {report.error}"]):
            click.echo(f"  {report.endpoint}: {line}")
