"""`spp prune`: what workers do each night, at once."""

import click

from console.cli import show
from console.cli.installed import installed_settings, json_option, operator
from models.database.engine import make_engine, sessions
from models.inbox.pruning import prunable
from models.staff import actions
from models.wording import counted
from runtime.settings import DatabaseRole

COUNTED_WITHIN_MS = 600_000
"""A long history takes a while to count."""


@click.command()
@click.option("--dry-run", is_flag=True, help="Count, and give nothing up.")
@json_option
def prune(dry_run: bool, as_json: bool) -> None:
    """Give up the bodies of old events that are done with, as workers do each night.

    SPP_KEEP_BODIES_DAYS says how old. Never of dead, quarantined or contradictory ones. The events, what they told
    and every entry stay.
    """
    from worker.pruning import prune_all

    with installed_settings(DatabaseRole.WORKER) as loaded:
        engine = make_engine(loaded.database_url, statement_timeout_ms=COUNTED_WITHIN_MS)
        make, days = sessions(engine), loaded.keep_bodies_days
        try:
            with make() as session:
                events = prunable(session, keep_days=days)
            if not dry_run:
                with show.progress("prune") as progress:
                    expected = max(1, events)
                    events = prune_all(make, days, progress=lambda done: progress(min(1.0, done / expected)))
                with make.begin() as session:
                    actions.log(session, operator(), "prune", f"{counted(events, 'event')} older than {days} days")
        finally:
            engine.dispose()
    if as_json:
        show.as_json({"events": events, "keep_days": days, "dry_run": dry_run})
    else:
        would = "would be" if dry_run else "are"
        click.echo(f"The bodies of {counted(events, 'event')} older than {days} days {would} given up.")
