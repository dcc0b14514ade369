"""Expiry in the console: what expires next, a stopped run that a person allows, and a run that is undone."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.ledger import expiry, expiry_undo
from models.ledger.expiry import Breaker, ExpiryRun
from models.members.memberships import Membership
from models.staff.accounts import Role
from models.staff.actions import Action
from tests.console.web.conftest import Browser
from tests.models.gym import CLASSES, Gym, entries, grant_of, paid, tell

LogIn = Callable[[Role], Browser]
NOW = datetime.now(ZoneInfo("America/Chicago"))
"""At the club, where days begin and end."""
NEXT_WEEK = NOW.date() + timedelta(days=7)


def pay(gym: Gym, reference: str, *, days_ago: int) -> Membership:
    """A member whose 8 classes are good for 30 days from that day on."""
    membership = gym.join(reference)
    paid_at = NOW - timedelta(days=days_ago)
    tell(gym.session, paid(f"in_{reference}", reference, at=paid_at.astimezone(UTC)))
    return membership


def expire(session: Session, grants_from: int = 1000) -> ExpiryRun:
    more = True
    while more:
        _, more = expiry.step(session, as_of=datetime.now(UTC), breaker=Breaker(grants_from, 5))
        session.commit()
    query = select(ExpiryRun).execution_options(populate_existing=True)
    return session.scalars(query).one()


def test_what_expires_next_and_nothing_else(log_in: LogIn, gym: Gym) -> None:
    for reference, days_ago in (("over", 40), ("today", 30), ("tomorrow", 29), ("next", 24), ("later", 23)):
        pay(gym, reference, days_ago=days_ago)
    viewer = log_in(Role.VIEWER)
    viewer.get("/expiry/")
    assert "Downtown Spin 8 8 24 3 3 Sessions by their last usable day" in viewer.text
    assert "Training" not in viewer.text
    assert "Undo" not in viewer.text


def test_the_export_has_each_lot_and_no_formula(log_in: LogIn, gym: Gym, session: Session) -> None:
    first, second = pay(gym, "today", days_ago=30), pay(gym, "next", days_ago=25)
    first.member.name, second.member.name = '=HYPERLINK("http://evil", "x")', "Ünal, Ada"
    gym.club.name = "@Downtown"
    session.commit()
    answer = log_in(Role.VIEWER).get("/expiry/expiring.csv")
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="expiring-')
    today = NOW.date()
    assert list(csv.reader(StringIO(answer.get_data(as_text=True)))) == [
        ["member", "e-mail", "club", "item", "sessions", "last usable day", "usable from"],
        ['\'=HYPERLINK("http://evil", "x")', first.member.email, "'@Downtown", "Spin", "8", str(today), ""],
        ["Ünal, Ada", second.member.email, "'@Downtown", "Spin", "8", str(today + timedelta(days=5)), ""],
    ]


def test_a_stopped_run_is_told_and_an_operator_allows_it(log_in: LogIn, gym: Gym, session: Session) -> None:
    for number in range(3):
        pay(gym, f"sub_{number}", days_ago=60)
    run = expire(session, grants_from=2)
    viewer, operator = log_in(Role.VIEWER), log_in(Role.OPERATOR)
    viewer.get("/expiry/")
    assert f"Run {run.id} was stopped: 3 grants have expired and are not written down" in viewer.text
    assert "Allow" not in viewer.text
    operator.get(f"/expiry/{run.id}/allow")
    assert operator.post(f"/expiry/{run.id}/allow", reason=" ").status_code == 422
    assert "Say why: a note is required." in operator.text
    operator.post(f"/expiry/{run.id}/allow", reason="A season <ended>")
    assert "goes on. What has expired is written down within a minute." in operator.text
    assert "was stopped" not in operator.text
    assert "Allowed by operator@example.com" in operator.text
    assert "“A season <ended>”" in operator.text
    assert expire(session, grants_from=2).grants == 3
    operator.get(f"/expiry/{run.id}/allow")
    assert "There is nothing to allow" in operator.text
    operator.post(f"/expiry/{run.id}/allow", reason="Again")
    assert f"Expiry run {run.id} is finished, so it cannot be allowed." in operator.text


@pytest.mark.parametrize("until", ["day", "never"])
def test_an_operator_has_a_run_undone(log_in: LogIn, gym: Gym, session: Session, until: str) -> None:
    membership = pay(gym, "sub", days_ago=60)
    run = expire(session)
    operator = log_in(Role.OPERATOR)
    operator.get("/expiry/")
    assert "Undo" in operator.text
    path = f"/expiry/{run.id}/undo"
    operator.get(path)
    assert operator.post(path, until="day", last_day="", reason="Wrong terms").status_code == 422
    assert "Choose the last day" in operator.text
    assert operator.post(path, until="day", last_day="2024-01-01", reason="Wrong terms").status_code == 422
    assert "That day is over" in operator.text
    operator.post(path, until=until, last_day=str(NEXT_WEEK), reason="Wrong terms")
    assert f"Run {run.id} is being undone." in operator.text
    while expiry_undo.step(session, now=datetime.now(UTC)):
        session.commit()
    operator.get("/expiry/")
    assert "1 of 1 grants undone, 8 sessions" in operator.text
    assert ("Usable to the end of" if until == "day" else "They never expire") in operator.text
    grant = grant_of(session, membership, gym.spin)
    assert (grant.remaining, grant.expires_at is None) == (CLASSES, until == "never")
    act = session.get_one(Action, expire(session).undone_by)
    assert (act.actor, act.verb, act.reason) == ("operator@example.com", "undo expiry", "Wrong terms")
    # The member's statement says what happened, and the entry who did it.
    operator.get(f"/members/{membership.member_id}")
    assert "Expired sessions brought back" in operator.text
    (back,) = (entry for entry in entries(session, grant) if entry.kind == "expiry" and entry.quantity > 0)
    operator.get(f"/members/{membership.member_id}/entries/{back.id}")
    assert "Expired sessions brought back" in operator.text
    assert "Wrong terms" in operator.text
    assert "The days of these sessions were over" not in operator.text


def test_a_run_that_is_not_there_is_not_found(log_in: LogIn, gym: Gym) -> None:
    operator = log_in(Role.OPERATOR)
    for path in ("/expiry/99/undo", "/expiry/99/allow", "/expiry/?before=x"):
        assert operator.get(path).status_code == 404
