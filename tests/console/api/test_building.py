"""Clubs and items made by a program, by the rules of the pages."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from models.catalogue.clubs import Club
from models.catalogue.items import Item
from models.staff.actions import Action
from tests.console.api.conftest import Caller, Json, Paid, answered, posted
from tests.models.gym import Gym

CLUB: Json = {"name": "Uptown", "time_zone": "Europe/Berlin", "currency": "EUR", "shortfall_policy": "forgive"}
ITEM: Json = {"name": "Yoga", "kind": "scheduler_bucket", "session_type": "class"}


def acts(session: Session) -> list[tuple[str, str]]:
    """What was done by the API, in order."""
    session.rollback()
    query = select(Action.verb, Action.subject).where(Action.actor.startswith("token ")).order_by(Action.id)
    return [(verb, subject) for verb, subject in session.execute(query)]


def pointers(problem: Json) -> list[str]:
    return [fault["pointer"] for fault in problem["errors"]]


@pytest.fixture
def twice(manager: Caller) -> Iterator[None]:
    """Afterwards, nothing is there twice."""
    yield
    for path in ("/clubs", "/items"):
        names = [row["name"] for row in manager.data(path)]
        assert len(names) == len(set(names))


def test_a_club_is_made_and_changed(manager: Caller, gym: Gym, session: Session) -> None:
    response = manager.post("/clubs", CLUB, "club-1")
    made = posted(response)
    rules = {"refund_fee_percent": 5, "refund_fee_most_minor": 1000, "use_while_frozen": False}
    standing = {"use_while_overdue": "warn", "overdue_grace_days": 7, "apply_announcements": False, "locale": "en_US"}
    assert made == {"id": made["id"], **CLUB, **rules, **standing}
    assert response.headers["Location"] == f"/api/v1/clubs/{made['id']}"
    path = f"/clubs/{made['id']}"
    assert answered(manager.get(path)) == made
    assert answered(manager.patch(path, name="Upper town", currency="CHF")) == {
        **made,
        "name": "Upper town",
        "currency": "CHF",
    }
    answered(manager.patch(path))
    assert acts(session) == [
        (
            "create club",
            f"club {made['id']}, Uptown: Europe/Berlin, EUR, forgive, 5, 1000, False, warn, 7, False, en_US",
        ),
        ("edit club", f"club {made['id']}, Upper town: name Uptown -> Upper town, currency EUR -> CHF"),
    ]
    assert manager.delete(path).status_code == 204
    answered(manager.delete(path), 404)


def test_the_rest_of_a_club_has_defaults(manager: Caller, gym: Gym) -> None:
    made = manager.make("/clubs", {"name": "Uptown", "time_zone": "UTC", "currency": "USD"})
    assert (made["shortfall_policy"], made["refund_fee_percent"], made["refund_fee_most_minor"]) == ("repay", 5, 1000)
    path = f"/clubs/{made['id']}"
    changed = answered(manager.patch(path, refund_fee_percent=0, refund_fee_most_minor=0))
    assert changed == {**made, "refund_fee_percent": 0, "refund_fee_most_minor": 0}
    changed = answered(manager.patch(path, use_while_overdue="grace", overdue_grace_days=30))
    assert (changed["use_while_overdue"], changed["overdue_grace_days"]) == ("grace", 30)
    for wrong in (
        {"refund_fee_percent": 21}, {"refund_fee_most_minor": -1}, {"overdue_grace_days": 0},
        {"use_while_overdue": "never"},
    ):  # fmt: skip
        assert pointers(answered(manager.patch(path, **wrong), 422)) == [f"#/{next(iter(wrong))}"]


def test_an_item_is_made_changed_and_retired(manager: Caller, gym: Gym, session: Session) -> None:
    made = manager.make("/items", ITEM)
    assert made == {"id": made["id"], **ITEM, "good_at": "home", "club_ids": [], "retired": False}
    path = f"/items/{made['id']}"
    assert answered(manager.patch(path, session_type="personal_training"))["session_type"] == "personal_training"
    assert answered(manager.patch(path, kind="other"))["session_type"] is None
    for _ in range(2):
        assert answered(manager.patch(path, retired=True))["retired"]
    assert not answered(manager.patch(path, retired=False))["retired"]
    assert [verb for verb, _ in acts(session)] == [
        "create item",
        "edit item",
        "edit item",
        "retire item",
        "bring back item",
    ]
    assert manager.delete(path).status_code == 204
    answered(manager.get(path), 404)


@pytest.mark.parametrize(("path", "body"), [("/clubs", CLUB), ("/items", ITEM)], ids=["club", "item"])
def test_a_repetition_makes_no_second_one(
    manager: Caller, gym: Gym, twice: None, session: Session, path: str, body: Json
) -> None:
    first = manager.post(path, body, "key-1")
    made = posted(first)
    # Even after it was given another name, under which the first could be made again.
    answered(manager.patch(f"{path}/{made['id']}", name="Renamed"))
    again = manager.post(path, body, "key-1")
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert posted(manager.post(path, {**body, "name": "Else"}, "key-1"), 409)["type"].endswith("/key-reused")
    assert posted(manager.post("/offers", {"name": "Else"}, "key-1"), 409)["type"].endswith("/key-reused")
    posted(manager.post(path, body), 422)


def test_of_many_at_once_one_makes_it(site: Flask, manager: Caller, gym: Gym, twice: None) -> None:
    start = Barrier(8)

    def make(_: int) -> TestResponse:
        start.wait(timeout=30)
        return Caller(site.test_client(), manager.headers).post("/items", ITEM, "key-1")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(make, range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.data for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1


def test_a_refusal_has_not_used_up_its_key(manager: Caller, gym: Gym) -> None:
    posted(manager.post("/clubs", {**CLUB, "name": "Downtown"}, "key-1"), 409)
    posted(manager.post("/clubs", CLUB, "key-1"))


REFUSED: list[tuple[str, Json, int, str, str]] = [
    ("/clubs", {**CLUB, "name": "Downtown"}, 409, "name-taken", "#/name"),
    ("/clubs", {**CLUB, "name": " "}, 422, "name-missing", "#/name"),
    ("/clubs", {**CLUB, "name": ""}, 422, "invalid-request", "#/name"),
    ("/clubs", {**CLUB, "name": "x" * 201}, 422, "invalid-request", "#/name"),
    ("/clubs", {**CLUB, "name": "a\0b"}, 422, "invalid-request", "#/name"),
    ("/clubs", {**CLUB, "time_zone": "Mars/Base"}, 422, "wrong-time-zone", "#/time_zone"),
    ("/clubs", {**CLUB, "currency": "XYZ"}, 422, "wrong-currency-code", "#/currency"),
    ("/clubs", {**CLUB, "currency": "usd"}, 422, "invalid-request", "#/currency"),
    ("/clubs", {**CLUB, "shortfall_policy": "forget"}, 422, "invalid-request", "#/shortfall_policy"),
    ("/items", {**ITEM, "name": "Spin"}, 409, "name-taken", "#/name"),
    ("/items", {"name": "Yoga"}, 422, "session-type-missing", "#/session_type"),
    ("/items", {**ITEM, "kind": "service"}, 422, "invalid-request", "#/kind"),
]


def test_what_is_refused_names_its_field(manager: Caller, gym: Gym, session: Session) -> None:
    for path, body, status, kind, pointer in REFUSED:
        problem = posted(manager.post(path, body, "key-1"), status)
        assert (problem["type"], pointers(problem)) == (f"/api/v1/problems/{kind}", [pointer]), body
    assert len(session.scalars(select(Club)).all()) == 1
    assert len(session.scalars(select(Item)).all()) == 3
    assert acts(session) == []


def test_what_is_in_use_stays(manager: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    club, item = f"/clubs/{gym.club.id}", f"/items/{gym.spin.id}"
    for response, kind, at in (
        (manager.patch(club, currency="EUR"), "club-in-use", ["#/currency"]),
        (manager.patch(item, kind="other"), "item-in-use", ["#/kind"]),
        (manager.delete(club), "club-in-use", []),
        (manager.delete(item), "item-in-use", []),
    ):
        problem = answered(response, 409)
        assert (problem["type"], pointers(problem)) == (f"/api/v1/problems/{kind}", at)
    answered(manager.patch(item, name="Spinning", kind="scheduler_bucket"))
    assert [verb for verb, _ in acts(session)] == ["edit item"]


def test_a_change_to_null_or_to_nothing_known_is_refused(manager: Caller, gym: Gym) -> None:
    for changes in ({"name": None}, {"currency": None}, {"colour": "red"}):
        problem = answered(manager.patch(f"/clubs/{gym.club.id}", **changes), 422)
        assert pointers(problem) == [f"#/{next(iter(changes))}"]
    for path in ("/clubs/404", "/items/404"):
        answered(manager.patch(path, name="Nowhere"), 404)
        answered(manager.delete(path), 404)
