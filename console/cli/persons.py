"""Commands about who a member is: merge-members, undo-merge, erase-member."""

from datetime import UTC, date, datetime

import click

from console.cli import show
from console.cli.installed import database, operator, reason_option
from console.cli.moments import DAY
from models.inbox import erasing
from models.ledger import merging
from models.members.lookup import the_member


@click.command("merge-members")
@click.argument("gone", metavar="FROM")
@click.argument("stays", metavar="INTO")
@reason_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@show.json_option
def merge_members(gone: str, stays: str, reason: str, yes: bool) -> None:
    """Let the member INTO have all that the member FROM has, who is the same person.

    Both are e-mail addresses. It says what moves, and asks. It can be undone for a day: see undo-merge.
    """
    with database() as session:
        now, ids = datetime.now(UTC), [the_member(session, email).id for email in (gone, stays)]
        planned = merging.plan(session, *ids, now=now)
        if not yes:
            click.confirm(f"{planned.words}\nMerge them?", abort=True, err=True)
        merging.merge(session, *ids, reason=reason, by=operator(), now=now)
    show.answer({"from_member": ids[0], "member": ids[1], "moved": planned.words}, planned.words)


@click.command("undo-merge")
@click.argument("gone", metavar="FROM", type=click.IntRange(min=1))
@reason_option
@show.json_option
def undo_merge(gone: int, reason: str) -> None:
    """Give a merged member back what the merge moved, within a day; FROM is the member's id."""
    with database() as session:
        merging.undo(session, gone, reason=reason, by=operator(), now=datetime.now(UTC))
    show.answer({"member": gone}, f"Member {gone} is a member of their own again.")


@click.command("erase-member")
@click.argument("email")
@click.option("--request", required=True, help="Who asked for it, and how; kept in the action log without the name.")
@click.option("--asked-on", required=True, type=DAY, help="The day on which it was asked for.")
@click.option("--confirm", prompt="Type the e-mail address again to confirm", help="The e-mail address again.")
@show.json_option
def erase_member(email: str, request: str, asked_on: date, confirm: str) -> None:
    """Erase a person: name, address and what processors sent of the payer go, the ledger stays.

    It cannot be undone.
    """
    with database() as session:
        erased = erasing.erase(
            session, the_member(session, email).id, confirm=confirm, request=request, asked_on=asked_on,
            by=operator(), now=datetime.now(UTC),
        )  # fmt: skip
    show.answer(erased._asdict(), f"{erased.words[0].upper()}{erased.words[1:]}.")
