"""Commands that run the system on this machine: up, demo, migrate, demo-data."""

import os
from pathlib import Path

import click

import settings
from console import show
from console.installed import DATA, Failed, database, json_option
from local import demo, home, sample_gym
from local.stack import Stack
from models.migrations import upgrade
from webhooks.processors import adapters


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=DATA, show_default=True, help="Where all is kept.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 for a free one.")
def up(data: Path, port: int) -> None:
    """Run everything on this machine until Ctrl-C; data is kept between runs."""
    data.mkdir(parents=True, exist_ok=True)
    click.echo("Starting ...")
    with home.installation(data, broker=True) as environment:
        os.environ.update(environment)
        adapters(settings.load().endpoints)
        stack = Stack(environment, data / "logs", port=port)
        try:
            stack.start()
            stack.wait_ready()
            home.remember_url(data, stack.url)
            for endpoint in settings.load().endpoints:
                click.echo(f"  POST {stack.url}/webhooks/{endpoint.name}   {endpoint.processor}, {endpoint.mode} mode")
            click.echo(f"  DATABASE_URL={environment['DATABASE_URL']}")
            click.echo(f"  logs and data in {data.resolve()}")
            click.echo("Running. Ctrl-C stops it; `spp demo-data` makes a gym to try, `spp send` posts a webhook.")
            stack.run_until_interrupted(click.echo)
        finally:
            click.echo("Stopping ...")
            stack.stop()
    click.echo("Stopped.")


@click.command("demo")
def demo_command() -> None:
    """Tell the whole story on a real stack of its own, and check every balance."""
    if not demo.run(click.echo, show.table):
        raise Failed("The balances do not agree.")


@click.command()
def migrate() -> None:
    """Bring the database to this version's schema."""
    with home.installation(DATA) as environment:
        upgrade(environment["DATABASE_URL"])
    click.echo("The database is up to date.")


@click.command("demo-data")
@json_option
def demo_data(as_json: bool) -> None:
    """Make a small gym with three members."""
    with database() as session:
        made = [
            {
                "member": membership.member.email,
                "offer": membership.offer.name,
                "items": [pinned.item.name for pinned in membership.pinned],
                "billing": [f"{billing.endpoint}:{billing.reference}" for billing in membership.billing],
            }
            for membership in sample_gym.make(session)
        ]
    if as_json:
        show.as_json(made)
    else:
        show.table(["member", "offer", "items", "billing references"], [
            [row["member"], row["offer"], ", ".join(row["items"]),
             " ".join({billing.partition(":")[2]: None for billing in row["billing"]})] for row in made
        ])  # fmt: skip
        click.echo("\nEach reference holds on every endpoint that `spp up` provides.")
