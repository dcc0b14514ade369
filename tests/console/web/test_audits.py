"""Audits in the console: the last result large and plain, and every one before it."""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from models.audit.results import Audit
from models.staff.accounts import Role
from tests.console.web.conftest import Browser
from tests.models.gym import Gym

LogIn = Callable[[Role], Browser]
HEAD = bytes(range(32))


def kept(session: Session, *found: str, count: int | None = None) -> Audit:
    audit = Audit(
        started_at=datetime.now(UTC),
        entries=12,
        head_entry=9,
        head=HEAD,
        findings=len(found) if count is None else count,
        first_findings=list(found),
    )
    session.add(audit)
    session.commit()
    return audit


def test_before_the_first_it_says_how_to_run_one(log_in: LogIn, gym: Gym) -> None:
    viewer = log_in(Role.VIEWER)
    viewer.get("/audits/")
    assert "No audit has come to its end yet." in viewer.text


def test_the_last_result_is_told_with_its_head_and_those_before_it_stay(
    log_in: LogIn, gym: Gym, session: Session
) -> None:
    first = kept(session, "entry 7 is <gone>", "grant 3: remaining is 5, its entries sum to 4", count=30)
    viewer = log_in(Role.VIEWER)
    viewer.get("/audits/")
    assert "30 things do not add up" in viewer.text
    assert "entry 7 is <gone>" in viewer.text
    assert "The first 2 are shown" in viewer.text
    kept(session)
    viewer.get("/audits/")
    assert "Everything adds up." in viewer.text
    assert HEAD.hex() in viewer.text
    assert "30 wrong" in viewer.text
    viewer.get(f"/audits/{first.id}")
    assert "entry 7 is <gone>" in viewer.text
    assert viewer.get("/audits/99999").status_code == 404
