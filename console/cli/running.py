"""Commands that run the system on this machine: up, demo, migrate, demo-data."""

import os
import shlex
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from console.cli import show
from console.cli.installed import Failed, data_folder, database, installed_settings, own_data, program
from local import home, processes, stacks
from runtime import settings

PORT = click.IntRange(0, 65535)
NEXT = 50
"""How many further ports are tried before any free one is taken."""


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), default=own_data, show_default=".spp, or SPP_DATA",
    help="Folder of all data.",
)  # fmt: skip
@click.option("--port", type=PORT, help="For webhooks; 0 for a free one.  [default: 8080, or the next free one]")
@click.option("--console-port", type=PORT, help="For the console.  [default: 8081, or the next free one]")
def up(data: Path, port: int | None, console_port: int | None) -> None:
    """Run everything on this machine until Ctrl-C; data is kept between runs."""
    from local.stack import Stack
    from webhooks.processors import adapters

    if port and port == console_port:
        raise click.UsageError(f"--port and --console-port are both {port}: choose two ports.")
    spp, data, embedded = program(), data.resolve(), "DATABASE_URL" not in os.environ
    with home.only_stack(data), ExitStack() as register:
        others = stacks.running()
        port = _port("--port", port, 8080, "webhooks")
        console_port = _port("--console-port", console_port, 8081, "the console")
        click.echo("Starting ...")
        with home.installation(data, broker=True) as (environment, servers):
            os.environ.update(environment)
            adapters(settings.load().endpoints)
            stack = Stack(environment, data / "logs", port=port, console_port=console_port, servers=servers)
            mine = stacks.RunningStack(data, Path.cwd(), os.getpid(), stack.console_url, stack.url)
            found = register.enter_context(stacks.registered(mine))
            try:
                stack.start(*stack.commands)
                stack.wait_ready()
                home.remember_url(data, stack.url)
                click.echo(f"Console   {stack.console_url}   {_login(data if embedded else None)}".rstrip())
                click.echo("Webhooks")
                for one in settings.load().endpoints:
                    click.echo(f"  POST {stack.url}/webhooks/{one.name}   {one.processor}, {one.mode} mode")
                click.echo(f"Logs and data in {data}")
                click.echo(f"  DATABASE_URL={environment['DATABASE_URL']}")
                if others or not found:
                    click.echo(f"Other terminals choose this one by: export SPP_DATA={shlex.quote(str(data))}")
                hint = f"In another terminal, `{spp} demo-data` makes a gym to try, `{spp} send` posts a webhook."
                click.echo(f"Running. Ctrl-C stops it. {hint}")
                stack.run_until_interrupted(click.echo)
            finally:
                click.echo("Stopping ...")
                stack.stop()
    click.echo("Stopped.")


def _port(option: str, given: int | None, usual: int, use: str) -> int:
    """The port that was given; without one the usual port, or the next free one if another server has that.

    A port that another server has is refused: its answers would pass for ours. Raises Failed.
    """
    if given == 0:
        return processes.free_port()
    try:
        return processes.hold(given or usual)
    except OSError as error:
        if given:
            why = error.strerror or str(error)
            raise Failed(f"Port {given} cannot be used: {why}. Choose another with {option}.") from None
    port = _next_free(usual)
    click.echo(f"Port {usual} is taken: {use} get{'s' * use.startswith('the')} {port}.")
    return port


def _next_free(usual: int) -> int:
    """Every second port after the usual one is tried, so that two stacks have theirs side by side."""
    for port in range(usual + 2, usual + 2 * NEXT, 2):
        with suppress(OSError):
            return processes.hold(port)
    return processes.free_port()


def _login(data: Path | None) -> str:
    """The demo login or, without it, how to log in. `data` is None for a database of the user's own."""
    from local import first_login
    from models.staff import accounts

    with database() as session:
        login = first_login.credentials(session, data) if data else None
        known = accounts.exist(session)
    if login:
        return f"log in as {login}"
    spp = program()
    return "" if known else f"no account yet: {f'`{spp} demo-data` or ' * bool(data)}`{spp} user add` makes one"


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
        login = first_login.make(session, data_folder(), now=datetime.now(UTC)) if embedded else None
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
