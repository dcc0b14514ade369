"""The command that lists endpoints."""

import click

from console.cli import show
from console.cli.installed import installed_settings, json_option
from webhooks.processors import processor_class


@click.command("endpoints")
@json_option
def endpoints_command(as_json: bool) -> None:
    """List the webhook endpoints, and what is declared of their processors."""
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
    if as_json:
        show.as_json(rows)
        return
    headings = ["endpoint", "processor", "mode", "account", "same event by", "accepted", "refused", "answer within s",
                "fetches", "API key", "lists days"]  # fmt: skip
    show.table(headings, [list(row.values()) for row in rows])
