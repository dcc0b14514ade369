"""Dues that are overdue, on the pages: since when, what can be used, and how it ends."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.members.memberships import Membership
from models.payments.facts import DuesFailed
from models.staff.accounts import Role
from models.staff.actions import Action
from tests.console.web.at_the_desk import DAY, held, key_on, now, pay, paying_member
from tests.console.web.conftest import Browser
from tests.models.gym import Gym, tell

LogIn = Callable[[Role], Browser]


@pytest.fixture
def late(gym: Gym) -> Membership:
    """Ada, whose dues of five days ago failed."""
    membership = paying_member(gym)
    tell(gym.session, DuesFailed("in_2", now() - 5 * DAY, ("sub_ada",)), now=now())
    return membership


def rule(gym: Gym, use: str, days: int = 7) -> None:
    gym.club.use_while_overdue, gym.club.overdue_grace_days = use, days
    gym.session.commit()


def redeem(page: Browser, late: Membership, gym: Gym, **more: object) -> int:
    page.get(f"/members/{late.member_id}")
    path = f"/members/{late.member_id}/redeem"
    return page.post(path, item_id=gym.spin.id, quantity=1, key=key_on(page.page, path), **more).status_code


def test_the_member_and_the_membership_say_since_when(gym: Gym, late: Membership, log_in: LogIn) -> None:
    page = log_in(Role.VIEWER)
    for path in (f"/members/{late.member_id}", f"/memberships/{late.id}"):
        page.get(path)
        assert "Overdue since" in page.text
        assert "The dues of Gold, Monthly could not be collected. Its sessions can be used." in page.text
    assert "Why nothing is owed any more" not in page.text
    pay(gym, "in_2", "sub_ada", 0)
    page.get(f"/members/{late.member_id}")
    assert "Overdue" not in page.text


@pytest.mark.parametrize(
    ("use", "days", "said"),
    [("grace", 4, "with a reason only"), ("strict", 7, "with a reason only"), ("grace", 30, "then with a reason only")],
)
def test_the_page_says_until_when_sessions_can_be_used(
    gym: Gym, late: Membership, log_in: LogIn, use: str, days: int, said: str
) -> None:
    rule(gym, use, days)
    page = log_in(Role.DESK)
    page.get(f"/members/{late.member_id}")
    assert said in page.text
    assert ("Why, although dues are overdue" in page.text) == (days != 30)


def test_the_desk_overrides_with_a_reason(gym: Gym, late: Membership, session: Session, log_in: LogIn) -> None:
    rule(gym, "strict")
    page = log_in(Role.DESK)
    assert redeem(page, late, gym, override_reason=" ") == 422
    assert "1 Spin session asked for, 0 usable and 8 withheld: dues are overdue since" in page.text
    assert held(session, late)["Spin"] == 8
    assert redeem(page, late, gym, override_reason="New card on Friday") == 200
    assert held(session, late)["Spin"] == 7
    act = session.scalars(select(Action).where(Action.verb == "redeem")).one()
    assert (act.reason, "though dues are overdue since" in act.subject) == ("New card on Friday", True)


def test_the_list_shows_and_filters_who_is_overdue(gym: Gym, late: Membership, log_in: LogIn) -> None:
    gym.join("sub_bob").member.name = "Bob"
    gym.session.commit()
    page = log_in(Role.VIEWER)
    page.get("/members/")
    assert ("Bob" in page.text, page.text.count("Overdue since")) == (True, 1)
    page.get("/operations/")
    assert "Overdue 1 membership" in page.text
    assert 'href="/members/?standing=overdue"' in page.page
    page.get("/members/?standing=overdue")
    assert ("Bob" in page.text, page.text.count("Overdue since")) == (False, 1)
    pay(gym, "in_2", "sub_ada", 0)
    page.get("/members/?standing=overdue")
    assert "Nobody's dues are overdue" in page.text


def test_a_manager_clears_what_was_paid_otherwise(gym: Gym, late: Membership, session: Session, log_in: LogIn) -> None:
    page, path = log_in(Role.MANAGER), f"/memberships/{late.id}/clear-overdue"
    page.get(f"/memberships/{late.id}")
    assert page.post(path, reason=" ").status_code == 422
    assert page.post(path, reason="Paid in cash").status_code == 200
    assert "Its dues are not overdue any more" in page.text
    assert page.post(path, reason="Paid in cash").status_code == 422
    assert "there is nothing to clear" in page.text
    act = session.scalars(select(Action).where(Action.verb == "clear overdue")).one()
    assert (act.reason, act.member_id) == ("Paid in cash", late.member_id)
    tell(session, DuesFailed("in_3", now() + timedelta(seconds=5), ("sub_ada",)), now=now())
    page.get(f"/members/{late.member_id}")
    assert "Overdue since" in page.text
