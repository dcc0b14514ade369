"""Closing a club: the window with its preview, the work that follows, and undoing it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.members import life
from models.members.life import LifeAct, Scope
from models.members.memberships import Membership
from models.staff.accounts import Role
from models.wording import day_of
from tests.console.web.at_the_desk import pay, paying_member
from tests.console.web.builder import LogIn, acts, beside
from tests.console.web.conftest import Browser
from tests.console.web.test_life import on, said, usable_to
from tests.models.gym import BY, Gym
from tests.models.payments.sweeps import sweep_to_the_end


@pytest.fixture
def membership(gym: Gym) -> Membership:
    """Ada's, who paid yesterday: 8 Spin for 30 days, 2 Training for ever. Another member paid as well."""
    gym.join("sub_2")
    gym.session.commit()
    pay(gym, "in_2", "sub_2", 1)
    return paying_member(gym)


@pytest.fixture
def manager(log_in: LogIn, gym: Gym, membership: Membership) -> Browser:
    browser = log_in(Role.MANAGER)
    browser.get(f"/clubs/{gym.club.id}/closures/")
    return browser


def do(browser: Browser, path: str, **fields: Any) -> int:
    """Previews, then presses the button; the status of that answer."""
    browser.get(path, query_string=fields)
    return browser.post(path, **{"reason": "Holidays", **fields}).status_code


def close(browser: Browser, gym: Gym, first: int, last: int, **fields: Any) -> int:
    days = {"first_day": on(first), "last_day": on(last)}
    return do(browser, f"/clubs/{gym.club.id}/closures/new", **{"scope": "class", **days, **fields})


def in_force(session: Session, gym: Gym) -> list[LifeAct]:
    session.rollback()
    return list(life.in_force(session, club_id=gym.club.id))


def test_no_closure_says_so(manager: Browser, gym: Gym) -> None:
    assert "No closure is in force or to come." in manager.text
    manager.get("/clubs/")
    assert f'href="/clubs/{gym.club.id}/closures/"' in manager.page


def test_it_is_previewed_done_worked_off_and_undone(
    manager: Browser, gym: Gym, session: Session, membership: Membership
) -> None:
    path = f"/clubs/{gym.club.id}/closures/new"
    manager.get(path, query_string={"scope": "class", "first_day": on(3), "last_day": on(5)})
    days = f"from {said(3)} to {said(5)}"
    assert f"Downtown is closed {days}: 3 days do not count for classes. 2 grants of 2 members: 3 days each." in (
        manager.text
    )
    assert in_force(session, gym) == []
    assert close(manager, gym, 3, 5) == 200
    assert "2 grants of 2 members: 3 days each." in manager.text
    assert "2 payments are still to be settled again" in manager.text
    assert 'data-refresh="5"' in manager.page
    assert f"{said(3)} to {said(5)} Classes Holidays manager@example.com" in manager.text
    assert acts(session)[0] == f"manager close club: club Downtown, {days}"
    sweep_to_the_end(session, datetime.now(UTC))
    assert usable_to(session, membership) == said(32)
    manager.get(f"/clubs/{gym.club.id}/closures/")
    assert "still to be settled" not in manager.text
    (closure,) = in_force(session, gym)
    undo = f"/clubs/{gym.club.id}/closures/{closure.id}/undo"
    manager.get(undo)
    assert f"Downtown is not closed {days}: 3 days count again for classes." in manager.text
    assert manager.post(undo, reason="open after all").status_code == 200
    sweep_to_the_end(session, datetime.now(UTC))
    assert usable_to(session, membership) == said(29)
    assert f"Closure undone: {days} manager@example.com open after all" in manager.text


def test_training_goes_on_when_classes_are_closed(manager: Browser, gym: Gym) -> None:
    """Those trainings never expire, so that nothing of them moves at all."""
    close(manager, gym, 3, 5, scope="personal_training")
    assert "3 days do not count for personal training. No sessions move." in manager.text


