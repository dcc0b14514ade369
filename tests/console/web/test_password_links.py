"""A password by mail: the link, what it is good for, and what its page gives away."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from console import links
from console.web.app import create_app
from models.staff import accounts
from models.staff.accounts import Role, Staff
from models.staff.actions import Action, Actor
from runtime.settings import DatabaseRole, Settings
from tests.console.listening import Mailbox, smtp
from tests.console.web.conftest import LOG_IN, NOW, PASSWORD, Browser
from tests.database_roles import as_role

NEW, FORGOT = "battery staple horse", "/login/forgot"


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with smtp() as box:
        yield box


@pytest.fixture
def site(settings: Settings, box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The console with a mail server."""
    monkeypatch.setenv("SPP_SMTP_URL", f"smtp://127.0.0.1:{box.port}")
    changes = {"console_secret": "x" * 32, "console_https": False, "console_url": "https://gym.example/"}
    app = create_app(as_role(Settings(**{**settings.model_dump(), **changes}), DatabaseRole.CONSOLE))
    app.testing = True
    yield app
    app.extensions["spp_engine"].dispose()


@pytest.fixture
def ben(session: Session) -> Staff:
    by = Actor("tests", "here")
    person = accounts.add(
        session, email="ben@example.com", name="Ben", role=Role.DESK, password=PASSWORD, by=by, now=NOW
    )
    session.commit()
    return person


def mailed(site: Flask, box: Mailbox) -> list[tuple[list[str], str]]:
    """To whom, and the path of the link; of all mails that are on their way."""
    way = links.of(site)
    assert way
    way.settle()
    texts = [(to, str(mail.get_payload(decode=True), "utf-8")) for to, mail in box.mails]
    found = [(to, re.search(r"https://gym\.example(/\S+)", text)) for to, text in texts]
    return [(to, link[1]) for to, link in found if link]


def test_a_link_sets_the_password_once(site: Flask, box: Mailbox, ben: Staff, stranger: Browser) -> None:
    at_desk = Browser(site.test_client())
    at_desk.get(LOG_IN)
    at_desk.post(LOG_IN, email=ben.email, password=PASSWORD)
    stranger.get(LOG_IN)
    assert "Forgot the password?" in stranger.text
    stranger.get(FORGOT)
    stranger.post(FORGOT, email=" BEN@example.com")
    [(to, link)] = mailed(site, box)
    assert to == ["ben@example.com"]
    stranger.get(link)
    assert "New password ben@example.com" in stranger.text
    assert stranger.post(link, password="short", again="short").status_code == 422
    stranger.post(link, password=NEW, again=NEW)
    assert "Your password is set: log in with it." in stranger.text
    assert at_desk.get("/members/").status_code == 302
    assert stranger.get(link).status_code == 404
    assert stranger.post(LOG_IN, follow=False, email=ben.email, password=PASSWORD).status_code == 401
    assert stranger.post(LOG_IN, follow=False, email=ben.email, password=NEW).headers["Location"] == "/"


def test_the_answer_tells_nothing_and_there_are_few_of_them(
    site: Flask, box: Mailbox, ben: Staff, stranger: Browser, session: Session
) -> None:
    accounts.disable(session, ben, by=Actor("tests", "here"), now=NOW)
    accounts.add(
        session, email="zoe@example.com", name="Zoe", role=Role.DESK, password=PASSWORD, by=Actor("a", "b"), now=NOW
    )
    session.commit()
    answers = []
    for email in ("nobody@example.com", "ben@example.com", "zoe@example.com"):
        stranger.get(FORGOT)
        stranger.post(FORGOT, email=email)
        answers.append(stranger.text)
        for _ in range(4):
            stranger.get(FORGOT)
            stranger.post(FORGOT, email=email)
        stranger.get(FORGOT)
        assert stranger.post(FORGOT, email=email).status_code == 429
    assert "If that address has an account, a mail with a link is on its way." in answers[0]
    assert answers[0] == answers[1] == answers[2]
    assert {to for [to], _ in mailed(site, box)} == {"zoe@example.com"}
    logged = select(Action.actor).where(Action.verb == "mail password link").distinct()
    assert session.scalars(logged).all() == ["somebody unknown"]


def test_a_link_is_over_after_an_hour_and_no_other_text_is_one(
    site: Flask, box: Mailbox, ben: Staff, stranger: Browser
) -> None:
    stranger.get(FORGOT)
    stranger.post(FORGOT, email=ben.email)
    [(_, link)] = mailed(site, box)
    assert stranger.get(link).status_code == 200
    for wrong in (link[:-1], link + "x", "/login/password/" + "W10.x", "/login/password/%F0%9F%98%80"):
        assert stranger.get(wrong).status_code == 404
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=61), tick=False):
        assert stranger.post(link, password=NEW, again=NEW).status_code == 404


def test_an_admin_invites_somebody_new(site: Flask, box: Mailbox, log_in: object, stranger: Browser) -> None:
    admin = log_in(Role.ADMIN)  # type: ignore[operator]
    admin.get("/staff/new")
    admin.post("/staff/new", email="zoe@example.com", name="Zoe", role="desk")
    [(to, link)] = mailed(site, box)
    assert (to, box.mails[0][1]["Subject"]) == (["zoe@example.com"], "Your account at Sessions Per Payment")
    with time_machine.travel(datetime.now(UTC) + timedelta(days=6), tick=False):
        stranger.get(link)
        stranger.post(link, password=NEW, again=NEW)
        assert stranger.post(LOG_IN, follow=False, email="zoe@example.com", password=NEW).headers["Location"] == "/"
