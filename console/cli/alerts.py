"""`spp alert`: the lasting alarms, and a test of the channels."""

from datetime import UTC, datetime

import click

from console.cli import show
from console.cli.installed import Failed, database, installed_settings
from models.operations import notices
from runtime.logs import first_line


@click.group()
def alert() -> None:
    """List the lasting alarms, or send a test alarm."""


@alert.command("list")
@show.json_option
def list_lasting() -> None:
    """List the alarms that last, as the console's watcher sees them, the longest first."""
    with database() as session:
        rows = [
            {
                "rule": one.rule, "severity": one.severity, "endpoint": one.endpoint or None,
                "since": one.since, "message": one.message,
            }
            for one in notices.lasting(session)
        ]  # fmt: skip
    show.listing(rows, "rule", "severity", "endpoint", "since", "message")


@alert.command("test")
def test_channels() -> None:
    """Send a test alarm through every configured channel. Exit 1 if one refuses it."""
    from console.alerts.channels import NOT_SENT, channels, sample_alarm

    with installed_settings() as loaded:
        found = channels(loaded)
    if not found:
        raise Failed("No channel is set: set SPP_ALERT_WEBHOOK_URL or SPP_ALERT_EMAIL_TO.")
    failed = False
    for channel in found:
        try:
            channel.send(sample_alarm(datetime.now(UTC)))
        except NOT_SENT as error:
            failed = True
            click.echo(f"{channel.name}: not sent: {first_line(error)}", err=True)
        else:
            click.echo(f"{channel.name}: sent.")
    if failed:
        raise click.exceptions.Exit(1)
