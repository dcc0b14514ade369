"""API tokens in the console: shown once, listed, revoked."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.staff import accounts, tokens
from models.staff.accounts import Role, Staff
from models.staff.actions import Action, Actor
from models.staff.tokens import ApiToken
from tests.console.web.conftest import Browser

TEXT = re.compile(r"spp_[A-Za-z0-9_-]{43}")


@pytest.fixture
def admin(log_in: Callable[[Role], Browser]) -> Browser:
    browser = log_in(Role.ADMIN)
    browser.get("/tokens/new")
    return browser


def test_a_new_one_is_shown_once_and_works(admin: Browser, session: Session) -> None:
    answer = admin.post("/tokens/new", follow=False, name="Scheduler", scope="write")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    [text] = TEXT.findall(admin.page)
    token = tokens.verify(session, text, datetime.now(UTC))
    assert token
    assert (token.name, token.scope, token.owner.email) == ("Scheduler", "write", "admin@example.com")
    cookies = "".join(answer.headers.getlist("Set-Cookie"))
    assert text not in cookies
    session.commit()
    admin.get("/tokens/")
    assert "Scheduler read and write" in admin.text
    assert text[:12] in admin.text
    assert not TEXT.findall(admin.page)


def test_an_empty_list_says_what_tokens_are_for(admin: Browser) -> None:
    admin.get("/tokens/")
    assert "No tokens yet. A program such as a scheduler needs one" in admin.text


def test_one_can_act_as_another_account_that_may_do_less(
    admin: Browser, log_in: Callable[[Role], Browser], session: Session
) -> None:
    log_in(Role.DESK)
    desk = session.scalars(select(Staff).where(Staff.role == Role.DESK)).one()
    session.commit()
    admin.get("/tokens/new")
    assert f"{desk.email}, Desk" in admin.text
    admin.post("/tokens/new", name="Kiosk", scope="write", owner=str(desk.id))
    [token] = session.scalars(select(ApiToken))
    assert token.owner.email == desk.email
    act = session.scalars(select(Action).where(Action.verb == "make token")).one()
    assert (act.actor, act.subject.endswith(f"of {desk.email}")) == ("admin@example.com", True)


def test_none_acts_as_an_account_that_is_disabled_or_not_there(
    admin: Browser, log_in: Callable[[Role], Browser], session: Session
) -> None:
    log_in(Role.DESK)
    desk = session.scalars(select(Staff).where(Staff.role == Role.DESK)).one()
    accounts.disable(session, desk, by=Actor("tests", "here"), now=datetime.now(UTC))
    session.commit()
    for owner in (str(desk.id), "77"):
        assert admin.post("/tokens/new", name="Kiosk", scope="write", owner=owner).status_code == 422
        assert "Not a valid choice." in admin.text
    assert not session.scalars(select(ApiToken)).all()


@pytest.mark.parametrize(
    ("name", "scope", "told"),
    [
        ("", "read", "Type what the token is for."),
        (" ", "read", "A name is required."),
        ("n" * 201, "read", "Field cannot be longer than 200 characters."),
        ("Scheduler", "everything", "Not a valid choice."),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    admin: Browser, session: Session, name: str, scope: str, told: str
) -> None:
    assert admin.post("/tokens/new", name=name, scope=scope).status_code == 422
    assert told in admin.text
    assert not session.scalars(select(ApiToken)).all()


def test_revoking_asks_first_and_ends_it(admin: Browser, session: Session) -> None:
    admin.post("/tokens/new", name="Scheduler", scope="read")
    [text] = TEXT.findall(admin.page)
    [token] = session.scalars(select(ApiToken))
    admin.get(f"/tokens/{token.id}/revoke")
    assert "A revoked token cannot be brought back." in admin.text
    assert tokens.verify(session, text, datetime.now(UTC))
    session.commit()
    for _ in range(2):
        admin.post(f"/tokens/{token.id}/revoke")
        assert "Scheduler is revoked." in admin.text
    assert "Scheduler Revoked" in admin.text
    assert tokens.verify(session, text, datetime.now(UTC)) is None
    act = session.scalars(select(Action).where(Action.verb == "revoke token")).one()
    assert (act.actor, act.origin) == ("admin@example.com", "127.0.0.1")


@pytest.mark.parametrize("path", ["/tokens/77/revoke", "/tokens/x/revoke", "/tokens/" + "9" * 30 + "/revoke"])
def test_a_token_that_is_not_there(admin: Browser, path: str) -> None:
    assert admin.get(path).status_code == 404
    assert admin.post(path).status_code == 404
