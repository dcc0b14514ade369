"""Staff accounts in the console, and everybody's own password."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.staff import accounts, tokens
from models.staff.accounts import Role, Staff
from models.staff.actions import Action, Actor
from models.staff.tokens import TokenScope
from tests.console.web.conftest import LOG_IN, NOW, PASSWORD, Browser
from tests.models.gym import Gym

LogIn = Callable[[Role], Browser]
NEW = "battery staple horse"


@pytest.fixture
def admin(log_in: LogIn) -> Browser:
    browser = log_in(Role.ADMIN)
    browser.get("/staff/new")
    return browser


@pytest.fixture
def ben(session: Session) -> Staff:
    person = accounts.add(
        session,
        email="ben@example.com",
        name="Ben",
        role=Role.DESK,
        password=PASSWORD,
        by=Actor("tests", "here"),
        now=NOW,
    )
    session.commit()
    return person


def reread(session: Session, person: Staff) -> Staff:
    session.rollback()
    session.refresh(person)
    return person


def acts(session: Session) -> list[tuple[str, str]]:
    """What admin@example.com did, without logging in."""
    session.rollback()
    query = select(Action).where(Action.actor == "admin@example.com", Action.verb != "log in").order_by(Action.id)
    return [(act.verb, act.subject) for act in session.scalars(query)]


class TestAccounts:
    def test_a_new_one_can_log_in(self, admin: Browser, session: Session, stranger: Browser) -> None:
        admin.post("/staff/new", email=" Zoe@Example.com", name="Zoe", role="desk", password=NEW)
        assert "Zoe can log in as zoe@example.com." in admin.text
        assert "Zoe zoe@example.com Desk All never" in admin.text
        assert acts(session)[0][0] == "add account"
        stranger.get(LOG_IN)
        assert stranger.post(LOG_IN, follow=False, email="zoe@example.com", password=NEW).status_code == 302

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"email": "zoe"}, "'zoe' is not an e-mail address."),
            ({"email": "BEN@example.com"}, "There is already a staff account 'ben@example.com'."),
            ({"email": "z" * 201}, "Field cannot be longer than 200 characters."),
            ({"name": " "}, "A name is required."),
            ({"name": "z" * 201}, "Field cannot be longer than 200 characters."),
            ({"role": "owner"}, "Not a valid choice."),
            ({"password": "short"}, "The password has 5 characters: choose one of at least 12."),
            ({"password": "p" * 1001}, "Field cannot be longer than 1000 characters."),
            ({"email": "abcdefghi@x.org", "password": "abcdefghi@x.org"}, "The password is the login name"),
        ],
    )
    def test_what_is_wrong_stands_beside_its_field(
        self, admin: Browser, ben: Staff, session: Session, wrong: dict[str, Any], told: str
    ) -> None:
        sent = {"email": "zoe@example.com", "name": "Zoe", "role": "desk", "password": NEW}
        assert admin.post("/staff/new", **sent | wrong).status_code == 422
        assert told in admin.text
        assert not acts(session)

    def test_nobodys_account_is_not_found(self, admin: Browser) -> None:
        assert admin.get("/staff/77").status_code == 404
        for act in ("role", "password", "disable", "enable"):
            assert admin.post(f"/staff/77/{act}").status_code == 404


class TestRole:
    def test_it_changes_at_once(
        self, admin: Browser, ben: Staff, session: Session, as_ben: Callable[[], Browser]
    ) -> None:
        theirs = as_ben()
        assert theirs.get("/sign-up/").status_code == 200
        admin.post(f"/staff/{ben.id}/role", role="viewer")
        assert "Ben is viewer now." in admin.text
        assert theirs.get("/sign-up/").status_code == 403
        assert acts(session) == [("change role", f"staff account {ben.id}, ben@example.com from desk to viewer")]

    def test_the_last_admin_keeps_it(self, admin: Browser, session: Session) -> None:
        me = session.scalars(select(Staff)).one()
        assert admin.post(f"/staff/{me.id}/role", role="desk").status_code == 422
        assert "admin@example.com is the last active admin: make somebody else an admin first." in admin.text
        assert reread(session, me).role == "admin"

    def test_it_is_bound_to_clubs(self, admin: Browser, gym: Gym, ben: Staff, session: Session) -> None:
        admin.post(f"/staff/{ben.id}/clubs", clubs=str(gym.club.id))
        assert "Ben sees Downtown." in admin.text
        assert "Ben ben@example.com Desk Downtown never" in admin.text
        assert reread(session, ben).club_ids == [gym.club.id]
        admin.get(f"/staff/{ben.id}")
        assert re.search(rf'<input checked[^>]*name="clubs"[^>]*value="{gym.club.id}"', admin.page)
        admin.post(f"/staff/{ben.id}/clubs", clubs="99")
        assert reread(session, ben).club_ids == [gym.club.id]
        admin.post(f"/staff/{ben.id}/clubs")
        assert "Ben sees all clubs." in admin.text

    @pytest.mark.parametrize("role", ["", "owner", "\0"])
    def test_garbage_is_no_role(self, admin: Browser, ben: Staff, session: Session, role: str) -> None:
        assert admin.post(f"/staff/{ben.id}/role", role=role).status_code == 422
        assert reread(session, ben).role == "desk"


class TestDisabling:
    def test_it_ends_the_sessions_and_enabling_does_not_bring_them_back(
        self, admin: Browser, ben: Staff, session: Session, as_ben: Callable[[], Browser]
    ) -> None:
        theirs = as_ben()
        admin.post(f"/staff/{ben.id}/disable")
        assert "Ben cannot log in any more, and is logged out." in admin.text
        assert "Ben Disabled" in admin.text
        assert theirs.get("/members/").status_code == 302
        admin.post(f"/staff/{ben.id}/enable")
        assert "Ben can log in again, as desk." in admin.text
        assert theirs.get("/members/").status_code == 302
        assert as_ben().get("/members/").status_code == 200
        assert [verb for verb, _ in acts(session)] == ["disable account", "enable account"]

    def test_the_page_says_what_becomes_of_the_tokens(self, admin: Browser, ben: Staff, session: Session) -> None:
        for _ in range(2):
            made = tokens.make(session, ben, name="Scheduler", scope=TokenScope.READ, by=Actor("tests", "here"))
        tokens.revoke(session, made.token.id, by=Actor("tests", "here"), now=NOW)
        session.commit()
        admin.get(f"/staff/{ben.id}")
        assert "Ben is logged out and cannot log in, and 1 API token stops working." in admin.text
        accounts.disable(session, ben, by=Actor("tests", "here"), now=NOW)
        session.commit()
        admin.get(f"/staff/{ben.id}")
        assert "and 1 API token works again." in admin.text

    def test_the_last_admin_stays(self, admin: Browser, session: Session) -> None:
        me = session.scalars(select(Staff)).one()
        admin.post(f"/staff/{me.id}/disable")
        assert "admin@example.com is the last active admin" in admin.text
        assert reread(session, me).active


class TestPasswords:
    def test_one_that_an_admin_sets_ends_the_sessions(
        self, admin: Browser, ben: Staff, session: Session, as_ben: Callable[[], Browser]
    ) -> None:
        theirs = as_ben()
        assert admin.post(f"/staff/{ben.id}/password", password="short").status_code == 422
        assert "choose one of at least 12" in admin.text
        assert theirs.get("/members/").status_code == 200
        admin.post(f"/staff/{ben.id}/password", password=NEW)
        assert "Ben has a new password, and has to log in with it." in admin.text
        assert theirs.get("/members/").status_code == 302
        assert accounts.verify(reread(session, ben), NEW)

    def test_ones_own_ends_the_other_sessions_and_not_this_one(
        self, ben: Staff, session: Session, as_ben: Callable[[], Browser]
    ) -> None:
        here, there = as_ben(), as_ben()
        here.get("/staff/password")
        here.post("/staff/password", current=PASSWORD, password=NEW, again=NEW)
        assert "Your password is changed." in here.text
        assert here.get("/members/").status_code == 200
        assert there.get("/members/").status_code == 302
        assert accounts.verify(reread(session, ben), NEW)
        act = session.scalars(select(Action).where(Action.verb == "change password")).one()
        assert act.actor == "ben@example.com"

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"current": "wrong"}, "That is not your password: type the one that you log in with."),
            ({"current": ""}, "Type the password that you log in with."),
            ({"again": "something else"}, "This is not the same as above."),
            ({"password": "short", "again": "short"}, "choose one of at least 12"),
            ({"password": "ben@example.com", "again": "ben@example.com"}, "The password is the login name"),
            ({"password": "", "again": ""}, "Type the new password."),
        ],
    )
    def test_what_is_wrong_stands_beside_its_field(
        self, ben: Staff, session: Session, as_ben: Callable[[], Browser], wrong: dict[str, Any], told: str
    ) -> None:
        here = as_ben()
        here.get("/staff/password")
        sent = {"current": PASSWORD, "password": NEW, "again": NEW}
        assert here.post("/staff/password", **sent | wrong).status_code == 422
        assert told in here.text
        assert accounts.verify(reread(session, ben), PASSWORD)

    def test_it_cannot_be_guessed_from_a_session_left_open(
        self, ben: Staff, session: Session, as_ben: Callable[[], Browser]
    ) -> None:
        here = as_ben()
        here.get("/staff/password")
        for _ in range(5):
            here.post("/staff/password", current="wrong", password=NEW, again=NEW)
        assert here.post("/staff/password", current=PASSWORD, password=NEW, again=NEW).status_code == 422
        assert "Too many failed logins: try again in 15 min." in here.text
        assert accounts.verify(reread(session, ben), PASSWORD)


@pytest.fixture
def as_ben(site: Flask, ben: Staff) -> Callable[[], Browser]:
    """Logs Ben in, each time in a browser of its own."""

    def enter() -> Browser:
        browser = Browser(site.test_client())
        browser.get(LOG_IN)
        assert browser.post(LOG_IN, follow=False, email="ben@example.com", password=PASSWORD).status_code == 302
        return browser

    return enter
