"""Check-in at the desk: what is offered, once per form, and why something cannot be used."""

from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.ledger.redemptions import Redemption
from models.payments.facts import DuesFailed
from models.staff.accounts import Role
from tests.console.web.at_the_desk import DAY, held, key_on, now, paying_member, spend
from tests.console.web.conftest import Browser
from tests.models.gym import Gym, tell

LogIn = Callable[[Role], Browser]


@pytest.fixture
def desk(log_in: LogIn) -> Browser:
    return log_in(Role.DESK)


def key(browser: Browser) -> str:
    """Of the form that checks in, which is sent to the page's own address."""
    return key_on(browser.page.replace('method="post" class', 'method="post" action="" class'), "")


def test_the_desk_starts_here_and_others_with_the_members(desk: Browser, log_in: LogIn) -> None:
    assert desk.get("/").headers["Location"] == "/check-in/"
    assert log_in(Role.MANAGER).get("/").headers["Location"] == "/members/"


def test_the_only_hit_opens_and_the_usual_item_is_chosen(gym: Gym, desk: Browser) -> None:
    ada = paying_member(gym)
    desk.get("/check-in/?q=ADA", follow_redirects=True)
    assert f'value="{gym.spin.id}" checked' in desk.page
    spend(gym, ada, gym.training, 1)
    desk.get(f"/check-in/?q={ada.code.upper()}", follow_redirects=True)
    assert f'value="{gym.training.id}" checked' in desk.page
    assert "Checked in already at" in desk.text
    found = desk.get("/check-in/suggestions?q=sub_ada").json
    assert found == {
        "members": [
            {
                "name": ada.member.name,
                "details": f"{ada.member.email}, billing reference on stripe",
                "href": f"/check-in/{ada.member_id}",
            }
        ]
    }
    recent = desk.get("/check-in/suggestions?q=").get_json()
    assert [one["name"] for one in recent["members"]] == [ada.member.name]


def test_a_form_sent_twice_counts_once_and_so_does_its_undo(gym: Gym, desk: Browser, session: Session) -> None:
    ada = paying_member(gym)
    desk.get(f"/check-in/{ada.member_id}")
    once = key(desk)
    for _ in range(2):
        desk.post(f"/check-in/{ada.member_id}", item_id=gym.spin.id, quantity=2, key=once)
        assert f"{ada.member.name} has 6 Spin left" in desk.text
    assert held(session, ada)["Spin"] == 6
    done = session.scalars(select(Redemption.id)).one()
    path = f"/check-in/redemptions/{done}/undo"
    undoing = key_on(desk.page, path)
    for _ in range(2):
        desk.post(path, key=undoing)
        assert "2 Spin sessions given back" in desk.text
    assert held(session, ada)["Spin"] == 8
    desk.get(f"/check-in/?done={done}")
    assert "was undone" in desk.text
    assert desk.get("/check-in/?done=999").status_code == 404


def test_why_not_is_in_plain_sight_and_overdue_needs_a_reason(gym: Gym, desk: Browser, session: Session) -> None:
    ada = paying_member(gym)
    spend(gym, ada, gym.training, 2)
    gym.club.use_while_overdue = "strict"
    tell(session, DuesFailed("in_2", now() - 5 * DAY, ("sub_ada",)), now=now())
    desk.get(f"/check-in/{ada.member_id}")
    assert "No Training sessions are left. More come with the next payment of the dues." in desk.text
    assert "8 Spin sessions cannot be used: dues are overdue since" in desk.text
    fields = {"item_id": gym.spin.id, "quantity": 1, "key": key(desk)}
    assert desk.post(f"/check-in/{ada.member_id}", **fields).status_code == 422
    assert "Say why they can be used all the same" in desk.text
    assert desk.post(f"/check-in/{ada.member_id}", **fields, override_reason="Pays on Friday").status_code == 200
    assert held(session, ada)["Spin"] == 7


@pytest.mark.parametrize("fields", [{}, {"item_id": "x"}, {"item_id": "999", "quantity": "1"}, {"quantity": "0"}])
def test_a_form_that_says_nothing_usable_is_shown_again(gym: Gym, desk: Browser, fields: dict[str, str]) -> None:
    ada = paying_member(gym)
    desk.get(f"/check-in/{ada.member_id}")
    assert desk.post(f"/check-in/{ada.member_id}", **{"key": key(desk), **fields}).status_code == 422
