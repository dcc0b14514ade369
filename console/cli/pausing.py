"""Commands that hold an endpoint's events back and let them go on: pause, resume, pauses."""

import click

from console.cli import show
from console.cli.installed import database, installed_settings, json_option, operator
from models.errors import NotFound
from models.inbox import pauses

_endpoint = click.argument("endpoint")
_reason = click.option("--reason", required=True, help="Kept in the action log; while paused, every page shows it.")


@click.command()
@_endpoint
@_reason
def pause(endpoint: str, reason: str) -> None:
    """Let nothing of an endpoint be processed until it is resumed. Its webhooks are still received and kept."""
    with installed_settings() as loaded:
        if loaded.endpoint(endpoint) is None:
            raise NotFound(what="endpoint", name=endpoint)
    with database() as session:
        pauses.pause(session, endpoint, reason, by=operator())
    click.echo(f"{endpoint} is paused. `spp resume {endpoint} --reason TEXT` lets it go on.")


@click.command()
@_endpoint
@_reason
def resume(endpoint: str, reason: str) -> None:
    """Let an endpoint's events be processed again, what has waited first."""
    with database() as session:
        pauses.resume(session, endpoint, reason, by=operator())
    click.echo(f"{endpoint} goes on. A worker takes what has waited within a second.")


@click.command("pauses")
@json_option
def pauses_command(as_json: bool) -> None:
    """List what is paused, by whom, since when and why."""
    with database() as session:
        rows = [
            {"endpoint": one.endpoint, "since": one.paused_at, "by": one.paused_by, "reason": one.reason}
            for one in pauses.paused(session)
        ]
    if as_json:
        show.as_json(rows)
    else:
        show.table(["endpoint", "since", "by", "why"], [list(row.values()) for row in rows])
