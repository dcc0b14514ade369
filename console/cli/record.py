"""Commands that change what is on record: edit-member, change-club, unlink."""

from datetime import UTC, datetime

import click

from console.cli import show
from console.cli.installed import database, opened, operator, reason_option
from console.cli.lookups import endpoint_and_reference, named, the_endpoint
from console.cli.memberships import settle_waiting
from models.catalogue.clubs import Club
from models.members import club_move, record, reference_moves
from models.members.lookup import the_member, the_membership

dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what it would do.")


@click.command("edit-member")
@click.argument("member", metavar="EMAIL|ID")
@click.option("--name")
@click.option("--email", help="The new address.")
@click.option("--another-person", is_flag=True, help="Although others have the new address.")
@click.option("--reason", default="", help="Kept in the action log.")
@show.json_option
def edit_member(member: str, name: str | None, email: str | None, another_person: bool, reason: str) -> None:
    """Change a member's name or e-mail address. The old ones stay in the action log."""
    with database() as session:
        person = the_member(session, member)
        changed = record.edit_member(
            session, person, name=name, email=email, another_person=another_person, reason=reason, by=operator()
        )
        answer = {"member": person.id, "name": person.name, "email": person.email, "changed": changed}
    show.answer(answer, *(changed or ["Nothing was changed."]))


@click.command("change-club")
@click.argument("email", metavar="EMAIL|ID")
@click.argument("club")
@click.option("--membership", "membership_id", type=int, help="Which one, if the member has several.")
@dry_run_option
@reason_option
@show.json_option
def change_club(email: str, club: str, membership_id: int | None, dry_run: bool, reason: str) -> None:
    """Move a membership to another club of its currency.

    Payments made from now on count by that club's days and rules; those made before keep theirs.
    """
    now = datetime.now(UTC)
    with database() as session:
        membership, wanted = the_membership(session, email, membership_id, now=now), named(session, Club, club)
        if dry_run:
            words = club_move.preview(session, membership, wanted)
        else:
            words = club_move.move_club(session, membership, wanted, reason=reason, by=operator(), now=now)
        show.answer({"membership": membership.id, "club": club, "changed": not dry_run, "what": words}, words)


@click.command()
@click.argument("reference", metavar="ENDPOINT:REFERENCE")
@click.argument("email", metavar="EMAIL|ID")
@click.option("--membership", "membership_id", type=int, help="Which one, if the member has several.")
@click.option("--to", metavar="EMAIL|ID", help="The member who gets it. Without it, nobody has it any more.")
@click.option("--to-membership", type=int, help="Which one, if that member has several.")
@dry_run_option
@reason_option
@show.json_option
def unlink(
    reference: str, email: str, membership_id: int | None, to: str | None, to_membership: int | None, dry_run: bool,
    reason: str,
) -> None:  # fmt: skip
    """Remove a billing reference from a membership, or move it to another one.

    Payments that it has matched stay where they are; those that wait and those to come go elsewhere.
    """
    (endpoint, name), now = endpoint_and_reference(reference), datetime.now(UTC)
    if to_membership and not to:
        raise click.UsageError("Give --to with --to-membership.")
    with opened() as (loaded, make), make.begin() as session:
        is_test = the_endpoint(loaded, endpoint).mode == "test"
        membership = the_membership(session, email, membership_id, now=now)
        into = the_membership(session, to, to_membership, now=now) if to else None
        settled = 0
        if dry_run:
            words = reference_moves.preview(session, membership, endpoint, name, into)
        else:
            words = reference_moves.give_up(
                session, membership, endpoint, name, into=into, reason=reason, by=operator(), is_test=is_test
            )
            settled = settle_waiting(session, loaded)
        answer = {
            "membership": membership.id, "to": into.id if into else None, "changed": not dry_run, "what": words,
            "waiting_payments_settled": settled,
        }  # fmt: skip
    show.answer(answer, words)
