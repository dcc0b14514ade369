"""Redeeming, giving back and extending at the desk."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from models.ledger import redemptions
from models.members.memberships import Membership
from models.payments.facts import Reversed
from models.staff.accounts import Role
from tests.console.web.at_the_desk import DAY, entries, held, key_on, now, pay, paying_member, spend
from tests.console.web.builder import beside
from tests.console.web.conftest import Browser
from tests.models.gym import BY, DUES, Gym, expire_all, grant_of, tell

LogIn = Callable[[Role], Browser]
CHICAGO = ZoneInfo("America/Chicago")
ARABIC_ONE = "\N{ARABIC-INDIC DIGIT ONE}"


def redeem(
    browser: Browser, member: Membership, item_id: int, quantity: object, key: object = None, **more: str
) -> int:
    fields = {"item_id": str(item_id), "quantity": str(quantity), "key": str(key or uuid4()), **more}
    return browser.post(f"/members/{member.member_id}/redeem", **fields).status_code


def test_redeeming_takes_sessions_and_says_from_which_grants(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    first = pay(gym, "in_2", "sub_ada", 10).astimezone(CHICAGO)
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    assert redeem(desk, member, gym.spin.id, 1, key_on(desk.page, f"/members/{member.member_id}/redeem")) == 200
    assert f"1 Spin session redeemed, from the grant of {first:%b %-d, %Y}. 15 left." in desk.text
    redeem(desk, member, gym.spin.id, 9)
    second = (now() - DAY).astimezone(CHICAGO)
    told = f"7 from the grant of {first:%b %-d, %Y}, 2 from the grant of {second:%b %-d, %Y}. 6 left."
    assert f"9 Spin sessions redeemed: {told}" in desk.text
    assert held(session, member) == {"Spin": 6, "Training": 4}
    assert [entry.quantity for entry in entries(session, member, "redemption")] == [-1, -7, -2]


def test_the_same_form_twice_counts_once(gym: Gym, session: Session, log_in: LogIn) -> None:
    member, key = paying_member(gym), uuid4()
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    for _ in range(2):
        assert redeem(desk, member, gym.spin.id, 2, key) == 200
        assert "2 Spin sessions redeemed" in desk.text
    assert held(session, member)["Spin"] == 6


def test_the_same_form_with_other_content_is_refused_and_can_be_sent_again(
    gym: Gym, session: Session, log_in: LogIn
) -> None:
    member, key = paying_member(gym), uuid4()
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    redeem(desk, member, gym.spin.id, 2, key)
    assert redeem(desk, member, gym.spin.id, 3, key) == 422
    assert "This form was sent before, with other content" in desk.text
    fresh = key_on(desk.page, f"/members/{member.member_id}/redeem")
    assert fresh != str(key)
    assert held(session, member)["Spin"] == 6
    assert redeem(desk, member, gym.spin.id, 3, fresh) == 200
    assert held(session, member)["Spin"] == 3


def test_one_last_session_asked_for_by_five_desks_at_once_is_redeemed_once(
    gym: Gym, session: Session, site: Flask, log_in: LogIn
) -> None:
    member = paying_member(gym)
    spend(gym, member, gym.spin, 7)
    desks = [log_in(Role.DESK) for _ in range(5)]
    for desk in desks:
        desk.get(f"/members/{member.member_id}")
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda desk: redeem(desk, member, gym.spin.id, 1), desks))
    assert sorted(answers) == [200, 422, 422, 422, 422]
    assert held(session, member)["Spin"] == 0


@pytest.mark.parametrize("quantity", ["0", "-1", "1.5", "x", "", "10001", "9" * 400, ARABIC_ONE, "1e3", " "])
def test_what_is_no_number_of_sessions_is_said_beside_the_field(
    gym: Gym, session: Session, log_in: LogIn, quantity: str
) -> None:
    member = paying_member(gym)
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    assert redeem(desk, member, gym.spin.id, quantity) == 422
    assert "Write a whole number from 1 to 10000." in desk.text
    assert held(session, member)["Spin"] == 8


def test_more_than_there_are_is_refused_beside_the_item(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    assert redeem(desk, member, gym.training.id, 3) == 422
    assert "Redeem Training 3 Training sessions asked for, 2 usable: nothing was taken." in desk.text
    assert held(session, member)["Training"] == 2


@pytest.mark.parametrize("item", ["99", "x", "", "-1", "9" * 30])
def test_an_item_that_is_none_is_not_found(gym: Gym, log_in: LogIn, item: str) -> None:
    member = paying_member(gym)
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    answer = desk.post(f"/members/{member.member_id}/redeem", item_id=item, quantity="1", key=str(uuid4()))
    assert answer.status_code == 404


def test_an_item_that_the_member_never_had_is_refused_on_the_page(gym: Gym, log_in: LogIn) -> None:
    member = paying_member(gym)
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    assert redeem(desk, member, gym.towel.id, 1) == 422
    assert "1 Towel session asked for, 0 usable" in desk.text


@pytest.mark.parametrize("key", ["", "x", "9" * 5000])
def test_a_form_without_its_key_is_not_done(gym: Gym, session: Session, log_in: LogIn, key: str) -> None:
    member = paying_member(gym)
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    answer = desk.post(f"/members/{member.member_id}/redeem", item_id=str(gym.spin.id), quantity="1", key=key)
    assert answer.status_code == 400
    assert held(session, member)["Spin"] == 8


def test_a_viewer_sees_no_forms_and_may_not_send_them(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    redemption_id = spend(gym, member, gym.spin, 1)
    grant = grant_of(session, member, gym.spin).id
    viewer, desk = log_in(Role.VIEWER), log_in(Role.DESK)
    viewer.get(f"/members/{member.member_id}")
    assert not {"Redeem Spin", "Give back", "Extend", "Adjust"} & {
        word for word in ("Redeem Spin", "Give back", "Extend", "Adjust") if word in viewer.text
    }
    assert redeem(viewer, member, gym.spin.id, 1) == 403
    assert viewer.post(f"/members/{member.member_id}/redemptions/{redemption_id}/give-back").status_code == 403
    assert viewer.get(f"/members/{member.member_id}/adjust").status_code == 403
    desk.get(f"/members/{member.member_id}")
    assert "Redeem Spin" in desk.text
    assert "Give back" in desk.text
    assert "Extend" not in desk.text
    assert desk.post(f"/members/{member.member_id}/grants/{grant}/extend").status_code == 403
    assert held(session, member)["Spin"] == 7


def test_one_session_is_given_back_by_its_button(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    redemption_id = spend(gym, member, gym.spin, 1)
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    path = f"/members/{member.member_id}/redemptions/{redemption_id}/give-back"
    key = key_on(desk.page, path)
    for _ in range(2):
        desk.post(path, quantity="1", key=key)
        assert "1 Spin session given back. 8 left." in desk.text
    assert "Give back" not in desk.text
    assert held(session, member)["Spin"] == 8
    assert len(entries(session, member, "return")) == 1


def test_some_of_several_sessions_are_given_back_in_a_window(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    path = f"/members/{member.member_id}/redemptions/{spend(gym, member, gym.spin, 5)}/give-back"
    desk = log_in(Role.DESK)
    desk.get(path)
    assert "5 can be given back" in desk.text
    desk.post(path, quantity="2", key=key_on(desk.page, path if f'action="{path}"' in desk.page else ""))
    assert "2 Spin sessions given back. 5 left." in desk.text
    assert desk.post(path, quantity="4", key=str(uuid4())).status_code == 422
    assert "has 3 left to return" in beside(desk, "quantity")
    assert held(session, member)["Spin"] == 5


def test_nobody_elses_redemption_or_grant_is_found(gym: Gym, session: Session, log_in: LogIn) -> None:
    member, other = paying_member(gym), gym.join("sub_other")
    gym.session.commit()
    pay(gym, "in_other", "sub_other", 1)
    redemption_id, grant = spend(gym, other, gym.spin, 1), grant_of(session, other, gym.spin).id
    admin = log_in(Role.ADMIN)
    for what, act, numbers in (("redemptions", "give-back", (redemption_id, 99)), ("grants", "extend", (grant, 99))):
        for number in numbers:
            path = f"/members/{member.member_id}/{what}/{number}/{act}"
            assert admin.get(path).status_code == 404
            assert admin.post(path, quantity="1", key=str(uuid4()), last_day="2099-01-01").status_code == 404
    assert held(session, other)["Spin"] == 7


def test_a_return_to_a_reversed_payment_is_told(gym: Gym, log_in: LogIn) -> None:
    member = paying_member(gym)
    redemption_id = spend(gym, member, gym.spin, 1)
    tell(gym.session, Reversed("in_1", now(), "refund:re", DUES, "USD"), now=now())
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    desk.post(f"/members/{member.member_id}/redemptions/{redemption_id}/give-back", quantity="1", key=str(uuid4()))
    assert "1 Spin session given back. 0 left." in desk.text
    assert "Shortfall repaid by the returned sessions" in desk.text


def test_a_manager_extends_a_grant(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    path = f"/members/{member.member_id}/grants/{grant_of(session, member, gym.spin).id}/extend"
    manager = log_in(Role.MANAGER)
    manager.get(f"/members/{member.member_id}")
    assert path in manager.page
    manager.get(path)
    last = now().astimezone(CHICAGO).date() + timedelta(days=60)
    manager.post(path, last_day=last.isoformat(), reason="broke a leg")
    assert (
        f"8 Spin sessions of {(now() - DAY).astimezone(CHICAGO):%b %-d, %Y} can be used until {last:%b %-d, %Y}."
        in manager.text
    )
    assert f"Expires later last usable day: {last:%b %-d, %Y} broke a leg" in manager.text
    assert f"next to expire: 8 on {last:%b %-d, %Y}" in manager.text


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({"last_day": "", "reason": "x"}, "last_day", "Choose the last day"),
        ({"last_day": "soon", "reason": "x"}, "last_day", "Write a date, such as 2026-11-30."),
        ({"last_day": "0001-01-01", "reason": "x"}, "last_day", "until"),
        ({"last_day": "9999-12-31", "reason": "x"}, "last_day", "too far away"),
        ({"last_day": "2099-01-01", "reason": " \0 "}, "reason", "Say why"),
        ({"last_day": "2099-01-01", "reason": "x" * 1001}, "reason", "at most 1000 characters"),
    ],
    ids=str,
)
def test_what_is_refused_of_an_extension(
    gym: Gym, session: Session, log_in: LogIn, fields: dict[str, str], field: str, told: str
) -> None:
    member = paying_member(gym)
    manager = log_in(Role.MANAGER)
    manager.get(f"/members/{member.member_id}")
    answer = manager.post(
        f"/members/{member.member_id}/grants/{grant_of(session, member, gym.spin).id}/extend", **fields
    )
    assert answer.status_code == 422
    assert told in beside(manager, field)
    assert entries(session, member, "extension") == []


def test_what_never_expires_is_not_extended(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    manager = log_in(Role.MANAGER)
    manager.get(f"/members/{member.member_id}")
    path = f"/members/{member.member_id}/grants/{grant_of(session, member, gym.training).id}/extend"
    assert path not in manager.page
    manager.post(path, last_day="2099-01-01", reason="x")
    assert "never expires" in beside(manager, "last_day")


@pytest.mark.parametrize("written_down", [True, False], ids=["written down", "by the clock alone"])
def test_a_manager_brings_back_what_has_expired(gym: Gym, session: Session, log_in: LogIn, written_down: bool) -> None:
    member = gym.join("sub_ada")
    session.commit()
    pay(gym, "in_1", "sub_ada", 40)
    if written_down:
        expire_all(session, now())
        session.commit()
    path = f"/members/{member.member_id}/grants/{grant_of(session, member, gym.spin).id}/extend"
    manager = log_in(Role.MANAGER)
    manager.get(f"/members/{member.member_id}/grants")
    assert "Bring back Spin" in manager.text
    manager.get(path)
    assert "expired: its last usable day was" in manager.text
    last = now().astimezone(CHICAGO).date() + timedelta(days=14)
    manager.post(path, last_day=last.isoformat(), reason="was in hospital")
    assert f"8 Spin sessions of {(now() - 40 * DAY).astimezone(CHICAGO):%b %-d, %Y} can be used until" in manager.text
    assert held(session, member)["Spin"] == 8
    assert ("Expired sessions brought back" in manager.text) == written_down


def test_nothing_is_offered_to_come_back_where_all_was_used(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = gym.join("sub_ada")
    session.commit()
    paid_at = pay(gym, "in_1", "sub_ada", 40)
    redemptions.redeem(
        session, member_id=member.member_id, item_id=gym.spin.id, quantity=8, key="all", by=BY, now=paid_at + DAY
    )
    session.commit()
    manager = log_in(Role.MANAGER)
    path = f"/members/{member.member_id}/grants/{grant_of(session, member, gym.spin).id}/extend"
    manager.get(f"/members/{member.member_id}/grants")
    assert path not in manager.page
    manager.get(path)
    manager.post(path, last_day="2099-01-01", reason="x")
    assert "has no expired sessions that could come back" in beside(manager, "last_day")


def local(moment: datetime) -> str:
    """As a browser sends it."""
    return moment.astimezone(CHICAGO).strftime("%Y-%m-%dT%H:%M")


def test_a_check_in_says_when_and_what_for(gym: Gym, session: Session, log_in: LogIn) -> None:
    member, other = paying_member(gym), gym.forgiving_club()
    session.commit()
    at = (now() - timedelta(hours=20)).astimezone(CHICAGO).replace(second=0, microsecond=0)
    said = {"class_name": "Pilates", "class_reference": "class-88", "trainer": "Kim", "note": "Mat of her own"}
    desk = log_in(Role.DESK)
    page = f"/members/{member.member_id}"
    desk.get(page)
    assert "When and what for" in desk.text
    redeem(desk, member, gym.spin.id, 1, occurred_at=local(at), club_id=str(other.id), **said)
    hour = f"{at:%-I:%M} {at:%p} {at:%Z}"
    assert f"1 Spin session redeemed for {at:%b %-d, %Y}, {hour}, from the grant of" in desk.text
    shown = f"Mat of her own Pilates, {at:%a} {hour}, with Kim, at {other.name}, checked in by desk@example.com"
    assert shown in desk.text
    (entry,) = entries(session, member, "redemption")
    assert entry.occurred_at == at
    desk.get(f"{page}/entries/{entry.id}")
    assert f"What for Pilates, with Kim, at {other.name}" in desk.text
    assert "Class in the scheduler class-88" in desk.text
    redemption = session.get_one(redemptions.Redemption, entry.redemption_id)
    desk.get(f"/members/?q={redemption.idempotency_key}", follow_redirects=True)
    assert "Statement" in desk.text  # straight to the member


def test_the_desks_club_is_remembered_and_decides_what_is_good(gym: Gym, session: Session, log_in: LogIn) -> None:
    member, other = paying_member(gym), gym.forgiving_club()
    session.commit()
    manager, page = log_in(Role.MANAGER), f"/members/{member.member_id}"
    manager.get("/inventory/")
    kept = {"name": "Spin", "kind": "scheduler_bucket", "session_type": "class"}
    manager.post(f"/inventory/{gym.spin.id}", good_at="listed", club_ids=[], **kept)
    assert "Choose at least one club where the sessions are good." in beside(manager, "club_ids")
    manager.post(f"/inventory/{gym.spin.id}", good_at="listed", club_ids=str(other.id), **kept)
    assert f"Spin Scheduler Bucket Class {other.name} 1 offer" in manager.text
    pay(gym, "in_2", "sub_ada", 0)
    manager.get(page)
    redeem(manager, member, gym.spin.id, 8, club_id=str(gym.club.id))
    assert "8 Spin sessions redeemed" in manager.text
    assert "When and what for, at Downtown" in manager.text
    assert f"8 Spin sessions can be used at {other.name} only, not at this club." in manager.text
    assert f"Spin only at {other.name} payment" in manager.text
    redeem(manager, member, gym.spin.id, 1, club_id=str(gym.club.id))
    assert f"0 Spin sessions can be used at Downtown, 8 more only at {other.name}" in beside(
        manager, f"club_id-{gym.spin.id}"
    )


def test_without_a_word_about_the_occasion_there_is_none(gym: Gym, session: Session, log_in: LogIn) -> None:
    member, desk = paying_member(gym), log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    redeem(desk, member, gym.spin.id, 1, occurred_at="", club_id="", class_name=" ", note="")
    (entry,) = entries(session, member, "redemption")
    kept = session.get_one(redemptions.Redemption, entry.redemption_id)
    assert (kept.class_name, kept.class_reference, kept.trainer, kept.club_id, kept.note) == (None,) * 5
    assert now() - kept.occurred_at < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("occurred_at", "2199-01-01T00:00", "That is in the future"),
        ("occurred_at", "2020-01-01T00:00", "You can date it back by 1 day at most, a manager by 31 days."),
        ("occurred_at", "yesterday", "Write a date and a time"),
        ("class_name", "x" * 201, "Field cannot be longer than 200 characters."),
        ("club_id", "404", "Not a valid choice"),
    ],
)
def test_an_occasion_that_cannot_be_stands_beside_its_field(
    gym: Gym, session: Session, log_in: LogIn, field: str, value: str, message: str
) -> None:
    member = paying_member(gym)
    gym.forgiving_club()
    session.commit()
    pay(gym, "in_0", "sub_ada", 10)
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    assert redeem(desk, member, gym.spin.id, 2, trainer="Kim", **{field: value}) == 422
    assert message in beside(desk, f"{field}-{gym.spin.id}")
    card = desk.page.split('class="card balance')[1:]
    assert ['<details class="occasion" open>' in one for one in card] == [True, False]
    assert card[0].count('value="Kim"') == 1  # what was typed stays, in this form and in no other
    assert card[1].count('value="Kim"') == 0
    assert held(session, member)["Spin"] == 16


def test_a_manager_dates_further_back(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    pay(gym, "in_0", "sub_ada", 10)
    manager = log_in(Role.MANAGER)
    manager.get(f"/members/{member.member_id}")
    assert redeem(manager, member, gym.spin.id, 1, occurred_at=local(now() - 3 * DAY)) == 200
    assert held(session, member)["Spin"] == 15


def test_the_page_says_why_nothing_can_be_used(gym: Gym, session: Session, log_in: LogIn) -> None:
    member = paying_member(gym)
    spend(gym, member, gym.training, 2)
    desk, manager = log_in(Role.DESK), log_in(Role.MANAGER)
    page = f"/members/{member.member_id}"
    desk.get(page)
    assert "No Training sessions are left. More come with the next payment of the dues." in desk.text
    redeem(desk, member, gym.training.id, 1)
    assert "0 usable: nothing was taken. No Training sessions are left. More come" in desk.text
    old = gym.join("sub_old")
    session.commit()
    pay(gym, "in_old", "sub_old", 40)
    last = (now() - 40 * DAY).astimezone(CHICAGO).date() + 30 * DAY
    grant = grant_of(session, old, gym.spin)
    for browser, way_out in ((desk, "A manager can bring them back, by extending grant"), (manager, "Bring back Spin")):
        browser.get(f"/members/{old.member_id}")
        assert f"The last 8 Spin sessions expired on {last:%b %-d, %Y}. {way_out}" in browser.text
    assert f'href="/members/{old.member_id}/grants/{grant.id}/extend"' in manager.page
