"""`spp alert`: what people are told of, and whether it reaches them."""

from datetime import UTC, datetime

import click

from console.cli import show
from console.cli.installed import Failed, database, installed_settings, json_option
from models.operations import notices
from runtime.logs import first_line


@click.group()
def alert() -> None:
    """Alarms: what lasts, and whether people can be told."""


@alert.command("list")
@json_option
def list_lasting(as_json: bool) -> None:
    """List the alarms that last, as the console's watcher sees them, the longest first."""
    with database() as session:
        rows = [
            {
                "rule": one.rule, "severity": one.severity, "endpoint": one.endpoint or None,
                "since": one.since, "message": one.message,
            }
            for one in notices.lasting(session)
        ]  # fmt: skip
    if as_json:
        show.as_json(rows)
    else:
        show.table(["rule", "severity", "endpoint", "since", "message"], [list(row.values()) for row in rows])


@alert.command("test")
def test_channels() -> None:
    """Send a trial alarm by every channel that is set; exit 1 where one does not take it."""
    from console.alerts.channels import NOT_TOLD, channels, trial

    with installed_settings() as loaded:
        found = channels(loaded)
    if not found:
        raise Failed("No channel is set: set SPP_ALERT_WEBHOOK_URL or SPP_ALERT_EMAIL_TO.")
    failed = False
    for channel in found:
        try:
            channel.tell(trial(datetime.now(UTC)))
        except NOT_TOLD as error:
            failed = True
            click.echo(f"{channel.name}: not told: {first_line(error)}", err=True)
        else:
            click.echo(f"{channel.name}: told.")
    if failed:
        raise click.exceptions.Exit(1)
