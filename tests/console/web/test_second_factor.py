"""The second factor on the pages: set up, asked for at login, needed by a role, removed by an admin."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pyotp
from flask import Flask
from sqlalchemy.orm import Session

from models.staff import accounts
from models.staff.accounts import Role
from tests.console.web.conftest import LOG_IN, PASSWORD, Browser

LogIn = Callable[[Role], Browser]
PAGE, CODE = "/staff/second-factor/", "/login/code"


def set_up(desk: Browser) -> tuple[pyotp.TOTP, list[str]]:
    """The app, and the recovery codes."""
    desk.get(PAGE)
    found = re.search(r"type this into the app: ([A-Z2-7]{32})", desk.text)
    assert found
    app = pyotp.TOTP(found[1])
    desk.post(PAGE, code=app.now(), current=PASSWORD)
    assert "They are shown this once." in desk.text
    return app, re.findall(r"(?:[a-z2-7]{4}-){3}[a-z2-7]{4}", desk.text)


def password(browser: Browser, to: str = LOG_IN) -> str:
    """Where the right password leads to."""
    browser.get(LOG_IN)
    answer = browser.post(to, follow=False, email="desk@example.com", password=PASSWORD)
    return answer.headers.get("Location", "")


def later(app: pyotp.TOTP, steps: int = 1) -> str:
    return app.at(datetime.now(UTC) + timedelta(seconds=30 * steps))


def test_login_asks_for_a_code_once_it_is_set_up(log_in: LogIn, stranger: Browser) -> None:
    desk = log_in(Role.DESK)
    app, codes = set_up(desk)
    assert password(stranger, f"{LOG_IN}?next=/offers/") == f"{CODE}?next=/offers/"
    assert stranger.get("/members/").status_code == 302  # the password alone is no login
    stranger.get(f"{CODE}?next=/offers/")
    assert stranger.post(CODE, code="000000").status_code == 401
    assert "That is not a code that can be used now" in stranger.text
    code = later(app)
    assert stranger.post(f"{CODE}?next=/offers/", follow=False, code=code).headers["Location"] == "/offers/"
    assert stranger.get("/members/").status_code == 200
    other = Browser(stranger.client.application.test_client())
    password(other)
    other.get(CODE)
    assert other.post(CODE, code=code).status_code == 401
    assert other.post(CODE, follow=False, code=codes[3]).status_code == 302
    assert other.get("/members/").status_code == 200


def test_the_page_for_the_code_is_over_with_the_password(log_in: LogIn, stranger: Browser, session: Session) -> None:
    app, _ = set_up(log_in(Role.DESK))
    assert stranger.get(CODE).headers["Location"] == LOG_IN
    password(stranger)
    stranger.get(CODE)
    person = accounts.find(session, "desk@example.com")
    assert person
    person.password_changed_at = datetime.now(UTC)
    session.commit()
    assert stranger.post(CODE, follow=False, code=later(app)).headers["Location"] == LOG_IN


def test_nobody_sets_it_up_or_turns_it_off_without_the_password(log_in: LogIn, stranger: Browser) -> None:
    desk = log_in(Role.DESK)
    set_up(desk)
    desk.get(f"{PAGE}off")
    desk.post(f"{PAGE}off", current="wrong")
    assert "That is not your password" in desk.text
    assert password(stranger) == CODE
    desk.post(f"{PAGE}off", current=PASSWORD)
    assert "You log in with your password alone from now on." in desk.text
    assert password(stranger) == "/"


def test_a_role_can_need_it(site: Flask, log_in: LogIn) -> None:
    desk, viewer = log_in(Role.DESK), log_in(Role.VIEWER)
    needed = site.config["SPP"].model_copy(update={"second_factor_roles": "desk admin"})
    site.config["SPP"] = needed
    assert desk.get("/members/").headers["Location"] == PAGE
    assert desk.get(PAGE).status_code == 200
    assert "Your role needs a second factor." in desk.text
    assert viewer.get("/members/").status_code == 200
    set_up(desk)
    assert desk.get("/members/").status_code == 200


def test_an_admin_removes_it_for_who_lost_it(log_in: LogIn, stranger: Browser, session: Session) -> None:
    set_up(log_in(Role.DESK))
    admin, person = log_in(Role.ADMIN), accounts.find(session, "desk@example.com")
    assert person
    admin.get(f"/staff/{person.id}")
    admin.post(f"/staff/{person.id}/second-factor")
    assert "Desk logs in with the password alone" in admin.text
    assert password(stranger) == "/"
