"""Reports in the console: each with its filter, plot, table and CSV, for managers."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from sqlalchemy import text

from models.ledger.redemptions import redeem
from models.reports import asked
from models.reports.known import REPORTS
from models.staff.accounts import Role
from tests.console.web.conftest import Browser
from tests.models.gym import BY, Gym, paid, tell

LogIn = Callable[[Role], Browser]


def test_a_manager_reads_each_report_and_takes_it_as_a_file(log_in: LogIn, gym: Gym) -> None:
    now = datetime.now(UTC)
    ada, bob = gym.join("sub_ada"), gym.join("sub_bob")
    tell(gym.session, paid("in_1", "sub_ada", at=now), now=now)
    redeem(gym.session, member_id=ada.member_id, item_id=gym.spin.id, quantity=3, key="k", by=BY, now=now)
    gym.session.commit()
    manager = log_in(Role.MANAGER)
    manager.get("/reports/")
    for report in REPORTS:
        assert report.about in manager.text
    said = {}
    for report in REPORTS:
        assert manager.get(f"/reports/{report.name}?club={gym.club.id}&days=90").status_code == 200, report.name
        said[report.name], drawn = manager.text, "<svg viewBox" in manager.page
        assert drawn == (report.name != "nothing-left")
        answer = manager.get(f"/reports/{report.name}.csv?club={gym.club.id}&days=90")
        rows = list(csv.DictReader(StringIO(answer.text, newline="")))
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert rows, report.name
    assert "Downtown Spin 5 5 0 0 0 0 $45.00" in said["outstanding"]  # 90.00 for 8 and 2
    assert "Downtown Spin 0 8 0 3 0 0 5" in said["months"]
    assert "Downtown Spin 8 3 0 0 5 38%" in said["used-share"]
    assert f"{bob.member.email} Downtown Gold" in said["nothing-left"]
    assert ada.member.email not in said["nothing-left"]
    manager.get("/reports/expiring?days=7")
    assert "There is nothing to report for this choice." in manager.text
    tomorrow = now.date() + timedelta(days=1)
    assert manager.get(f"/reports/outstanding?day={tomorrow}").status_code == 422
    assert "is not over yet at every club" in manager.text
    for wrong in ("club=x", "item=99", "day=soon"):
        assert manager.get(f"/reports/outstanding?{wrong}").status_code == 422
    assert manager.get("/reports/busy-hours?since=2024-02-01&until=2024-01-01").status_code == 422
    manager.get("/log/")
    assert "Export report outstanding" in manager.text


def test_a_report_that_takes_too_long_says_what_to_do(log_in: LogIn, gym: Gym, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = log_in(Role.MANAGER)
    monkeypatch.setattr(asked, "_FIT", text("SELECT set_config('statement_timeout', '1', true), pg_sleep(0)"))
    monkeypatch.setattr("models.reports.outstanding._REPORT_NOW", text("SELECT pg_sleep(20)"))
    assert manager.get("/reports/outstanding").status_code == 503
    assert "The report took too long, and was stopped." in manager.text
