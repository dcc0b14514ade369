"""Commands about staff accounts: user list, add, disable, enable, password. They make the first admin."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy import select

from console.cli import show
from console.cli.installed import Failed, database, operator
from models.errors import NotFound
from models.staff import accounts, logins, second_factor
from models.staff.accounts import Role, Staff

password_stdin_option = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read the password from standard input, and do not ask."
)


@click.group(invoke_without_command=True)
@click.pass_context
@show.json_option
def user(context: click.Context) -> None:
    """List the staff accounts; add, disable or enable one, bind it to clubs, or change its password."""
    if not context.invoked_subcommand:
        context.invoke(list_accounts)


@user.command("list")
@show.json_option
def list_accounts() -> None:
    """List the staff accounts by their login names."""
    with database() as session:
        rows = [
            {
                "id": person.id, "email": person.email, "name": person.name, "role": person.role,
                "active": person.active, "created_at": person.recorded_at, "last_login_at": person.last_login_at,
                "clubs": person.club_ids,
            }
            for person in session.scalars(select(Staff).order_by(Staff.email))
        ]  # fmt: skip
    show.listing(rows, "id", "e-mail", "name", "role", "active", "created", "last login", "clubs")


@user.command("add")
@click.argument("email")
@click.option("--name", required=True, help="The name that others see.")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]))
@password_stdin_option
def add(email: str, name: str, role: str, from_stdin: bool) -> None:
    """Make a staff account; asks for its password."""
    password = _new_password(from_stdin)
    now = datetime.now(UTC)
    with database() as session:
        person = accounts.add(
            session, email=email, name=name, role=Role(role), password=password, by=operator(), now=now
        )
    click.echo(f"{person.email} can log in, as {person.role}.")


@user.command("clubs")
@click.argument("email")
@click.option("--club", "clubs", type=int, multiple=True, help="The id of a club; for several, say it again.")
@click.option("--all", "every", is_flag=True, help="All clubs, also those to come.")
def bind(email: str, clubs: tuple[int, ...], every: bool) -> None:
    """Bind an account to clubs: what it sees and does, also by its API tokens, is theirs."""
    if bool(clubs) == every:
        raise click.UsageError("Say --club ID, or --all.")
    person = _change(email, lambda session, one, *, by, now: accounts.bind(session, one, clubs, by=by))  # noqa: ARG005
    where = "all clubs" if every else "club " + ", ".join(map(str, sorted(set(clubs))))
    click.echo(f"{person.email} sees {where}.")


@user.command("remove-second-factor")
@click.argument("email")
def remove_second_factor(email: str) -> None:
    """Let somebody who lost it log in with the password alone. Look who asks for it first."""
    person = _change(email, lambda session, one, *, by, now: second_factor.turn_off(session, one, by=by))  # noqa: ARG005
    click.echo(f"{person.email} logs in with the password alone.")


@user.command("disable")
@click.argument("email")
def disable(email: str) -> None:
    """End the use of an account and of its API tokens."""
    click.echo(f"{_change(email, accounts.disable).email} is disabled.")


@user.command("enable")
@click.argument("email")
def enable(email: str) -> None:
    """Let a disabled account be used again, with its API tokens."""
    person = _change(email, accounts.enable)
    click.echo(f"{person.email} can log in again, as {person.role}.")


@user.command("password")
@click.argument("email")
@password_stdin_option
def change_password(email: str, from_stdin: bool) -> None:
    """Change an account's password; asks for it."""
    # Asked for before the transaction begins: a transaction does not wait for people.
    person = _change(email, logins.change_password, _new_password(from_stdin))
    click.echo(f"{person.email} has a new password.")


def _change(email: str, change: Callable[..., object], *arguments: Any) -> Staff:
    with database() as session:
        person = accounts.find(session, email)
        if person is None:
            raise NotFound(what="staff account", name=email)
        change(session, person, *arguments, by=operator(), now=datetime.now(UTC))
    return person


def _new_password(from_stdin: bool) -> str:
    if from_stdin:
        try:
            return sys.stdin.buffer.read().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise Failed("The password is not valid UTF-8.") from None
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for the password: use --password-stdin.")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt="The same again")
    return password
