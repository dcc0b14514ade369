"""Members who are merged or erased by a program."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.members.memberships import Member
from models.staff.accounts import Role
from models.staff.tokens import TokenScope
from tests.console.api.conftest import Caller, Issue, Json, Paid, answered, posted
from tests.models.gym import Gym, fresh

WHY = {"reason": "signed up twice"}


@pytest.fixture
def manager(issue: Issue) -> Caller:
    return issue(TokenScope.WRITE, Role.MANAGER).caller


@pytest.fixture
def twice(gym: Gym) -> Paid:
    """The same person once more."""
    membership = gym.join("sub_twice")
    gym.session.commit()
    return Paid(membership)


def merged(manager: Caller, gone: Paid, stays: Paid) -> Json:
    return manager.make(f"/members/{stays.id}/merges", {"from_member_id": gone.id, **WHY})


def test_a_merge_is_looked_at_made_and_undone(manager: Caller, ada: Paid, twice: Paid) -> None:
    look = answered(manager.get(f"/members/{twice.id}/merges/{ada.id}"))
    assert look["words"].startswith("1 membership, 1 billing reference, and 2 grants with 8 Spin sessions")
    assert manager.usable(twice.id, "Spin") == 0
    assert merged(manager, ada, twice) == look
    assert answered(manager.get(f"/members/{ada.id}"))["id"] == twice.id
    assert manager.usable(ada.id, "Spin") == manager.usable(twice.id, "Spin") == 8
    assert [one["id"] for one in manager.data("/members")] == [twice.id]
    assert manager.make(f"/members/{ada.id}/unmerge", WHY)["id"] == ada.id
    assert (manager.usable(ada.id, "Spin"), manager.usable(twice.id, "Spin")) == (8, 0)


def test_what_was_booked_by_the_old_id_goes_on(manager: Caller, gym: Gym, ada: Paid, twice: Paid) -> None:
    wish = {"member_id": ada.id, "item_id": gym.spin.id, "quantity": 2}
    first = manager.post("/redemptions", wish, "booking-1")
    merged(manager, ada, twice)
    again = manager.post("/redemptions", wish, "booking-1")
    assert (again.status_code, again.json) == (201, first.json)
    posted(manager.post("/redemptions", {**wish, "quantity": 1}, "booking-2"))
    assert manager.usable(twice.id, "Spin") == 5
    assert [one["quantity"] for one in manager.data(f"/members/{twice.id}/redemptions")] == [1, 2]
    returned = posted(manager.post(f"/redemptions/{posted(first)['id']}/returns", {}, "back"))
    assert returned["quantity"] == 2
    assert manager.usable(twice.id, "Spin") == 7


def test_a_merge_that_cannot_be_is_refused(manager: Caller, ada: Paid, twice: Paid) -> None:
    def refused(gone: int, stays: int, status: int) -> Json:
        return posted(manager.post(f"/members/{stays}/merges", {"from_member_id": gone, **WHY}, fresh("key")), status)

    itself = refused(ada.id, ada.id, 422)
    assert itself["type"].endswith("/merged-with-itself")
    assert itself["errors"][0]["pointer"] == "#/from_member_id"
    assert refused(404, ada.id, 422)["type"].endswith("/not-found")
    merged(manager, ada, twice)
    assert refused(twice.id, ada.id, 409)["type"].endswith("/merged-already")
    assert posted(manager.post(f"/members/{twice.id}/unmerge", WHY, fresh("key")), 409)["type"].endswith(
        "/not-undoable"
    )


def test_a_person_is_erased(manager: Caller, session: Session, ada: Paid) -> None:
    session.execute(text("UPDATE webhook_events SET state = 'processed'"))
    session.commit()
    email = answered(manager.get(f"/members/{ada.id}"))["email"]
    wish = {"confirm": email, "request": "by letter", "asked_on": "2026-03-01"}
    wrong = posted(manager.post(f"/members/{ada.id}/erasure", {**wish, "confirm": "x@y"}, fresh("key")), 422)
    assert wrong["errors"][0]["pointer"] == "#/confirm"
    first, again = (manager.post(f"/members/{ada.id}/erasure", wish, "erase-1") for _ in range(2))
    assert posted(first)["events"] == 1
    assert (again.data, again.headers["Idempotency-Replayed"]) == (first.data, "true")
    found = answered(manager.get(f"/members/{ada.id}"))
    assert (found["name"], found["erased_at"] is None) == (f"Erased member {ada.id}", False)
    assert manager.usable(ada.id, "Spin") == 8
    assert manager.data("/members", q=email) == []
    session.expire_all()
    assert session.get_one(Member, ada.id).email != email


def test_the_desk_may_not(api: Caller, ada: Paid, twice: Paid) -> None:
    wish = {"from_member_id": ada.id, **WHY}
    assert api.post(f"/members/{twice.id}/merges", wish, fresh("key")).status_code == 403
    assert api.post(f"/members/{ada.id}/unmerge", WHY, fresh("key")).status_code == 403
    erase = {"confirm": "x@y", "request": "x", "asked_on": "2026-03-01"}
    assert api.post(f"/members/{ada.id}/erasure", erase, fresh("key")).status_code == 403
