"""Pausing an endpoint in the console, which every page tells of."""

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.inbox.pauses import paused
from models.staff.accounts import Role
from models.staff.actions import Action
from tests.console.web.conftest import Browser

LogIn = Callable[[Role], Browser]


def test_who_when_and_why_stand_on_every_page_until_it_is_resumed(log_in: LogIn, session: Session) -> None:
    operator, desk = log_in(Role.OPERATOR), log_in(Role.DESK)
    operator.get("/operations/endpoints/stripe/pause")
    operator.post("/operations/endpoints/stripe/pause", reason="Wrong <terms>")
    assert "stripe is paused. Its webhooks are still received and kept." in operator.text
    for page in ("/members/", "/offers/", "/nowhere"):
        desk.get(page)
        assert "stripe is paused since" in desk.text
        assert "by operator@example.com: Wrong <terms>." in desk.text
        assert "Resume" not in desk.text
        assert "<terms>" not in desk.page
    assert [pause.endpoint for pause in paused(session)] == ["stripe"]
    operator.get("/operations/endpoints/stripe/resume")
    operator.post("/operations/endpoints/stripe/resume", reason="Terms are right")
    desk.get("/members/")
    assert "is paused" not in desk.text
    session.rollback()
    assert paused(session) == []
    written = session.execute(
        select(Action.verb, Action.subject, Action.reason).where(Action.subject.like("endpoint %")).order_by(Action.id)
    ).all()
    assert [tuple(row) for row in written] == [
        ("pause", "endpoint stripe", "Wrong <terms>"),
        ("resume", "endpoint stripe", "Terms are right"),
    ]


def test_what_is_not_paused_offers_no_resume(log_in: LogIn) -> None:
    operator = log_in(Role.OPERATOR)
    operator.get("/operations/endpoints/stripe/resume")
    assert "stripe is not paused: there is nothing to resume." in operator.text
    assert "<textarea" not in operator.page
    operator.get("/operations/endpoints/stripe/pause")
    operator.post("/operations/endpoints/stripe/pause", reason="Wrong terms")
    operator.get("/operations/endpoints/stripe/pause")
    assert "stripe is paused already." in operator.text
    assert "<textarea" not in operator.page


def test_what_is_refused_is_said(log_in: LogIn) -> None:
    operator = log_in(Role.OPERATOR)
    operator.get("/operations/endpoints/stripe/pause")
    assert operator.post("/operations/endpoints/stripe/pause", reason="").status_code == 422
    assert "Say why." in operator.text
    operator.post("/operations/endpoints/stripe/resume", reason="Go on")
    assert "stripe is not paused." in operator.text
    operator.post("/operations/endpoints/stripe/pause", reason="Stop")
    operator.get("/operations/endpoints/stripe/pause")
    operator.post("/operations/endpoints/stripe/pause", reason="Stop again")
    assert "stripe is paused already." in operator.text
    assert operator.get("/operations/endpoints/unknown/pause").status_code == 404
