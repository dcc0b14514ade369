"""Check-in: redeem, retry, return."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from models.ledger.redemptions import Redemption
from models.ledger.tables import LedgerEntry
from models.staff.accounts import Role
from models.staff.actions import Action
from models.staff.tokens import TokenScope
from tests.console.api.conftest import PAID_AT, Caller, Issue, Json, Paid, answered, posted
from tests.models.gym import CLASSES, Gym, paid, tell


def wish(ada: Paid, gym: Gym, quantity: int = 1) -> Json:
    return {"member_id": ada.id, "item_id": gym.spin.id, "quantity": quantity}


def test_a_redemption_takes_sessions_and_says_from_where(api: Caller, gym: Gym, ada: Paid) -> None:
    response = api.post("/redemptions", wish(ada, gym, 3), "check-in-1")
    done = posted(response)
    (grant,) = (row for row in api.data(f"/members/{ada.id}/grants") if row["item"] == "Spin")
    assert done["draws"] == [{"grant_id": grant["id"], "quantity": 3}]
    assert (done["member_id"], done["item_id"], done["quantity"]) == (ada.id, gym.spin.id, 3)
    assert api.usable(ada.id, "Spin") == CLASSES - 3
    assert "Idempotency-Replayed" not in response.headers
    assert response.headers["Location"] == f"/api/v1/redemptions/{done['id']}"


def test_the_same_request_again_takes_nothing_and_gets_the_first_answer(api: Caller, gym: Gym, ada: Paid) -> None:
    first = api.post("/redemptions", wish(ada, gym), "check-in-1")
    posted(api.post(f"/redemptions/{posted(first)['id']}/returns", {}, "cancel-1"))
    again = api.post("/redemptions", wish(ada, gym), "check-in-1")
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert api.usable(ada.id, "Spin") == CLASSES


def test_a_key_used_for_something_else_is_a_conflict(
    api: Caller, manager: Caller, gym: Gym, session: Session, ada: Paid
) -> None:
    """For other content, or for another kind of request."""
    spent = posted(api.post("/redemptions", wish(ada, gym), "check-in-1"))
    back = f"/redemptions/{spent['id']}/returns"
    posted(api.post(back, {"quantity": 1}, "cancel-1"))
    joins = {"club_id": gym.club.id, "payment_term_id": gym.term.id, "item_ids": [gym.spin.id], "name": "Eve"}
    joins["email"] = "eve@example.com"
    posted(api.post("/memberships", joins, "order-1"))
    given = {"member_id": ada.id, "item_id": gym.spin.id, "quantity": 1, "reason": "goodwill", "note": "sorry"}
    before = session.scalar(select(func.count(LedgerEntry.id)))
    for path, asked, key in (
        ("/redemptions", wish(ada, gym, 2), "check-in-1"),
        (back, {}, "cancel-1"),
        (back, {"quantity": 1}, "check-in-1"),
        ("/adjustments", given, "check-in-1"),
        ("/memberships", joins, "cancel-1"),
        ("/memberships", joins | {"name": "Adam"}, "order-1"),
    ):
        problem = posted(manager.post(path, asked, key), 409)
        assert problem["type"] == "/api/v1/problems/key-reused", (path, key)
    assert session.scalar(select(func.count(LedgerEntry.id))) == before


def test_the_same_request_many_times_at_once_takes_once(
    site: Flask, api: Caller, gym: Gym, ada: Paid, session: Session
) -> None:
    start = Barrier(8)

    def check_in(_: int) -> TestResponse:
        start.wait(timeout=30)
        return Caller(site.test_client(), api.headers).post("/redemptions", wish(ada, gym), "check-in-1")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(check_in, range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.data for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert session.scalar(select(func.count()).select_from(Redemption)) == 1


def test_too_few_sessions_is_said_in_words_and_figures(api: Caller, gym: Gym, ada: Paid) -> None:
    problem = posted(api.post("/redemptions", wish(ada, gym, 9), "check-in-1"), 422)
    assert problem["type"] == "/api/v1/problems/too-few-sessions"
    assert problem["detail"] == "9 Spin sessions asked for, 8 usable: nothing was taken."
    assert problem["details"] == {"asked": 9, "item": "Spin", "usable": 8}
    posted(api.post("/redemptions", wish(ada, gym, 8), "check-in-1"))  # a refusal does not use up its key


def test_what_cannot_be_is_refused(api: Caller, gym: Gym, ada: Paid) -> None:
    for change in (
        {"member_id": 404},
        {"item_id": 404},
        {"quantity": 0},
        {"quantity": 10001},
        {"quantity": "1"},
        {"x": 1},
    ):
        posted(api.post("/redemptions", {**wish(ada, gym), **change}, "check-in-1"), 422)
    assert api.usable(ada.id, "Spin") == CLASSES


def test_a_key_is_required_and_must_be_one(api: Caller, gym: Gym, ada: Paid) -> None:
    for key, found in (
        (None, "missing"),
        ("", "empty"),
        ("with blank", "' '"),
        ("x" * 256, "it has 256"),
        ("\xe9", "'\\xe9'"),
        ("a\tb", "'\\t'"),
    ):
        problem = posted(api.post("/redemptions", wish(ada, gym), key), 422)
        [fault] = problem["errors"]
        assert (fault["header"], "ASCII letters, digits and punctuation" in fault["detail"]) == (
            "Idempotency-Key",
            True,
        )
        assert found in fault["detail"]
    assert api.usable(ada.id, "Spin") == CLASSES
    posted(api.post("/redemptions", wish(ada, gym), "~" * 255))


def test_what_is_returned_goes_back_to_where_it_came_from(api: Caller, gym: Gym, ada: Paid) -> None:
    spent = posted(api.post("/redemptions", wish(ada, gym, 3), "check-in-1"))
    path = f"/redemptions/{spent['id']}/returns"
    one = api.post(path, {"quantity": 1}, "cancel-1")
    rest = posted(api.post(path, {}, "cancel-2"))
    assert (posted(one)["quantity"], rest["quantity"], rest["redemption_id"]) == (1, 2, spent["id"])
    assert one.headers["Location"] == f"/api/v1/redemptions/{spent['id']}"
    assert api.usable(ada.id, "Spin") == CLASSES
    shown = answered(api.get(f"/redemptions/{spent['id']}"))
    assert shown == {**spent, "item": "Spin", "returned": 3, "returns": [posted(one), rest]}
    posted(api.post(path, {"quantity": 1}, "cancel-3"), 422)


@pytest.mark.parametrize("body", [{}, {"quantity": 2}, {"quantity": None}])
def test_a_return_again_returns_nothing(api: Caller, gym: Gym, ada: Paid, body: Json) -> None:
    spent = posted(api.post("/redemptions", wish(ada, gym, 2), "check-in-1"))
    path = f"/redemptions/{spent['id']}/returns"
    first = api.post(path, body, "cancel-1")
    again = api.post(path, body, "cancel-1")
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotency-Replayed"] == "true"
    posted(api.post(path, {"quantity": 1}, "cancel-1"), 409)


def test_a_redemption_that_is_none_is_not_found(api: Caller, gym: Gym, ada: Paid) -> None:
    spent = posted(api.post("/redemptions", wish(ada, gym), "check-in-1"))
    back = posted(api.post(f"/redemptions/{spent['id']}/returns", {}, "cancel-1"))
    for number in (404, back["id"]):
        answered(api.get(f"/redemptions/{number}"), 404)
        posted(api.post(f"/redemptions/{number}/returns", {}, "cancel-2"), 404)


def test_redemptions_are_listed_with_what_was_returned(api: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    first = posted(api.post("/redemptions", wish(ada, gym, 3), "check-in-1"))
    back = posted(api.post(f"/redemptions/{first['id']}/returns", {"quantity": 2}, "cancel-1"))
    second = posted(api.post("/redemptions", wish(ada, gym), "check-in-2"))
    other = gym.join("sub_other")
    session.commit()
    listed = api.data(f"/members/{ada.id}/redemptions")
    assert listed == [
        {**second, "item": "Spin", "returned": 0, "returns": []},
        {**first, "item": "Spin", "returned": 2, "returns": [back]},
    ]
    assert (first["idempotency_key"], back["idempotency_key"]) == ("check-in-1", "cancel-1")
    assert api.data("/redemptions") == listed
    assert list(api.pages("/redemptions", limit=1)) == [[row] for row in listed]
    assert api.data(f"/members/{other.member_id}/redemptions") == []
    answered(api.get("/members/404/redemptions"), 404)


def test_a_redemption_is_found_by_its_key_or_that_of_its_return(api: Caller, gym: Gym, ada: Paid) -> None:
    """What a program asks that does not know whether its check-in arrived."""
    done = posted(api.post("/redemptions", wish(ada, gym, 3), "check-in-1"))
    posted(api.post("/redemptions", wish(ada, gym), "check-in-2"))
    posted(api.post(f"/redemptions/{done['id']}/returns", {}, "cancel-1"))
    for key in ("check-in-1", "cancel-1"):
        assert [row["id"] for row in api.data("/redemptions", idempotency_key=key)] == [done["id"]]
    assert api.data("/redemptions", idempotency_key="check-in-3") == []
    for key in ("", "with blank", "x" * 256):
        answered(api.get("/redemptions", idempotency_key=key), 422)


def test_the_action_log_names_the_token_and_its_owner(api: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    posted(api.post("/redemptions", wish(ada, gym), "check-in-1"))
    act = session.scalars(select(Action).where(Action.verb == "redeem")).one()
    assert act.actor.startswith("token ")
    assert act.actor.endswith("of desk@example.com")
    assert act.origin == "127.0.0.1"


PILATES: Json = {"class_reference": "class-88", "class_name": "Pilates", "trainer": "Kim", "note": "Mat of her own"}


def test_a_redemption_tells_its_occasion(api: Caller, gym: Gym, ada: Paid) -> None:
    at = (PAID_AT + timedelta(minutes=5)).isoformat()
    asked = wish(ada, gym) | PILATES | {"occurred_at": at, "club_id": gym.club.id}
    first, again = (api.post("/redemptions", asked, "booking-77") for _ in range(2))
    assert (again.data, again.headers["Idempotency-Replayed"]) == (first.data, "true")
    done = posted(first)
    assert "Idempotency-Replayed" not in first.headers
    assert {name: done[name] for name in PILATES} == PILATES
    assert (done["club_id"], datetime.fromisoformat(done["occurred_at"])) == (gym.club.id, datetime.fromisoformat(at))
    assert done["recorded_at"] > done["occurred_at"]
    (found,) = api.data("/redemptions", idempotency_key="booking-77")
    assert found.items() >= done.items()
    assert api.data("/redemptions", class_reference="class-88") == [found]
    assert api.data("/redemptions", class_reference="class-8") == []
    entry = api.data(f"/members/{ada.id}/entries")[0]
    assert {name: entry[name] for name in PILATES} == PILATES
    assert (entry["club"], entry["occurred_at"]) == (gym.club.name, done["occurred_at"])
    problem = posted(api.post("/redemptions", asked | {"trainer": "Lee"}, "booking-77"), 409)
    assert problem["type"].endswith("/key-reused")
    (person,) = api.data("/members", q="booking-77")
    assert (person["id"], person["found_by"]) == (ada.id, "redemption")


def test_a_redemption_at_a_club_where_nothing_is_good(
    api: Caller, issue: Issue, gym: Gym, ada: Paid, session: Session
) -> None:
    """Is refused, and says where they are; the item's setting counts for what is given from then on."""
    manager, other = issue(TokenScope.WRITE, Role.MANAGER).caller, gym.forgiving_club()
    session.commit()
    path, there = f"/items/{gym.spin.id}", {"item_id": gym.spin.id, "club_id": other.id}
    assert {grant["good_at"] for grant in api.data(f"/members/{ada.id}/grants")} == {"all"}
    problem = answered(manager.patch(path, good_at="listed"), 422)
    assert problem["errors"][0]["pointer"] == "#/club_ids"
    listed = answered(manager.patch(path, good_at="listed", club_ids=[other.id]))
    assert (listed["good_at"], listed["club_ids"]) == ("listed", [other.id])
    assert answered(manager.patch(path, good_at="home"))["club_ids"] == []
    tell(session, paid("in_2", "sub_ada", at=PAID_AT), now=PAID_AT)
    grants = api.data(f"/members/{ada.id}/grants")
    assert sorted(grant["good_at"] for grant in grants if grant["item_id"] == gym.spin.id) == ["all", "home"]
    posted(api.post("/redemptions", wish(ada, gym) | {"quantity": 8, "club_id": other.id}, "there"))
    problem = posted(api.post("/redemptions", wish(ada, gym) | {"club_id": other.id}, "further"), 422)
    assert (problem["type"], problem["errors"][0]["pointer"]) == ("/api/v1/problems/not-at-this-club", "#/club_id")
    why = answered(api.get(f"/members/{ada.id}/why-not", **there))["why_not"]
    assert (why["reason"], why["sentence"]) == (
        "not_at_this_club", "8 Spin sessions can be used at Downtown only, not at this club.",
    )  # fmt: skip
    posted(api.post("/redemptions", wish(ada, gym), "anywhere"))


