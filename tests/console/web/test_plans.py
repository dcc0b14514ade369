"""Changing the plan of a membership: the window with its preview, and what it refuses."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from models.catalogue.tables import PaymentTerm
from models.members.memberships import Membership, MembershipTerms
from models.staff.accounts import Role
from tests.console.web.conftest import Browser
from tests.console.web.test_memberships import bucket, change_terms
from tests.models.gym import CLASSES, PAID_AT, Gym, add_term, grants_of, paid, tell

LogIn = Callable[[Role], Browser]


def today() -> date:
    return datetime.now(ZoneInfo("America/Chicago")).date()


LATER = today() + timedelta(days=40)
ON = f"{LATER:%b} {LATER.day}, {LATER.year}"


@pytest.fixture
def membership(gym: Gym) -> Membership:
    """Ada's, with both session items, found by sub_1."""
    membership = gym.join("sub_1")
    gym.session.commit()
    return membership


@pytest.fixture
def yearly(gym: Gym) -> PaymentTerm:
    """$1,188.00 a year for 12 classes and 3 trainings a month."""
    rules = {"interval": "year", "release": "monthly"}
    term = PaymentTerm(name="Yearly", dues_minor=118_800, currency="USD", **rules)
    spin, training = gym.offer.buckets
    add_term(gym.offer, term, {spin: (12, 30), training: (3, 0)})
    gym.session.commit()
    return term


@pytest.fixture
def manager(log_in: LogIn, membership: Membership) -> Browser:
    browser = log_in(Role.MANAGER)
    browser.get(f"/memberships/{membership.id}/plan")
    return browser


def wish(*items: int, **changed: Any) -> dict[str, Any]:
    return {"since": "", "items": list(items), "reason": "asked for it", **changed}


def change(browser: Browser, membership: Membership, **fields: Any) -> int:
    """Previews, then presses Change plan; the status of that answer."""
    path = f"/memberships/{membership.id}/plan"
    shown = re.search(r'name="shown_term" value="([0-9]+)"', browser.page)
    browser.get(path, query_string={"shown_term": shown[1] if shown else "", **fields})
    return browser.post(path, **fields).status_code


def newest(session: Session, membership: Membership) -> MembershipTerms:
    session.expire_all()
    return max(session.get_one(Membership, membership.id).versions, key=lambda version: version.id)


def test_the_window_begins_with_what_the_membership_has(manager: Browser) -> None:
    assert "Gold, Monthly (as now, by its current terms)" in manager.text
    assert "2 of 2 picked; choose between 1 and 2." in manager.text
    assert "Nothing yet: choose another plan, other items or another day." in manager.text


def test_another_term_is_previewed_then_taken(
    manager: Browser, gym: Gym, session: Session, membership: Membership, yearly: PaymentTerm
) -> None:
    fields = wish(gym.spin.id, gym.training.id, since=LATER.isoformat(), term=yearly.id)
    said = (
        f"From {ON}, each $1,188.00 yearly payment gives 12 Spin sessions a month, 12 times (30 days each) instead of "
        "8 (30 days), and 3 Training sessions a month, 12 times (never expiring) instead of 2 (never expiring); "
        "payments made before then keep 8 Spin sessions and 2 Training sessions. Dues are $1,188.00 every year instead "
        "of $90.00 every month."
    )
    manager.get(f"/memberships/{membership.id}/plan", query_string=fields)
    assert said in manager.text
    assert newest(session, membership).term.name == "Monthly", "a preview changes nothing"
    assert change(manager, membership, **fields) == 200
    assert said in manager.text
    assert f"Planned from {ON}: Gold, Yearly. Each $1,188.00 yearly payment gives 12 Spin" in manager.text
    assert "Gold, Monthly Downtown" in manager.text, "until that day it has what it had"
    assert "manager@example.com" in manager.text
    assert "asked for it" in manager.text
    made = newest(session, membership)
    assert (made.term.name, made.interval, made.release) == ("Yearly", "year", "monthly")
    assert change(manager, membership, **fields) == 422
    assert "That is how it is already. Nothing was changed." in manager.text
    manager.get(f"/members/{membership.member_id}")
    assert "Gold, Monthly at Downtown" in manager.text
    path = f"/memberships/{membership.id}/plan/withdraw"
    manager.get(path, query_string={"since": LATER.isoformat()})
    said = f"The change to Gold, Yearly planned for {ON} is withdrawn: Gold, Monthly goes on."
    assert said in manager.text
    assert manager.post(path, since=LATER.isoformat(), reason="not after all").status_code == 200
    assert said in manager.text
    assert "Planned from" not in manager.text
    assert "Terms over time" not in manager.text


def test_from_today_on_lists_and_pages_show_the_new_plan(
    manager: Browser, gym: Gym, session: Session, membership: Membership, yearly: PaymentTerm
) -> None:
    assert change(manager, membership, **wish(gym.spin.id, term=yearly.id)) == 200
    assert "Gold, Yearly Downtown" in manager.text
    manager.get(f"/members/{membership.member_id}")
    assert "Gold, Yearly at Downtown" in manager.text
    manager.get(f"/offers/{gym.offer.id}")
    assert "$1,188.00 every year · 1 membership" in manager.text
    assert "$90.00 every month · 0 memberships" in manager.text


