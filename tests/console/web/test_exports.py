"""Exports in the console: the list of files, and a download that the action log has."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO

from models.moving.exports import EXPORTS
from models.staff.accounts import Role
from tests.console.web.conftest import Browser
from tests.models.gym import Gym, paid, tell

LogIn = Callable[[Role], Browser]


def test_a_manager_takes_every_file_now_or_as_of_a_moment(log_in: LogIn, gym: Gym) -> None:
    ada = gym.join("sub_ada")
    tell(gym.session, paid("in_1", "sub_ada", at=datetime.now(UTC)), now=datetime.now(UTC))
    manager = log_in(Role.MANAGER)
    manager.get("/exports/")
    listed = manager.text
    for export in EXPORTS:
        assert f"{export.about} {len(export.columns)} columns" in listed
        answer = manager.get(f"/exports/{export.name}.csv")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
        assert answer.headers["Content-Disposition"].startswith(f'attachment; filename="{export.name}-2')
    rows = list(csv.DictReader(StringIO(manager.get("/exports/members.csv").text, newline="")))
    assert [(row["email"], row["item"], row["usable"]) for row in rows] == [
        (ada.member.email, "Spin", "8"),
        (ada.member.email, "Training", "2"),
    ]
    assert manager.get("/exports/members.csv?as_of=2024-03-01T12:00").text.count("\r\n") == 1
    manager.get("/log/")
    assert "Export members, as of 2024-03-01 18:00 UTC" in manager.text
    manager.get("/exports/?as_of=2024-03-01T12:00")
    assert 'href="/exports/members.csv?as_of=2024-03-01T12:00"' in manager.page
    assert manager.get("/exports/nobody.csv").status_code == 404
    assert manager.get("/exports/members.csv?as_of=soon", follow_redirects=True).status_code == 422
    assert "Write a date and a time" in manager.text
