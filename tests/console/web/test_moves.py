"""Moving all memberships of an offer to its current terms, once their number is confirmed."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from models.members.memberships import Membership
from models.staff.accounts import Role
from tests.console.web.builder import LogIn, beside
from tests.console.web.conftest import Browser
from tests.models.gym import Gym


@pytest.fixture
def manager(log_in: LogIn, gym: Gym) -> Browser:
    """Three members, of whom two have terms that differ; the offer gives 10 classes now."""
    browser = log_in(Role.MANAGER)
    for _ in range(2):
        gym.join()
    gym.term.set_bucket(gym.offer.buckets[0], quantity=10, days_to_expire=30)
    gym.join()
    gym.session.commit()
    return browser


def wish(**changed: Any) -> dict[str, Any]:
    return {"since": datetime.now(ZoneInfo("America/Chicago")).date().isoformat(), "reason": "new season", **changed}


def quantities(session: Session) -> list[list[int]]:
    session.expire_all()
    return [
        [pin.quantity for pin in membership.versions[-1].pinned]
        for membership in session.query(Membership).order_by(Membership.id)
    ]


def test_those_that_differ_are_moved_once_their_number_is_typed(manager: Browser, gym: Gym, session: Session) -> None:
    path = f"/offers/{gym.offer.id}/move"
    manager.get(f"/offers/{gym.offer.id}")
    assert f'href="{path}"' in manager.page
    manager.get(path)
    assert "Monthly Each $90.00 monthly payment gives 10 Spin sessions (30 days)" in manager.text
    assert "Move 2 memberships" in manager.text
    assert manager.post(path, **wish(count="3")).status_code == 422
    assert "There are 2 now, not the 3 that you confirmed" in beside(manager, "count")
    assert quantities(session) == [[8, 2], [8, 2], [10, 2]]
    manager.post(path, **wish(count="2"))
    assert "2 memberships moved to the current terms." in manager.text
    assert "No membership can be moved" in manager.text
    assert quantities(session) == [[10, 2], [10, 2], [10, 2]]
    manager.get("/log/")
    assert "to the current terms of Gold, Monthly, from" in manager.text


def test_those_whose_picks_are_gone_are_left_out_with_the_reason(manager: Browser, gym: Gym, session: Session) -> None:
    gym.offer.set_bucket_limits(0, 2)
    gym.term.set_bucket(gym.offer.buckets[1], quantity=0, days_to_expire=0)
    session.commit()
    manager.get(f"/offers/{gym.offer.id}/move")
    assert "No membership can be moved" in manager.text
    assert "3 memberships cannot keep what was picked." in manager.text
    assert "The payment term 'Monthly' gives no sessions of 'Training'" in manager.text


@pytest.mark.parametrize(
    ("wrong", "field", "told"),
    [
        ({"since": "2020-01-01"}, "since", "is over"),
        ({"since": "soon"}, "since", "Write a date, such as 2026-11-30."),
        ({"reason": " "}, "reason", "Say why"),
        ({"count": "two"}, "count", "Type a whole number"),
        ({"count": ""}, "count", "Type a whole number"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    manager: Browser, gym: Gym, session: Session, wrong: dict[str, str], field: str, told: str
) -> None:
    path = f"/offers/{gym.offer.id}/move"
    manager.get(path)
    assert manager.post(path, **wish(count="2") | wrong).status_code == 422
    assert told in beside(manager, field)
    assert quantities(session) == [[8, 2], [8, 2], [10, 2]]
