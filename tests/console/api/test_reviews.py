"""Payments in review, and what is not dues, as programs ask for them and answer them."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.members.memberships import add_billing_reference
from models.payments import reviewing
from models.staff.accounts import Role
from models.staff.actions import Action
from models.staff.tokens import TokenScope
from tests.console.api.conftest import BY, PAID_AT, Caller, Issue, Paid, answered, posted
from tests.models.gym import Gym, paid, tell


@pytest.fixture
def listed(gym: Gym, ada: Paid, session: Session) -> list[int]:
    """The ids of two payments in review: a part of Ada's dues, and one that is nobody's; then hours apart."""
    tell(session, paid("in_lost", "sub_lost", at=PAID_AT), now=PAID_AT)
    tell(session, paid("in_part", "sub_ada", at=PAID_AT - timedelta(days=3), amount=900), now=PAID_AT)
    session.execute(text("UPDATE payment_reviews SET recorded_at = recorded_at - payment_id * interval '1 hour'"))
    session.commit()
    return [one.payment_id for one in reviewing.page(session)]


def test_each_says_why_it_is_there_and_what_it_gave(reader: Caller, gym: Gym, ada: Paid, listed: list[int]) -> None:
    part, lost = reader.data("/reviews")
    assert part == {
        "payment_id": listed[0],
        "endpoint": "stripe",
        "reference": "in_part",
        "amount_minor": 900,
        "currency": "USD",
        "paid_at": part["paid_at"],
        "since": part["since"],
        "reasons": [{"reason": "part", "what": part["reasons"][0]["what"]}],
        "billing_references": [],
        "membership_id": ada.membership.id,
        "member_id": ada.id,
        "memberships": [{"membership_id": ada.membership.id, "member_id": ada.id}],
        "credited": [
            {"membership_id": ada.membership.id, "item_id": item.id, "item": item.name, "quantity": 1}
            for item in (gym.spin, gym.training)
        ],
        "payer": {"name": None, "email": None, "description": None},
    }
    assert "$9.00 for 10%" in part["reasons"][0]["what"]
    assert (lost["reference"], lost["member_id"], lost["billing_references"]) == ("in_lost", None, ["sub_lost"])


def test_every_membership_of_a_payment_is_shown(reader: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    other = gym.join()
    add_billing_reference(session, other, "stripe", "sub_ada", by=BY, shared=True)
    tell(session, paid("in_both", "sub_ada", at=PAID_AT - timedelta(days=3), amount=900), now=PAID_AT)
    (both,) = reader.data("/reviews")
    assert (both["membership_id"], both["member_id"]) == (ada.membership.id, ada.id), "the first"
    assert both["memberships"] == [
        {"membership_id": one.id, "member_id": one.member_id} for one in (ada.membership, other)
    ]
    assert [one["membership_id"] for one in both["credited"]] == [ada.membership.id] * 2 + [other.id] * 2


def test_they_are_filtered_and_paged(reader: Caller, ada: Paid, listed: list[int]) -> None:
    for query, references in (
        ({"reason": "unmatched"}, ["in_lost"]),
        ({"endpoint": "standard"}, []),
        ({"member_id": ada.id}, ["in_part"]),
    ):
        assert [row["reference"] for row in reader.data("/reviews", **query)] == references, query
    pages = [[row["reference"] for row in page] for page in reader.pages("/reviews", limit=1)]
    assert pages == [["in_part"], ["in_lost"]]
    for wrong in ({"reason": "whatever"}, {"cursor": "bWVtYmVycyA1MA"}, {"cursor": "cmV2aWV3cyA1MA"}, {"limit": 0}):
        answered(reader.get("/reviews", **wrong), 422)


def test_one_is_accepted_once_per_key(manager: Caller, listed: list[int], session: Session) -> None:
    path, body = f"/payments/{listed[0]}/acceptances", {"reason": "a trial of ten days"}
    made = manager.post(path, body, "key-1")
    assert posted(made) == {"payment_id": listed[0], "reason": "a trial of ten days"}
    assert manager.client.get(made.headers["Location"], headers=manager.headers).status_code == 200
    assert manager.post(path, body, "key-1").headers["Idempotency-Replayed"] == "true"
    assert [row["reference"] for row in manager.data("/reviews")] == ["in_lost"]
    assert "not in review" in answered(manager.post(path, body, "key-2"), 422)["detail"]
    answered(manager.post(path, {"reason": ""}, "key-3"), 422)


def test_they_are_counted(reader: Caller, ada: Paid, listed: list[int]) -> None:
    each = [{"reason": "part", "payments": 1}, {"reason": "unmatched", "payments": 1}]
    assert answered(reader.get("/reviews/counts")) == {"payments": 2, "reasons": each}
    assert answered(reader.get("/reviews/counts", member_id=ada.id)) == {"payments": 1, "reasons": each[:1]}
    assert answered(reader.get("/reviews/counts", endpoint="standard")) == {"payments": 0, "reasons": []}


def test_all_of_a_kind_are_accepted_if_they_are_as_many_as_were_seen(
    manager: Caller, gym: Gym, listed: list[int], session: Session
) -> None:
    path, wish = "/reviews/acceptances", {"kind": "unmatched", "expected": 1, "reason": "the cafe's"}
    tell(session, paid("in_lost_too", "sub_lost", at=PAID_AT), now=PAID_AT)
    problem = answered(manager.post(path, wish, "key-1"), 409)
    assert problem["detail"] == "There are 2 now, not the 1 that you confirmed: look at them again."
    assert [fault["pointer"] for fault in problem["errors"]] == ["#/expected"]
    assert len(manager.data("/reviews")) == 3
    answered(manager.post(path, {**wish, "expected": 2, "endpoint": "standard"}, "key-1"), 409)
    made = manager.post(path, {**wish, "expected": 2, "endpoint": "stripe"}, "key-1")
    assert posted(made) == {"kind": "unmatched", "accepted": 2, "reason": "the cafe's"}
    assert manager.client.get(made.headers["Location"], headers=manager.headers).get_json()["data"] == []
    again = manager.post(path, {**wish, "expected": 2, "endpoint": "stripe"}, "key-1")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert [row["reference"] for row in manager.data("/reviews")] == ["in_part"]
    act = session.scalars(select(Action).where(Action.verb == "accept payments")).one()
    assert (act.subject, act.reason) == ("2 payments in review as unmatched on stripe", "the cafe's")
    for wrong in ({"kind": "whatever"}, {"expected": 0}, {"reason": " "}):
        answered(manager.post(path, {**wish, "expected": 1, **wrong}, "key-2"), 422)


def test_who_may_accept_and_mark(issue: Issue, listed: list[int]) -> None:
    for role, accepts, marks in ((Role.DESK, 403, 403), (Role.OPERATOR, 201, 403), (Role.VIEWER, 403, 403)):
        caller = issue(TokenScope.WRITE, role).caller
        accepted = caller.post(f"/payments/{listed[0]}/acceptances", {"reason": "x"}, f"accept-{role}")
        assert accepted.status_code == accepts, role
        every = {"kind": "unmatched", "expected": 1, "reason": "x"}
        assert caller.post("/reviews/acceptances", every, f"accept-all-{role}").status_code == accepts, role
        mark = {"endpoint": "stripe", "reference": "prod_1", "reason": "x"}
        assert caller.post("/not-dues", mark, f"mark-{role}").status_code == marks, role


def test_what_is_not_dues_is_marked_listed_and_unmarked(manager: Caller, listed: list[int], session: Session) -> None:
    made = manager.make("/not-dues", {"endpoint": "stripe", "reference": "sub_lost", "reason": "the cafe"})
    assert (made["reference"], made["reason"]) == ("sub_lost", "the cafe")
    assert manager.data("/not-dues") == [made]
    path = f"/not-dues/{made['id']}"
    assert answered(manager.get(path)) == made
    assert session.scalar(text("SELECT settle_again FROM payments WHERE reference = 'in_lost'"))
    answered(manager.delete(path), 422)
    assert manager.delete(f"{path}?reason=ours").status_code == 204
    assert manager.data("/not-dues") == []
    answered(manager.get(path), 404)
    answered(manager.delete(f"{path}?reason=ours"), 404)
    preview, asked = "/not-dues/preview", {"endpoint": "stripe", "reference": "sub_ada"}
    shown = answered(manager.get(preview, **asked))
    assert shown["what"].startswith(f"{shown['payments']} payment")
    assert (shown["members"], {move["given_after"] for move in shown["moves"]}) == (1, {0})
    assert answered(manager.get(preview, **asked | {"reference": "sub_typo"}))["what"].startswith(
        "Nobody was ever billed by it: check"
    )
    assert manager.data("/not-dues") == []
    nowhere = {"endpoint": "nowhere", "reference": "x", "reason": "x"}
    assert "nowhere" in answered(manager.post("/not-dues", nowhere, "key"), 422)["detail"]


def test_a_billing_reference_is_shared_if_that_is_asked(api: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    other = gym.join()
    session.commit()
    path, body = f"/memberships/{other.id}/billing-references", {"endpoint": "stripe", "reference": "sub_ada"}
    answered(api.post(path, body), 409)
    shared = posted(api.post(path, {**body, "shared": True}))
    assert [one["reference"] for one in shared["billing_references"]] == ["sub_ada"]
