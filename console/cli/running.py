"""Commands that run the system on this machine: up, demo, migrate, demo-data."""

import os
import shlex
from datetime import UTC, datetime
from pathlib import Path

import click

from console.cli import show
from console.cli.installed import DATA, Failed, database, installed_settings
from local import home
from runtime import settings

PORT = click.IntRange(0, 65535)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=DATA, show_default=True, help="Folder of all data.")
@click.option("--port", type=PORT, default=8080, show_default=True, help="For webhooks; 0 for a free one.")
@click.option("--console-port", type=PORT, default=8081, show_default=True, help="For the console; 0 for a free one.")
def up(data: Path, port: int, console_port: int) -> None:
    """Run everything on this machine until Ctrl-C; data is kept between runs."""
    from local.stack import Stack
    from webhooks.processors import adapters

    if port and port == console_port:
        raise click.UsageError(f"--port and --console-port are both {port}: choose two ports.")
    own_folder = data.resolve() != Path(".spp").resolve()
    export = f"export SPP_DATA={shlex.quote(str(data.resolve()))}"
    embedded = "DATABASE_URL" not in os.environ
    with home.only_stack(data):
        _check_ports({"--port": port, "--console-port": console_port})
        click.echo("Starting ...")
        if own_folder:
            click.echo(f"  in other terminals, first: {export}")
        with home.installation(data, broker=True) as (environment, servers):
            os.environ.update(environment)
            adapters(settings.load().endpoints)
            stack = Stack(environment, data / "logs", port=port, console_port=console_port, servers=servers)
            try:
                stack.start(*stack.commands)
                stack.wait_ready()
                home.remember_url(data, stack.url)
                for one in settings.load().endpoints:
                    click.echo(f"  POST {stack.url}/webhooks/{one.name}   {one.processor}, {one.mode} mode")
                click.echo(f"  console at {stack.console_url}   {_login(data if embedded else None)}")
                click.echo(f"  DATABASE_URL={environment['DATABASE_URL']}")
                click.echo(f"  logs and data in {data.resolve()}")
                after = f"after `{export}`, " if own_folder else ""
                hint = f"{after}`spp demo-data` makes a gym to try, `spp send` posts a webhook."
                click.echo(f"Running. Ctrl-C stops it; {hint}")
                stack.run_until_interrupted(click.echo)
            finally:
                click.echo("Stopping ...")
                stack.stop()
    click.echo("Stopped.")


def _check_ports(ports: dict[str, int]) -> None:
    """Refuse a port that another server has: its answers would pass for ours."""
    from serving.address import check_free

    for option, port in ports.items():
        try:
            check_free("127.0.0.1", port)
        except OSError as error:
            why = error.strerror or str(error)
            raise Failed(f"Port {port} cannot be used: {why}. Choose another with {option}.") from None


def _login(data: Path | None) -> str:
    """The demo login or, if there is none, how to make an account. `data` is None for a database of the user's own."""
    from local import first_login

    with database() as session:
        login = first_login.credentials(session, data) if data else None
    if login:
        return f"log in as {login}"
    return "`spp demo-data` or `spp user add` makes an account" if data else "`spp user add` makes an account"


@click.command("demo")
def demo_command() -> None:
    """Run the demo on embedded servers of its own, and check every balance."""
    from local import demo

    if not demo.run(click.echo, show.table):
        raise Failed("The balances do not agree.")


@click.command()
def migrate() -> None:
    """Bring the database to this version's schema.

    If SPP_DATABASE_ROLES is set, it also makes the roles that processes log in as, and sets their privileges.
    """
    from models.database.migrations import upgrade

    with installed_settings(None, receives=False) as loaded:
        upgrade(loaded.database_url)
        if loaded.database_roles:
            found = {role: loaded.one_secret(role.password) for role in settings.DatabaseRole}
            passwords = {role: password for role, password in found.items() if password}
            home.make_roles(loaded.database_url, loaded.database_roles, passwords)
    click.echo("The database is up to date.")


@click.command("demo-data")
@show.json_option
def demo_data() -> None:
    """Make a small gym with three members; on an embedded database also a login for the console."""
    from local import first_login, sample_gym

    embedded = "DATABASE_URL" not in os.environ
    with database() as session:
        login = first_login.make(session, DATA, now=datetime.now(UTC)) if embedded else None
        made = [
            {
                "member": membership.member.email,
                "offer": membership.plan_at(membership.recorded_at).offer.name,
                "items": [pinned.item.name for pinned in membership.versions[-1].pinned],
                "billing": [f"{billing.endpoint}:{billing.reference}" for billing in membership.billing],
            }
            for membership in sample_gym.make(session)
        ]
    if show.as_json(made):
        return
    show.table(["member", "offer", "items", "billing references"], [
        [row["member"], row["offer"], ", ".join(row["items"]),
         " ".join({billing.partition(":")[2]: None for billing in row["billing"]})] for row in made
    ])  # fmt: skip
    click.echo("\nEach reference is known on every endpoint that `spp up` provides.")
    if login:
        click.echo(f"Log in to the console as {login}.")
