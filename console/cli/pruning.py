"""`spp prune`: the nightly pruning of bodies, at once."""

import click

from console.cli import show
from console.cli.installed import opened, operator
from models.inbox.pruning import prunable
from models.staff import actions
from models.wording import counted
from runtime.settings import DatabaseRole

COUNTED_WITHIN_MS = 600_000
"""A long history takes a while to count."""


@click.command()
@click.option("--dry-run", is_flag=True, help="Count, and delete nothing.")
@show.json_option
def prune(dry_run: bool) -> None:
    """Delete the bodies of old, finished events, as workers do each night.

    SPP_KEEP_BODIES_DAYS sets the age. Bodies of dead, quarantined and conflicting events stay; so do all events,
    their payment facts and every ledger entry.
    """
    from worker.pruning import prune_all

    with opened(DatabaseRole.WORKER, statement_timeout_ms=COUNTED_WITHIN_MS) as (loaded, make):
        days = loaded.keep_bodies_days
        with make() as session:
            events = prunable(session, keep_days=days)
        if not dry_run:
            with show.progress("prune") as progress:
                expected = max(1, events)
                events = prune_all(make, days, progress=lambda done: progress(done / expected))
            with make.begin() as session:
                actions.log(session, operator(), "prune", f"{counted(events, 'event')} older than {days} days")
    would = "would be" if dry_run else "are"
    show.answer(
        {"events": events, "keep_days": days, "dry_run": dry_run},
        f"The bodies of {counted(events, 'event')} older than {days} days {would} deleted.",
    )
