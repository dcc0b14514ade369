"""Imports over the API: a file as it is or in a form, judged, written and undone."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from sqlalchemy.orm import Session

from models.database.engine import sessions
from models.moving import working
from tests.console.api.conftest import ROOT, Caller, Json, answered, posted
from tests.models.gym import ENDPOINT, Gym

PEOPLE = "email,name,club,offer,picks,joined\nann@example.com,Ann Archer,Downtown,{offer},Spin,2024-03-01\n"


@pytest.fixture
def work(session: Session, gym: Gym) -> Callable[[], None]:
    """What a worker does."""
    make = sessions(session.get_bind())

    def work() -> None:
        while working.step(make, endpoints=(ENDPOINT,)):
            pass

    return work


def upload(caller: Caller, text: str, **more: Any) -> Json:
    query = {"kind": "people", "credits_from": "2026-11-01", "file_name": "x.csv"}
    headers = {**caller.headers, "Content-Type": "text/csv"}
    made = caller.client.post(f"{ROOT}/imports", query_string=query, data=text.encode(), headers=headers)
    assert made.headers.get("Location", "").startswith(f"{ROOT}/imports/"), made.text
    return posted(made)


def test_a_file_is_judged_written_and_undone(manager: Caller, work: Callable[[], None]) -> None:
    made = upload(manager, PEOPLE.format(offer="Silver"))
    assert (made["state"], made["rows"], made["file_name"]) == ("judging", 1, "x.csv")
    work()
    (row,) = manager.data(f"/imports/{made['id']}/rows", verdict="refused")
    assert (row["number"], row["problems"]) == (2, [{"column": "offer", "message": "There is no offer 'Silver'."}])
    refused = manager.post(f"/imports/{made['id']}/writing", {"expected": 1, "reason": "We move in"}, "one")
    assert "1 row is refused or in conflict" in answered(refused, 409)["detail"]
    again = upload(manager, PEOPLE.format(offer="Gold"))["id"]
    work()
    told = answered(manager.get(f"/imports/{again}"))
    assert (told["state"], told["why_not_written"]) == ("judged", None)
    assert told["totals"] == [
        {"club": "Downtown", "what": "Gold", "verdict": "new", "rows": 1, "sessions": None},
    ]
    answered(manager.post(f"/imports/{again}/writing", {"expected": 2, "reason": "We move in"}, "two"), 409)
    manager.make(f"/imports/{again}/writing", {"expected": 1, "reason": "We move in"})
    work()
    (row,) = manager.data(f"/imports/{again}/rows")
    assert answered(manager.get(f"/members/{row['member_id']}"))["email"] == "ann@example.com"
    manager.make(f"/imports/{again}/undoing", {"reason": "The wrong file"})
    work()
    assert [(one["id"], one["state"]) for one in manager.data("/imports")] == [
        (again, "undone"),
        (made["id"], "judged"),
    ]
    assert posted(manager.post(f"/imports/{made['id']}/discarding", None, "three"))["state"] == "discarded"


def test_columns_are_chosen(manager: Caller, work: Callable[[], None]) -> None:
    made = upload(manager, PEOPLE.format(offer="Gold").replace("email,", "Mail,"))
    assert (made["state"], made["unknown_columns"]) == ("unmapped", ["Mail"])
    path = f"/imports/{made['id']}/columns"
    wrong = answered(manager.post(path, {"mapping": {"Mail": "post"}}, "one"), 422)
    assert wrong["errors"][0]["pointer"] == "#/mapping"
    assert manager.make(path, {"mapping": {"Mail": "email"}})["state"] == "judging"
    work()
    assert answered(manager.get(f"/imports/{made['id']}"))["new_rows"] == 1


def test_what_is_no_file_is_refused(manager: Caller) -> None:
    def send(data: Any, mimetype: str | None, **query: str) -> Any:
        headers = {**manager.headers, **({"Content-Type": mimetype} if mimetype else {})}
        return manager.client.post(
            f"{ROOT}/imports", query_string={"kind": "people", **query}, data=data, headers=headers
        )

    in_form = send({"file": (BytesIO(PEOPLE.format(offer="Gold").encode()), "form.csv")}, None)
    assert posted(in_form)["file_name"] == "form.csv"
    assert answered(send({"other": "x"}, "multipart/form-data"), 422)["errors"][0]["pointer"] == "#/file"
    answered(send(b"{}", "application/json"), 415)
    answered(send(b"a" * (33 << 20), "text/csv"), 413)
    assert "row 2" in answered(send(b'email,name\n"ann', "text/csv"), 422)["detail"]
    assert answered(send(b"email\nx\n", "text/csv", kind="others"), 422)["errors"][0]["parameter"] == "kind"
    assert manager.get("/import-templates/people.csv").text.startswith("email,name,")
