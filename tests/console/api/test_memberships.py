"""Signing up, and billing references."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.members.memberships import Member, Membership
from models.staff.actions import Action
from tests.console.api.conftest import Caller, Json, Paid, answered, posted
from tests.models.gym import CLASS_DAYS, CLASSES, DUES, NEVER, TRAININGS, Gym

KEY = "sign-up-1"


@pytest.fixture
def wish(gym: Gym) -> Json:
    return {
        "email": "grace@example.com",
        "name": "Grace Hopper",
        "club_id": gym.club.id,
        "payment_term_id": gym.term.id,
        "item_ids": [gym.spin.id, gym.training.id],
        "billing_references": [{"endpoint": "stripe", "reference": "sub_grace"}],
    }


def memberships(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Membership)) or 0


def test_a_sign_up_pins_the_terms_and_says_them(api: Caller, gym: Gym, ada: Paid, wish: Json) -> None:
    response = api.post("/memberships", wish, KEY)
    done = posted(response)
    assert response.headers["Location"] == f"/api/v1/memberships/{done['id']}"
    assert (done["offer"], done["payment_term"], done["currency"]) == ("Gold", "Monthly", "USD")
    (terms,) = done["terms"]
    assert terms["dues_minor"] == DUES
    assert [(one["item"], one["quantity"], one["days_to_expire"]) for one in terms["sessions"]] == [
        ("Spin", CLASSES, CLASS_DAYS),
        ("Training", TRAININGS, NEVER),
    ]
    assert done["billing_references"] == wish["billing_references"]
    assert answered(api.get(f"/memberships/{done['id']}")) == done
    assert api.data(f"/members/{done['member_id']}/memberships") == [done]
    assert answered(api.get(f"/members/{done['member_id']}"))["email"] == "grace@example.com"


def test_the_same_sign_up_again_is_the_same_membership(api: Caller, wish: Json, session: Session) -> None:
    first = api.post("/memberships", wish, KEY)
    again = api.post("/memberships", wish, KEY)
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert memberships(session) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"email": "else@example.com"},
        {"item_ids": [1]},
        {"billing_references": [{"endpoint": "stripe", "reference": "x"}]},
    ],
)
def test_a_key_used_for_another_sign_up_is_a_conflict(api: Caller, wish: Json, session: Session, change: Json) -> None:
    posted(api.post("/memberships", wish, KEY))
    assert posted(api.post("/memberships", {**wish, **change}, KEY), 409)["type"].endswith("/key-reused")
    assert memberships(session) == 1


def test_a_reference_of_somebody_else_undoes_the_sign_up(api: Caller, ada: Paid, wish: Json, session: Session) -> None:
    wish["billing_references"].append({"endpoint": "stripe", "reference": "sub_ada"})
    problem = posted(api.post("/memberships", wish, KEY), 409)
    assert problem["type"].endswith("/reference-taken")
    assert problem["details"] == {"reference": "sub_ada", "endpoint": "stripe", "membership": ada.membership.id}
    assert ada.membership.member.email not in str(problem)
    assert memberships(session) == 1
    assert session.scalar(select(Member).where(Member.email == "grace@example.com")) is None
    assert not api.data("/members", q="sub_grace")


AGAINST_THE_RULES: list[tuple[Json, str]] = [
    ({"club_id": 404}, "not-found"),
    ({"payment_term_id": 404}, "not-found"),
    ({"item_ids": [404]}, "not-found"),
    ({"item_ids": [3]}, "pick-not-offered"),
    ({"item_ids": []}, "too-few-picks"),
    ({"billing_references": [{"endpoint": "nowhere", "reference": "x"}]}, "not-found"),
    ({"email": "nobody"}, "invalid-request"),
    ({"email": "a b@example.com"}, "invalid-request"),
    ({"email": "a\0@example.com"}, "invalid-request"),
    ({"email": "a\u00a0b@example.com"}, "invalid-request"),
    ({"email": "x" * 320 + "@example.com"}, "invalid-request"),
    ({"name": ""}, "invalid-request"),
    ({"name": " "}, "name-missing"),
    ({"name": "x" * 201}, "invalid-request"),
    ({"name": "a\0b"}, "invalid-request"),
    ({"billing_references": [{"endpoint": "stripe", "reference": "x" * 256}]}, "invalid-request"),
    ({"billing_references": [{"endpoint": "stripe", "reference": "a\nb"}]}, "invalid-request"),
]


def test_a_sign_up_against_the_rules_is_refused(api: Caller, wish: Json, session: Session) -> None:
    for change, kind in AGAINST_THE_RULES:
        problem = posted(api.post("/memberships", {**wish, **change}, KEY), 422)
        assert problem["type"] == f"/api/v1/problems/{kind}", change
    assert memberships(session) == 0


def test_an_item_of_which_the_payment_term_gives_none_cannot_be_picked(
    api: Caller, gym: Gym, wish: Json, session: Session
) -> None:
    gym.term.set_bucket(gym.offer.buckets[0], quantity=0, days_to_expire=0)
    session.commit()
    problem = posted(api.post("/memberships", wish, KEY), 422)
    assert problem["type"] == "/api/v1/problems/pick-gives-nothing"
    assert problem["details"] == {"item": "Spin", "term": "Monthly"}
    done = posted(api.post("/memberships", {**wish, "item_ids": [gym.training.id]}, KEY))
    assert [one["item"] for one in done["terms"][0]["sessions"]] == ["Training"]


def test_every_wrong_field_is_named(api: Caller, wish: Json) -> None:
    wrong = {**wish, "club_id": "1", "item_ids": [1, 0], "x/y": 1, "billing_references": [{"endpoint": "stripe"}]}
    problem = posted(api.post("/memberships", wrong, KEY), 422)
    places = {one["pointer"] for one in problem["errors"]}
    assert places == {"#/club_id", "#/item_ids/1", "#/x~1y", "#/billing_references/0/reference"}
    assert all(place in problem["detail"] for place in places)


def test_a_billing_reference_is_added_once(api: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    path, body = f"/memberships/{ada.membership.id}/billing-references", {"endpoint": "standard", "reference": "m_1"}
    for _ in range(2):
        shown = posted(api.post(path, body))
        assert body in shown["billing_references"]
    added = (
        select(func.count())
        .select_from(Action)
        .where(Action.actor.startswith("token "), Action.verb == "add billing reference")
    )
    assert session.scalar(added) == 1
    other = gym.join()
    session.commit()
    posted(api.post(f"/memberships/{other.id}/billing-references", body), 409)
    posted(api.post("/memberships/404/billing-references", body), 404)
    posted(api.post(path, {**body, "endpoint": "nowhere"}), 422)
