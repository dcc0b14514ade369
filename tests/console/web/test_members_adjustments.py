"""Adjusting a member's sessions by hand, and the second person."""

import re
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.ledger import adjustments
from models.ledger.adjustments import Adjustment
from models.ledger.tables import CreditGrant
from models.members.memberships import Membership
from models.payments.facts import Reversed
from models.staff.accounts import Role
from tests.console.web.at_the_desk import entries, held, key_on, now, pay, paying_member, spend
from tests.console.web.builder import beside
from tests.console.web.conftest import Browser
from tests.models.gym import DUES, Gym, session_item, tell

LogIn = Callable[[Role], Browser]
CHICAGO = ZoneInfo("America/Chicago")


def adjust(browser: Browser, member: Membership, item: int, **more: str) -> int:
    """Gives two sessions for goodwill, but for what is said otherwise."""
    fields = {"item_id": str(item), "sign": "plus", "quantity": "2", "reason": "goodwill", "note": "cold shower"}
    lasts = {} if "last_day" in more else {"never": "y"}
    path = f"/members/{member.member_id}/adjust"
    browser.get(path)
    return browser.post(path, **{**fields, **lasts, "key": str(uuid4()), **more}).status_code


def test_the_desk_gives_sessions_with_a_reason(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    desk = log_in(Role.DESK)
    last = now().astimezone(CHICAGO).date() + timedelta(days=5)
    assert adjust(desk, member, gym.spin.id, last_day=last.isoformat()) == 200
    assert f"2 Spin sessions given to {member.member.name}." in desk.text
    assert "Adjusted: goodwill cold shower" in desk.text
    assert f"by desk@example.com: goodwill cold shower {last:%b %-d, %Y} 2 0 2" in desk.text
    assert held(session, member)["Spin"] == 10


def test_given_sessions_never_expire_only_where_that_is_said(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    desk = log_in(Role.DESK)
    assert adjust(desk, member, gym.spin.id, last_day="") == 422
    assert "Choose the last usable day, or say here that they never expire." in beside(desk, "never")
    assert adjust(desk, member, gym.spin.id, last_day="2199-01-01", never="y") == 422
    assert adjust(desk, member, gym.spin.id, never="y") == 200
    assert "given to Ada Example. They never expire." in desk.text.replace(member.member.name, "Ada Example")
    session.rollback()
    given = session.scalars(select(CreditGrant).where(CreditGrant.action_id.is_not(None))).one()
    assert (given.quantity, given.expires_at) == (2, None)


def test_the_members_own_items_come_first_with_their_usual_last_day(gym: Gym, log_in: LogIn) -> None:
    gym.session.add(session_item("Aerobics"))
    member = paying_member(gym)
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}/adjust")
    groups = re.findall(r'<optgroup label="([^"]+)">(.*?)</optgroup>', desk.page)
    assert [(name, re.findall(r"<option[^>]*>([^<]+)", items)) for name, items in groups] == [
        ("Items of this member", ["Spin", "Training"]),
        ("Other items", ["Aerobics"]),
    ]
    last = now().astimezone(CHICAGO).date() + timedelta(days=30)
    assert f'name="last_day" type="date" value="{last}"' in desk.page


def test_the_desk_takes_sessions(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    desk = log_in(Role.DESK)
    assert adjust(desk, member, gym.spin.id, sign="minus", reason="no_show", note="class of 9") == 200
    assert f"2 Spin sessions taken from {member.member.name}." in desk.text
    assert "Adjusted: no show class of 9" in desk.text
    assert held(session, member)["Spin"] == 6
    assert adjust(desk, member, gym.spin.id, sign="minus", quantity="7") == 422
    assert "7 Spin sessions asked for, 6 usable: nothing was taken." in beside(desk, "quantity")


def test_the_same_adjustment_twice_counts_once(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    desk = log_in(Role.DESK)
    path = f"/members/{member.member_id}/adjust"
    desk.get(path)
    key = key_on(desk.page, "")
    for _ in range(2):
        assert adjust(desk, member, gym.spin.id, key=key) == 200
    assert adjust(desk, member, gym.spin.id, key=key, quantity="3") == 422
    assert "sent before, with other content" in desk.text
    assert held(session, member)["Spin"] == 10


@pytest.mark.parametrize(
    ("wrong", "field", "told"),
    [
        ({"quantity": "0"}, "quantity", "whole number"),
        ({"quantity": "-2"}, "quantity", "whole number"),
        ({"quantity": "99999999999999999999"}, "quantity", "whole number"),
        ({"quantity": "two"}, "quantity", "whole number"),
        ({"note": ""}, "note", "Say why"),
        ({"note": "\0 "}, "note", "Say why"),
        ({"note": "x" * 1001}, "note", "at most 1000"),
        ({"last_day": "2020-01-01"}, "last_day", "That day is over"),
        ({"last_day": "0001-01-01"}, "last_day", "That day is over"),
        ({"last_day": "9999-12-31"}, "last_day", "too far away"),
        ({"last_day": "x"}, "last_day", "Write a date"),
        ({"item_id": "99"}, "item_id", ""),
        ({"item_id": "x"}, "item_id", ""),
        ({"reason": "x"}, "reason", ""),
        ({"sign": "x"}, "sign", ""),
    ],
    ids=str,
)
def test_what_is_refused_stands_beside_its_field(
    gym: Gym, session: Session, log_in: LogIn, wrong: dict[str, str], field: str, told: str
) -> None:
    member = paying_member(gym)
    desk = log_in(Role.DESK)
    assert adjust(desk, member, gym.spin.id, **wrong) == 422
    assert beside(desk, field)
    assert told in beside(desk, field)
    assert held(session, member)["Spin"] == 8


def test_only_session_items_can_be_adjusted(gym: Gym, log_in: LogIn) -> None:
    member = paying_member(gym)
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}/adjust")
    assert ">Spin</option>" in desk.page
    assert "Towel" not in desk.page
    assert adjust(desk, member, gym.towel.id) == 422


def test_a_shortfall_is_named_in_the_form_and_repaid_first(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    spend(gym, member, gym.spin, 3)
    tell(gym.session, Reversed("in_1", now(), "refund:re", DUES, "USD"), now=now())
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}/adjust")
    assert "Spin has a shortfall of 3: sessions that you give repay it first." in desk.text
    adjust(desk, member, gym.spin.id, quantity="5")
    assert held(session, member)["Spin"] == 2


def test_more_than_the_limit_waits_for_a_second_person(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    desk, manager = log_in(Role.DESK), log_in(Role.MANAGER)
    desk.get(f"/members/{member.member_id}/adjust")
    assert "More than 10 wait until a second person, a manager, approves them." in desk.text
    adjust(desk, member, gym.spin.id, quantity="11")
    assert "It waits until a second person, a manager, approves it." in desk.text
    assert "Adjustments that wait for a second person" in desk.text
    assert held(session, member)["Spin"] == 8
    manager.get("/members/")
    assert "1 adjustment waits for a second person." in manager.text
    manager.get("/members/adjustments")
    assert "by desk@example.com" in manager.text
    (asked,) = adjustments.waiting(session)
    manager.post(f"/members/adjustments/{asked.id}/approve", to="list")
    assert f"11 Spin sessions given to {member.member.name}." in manager.text
    assert "Nothing waits for a second person." in manager.text
    assert held(session, member)["Spin"] == 19
    manager.post(f"/members/adjustments/{asked.id}/approve")
    assert "is approved by manager@example.com, so it cannot be decided again" in manager.text
    assert held(session, member)["Spin"] == 19


def test_nobody_approves_their_own(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    manager = log_in(Role.MANAGER)
    adjust(manager, member, gym.spin.id, quantity="11")
    assert "Approve" not in manager.text
    (asked,) = adjustments.waiting(session)
    manager.post(f"/members/adjustments/{asked.id}/approve")
    assert "a second person has to approve it" in manager.text
    assert held(session, member)["Spin"] == 8


def test_the_asker_withdraws_and_a_manager_declines(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    desk, manager = log_in(Role.DESK), log_in(Role.MANAGER)
    for decider, told in ((desk, "withdrawn"), (manager, "declined")):
        adjust(desk, member, gym.spin.id, quantity="11")
        (asked,) = adjustments.waiting(session)
        decider.get(f"/members/{member.member_id}")
        decider.post(f"/members/adjustments/{asked.id}/decline")
        assert f"+11 Spin for {member.member.name}: {told}." in decider.text
        session.rollback()
        assert adjustments.waiting(session) == []
    assert held(session, member)["Spin"] == 8


def test_who_may_decide(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    manager, desk, viewer = log_in(Role.MANAGER), log_in(Role.DESK), log_in(Role.VIEWER)
    adjust(manager, member, gym.spin.id, quantity="11")
    (asked,) = adjustments.waiting(session)
    for browser in (desk, viewer):
        browser.get("/members/adjustments")
        assert "cold shower" in browser.text
        assert "Approve" not in browser.text
        assert "Decline" not in browser.text
        for act in ("approve", "decline"):
            assert browser.post(f"/members/adjustments/{asked.id}/{act}").status_code == 403
    session.rollback()
    assert session.scalars(select(Adjustment.approved)).all() == [None]
    assert manager.post("/members/adjustments/99/approve").status_code == 404
    assert manager.post("/members/adjustments/99/decline").status_code == 404


def test_an_adjustment_that_cannot_be_done_any_more_is_told(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    desk, manager = log_in(Role.DESK), log_in(Role.MANAGER)
    pay(gym, "in_2", "sub_ada", 2)
    adjust(desk, member, gym.spin.id, quantity="11", sign="minus")
    (asked,) = adjustments.waiting(session)
    spend(gym, member, gym.spin, 8)
    manager.get("/members/adjustments")
    manager.post(f"/members/adjustments/{asked.id}/approve", to="list")
    assert "11 Spin sessions asked for, 8 usable: nothing was taken." in manager.text
    assert "cold shower" in manager.text
    assert entries(session, member, "adjustment") == []
