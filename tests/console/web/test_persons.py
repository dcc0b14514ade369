"""Merging two members that are one person, and erasing a person, at the desk."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.members.memberships import Member, Membership
from models.staff.accounts import Role
from tests.console.web.at_the_desk import held, key_on, now, paying_member, spend
from tests.console.web.builder import beside
from tests.console.web.conftest import Browser
from tests.models.gym import Gym, paid, tell

LogIn = Callable[[Role], Browser]


@pytest.fixture
def ada(gym: Gym) -> Membership:
    membership = paying_member(gym)
    gym.session.execute(text("UPDATE webhook_events SET state = 'processed'"))
    gym.session.commit()
    return membership


@pytest.fixture
def twice(gym: Gym) -> Membership:
    """Ada once more, under another address."""
    membership = gym.join("sub_twice")
    gym.session.commit()
    return membership


def test_another_member_is_found_and_merged_into_this_one(
    gym: Gym, session: Session, log_in: LogIn, ada: Membership, twice: Membership
) -> None:
    gone, stays, email = ada.member_id, twice.member_id, ada.member.email
    manager = log_in(Role.MANAGER)
    manager.get(f"/members/{stays}/merge?q=Nobody")
    assert "Nobody else is found so" in manager.text
    manager.get(f"/members/{stays}/merge?q=Ada")
    assert email in manager.text
    manager.get(f"/members/{stays}/merge?with={gone}")
    assert (
        "1 membership, 1 billing reference, and 2 grants with 8 Spin sessions and 2 Training sessions" in manager.text
    )
    path = f"/members/{stays}/merge?with={gone}"
    assert manager.post(path, reason="").status_code == 422
    assert beside(manager, "reason") == "Say why."
    manager.post(path, reason="signed up twice")
    assert f"Member {gone} is merged into this one" in manager.text
    assert held(session, twice) == {"Spin": 8, "Training": 2}
    manager.get(f"/members/{gone}", follow_redirects=True)
    assert f"Member {gone} was merged into this one" in manager.text
    assert "Undo the merge" in manager.text
    tell(gym.session, paid("in_2", "sub_ada", at=now()), now=now())
    undo = f"/members/{stays}/merged/{gone}/undo"
    manager.get(undo)
    assert "gets back the memberships and grants" in manager.text
    manager.post(undo, reason="two people")
    assert f"Member {gone} is a member of their own again" in manager.text
    session.expire_all()
    assert held(session, ada) == {"Spin": 16, "Training": 4}
    assert held(session, twice) == {}
    manager.get(undo, follow_redirects=True)
    assert manager.post(undo, reason="once more").status_code == 422
    assert f"The merge of member {gone} cannot be undone: it is not merged." in manager.text


def test_a_merge_that_cannot_be_says_why(log_in: LogIn, ada: Membership) -> None:
    manager = log_in(Role.MANAGER)
    path = f"/members/{ada.member_id}/merge?with={ada.member_id}"
    manager.get(path)
    assert "That is the same member: choose another one." in manager.text
    assert manager.post(path, reason="why").status_code == 422
    assert "That is the same member: choose another one." in manager.text
    manager.get(f"/members/{ada.member_id}/merge?with=404")
    assert "There is no member" in manager.text


def test_sessions_used_before_a_merge_are_given_back_after_it(
    gym: Gym, session: Session, log_in: LogIn, ada: Membership, twice: Membership
) -> None:
    number = spend(gym, ada, gym.spin, 3)
    manager = log_in(Role.MANAGER)
    manager.get(f"/members/{twice.member_id}")
    manager.post(f"/members/{twice.member_id}/merge?with={ada.member_id}", reason="signed up twice")
    path = f"/members/{twice.member_id}/redemptions/{number}/give-back"
    assert path in manager.page
    manager.get(path)
    manager.post(path, quantity="3", key=key_on(manager.page, ""))
    assert held(session, twice)["Spin"] == 8


def test_a_person_is_erased_once_the_address_is_typed(session: Session, log_in: LogIn, ada: Membership) -> None:
    manager, path, email = log_in(Role.MANAGER), f"/members/{ada.member_id}/erase", ada.member.email
    manager.get(path)
    assert "It cannot be undone" in manager.text
    given = {"request": "by letter", "asked_on": "2026-03-01"}
    assert manager.post(path, **given, confirm="somebody@example.com").status_code == 422
    assert "Type the member's e-mail address exactly" in beside(manager, "confirm")
    assert manager.post(path, confirm=email, asked_on="2026-03-01", request="").status_code == 422
    assert beside(manager, "request") == "Say who asked for it, and how."
    manager.post(path, **given, confirm=email)
    assert "name and e-mail address, the bodies of 1 event" in manager.text
    assert "Erased on " in manager.text
    assert f"Erased member {ada.member_id}" in manager.text
    assert "Redeem" not in manager.text
    session.expire_all()
    assert session.get_one(Member, ada.member_id).erased_at is not None
    manager.get("/members/?q=Ada")
    assert email not in manager.text
    manager.get("/log/")
    assert "asked on 2026-03-01" in manager.text


def test_the_desk_does_neither(log_in: LogIn, ada: Membership) -> None:
    desk = log_in(Role.DESK)
    desk.get(f"/members/{ada.member_id}")
    assert "Merge" not in desk.text
    assert "Erase" not in desk.text
