"""Commands about staff accounts: user add, list, disable, enable, password. The first admin is made here."""

import sys
from datetime import UTC, datetime

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from console.cli import show
from console.cli.installed import Failed, database, json_option, operator
from models.errors import NotFound
from models.staff import accounts, logins
from models.staff.accounts import Role, Staff

password_stdin_option = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read the password from standard input, and do not ask."
)


@click.group(invoke_without_command=True)
@click.pass_context
@json_option
def user(context: click.Context, as_json: bool) -> None:
    """List the staff accounts; add, disable or enable one, or give it a new password."""
    if not context.invoked_subcommand:
        context.invoke(list_accounts, as_json=as_json)


@user.command("list")
@json_option
def list_accounts(as_json: bool) -> None:
    """List the staff accounts by their login names."""
    with database() as session:
        rows = [
            {
                "id": person.id, "email": person.email, "name": person.name, "role": person.role,
                "active": person.active, "created_at": person.recorded_at, "last_login_at": person.last_login_at,
            }
            for person in session.scalars(select(Staff).order_by(Staff.email))
        ]  # fmt: skip
    if as_json:
        show.as_json(rows)
        return
    headings = ["id", "e-mail", "name", "role", "active", "created", "last login"]
    show.table(headings, [list(row.values()) for row in rows])


@user.command("add")
@click.argument("email")
@click.option("--name", required=True, help="As it is shown to others.")
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


@user.command("disable")
@click.argument("email")
def disable(email: str) -> None:
    """End the use of an account and of its API tokens."""
    with database() as session:
        person = _account(session, email)
        accounts.disable(session, person, by=operator(), now=datetime.now(UTC))
    click.echo(f"{person.email} is disabled.")


@user.command("enable")
@click.argument("email")
def enable(email: str) -> None:
    """Let a disabled account be used again, with its API tokens."""
    with database() as session:
        person = _account(session, email)
        accounts.enable(session, person, by=operator(), now=datetime.now(UTC))
    click.echo(f"{person.email} can log in again, as {person.role}.")


@user.command("password")
@click.argument("email")
@password_stdin_option
def password_command(email: str, from_stdin: bool) -> None:
    """Give an account a new password; asks for it."""
    password = _new_password(from_stdin)
    with database() as session:
        person = _account(session, email)
        logins.change_password(session, person, password, by=operator(), now=datetime.now(UTC))
    click.echo(f"{person.email} has a new password.")


def _account(session: Session, email: str) -> Staff:
    person = accounts.find(session, email)
    if person is None:
        raise NotFound(what="staff account", name=email)
    return person


def _new_password(from_stdin: bool) -> str:
    """Asked for before anything else is done: a transaction does not wait for people."""
    if from_stdin:
        try:
            return sys.stdin.buffer.read().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise Failed("The password is not valid UTF-8.") from None
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for the password: use --password-stdin.")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt="The same again")
    return password
