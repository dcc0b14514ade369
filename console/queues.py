"""Commands about webhook events and the ledger as a whole: endpoints, events, replay, expire, audit."""

from datetime import UTC, datetime

import click

from console import show
from console.installed import Failed, database, installed_settings, json_option
from models import ledger
from models.audit import audit as find_differences
from models.database import make_engine, sessions
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


@click.command()
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="UTC; by default now.")
@json_option
def expire(as_of: datetime | None, as_json: bool) -> None:
    """Write down the sessions that have lapsed. Nothing is ever taken before its time."""
    moment = as_of.replace(tzinfo=UTC) if as_of else datetime.now(UTC)
    if moment > datetime.now(UTC):
        raise Failed(f"{moment.isoformat()} is in the future: sessions that have not lapsed are never taken.")
    total = 0
    with installed_settings() as loaded:
        engine = make_engine(loaded.database_url)
        lots = 1
        while lots:
            with sessions(engine).begin() as session:
                lots = ledger.expire(session, as_of=moment)
            total += lots
        engine.dispose()
    show.as_json({"lots": total}) if as_json else click.echo(f"{total} grants had lapsed and are written down.")


@click.command()
@json_option
def audit(as_json: bool) -> None:
    """Check every balance against its entries, and every payment against its grants. Exit 1 where they differ."""
    with database() as session:
        findings = [finding.what for finding in find_differences(session)]
    if as_json:
        show.as_json({"findings": findings})
    else:
        for what in findings:
            click.echo(what)
        click.echo(f"{len(findings)} differences." if findings else "Everything adds up.")
    if findings:
        raise click.exceptions.Exit(1)
