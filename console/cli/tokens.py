"""Commands about API tokens: token list, make, revoke."""

from datetime import UTC, datetime

import click

from console.cli import show
from console.cli.installed import database, operator
from models.errors import NotFound
from models.staff import accounts, tokens
from models.staff.tokens import TokenScope


@click.group(invoke_without_command=True)
@click.pass_context
@show.json_option
def token(context: click.Context) -> None:
    """List the tokens of the JSON API; make or revoke one."""
    if not context.invoked_subcommand:
        context.invoke(list_tokens)


@token.command("list")
@show.json_option
def list_tokens() -> None:
    """List the tokens: those in use first, then the newest."""
    with database() as session:
        rows = [
            {
                "id": one.id, "name": one.name, "scope": one.scope, "starts_with": one.start,
                "owner": one.owner.email, "role": one.owner.role, "created_at": one.recorded_at,
                "last_used_at": one.last_used_at, "revoked_at": one.revoked_at,
            }
            for one in tokens.list_tokens(session)
        ]  # fmt: skip
    show.listing(rows, "id", "name", "scope", "starts with", "owner", "role", "created", "last used", "revoked")


@token.command("make")
@click.argument("name")
@click.option("--owner", required=True, metavar="EMAIL", help="The staff account whose name and role it acts with.")
@click.option("--scope", type=click.Choice([scope.value for scope in TokenScope]), default="read", show_default=True)
@show.json_option
def make(name: str, owner: str, scope: str) -> None:
    """Make a token and print it, this once: only its hash is kept.

    NAME says what it is for, such as Scheduler. It can do no more than its owner's role allows in the console.
    """
    with database() as session:
        person = accounts.find(session, owner)
        if person is None:
            raise NotFound(what="staff account", name=owner)
        made = tokens.make(session, person, name=name, scope=TokenScope(scope), by=operator())
        number, text = made.token.id, made.text
        what = f"{made.token.name}, to {scope} as {person.email}, who is {person.role}"
    if not show.as_json({"id": number, "token": text}):
        click.echo(f"Token {number}: {what}. It is shown this once:", err=True)
        click.echo(text)


@token.command("revoke")
@click.argument("number", type=click.IntRange(min=1), metavar="ID")
def revoke(number: int) -> None:
    """End a token's use. It cannot be brought back."""
    with database() as session:
        tokens.revoke(session, number, by=operator(), now=datetime.now(UTC))
    click.echo(f"Token {number} is revoked.")
