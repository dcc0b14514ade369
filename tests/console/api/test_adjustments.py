"""Sessions given, taken and extended by a program."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.errors import SamePerson
from models.ledger import adjustments
from models.ledger.adjustments import Adjustment
from models.staff import tokens
from models.staff.accounts import Role, Staff
from models.staff.actions import Action, Actor
from models.staff.tokens import TokenScope
from tests.console.api.conftest import BY, Caller, Issue, Json, Paid, answered, posted
from tests.models.gym import CLASSES, Gym

IN_A_YEAR = (datetime.now(UTC) + timedelta(days=365)).date()


def wish(ada: Paid, gym: Gym, quantity: int = 2, **changed: object) -> Json:
    return {
        "member_id": ada.id,
        "item_id": gym.spin.id,
        "quantity": quantity,
        "reason": "goodwill",
        "note": "The coach was ill.",
        **changed,
    }


def pointers(problem: Json) -> list[str]:
    return [fault["pointer"] for fault in problem["errors"]]


def test_sessions_are_given_until_a_day_and_taken(api: Caller, gym: Gym, ada: Paid, owner: Staff) -> None:
    response = api.post("/adjustments", wish(ada, gym, last_day=IN_A_YEAR.isoformat()), "adjust-1")
    done = posted(response)
    assert (done["state"], done["quantity"], done["item"], done["reason"]) == ("applied", 2, "Spin", "goodwill")
    midnight = datetime.fromisoformat(done["expires_at"]).astimezone(ZoneInfo("America/Chicago"))
    assert (midnight.date(), midnight.hour) == (IN_A_YEAR + timedelta(days=1), 0)
    assert (done["asked_by"], done["decided_by"]) == (owner.email, owner.email)
    assert response.headers["Location"] == f"/api/v1/adjustments/{done['id']}"
    assert answered(api.get(f"/adjustments/{done['id']}")) == done
    assert api.usable(ada.id, "Spin") == CLASSES + 2
    taken = api.make("/adjustments", wish(ada, gym, -3, reason="correction", last_day=None))
    assert taken["expires_at"] is None
    assert api.usable(ada.id, "Spin") == CLASSES - 1
    assert api.data("/adjustments") == [taken, done]
    assert api.data("/adjustments", member_id=ada.id, state="applied") == [taken, done]
    assert api.data("/adjustments", state="waiting") == api.data("/adjustments", member_id=404) == []


def test_the_same_request_again_gives_nothing(api: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    first, again = (api.post("/adjustments", wish(ada, gym), "adjust-1") for _ in range(2))
    assert (again.status_code, again.data, again.headers["Idempotency-Replayed"]) == (201, first.data, "true")
    assert "Idempotency-Replayed" not in first.headers
    assert posted(api.post("/adjustments", wish(ada, gym, 3), "adjust-1"), 409)["type"].endswith("/key-reused")
    assert session.scalars(select(func.count()).select_from(Adjustment)).one() == 1
    assert api.usable(ada.id, "Spin") == CLASSES + 2


def test_many_wait_for_a_second_person(
    api: Caller, site: Flask, gym: Gym, ada: Paid, owner: Staff, session: Session
) -> None:
    """Who is not the token's owner, however many tokens they have."""
    site.config["SPP"] = site.config["SPP"].model_copy(update={"adjust_alone_up_to": 2})
    asked = api.make("/adjustments", wish(ada, gym, 3))
    assert (asked["state"], asked["decided_by"], asked["decided_at"]) == ("waiting", None, None)
    assert api.data("/adjustments", state="waiting") == [asked]
    assert api.usable(ada.id, "Spin") == CLASSES
    with pytest.raises(SamePerson):
        adjustments.decide(session, asked["id"], approve=True, by=Actor(owner.email, ""), now=datetime.now(UTC))
    session.rollback()
    for approve, state in ((True, "applied"), (False, "declined")):
        asked = api.make("/adjustments", wish(ada, gym, 3))
        adjustments.decide(session, asked["id"], approve=approve, by=BY, now=datetime.now(UTC))
        session.commit()
        assert answered(api.get(f"/adjustments/{asked['id']}"))["state"] == state
        assert [row["id"] for row in api.data("/adjustments", state=state)] == [asked["id"]]
    assert api.usable(ada.id, "Spin") == CLASSES + 3


