"""Commands about test members: test-member, test-clock."""

from datetime import UTC, date, datetime

import click

from console.cli import show
from console.cli.installed import database, opened, operator
from console.cli.moments import DAY
from models.ledger import setting_clocks
from models.members import clocks
from models.members.lookup import the_member
from models.wording import counted


@click.command("test-member")
@click.argument("email", metavar="EMAIL|ID")
@show.json_option
def test_member(email: str) -> None:
    """Make a member a test member: only test endpoints pay for it, and its clock can be set.

    It cannot be undone. It is refused where a live endpoint has paid for the member, or can.
    """
    with opened() as (loaded, make), make.begin() as session:
        person = the_member(session, email)
        clocks.make_test_member(session, person, loaded.endpoints, by=operator())
        answer = {"member": person.id, "is_test": True}
    show.answer(answer, f"{email} is a test member. `spp test-clock {email} DAY` sets its clock forward.")


@click.command("test-clock")
@click.argument("email", metavar="EMAIL|ID")
@click.argument("day", type=DAY)
@show.json_option
def test_clock(email: str, day: date) -> None:
    """Set the clock of a test member forward to a day, at its club.

    What is over by then expires at once, for this member alone. Payments by `spp send --sample` are dated by it.
    """
    now = datetime.now(UTC)
    with database() as session:
        person = the_member(session, email)
        expired = setting_clocks.set_forward(session, person, day, by=operator(), now=now)
        answer = {"member": person.id, "clock": person.clock(now), "expired_grants": expired}
        sentence = f"{clocks.words(person, now)}. {counted(expired, 'grant')} expired by that."
    show.answer(answer, sentence)
