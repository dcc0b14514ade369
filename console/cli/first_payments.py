"""Commands about first payments: which memberships await one, and how it is made to carry its membership's code."""

from datetime import UTC, datetime, timedelta

import click

from console import first_payment
from console.cli import show
from console.cli.installed import database, opened, operator
from models.members import awaiting
from models.members.lookup import the_membership


@click.command("awaiting")
@click.option("--days", type=click.IntRange(min=0), default=awaiting.LONG.days, show_default=True)
@show.json_option
def awaiting_command(days: int) -> None:
    """List the memberships that have awaited their first payment for more than some days."""
    with opened() as (_, make), make() as session:
        rows = awaiting.page(session, now=datetime.now(UTC), longer_than=timedelta(days=days))
    if not show.as_json([one._asdict() for one in rows]):
        cells = [[one.membership_id, one.member, one.email, one.offer, one.club, one.since, one.code] for one in rows]
        show.table(["membership", "member", "e-mail", "offer", "club", "signed up", "code"], cells)


@click.command("remove-awaiting")
@click.argument("memberships", metavar="MEMBERSHIP...", type=int, nargs=-1, required=True)
@click.option("--reason", required=True, help="Kept in the action log.")
@show.json_option
def remove_awaiting(memberships: tuple[int, ...], reason: str) -> None:
    """Remove memberships that have awaited their first payment for 30 days; all or none."""
    with database() as session:
        now = datetime.now(UTC)
        gone = [awaiting.remove(session, one, reason=reason, by=operator(), now=now) for one in memberships]
    lines = [f"Membership {one.membership_id} of {one.member} is removed." for one in gone]
    show.answer({"removed": [one.membership_id for one in gone]}, *lines)


@click.command("sign-up-link")
@click.argument("member", metavar="EMAIL|ID")
@click.option("--membership", "membership_id", type=int, help="Which one, if the member has several.")
@click.option("--make", "endpoint", metavar="ENDPOINT", help="Make a page for the payment at its processor.")
@show.json_option
def sign_up_link(member: str, membership_id: int | None, endpoint: str | None) -> None:
    """Show how the first payment of a membership finds it: its code, and the field or link for it."""
    with opened() as (loaded, make):
        with make() as session:
            found = the_membership(session, member, membership_id, now=datetime.now(UTC))
            wanted = first_payment.wanted(found, datetime.now(UTC))
        if endpoint:
            with make.begin() as session:
                url = first_payment.make_checkout(loaded, wanted, endpoint, by=operator(), log=lambda: session)
            show.answer({"membership": wanted.membership_id, "endpoint": endpoint, "url": url}, url)
            return
        ways = first_payment.ways(loaded, wanted)
    code = wanted.checkout.code
    answer = {"membership": wanted.membership_id, "code": code, "ways": [one._asdict() for one in ways]}
    if show.as_json(answer):
        return
    click.echo(f"The code of membership {wanted.membership_id} is {code}.")
    for way in ways:
        click.echo(f"\n{way.endpoint}: put it into {way.where}:\n  {way.snippet}")
        if way.link:
            click.echo(f"or send your payment link with the code:\n  {way.link}")
        if way.can_make:
            click.echo(f"or let `spp sign-up-link {member} --make {way.endpoint}` make a page for the payment.")
