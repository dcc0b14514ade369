"""Commands about endpoints: endpoints, pause, resume, pauses."""

import click

from console.cli import show
from console.cli.installed import database, installed_settings, opened, operator, reason_option
from console.cli.lookups import the_endpoint
from models.inbox import pauses
from webhooks.processors import processor_class

_endpoint = click.argument("endpoint")


@click.command("endpoints")
@show.json_option
def list_endpoints() -> None:
    """List the webhook endpoints, and what their processors expect."""
    with installed_settings() as loaded:
        rows = [
            {
                "endpoint": one.name, "processor": one.processor, "mode": one.mode, "account": one.account,
                "same_event_by": kind.dedupe, "accepted": f"200 {kind.accepted}".strip(), "refused": kind.refused,
                "answer_within_s": kind.answer_within_s, "fetches": kind.fetches, "api_key": bool(one.api_key),
                "lists_days": kind.horizon.days if kind.horizon else None,
            }
            for one in loaded.endpoints
            for kind in [processor_class(one)]
        ]  # fmt: skip
    show.listing(
        rows, "endpoint", "processor", "mode", "account", "same event by", "accepted", "refused", "answer within s",
        "fetches", "API key", "history, days",
    )  # fmt: skip


@click.command()
@_endpoint
@reason_option
def pause(endpoint: str, reason: str) -> None:
    """Stop processing an endpoint's events until it is resumed. They are still received and kept.

    While it is paused, every page of the console shows the reason.
    """
    with opened() as (loaded, make), make.begin() as session:
        the_endpoint(loaded, endpoint)
        pauses.pause(session, endpoint, reason, by=operator())
    click.echo(f"{endpoint} is paused. `spp resume {endpoint} --reason TEXT` resumes it.")


@click.command()
@_endpoint
@reason_option
def resume(endpoint: str, reason: str) -> None:
    """Process the events of a paused endpoint again, those that waited first."""
    with database() as session:
        pauses.resume(session, endpoint, reason, by=operator())
    click.echo(f"{endpoint} is resumed. A worker takes the waiting events within a second.")


@click.command("pauses")
@show.json_option
def list_pauses() -> None:
    """List the paused endpoints, each with its time, person and reason."""
    with database() as session:
        rows = [
            {"endpoint": one.endpoint, "since": one.paused_at, "by": one.paused_by, "reason": one.reason}
            for one in pauses.paused(session)
        ]
    show.listing(rows, "endpoint", "since", "by", "why")
