"""The action log's page: what was done, filtered, page by page."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.staff import actions
from models.staff.accounts import Role
from models.staff.actions import Actor
from tests.console.web.conftest import NOW, Browser
from tests.models.gym import Gym

ADA = Actor("ada@example.com", "192.0.2.1")


@pytest.fixture
def manager(log_in: Callable[[Role], Browser]) -> Browser:
    return log_in(Role.MANAGER)


def test_logging_in_is_logged_and_shown(manager: Browser) -> None:
    manager.get("/log/")
    assert "manager@example.com 127.0.0.1 Log in staff account" in manager.text


def test_each_act_says_who_what_to_whom_and_why(manager: Browser, gym: Gym, session: Session) -> None:
    member = gym.join().member
    actions.log(session, ADA, "move terms", "membership 1 <b>", member_id=member.id, reason="asked <i>politely</i>")
    session.commit()
    manager.get("/log/")
    assert "ada@example.com 192.0.2.1 Move terms membership 1 <b> “asked <i>politely</i>” Ada" in manager.text
    assert "<b>" not in manager.page
    assert f'href="/members/{member.id}"' in manager.page
    assert "Times are Central Time." in manager.text


def test_it_goes_back_page_by_page_with_the_filter_kept(manager: Browser, session: Session) -> None:
    for number in range(60):
        actions.log(session, ADA, "look", f"thing {number};")
        actions.log(session, ADA, "sell", f"other {number};")
    session.commit()
    manager.get("/log/?verb=look&actor=ada%40example.com")
    assert "thing 59;" in manager.text
    assert "thing 10;" in manager.text
    assert "thing 9;" not in manager.text
    [older] = [part.split('"')[0] for part in manager.page.split('href="') if "before=" in part.split('"')[0]]
    manager.get(older.replace("&amp;", "&"))
    assert "thing 9;" in manager.text
    assert "thing 10;" not in manager.text
    assert "other" not in manager.text
    assert "Older" not in manager.text


def test_by_member(manager: Browser, gym: Gym, session: Session) -> None:
    member = gym.join().member
    session.commit()
    manager.get(f"/log/?member={member.email.upper()}")
    assert "Sign up membership" in manager.text
    assert "Log in staff" not in manager.text


def test_by_local_days(manager: Browser, gym: Gym, session: Session) -> None:
    actions.log(session, ADA, "look", "late on the first")
    session.execute(text("ALTER TABLE actions DISABLE TRIGGER append_only"))
    # 11 pm on March 1 in Chicago.
    session.execute(text("UPDATE actions SET recorded_at = '2024-03-02 05:00Z' WHERE verb = 'look'"))
    session.commit()
    for asked, found in (
        ("since=2024-03-01&until=2024-03-01", True),
        ("since=2024-03-02", False),
        ("until=2024-02-29", False),
    ):
        manager.get(f"/log/?{asked}")
        assert ("late on the first" in manager.text) == found, asked


def test_nothing_found_says_so(manager: Browser) -> None:
    tomorrow = (NOW + 2 * timedelta(days=1)).date()
    for asked in ("verb=fly", "actor=nobody", f"since={tomorrow}"):
        assert manager.get(f"/log/?{asked}").status_code == 200
        assert "Nothing that was done fits this." in manager.text
    manager.get("/log/?verb=fly")
    assert '<option selected value="fly">fly</option>' in manager.page


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("member=nobody%40example.com", "There is no member 'nobody@example.com'."),
        ("member=" + "n" * 321, "Field cannot be longer than 320 characters."),
        ("since=soon", "Write a date, such as 2026-11-30."),
        ("since=0001-01-01", "Write a date from 2000 to 2199"),
        ("until=9999-12-31", "Write a date from 2000 to 2199"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(manager: Browser, asked: str, told: str) -> None:
    assert manager.get(f"/log/?{asked}").status_code == 422
    assert told in manager.text


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("before=x", 404),
        ("before=-1", 404),
        ("before=" + "9" * 30, 404),
        ("before=1", 200),
        ("member=%00", 200),
        ("actor=%00", 200),
    ],
)
def test_garbage_breaks_nothing(manager: Browser, asked: str, status: int) -> None:
    assert manager.get(f"/log/?{asked}").status_code == status


def test_the_desk_does_not_see_it(log_in: Callable[[Role], Browser]) -> None:
    desk = log_in(Role.DESK)
    assert desk.get("/log/").status_code == 403
    desk.get("/members/")
    assert "Action log" not in desk.text