def test_payments_count_by_the_plan_of_their_day(
    manager: Browser, gym: Gym, session: Session, membership: Membership
) -> None:
    change_terms(gym)
    assert change(manager, membership, **wish(gym.spin.id, bucket(gym, "Yoga").item_id)) == 200
    assert "From now on, each $99.00 monthly payment gives 10 Spin sessions (45 days) instead of 8 (30 days)" in (
        manager.text
    )
    assert "5 Yoga sessions (never expiring) instead of none, and no Training sessions instead of 2" in manager.text
    now = datetime.now(UTC)
    tell(session, paid("in_old", "sub_1"), paid("in_new", "sub_1", at=now, amount=9900), now=now)
    gave = {(grant.effective_at == PAID_AT, grant.item_id): grant.quantity for grant in grants_of(session, membership)}
    assert gave[True, gym.spin.id] == CLASSES
    assert gave[False, gym.spin.id] == 10
    assert (False, gym.training.id) not in gave


def test_what_was_not_previewed_is_previewed_first(
    manager: Browser, gym: Gym, session: Session, membership: Membership
) -> None:
    fields = wish(gym.spin.id)
    path = f"/memberships/{membership.id}/plan"
    assert manager.post(path, **fields).status_code == 422
    assert "This is not what the preview said: read it again" in manager.text
    assert "8 Spin sessions (30 days) as now, and no Training sessions instead of 2" in manager.text
    assert manager.post(path, **fields).status_code == 200
    assert [pin.item_id for pin in newest(session, membership).pinned] == [gym.spin.id]


def test_terms_that_somebody_changes_meanwhile_are_shown_first(
    manager: Browser, gym: Gym, session: Session, membership: Membership
) -> None:
    path, fields = f"/memberships/{membership.id}/plan", wish(gym.spin.id)
    manager.get(path, query_string=fields | {"shown_term": gym.term.id})
    change_terms(gym)
    assert manager.post(path, **fields).status_code == 422
    assert "each $99.00 monthly payment gives 10 Spin sessions" in manager.text
    assert manager.post(path, **fields).status_code == 200
    assert newest(session, membership).dues_minor == 9900


def test_an_item_of_which_the_term_gives_none_is_not_offered(
    manager: Browser, gym: Gym, session: Session, membership: Membership
) -> None:
    gym.term.set_bucket(bucket(gym, "Spin"), quantity=0, days_to_expire=0)
    session.commit()
    path = f"/memberships/{membership.id}/plan"
    manager.get(path)
    assert f'id="items-{gym.spin.id}"' not in manager.page
    assert "1 of 1 picked; choose 1." in manager.text
    assert "no Spin sessions instead of 8" in manager.text
    assert manager.post(path, **wish(gym.spin.id)).status_code == 422
    assert "The payment term 'Monthly' gives no sessions of 'Spin'" in manager.text
    assert change(manager, membership, **wish(gym.training.id)) == 200
    assert [pin.item_id for pin in newest(session, membership).pinned] == [gym.training.id]


def test_required_items_are_picked_with_the_others(
    manager: Browser, gym: Gym, session: Session, membership: Membership
) -> None:
    bucket(gym, "Training").required = True
    session.commit()
    assert change(manager, membership, **wish()) == 200
    assert [pin.item_id for pin in newest(session, membership).pinned] == [gym.training.id]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"since": (today() - timedelta(days=1)).isoformat()}, "is over: choose today or a later day."),
        ({"since": "soon"}, "Write a date, such as 2026-11-30."),
        ({"since": "9999-12-31"}, "is more than 5 years from today. Check the year."),
        ({"since": "0001-01-01"}, "is over: choose today or a later day."),
        ({"reason": ""}, "Say why"),
        ({"reason": "  "}, "Say why"),
        ({"reason": "r" * 1001}, "can have at most"),
        ({"items": []}, "asks for at least 1 session item"),
    ],
)
def test_what_is_refused_stands_in_the_window(
    manager: Browser, gym: Gym, session: Session, membership: Membership, wrong: dict[str, Any], told: str
) -> None:
    assert change(manager, membership, **wish(gym.spin.id, **wrong)) == 422
    assert told in manager.text
    session.expire_all()
    assert len(session.get_one(Membership, membership.id).versions) == 1


@pytest.mark.parametrize("query", [{"since": "soon"}, {"since": ""}, {"term": "x"}, {"items": "x"}, {"term": "9" * 30}])
def test_a_preview_of_nonsense_is_a_page(manager: Browser, membership: Membership, query: dict[str, str]) -> None:
    assert manager.get(f"/memberships/{membership.id}/plan", query_string=query).status_code == 200


def test_the_desk_does_not_change_plans(log_in: LogIn, gym: Gym, session: Session, membership: Membership) -> None:
    desk = log_in(Role.DESK)
    desk.get(f"/memberships/{membership.id}")
    assert "Change plan" not in desk.text
    path = f"/memberships/{membership.id}/plan"
    assert desk.get(path).status_code == 403
    desk.get("/members/")
    assert desk.post(path, **wish(gym.spin.id)).status_code == 403
    session.expire_all()
    assert len(session.get_one(Membership, membership.id).versions) == 1