def test_the_action_log_has_the_person_and_the_token(
    issue: Issue, gym: Gym, ada: Paid, owner: Staff, session: Session
) -> None:
    mine = issue(TokenScope.WRITE)
    mine.caller.make("/adjustments", wish(ada, gym))
    act = session.scalars(select(Action).where(Action.verb == "adjust")).one()
    assert (act.actor, act.origin) == (owner.email, f"127.0.0.1, token {mine.token.id} ({mine.token.name})")
    assert (act.member_id, act.reason) == (ada.id, "goodwill: The coach was ill.")


def test_a_grant_expires_later(manager: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    spin, training = manager.data(f"/members/{ada.id}/grants")
    assert answered(manager.get(f"/grants/{spin['id']}")) == spin
    body = {"last_day": IN_A_YEAR.isoformat(), "reason": "She was ill."}
    response = manager.post(f"/grants/{spin['id']}/extensions", body, "extend-1")
    later = posted(response)
    assert response.headers["Location"] == f"/api/v1/grants/{spin['id']}"
    assert {**later, "expires_at": spin["expires_at"]} == spin
    midnight = datetime.fromisoformat(later["expires_at"]).astimezone(ZoneInfo("America/Chicago"))
    assert midnight.date() == IN_A_YEAR + timedelta(days=1)
    other = manager.post(f"/grants/{training['id']}/extensions", body, "extend-1")
    assert posted(other, 409)["type"].endswith("/key-reused")  # the same body, for another grant
    again = manager.post(f"/grants/{spin['id']}/extensions", body, "extend-1")
    assert (again.data, again.headers["Idempotency-Replayed"]) == (response.data, "true")
    [act] = session.scalars(select(Action).where(Action.verb == "extend"))
    assert (act.member_id, act.reason) == (ada.id, "She was ill.")
    assert manager.data(f"/members/{ada.id}/entries")[0]["kind"] == "extension"


def test_a_grant_says_what_became_of_it(manager: Caller, gym: Gym, ada: Paid) -> None:
    spin, _ = manager.data(f"/members/{ada.id}/grants")
    assert (spin["membership_id"], spin["club_id"], spin["club"]) == (ada.membership.id, gym.club.id, "Downtown")
    assert (spin["reversed"], spin["expired"], spin["forgiven"], spin["used"]) == (0, 0, 0, 0)


def test_what_is_refused_names_its_field(manager: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    spin, training = (row["id"] for row in manager.data(f"/members/{ada.id}/grants"))
    extended: Json = {"last_day": IN_A_YEAR.isoformat(), "reason": "She was ill."}
    refused: list[tuple[str, Json, int, str, list[str]]] = [
        ("/adjustments", wish(ada, gym, 0), 422, "zero-quantity", ["#/quantity"]),
        ("/adjustments", wish(ada, gym, 10001), 422, "invalid-request", ["#/quantity"]),
        ("/adjustments", wish(ada, gym, -9), 422, "too-few-sessions", ["#/quantity"]),
        ("/adjustments", wish(ada, gym, note=" "), 422, "reason-missing", ["#/note"]),
        ("/adjustments", wish(ada, gym, note="x" * 1001), 422, "invalid-request", ["#/note"]),
        ("/adjustments", wish(ada, gym, reason="because"), 422, "invalid-request", ["#/reason"]),
        ("/adjustments", wish(ada, gym, last_day=yesterday), 422, "day-over", ["#/last_day"]),
        ("/adjustments", wish(ada, gym, last_day="9999-12-31"), 422, "day-too-far", ["#/last_day"]),
        ("/adjustments", wish(ada, gym, member_id=404), 422, "not-found", ["#/member_id"]),
        ("/adjustments", wish(ada, gym, item_id=404), 422, "not-found", ["#/item_id"]),
        ("/adjustments", wish(ada, gym, item_id=gym.towel.id), 422, "not-a-session-item", ["#/item_id"]),
        (f"/grants/{spin}/extensions", {**extended, "last_day": yesterday}, 422, "not-later", ["#/last_day"]),
        (f"/grants/{spin}/extensions", {**extended, "reason": " "}, 422, "reason-missing", ["#/reason"]),
        (f"/grants/{training}/extensions", extended, 422, "never-expires", ["#/last_day"]),
        ("/grants/404/extensions", extended, 404, "not-found", []),
    ]
    for path, body, status, kind, at in refused:
        problem = posted(manager.post(path, body, "key-1"), status)
        assert (problem["type"], pointers(problem)) == (f"/api/v1/problems/{kind}", at), body
    for day in ("tomorrow", "2026-3-1", "20260301", "2026-02-30", "2026-03-01T00:00:00Z", "1700000000", 20, None):
        problem = posted(manager.post(f"/grants/{spin}/extensions", {**extended, "last_day": day}, "key-1"), 422)
        assert pointers(problem) == ["#/last_day"], day
    assert session.scalars(select(Action).where(Action.verb.in_(["adjust", "extend"]))).all() == []
    for path in ("/grants/404", "/adjustments/404"):
        answered(manager.get(path), 404)


def test_two_tokens_of_one_owner_are_one_person(
    issue: Issue, gym: Gym, ada: Paid, owner: Staff, session: Session
) -> None:
    mine, other = (issue(TokenScope.WRITE).caller for _ in range(2))
    asked_by = {caller.make("/adjustments", wish(ada, gym, 1))["asked_by"] for caller in (mine, other)}
    assert asked_by == {owner.email}
    assert len(tokens.list_tokens(session)) == 2


def test_a_second_person_decides_from_a_program_too(
    api: Caller, manager: Caller, site: Flask, gym: Gym, ada: Paid, owner: Staff
) -> None:
    site.config["SPP"] = site.config["SPP"].model_copy(update={"adjust_alone_up_to": 2})
    first, second, third = (api.make("/adjustments", wish(ada, gym, 3))["id"] for _ in range(3))
    problem = posted(api.post(f"/adjustments/{first}/approvals", {}, "a"), 403)
    assert "whose role is not enough" in problem["detail"]
    done, again = (posted(manager.post(f"/adjustments/{first}/approvals", {}, "b")) for _ in range(2))
    assert (done["state"], done["asked_by"]) == ("applied", owner.email)
    assert (done["decided_by"] != owner.email, again) == (True, done)
    assert api.usable(ada.id, "Spin") == CLASSES + 3
    assert posted(manager.post(f"/adjustments/{second}/declines", {}, "c"))["state"] == "declined"
    assert posted(api.post(f"/adjustments/{third}/declines", {}, "d"))["state"] == "declined"  # withdrawn by who asked
    problem = posted(manager.post(f"/adjustments/{third}/approvals", {}, "e"), 422)
    assert problem["type"].endswith("/wrong-state")
    assert posted(manager.post("/adjustments/404/approvals", {}, "f"), 404)
    asked = manager.make("/adjustments", wish(ada, gym, 3))
    problem = posted(api.post(f"/adjustments/{asked['id']}/declines", {}, "g"), 403)
    assert problem["type"].endswith("/not-yours")
    assert api.usable(ada.id, "Spin") == CLASSES + 3


def test_nobody_approves_their_own_from_a_program(issue: Issue, site: Flask, gym: Gym, ada: Paid) -> None:
    site.config["SPP"] = site.config["SPP"].model_copy(update={"adjust_alone_up_to": 2})
    manager = issue(TokenScope.WRITE, Role.MANAGER).caller
    asked = manager.make("/adjustments", wish(ada, gym, 3))
    problem = posted(manager.post(f"/adjustments/{asked['id']}/approvals", {}, "a"), 422)
    assert problem["type"].endswith("/same-person")
