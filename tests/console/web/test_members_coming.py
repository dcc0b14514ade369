"""Sessions that are not usable yet, and payments for several memberships, on the pages of members and memberships."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from console.web.formats import day, short_day
from models.catalogue.days import end_of, last_day
from models.ledger.tables import CreditGrant
from models.members.memberships import Membership, add_billing_reference
from models.payments.facts import Line, Noted, Paid
from models.staff.accounts import Role
from models.statements import statement
from models.statements.statement import Coming
from tests.console.web.at_the_desk import held, now, spend
from tests.console.web.conftest import Browser
from tests.models.gym import BY, CLASSES, DUES, ENDPOINT, Gym, grants_of, paid, tell
from tests.models.yearly import by_the_year

LogIn = Callable[[Role], Browser]
DAY = timedelta(days=1)
ZONE = "America/Chicago"


@pytest.fixture
def member(gym: Gym) -> Membership:
    """Paid for a year yesterday: 8 classes now, and 8 in each of the eleven months that follow."""
    by_the_year(gym)
    membership = gym.join("sub_ada")
    tell(gym.session, paid("in_1", "sub_ada", at=now() - DAY), now=now())
    return membership


def coming(session: Session, member: Membership) -> list[Coming]:
    balances = statement.balances(session, member.member_id, now())
    return [*next(row for row in balances if row.item == "Spin").coming_days]


def test_the_balance_tells_what_is_coming_and_when(log_in: LogIn, session: Session, member: Membership) -> None:
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    first, *_, last = coming(session, member)
    assert "8 available next to expire: 8 on" in desk.text
    assert f"88 coming, next 8 on {short_day(first.day, ZONE)} 8 on {day(first.day)}" in desk.text
    assert f"8 on {day(last.day)}" in desk.text


def test_the_coming_grants_stand_among_all_grants(log_in: LogIn, member: Membership) -> None:
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    assert "All grants, with 22 coming Usable from" in desk.text
    table = desk.text.partition("Usable from")[2].partition("Statement")[0]
    assert (table.count("Spin"), table.count("Training"), "coming" in table) == (1, 1, False)
    assert "The balance counts sessions that are coming, too." in desk.text
    desk.get(f"/members/{member.member_id}/grants")
    assert desk.text.count("coming") == 22


def test_with_none_usable_it_says_from_when(log_in: LogIn, gym: Gym, session: Session, member: Membership) -> None:
    spend(gym, member, gym.spin, CLASSES)
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    first = coming(session, member)[0]
    assert f"0 available 88 coming, next 8 on {short_day(first.day, ZONE)}" in desk.text
    redeem = {"item_id": gym.spin.id, "quantity": 1, "key": str(uuid4())}
    desk.post(f"/members/{member.member_id}/redeem", **redeem)
    assert f"0 usable (88 coming, the next on {day(first.day)}): nothing was taken." in desk.text
    assert held(session, member)["Spin"] == 0


def test_a_coming_grant_can_be_extended(log_in: LogIn, gym: Gym, session: Session, member: Membership) -> None:
    manager, second = log_in(Role.MANAGER), grants_of(session, member, gym.spin)[1]
    path = f"/members/{member.member_id}/grants/{second.id}/extend"
    manager.get(path)
    assert f"8 sessions coming on {day(second.effective_at, ZONE)}. Last usable day now:" in manager.text
    before = second.expires_at
    assert before is not None
    later = last_day(before, ZONE) + 5 * DAY
    manager.post(path, last_day=str(later), reason="She is away.")
    assert f"8 Spin sessions of {day(second.effective_at, ZONE)} can be used until {day(later)}." in manager.text
    session.rollback()
    after = session.get_one(CreditGrant, second.id, populate_existing=True).expires_at
    assert after == end_of(later, ZONE)


def test_an_entry_tells_its_day_and_what_was_paid(log_in: LogIn, gym: Gym, session: Session) -> None:
    by_the_year(gym)
    member, at = gym.join("sub_ada"), now() - DAY
    covers = (at, at + 365 * DAY)
    lines = (Line(("sub_ada", "price_1"), DUES + 500, covers, id="il_1"),)
    told = Paid("in_1", at, DUES - 1000, "USD", ("sub_ada",), (), covers, DUES + 500, DUES, lines)
    tell(session, told, now=now())
    last = [entry for entry in statement.entries(session, member.member_id) if entry.item == "Spin"][-1]
    viewer = log_in(Role.VIEWER)
    viewer.get(f"/members/{member.member_id}/entries/{last.entry_id}")
    assert last.usable_from is not None
    assert f"Usable from {day(last.usable_from)}" in viewer.text
    assert "Amount $80.00, paid" in viewer.text
    assert "From the payer's balance $10.00 Due before discounts $95.00" in viewer.text
    assert f"Pays for {day(covers[0], ZONE)} to {day(covers[1] - DAY, ZONE)}" in viewer.text
    assert "Lines $95.00 sub_ada, price_1" in viewer.text
    assert f"8 Spin sessions usable from {day(last.usable_from)}, last usable day" in viewer.text
    viewer.get(f"/members/{member.member_id}")
    training, spin = (part.split("</tr>")[0] for part in viewer.page.split("<summary>12 parts</summary>")[1:])
    assert f"+8, usable from {day(last.usable_from)}</a>" in spin
    assert f"entries/{last.entry_id}" in spin
    assert [">+96<" in part for part in (spin, training)] == [True, False], "its parts stand in one line that opens"


def test_the_membership_tells_the_period_and_the_parts(log_in: LogIn, session: Session, member: Membership) -> None:
    viewer = log_in(Role.VIEWER)
    viewer.get(f"/memberships/{member.id}")
    last = coming(session, member)[-1]
    assert f"96 Spin in 12 parts, the last from {day(last.day)}" in viewer.text


class TestForSeveral:
    @pytest.fixture
    def household(self, gym: Gym, session: Session) -> tuple[Membership, Membership]:
        """Ada's and Ben's dues come as one payment, for the month before now."""
        one, other = gym.join("sub_both"), gym.join()
        other.member.name = "Ben"
        add_billing_reference(session, other, ENDPOINT, "sub_both", by=BY, shared=True)
        tell(session, paid("in_both", "sub_both", at=now() - DAY, amount=2 * DUES), now=now())
        return one, other

    def test_it_stands_with_both_memberships(self, log_in: LogIn, household: tuple[Membership, Membership]) -> None:
        viewer = log_in(Role.VIEWER)
        for one, others in zip(household, ("Gold of Ben", "Gold of Ada"), strict=True):
            viewer.get(f"/memberships/{one.id}")
            assert f"also for {others}" in viewer.text
            assert "8 Spin 2 Training" in viewer.text

    def test_an_entry_names_both_and_its_own(
        self, log_in: LogIn, session: Session, household: tuple[Membership, Membership]
    ) -> None:
        viewer, other = log_in(Role.VIEWER), household[1]
        entry = statement.entries(session, other.member_id)[0]
        viewer.get(f"/members/{other.member_id}/entries/{entry.entry_id}")
        assert "Memberships Ada : Gold, Monthly Gold, Monthly this grant" in viewer.text


def test_an_event_that_only_notes_something_says_what(log_in: LogIn, gym: Gym, session: Session) -> None:
    gym.join("sub_ada")
    tell(session, paid("in_1", "sub_ada", at=now()), now=now())
    tell(session, Noted("in_1", now(), "A part of it went back"), now=now())
    viewer = log_in(Role.VIEWER)
    viewer.get("/operations/events/2")
    assert "To look at Payment" in viewer.text
    assert "Note A part of it went back" in viewer.text