def test_its_last_day_changes(manager: Browser, gym: Gym, session: Session, membership: Membership) -> None:
    close(manager, gym, 3, 5)
    (closure,) = in_force(session, gym)
    path = f"/clubs/{gym.club.id}/closures/{closure.id}"
    assert do(manager, path, last_day=on(4), reason="open sooner") == 200
    assert f"is closed from {said(3)} to {said(4)}, instead of from {said(3)} to {said(5)}: 1 day count" in manager.text
    sweep_to_the_end(session, datetime.now(UTC))
    assert usable_to(session, membership) == said(31)
    (closure,) = in_force(session, gym)
    path = f"/clubs/{gym.club.id}/closures/{closure.id}"
    assert do(manager, path, last_day=on(4)) == 422
    assert "That is how it is already." in beside(manager, "last_day")
    assert do(manager, path, last_day="") == 422
    assert "Choose the last closed day." in beside(manager, "last_day")


@pytest.mark.parametrize(
    ("wrong", "field", "told"),
    [
        ({"first_day": ""}, "first_day", "Choose the first closed day."),
        ({"last_day": ""}, "last_day", "Choose the last closed day."),
        ({"last_day": on(2)}, "last_day", "is before the first"),
        ({"last_day": on(370)}, "last_day", "is longer than a year"),
        ({"last_day": on(3653)}, "last_day", "more than 5 years from today"),
        ({"scope": "pool"}, "scope", "Not a valid choice"),
        ({"reason": ""}, "reason", "Say why."),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    manager: Browser, gym: Gym, session: Session, wrong: dict[str, str], field: str, told: str
) -> None:
    assert close(manager, gym, 3, 5, **wrong) == 422
    assert told in beside(manager, field)
    assert in_force(session, gym) == []


def test_what_was_not_previewed_is_previewed_first(manager: Browser, gym: Gym, session: Session) -> None:
    path = f"/clubs/{gym.club.id}/closures/new"
    manager.get(path)
    assert "Choose, then press Preview." in manager.text
    fields = {"scope": "all", "first_day": on(3), "last_day": on(5), "reason": "Holidays"}
    assert manager.post(path, **fields).status_code == 422
    assert "This is not what the preview said: read it again" in manager.text
    assert in_force(session, gym) == []
    assert manager.post(path, **fields).status_code == 200


def test_past_ones_are_folded_and_old_ones_left_out(manager: Browser, gym: Gym) -> None:
    for days in (900, 30):
        first = today_of(gym.club) - timedelta(days=days)
        life.close(
            gym.session, gym.club, scope=Scope.ALL, first=first, last=first, reason=f"{days} days ago", by=BY,
            now=datetime.now(UTC),
        )  # fmt: skip
    gym.session.commit()
    manager.get(f"/clubs/{gym.club.id}/closures/")
    assert "No closure is in force or to come. Over: 1 of the past two years" in " ".join(manager.text.split())
    over = manager.page.split("Over: 1")[1].split("</details>")[0]
    assert "30 days ago" in over
    assert "900 days ago" not in over


def today_of(club: Club) -> date:
    return datetime.now(ZoneInfo(club.time_zone)).date()


def test_the_desk_sees_them_and_changes_nothing(log_in: LogIn, gym: Gym, session: Session) -> None:
    first = today_of(gym.club)
    life.close(
        gym.session, gym.club, scope=Scope.ALL, first=first, last=first, reason="Storm", by=BY, now=datetime.now(UTC)
    )
    gym.session.commit()
    (closure,) = in_force(session, gym)
    desk = log_in(Role.DESK)
    desk.get(f"/clubs/{gym.club.id}/closures/")
    assert f"{day_of(first)} now All sessions Storm" in desk.text
    assert "Close the club" not in desk.text
    for path in ("new", str(closure.id), f"{closure.id}/undo"):
        assert desk.get(f"/clubs/{gym.club.id}/closures/{path}").status_code == 403
    assert desk.get("/clubs/77/closures/").status_code == 404


def test_a_closure_of_another_club_is_not_found(manager: Browser, gym: Gym, session: Session) -> None:
    close(manager, gym, 3, 5)
    (closure,) = in_force(session, gym)
    other = gym.forgiving_club()
    gym.session.commit()
    for path in (f"{closure.id}", f"{closure.id}/undo"):
        assert manager.get(f"/clubs/{other.id}/closures/{path}").status_code == 404