def test_how_far_back_a_token_may_date(api: Caller, issue: Issue, gym: Gym, ada: Paid, session: Session) -> None:
    """Its owner's role says."""
    three_days_ago = datetime.now(UTC) - timedelta(days=3)
    tell(session, paid("in_0", "sub_ada", at=three_days_ago - timedelta(hours=1)), now=PAID_AT)
    asked = wish(ada, gym) | {"occurred_at": three_days_ago.isoformat()}
    problem = posted(api.post("/redemptions", asked, "k"), 422)
    assert problem["type"].endswith("/too-far-back")
    assert problem["errors"][0]["pointer"] == "#/occurred_at"
    posted(issue(TokenScope.WRITE, Role.MANAGER).caller.post("/redemptions", asked, "k"))
    problem = posted(api.post("/redemptions", asked | {"occurred_at": "2199-01-01T00:00:00Z"}, "l"), 422)
    assert problem["type"].endswith("/in-future")


def test_an_occasion_that_cannot_be_is_refused(api: Caller, gym: Gym, ada: Paid) -> None:
    for change, pointer in (
        ({"club_id": 404}, "#/club_id"),
        ({"note": "x" * 1001}, "#/note"),
        ({"class_reference": "x" * 256}, "#/class_reference"),
        ({"occurred_at": "2026-03-01T15:04:05"}, "#/occurred_at"),
    ):
        problem = posted(api.post("/redemptions", wish(ada, gym) | change, "k"), 422)
        assert problem["errors"][0]["pointer"] == pointer
    assert api.usable(ada.id, "Spin") == CLASSES


def test_a_refusal_says_why_and_the_way_out(api: Caller, gym: Gym, ada: Paid) -> None:
    asked = {"item_id": gym.spin.id}
    path = f"/members/{ada.id}/why-not"
    assert answered(api.get(path, **asked)) == {"usable": True, "why_not": None}
    posted(api.post("/redemptions", wish(ada, gym, CLASSES), "all"))
    problem = posted(api.post("/redemptions", wish(ada, gym), "one"), 422)
    assert problem["why_not"]["reason"] == "none_left"
    assert problem["why_not"]["way_out"] == "More come with the next payment of the dues."
    assert problem["detail"].endswith("No Spin sessions are left. More come with the next payment of the dues.")
    said = answered(api.get(path, **asked))
    assert (said["usable"], said["why_not"]["sentence"]) == (False, problem["why_not"]["sentence"])
    before = (PAID_AT - timedelta(minutes=1)).isoformat()
    assert answered(api.get(path, **asked, at=before))["why_not"]["reason"] == "not_yet"
    assert answered(api.get(path, item_id=404), 404)["type"].endswith("/not-found")
    assert answered(api.get("/members/404/why-not", **asked), 404)
