"""Command that changes plans: of one membership, or of all that are not on the current terms of an offer."""

from datetime import UTC, date, datetime

import click
from sqlalchemy.orm import Session

from console.cli import show
from console.cli.installed import database, operator
from console.cli.lookups import named, unknown
from console.cli.moments import DAY
from models.catalogue.items import Item
from models.catalogue.tables import Offer, PaymentTerm
from models.members import plan_change
from models.members.lookup import the_membership
from models.members.memberships import Membership
from models.wording import counted


@click.command("change-plan")
@click.argument("email", metavar="[EMAIL|ID]", required=False)
@click.option("--membership", "membership_id", type=int, help="Which one, if the member has several.")
@click.option("--offer", "offer_name", help="Another offer. Without it, the one that the membership has.")
@click.option("--term", "term_name", help="The payment term. Without it, the current terms of the one that it has.")
@click.option("--pick", "picks", multiple=True, metavar="ITEM", help="A session item; without any, those that it has.")
@click.option("--since", type=DAY, help="The first day, at the club, on which payments count by it. Default: now.")
@click.option("--withdraw", is_flag=True, help="Withdraw the change that is planned for the day of --since.")
@click.option("--all-of", metavar="OFFER", help="Instead of EMAIL: all memberships not on the offer's current terms.")
@click.option("--expected", type=click.IntRange(min=1), help="With --all-of: how many --dry-run has shown.")
@click.option("--dry-run", is_flag=True, help="Only say what it would change; needs no --reason.")
@click.option("--reason", help="Kept in the action log.")
@show.json_option
def change_plan(
    email: str | None, membership_id: int | None, offer_name: str | None, term_name: str | None,
    picks: tuple[str, ...], since: date | None, withdraw: bool, all_of: str | None, expected: int | None, dry_run: bool,
    reason: str | None,
) -> None:  # fmt: skip
    """Change the plan of a membership from a day on: its payment term, its picks, or both.

    Payments made before that day keep their terms.
    """
    if bool(email) == bool(all_of):
        raise click.UsageError("Give EMAIL, or --all-of OFFER.")
    if reason is None and not dry_run:
        raise click.UsageError("Missing option '--reason'.")
    if (expected is None) != (dry_run or not all_of):
        raise click.UsageError("Give --expected NUMBER with --all-of OFFER, and only there: --dry-run shows it.")
    if withdraw and (all_of or offer_name or term_name or picks or since is None):
        raise click.UsageError("Give --withdraw with EMAIL and --since DAY alone.")
    now = datetime.now(UTC)
    with database() as session:
        if all_of:
            _move_all(session, named(session, Offer, all_of), term_name, since, expected, reason or "", now)
            return
        membership = the_membership(session, email or "", membership_id, now=now)
        if since and withdraw:
            withdrawn = plan_change.preview_withdrawal(membership, since=since, now=now)
            if not dry_run:
                plan_change.withdraw(session, membership, since=since, reason=reason or "", by=operator(), now=now)
            answer = {"membership": membership.id, "since": withdrawn.planned.since, "changed": not dry_run}
            show.answer({**answer, "what": withdrawn.words}, withdrawn.words)
            return
        term = _term(session, membership, offer_name, term_name, now)
        items = [named(session, Item, pick) for pick in picks] or None
        change = plan_change.preview(membership, term=term, since=since, picks=items, now=now)
        if not dry_run:
            plan_change.change_plan(
                session, membership, term=term, since=since, picks=items, reason=reason or "", by=operator(), now=now
            )
        answer = {"membership": membership.id, "since": change.start, "changed": not dry_run, "what": change.words}
        show.answer(answer, change.words)


def _term(
    session: Session, membership: Membership, offer_name: str | None, term_name: str | None, now: datetime
) -> PaymentTerm:
    """The payment term that the options name. Raises Failed."""
    plan = membership.plan_at(now)
    if not offer_name and not term_name:
        return plan
    offer = named(session, Offer, offer_name) if offer_name else plan.offer
    return _of_offer(offer, term_name or plan.name)


def _of_offer(offer: Offer, name: str) -> PaymentTerm:
    terms = {term.name: term for term in offer.terms}
    if name not in terms:
        raise unknown(f"payment term of {offer.name!r} named", name, terms)
    return terms[name]


def _move_all(
    session: Session, offer: Offer, term_name: str | None, since: date | None, expected: int | None, reason: str,
    now: datetime,
) -> None:  # fmt: skip
    """Move the expected number; without a number, only say what would be moved."""
    terms = [_of_offer(offer, term_name)] if term_name else offer.terms
    if expected is None:
        found = plan_change.moves(session, terms, since=since, now=now)
    else:
        found = plan_change.move_all(
            session, terms, since=since, expected=expected, reason=reason, by=operator(), now=now
        )
    left_out = [{"membership": membership.id, "why": str(why)} for membership, why in found.left_out]
    answer = {
        "moved": [change.membership.id for change in found.changes],
        "left_out": left_out,
        "changed": bool(expected),
    }
    if show.as_json(answer):
        return
    verb = "moved" if expected else "would be moved"
    click.echo(f"{counted(len(found.changes), 'membership')} {verb} to the current terms of {offer.name}.")
    if left_out:
        click.echo("\nLeft out")
        show.table(["membership", "why"], [list(one.values()) for one in left_out])
