"""Exports over the API: for tokens whose owner is a manager, of either scope."""

import csv
from io import StringIO

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.moving.exports import EXPORTS
from models.staff.accounts import Role
from models.staff.actions import Action
from models.staff.tokens import TokenScope
from tests.console.api.conftest import Caller, Issue, Paid, answered


def test_a_manager_s_token_takes_each_file(issue: Issue, ada: Paid, session: Session) -> None:
    token = issue(TokenScope.READ, Role.MANAGER)
    for export in EXPORTS:
        answer = token.caller.get(f"/exports/{export.name}.csv")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
        rows = list(csv.reader(StringIO(answer.text, newline="")))
        assert rows[0] == [column.name for column in export.columns]
    made = session.scalars(select(Action).where(Action.verb == "export").order_by(Action.id)).all()
    assert [one.subject for one in made] == [export.name for export in EXPORTS]
    assert made[0].actor.startswith(f"token {token.token.id} ")
    assert token.caller.get("/exports/grants.csv", as_of="2024-01-01T00:00:00Z").text.count("\r\n") == 1


def test_others_do_not(reader: Caller, api: Caller, issue: Issue, ada: Paid) -> None:
    for caller in (reader, api, issue(TokenScope.WRITE, Role.OPERATOR).caller):
        refused = answered(caller.get("/exports/members.csv"), 403)
        assert "Needs a token whose owner is manager or admin." in refused["detail"]
    manager = issue(TokenScope.READ, Role.MANAGER).caller
    assert answered(manager.get("/exports/members.csv", as_of="soon"), 422)["errors"][0]["parameter"] == "as_of"
    assert answered(manager.get("/exports/nobody.csv"), 404)
