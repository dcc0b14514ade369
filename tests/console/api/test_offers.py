"""Offers and payment terms built by a program, by the rules of the Offer Builder."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.catalogue.tables import Offer, PaymentTerm
from tests.console.api.conftest import Caller, Json, Paid, answered, posted
from tests.console.api.test_building import acts, pointers
from tests.models.gym import Gym


def monthly(gym: Gym, **changed: object) -> Json:
    """A payment term with 8 spins for 30 days."""
    gives = [{"item_id": gym.spin.id, "quantity": 8, "days_to_expire": 30}]
    return {"name": "Monthly", "dues_minor": 8900, "currency": "USD", "bucket_terms": gives, **changed}


def both(gym: Gym, classes: int = 8, trainings: int = 2) -> list[Json]:
    """What a payment gives where it gives of both session items."""
    return [
        {"item_id": gym.spin.id, "quantity": classes, "days_to_expire": 30},
        {"item_id": gym.training.id, "quantity": trainings, "days_to_expire": 0},
    ]


def silver(gym: Gym, **changed: object) -> Json:
    """A published offer with spins, which are required, and trainings."""
    buckets = [{"item_id": gym.spin.id, "required": True}, {"item_id": gym.training.id}]
    return {
        "name": "Silver",
        "min_buckets": 1,
        "max_buckets": 2,
        "buckets": buckets,
        "payment_terms": [monthly(gym)],
        "published": True,
        **changed,
    }


def offers(session: Session) -> int:
    session.rollback()
    return session.scalars(select(func.count()).select_from(Offer)).one()


def test_an_offer_is_made_whole_and_can_be_bought(manager: Caller, gym: Gym, session: Session) -> None:
    response = manager.post("/offers", silver(gym), "offer-1")
    made = posted(response)
    assert response.headers["Location"] == f"/api/v1/offers/{made['id']}"
    assert answered(manager.get(f"/offers/{made['id']}")) == made
    assert (made["state"], made["min_buckets"], made["max_buckets"]) == ("published", 1, 2)
    assert [(one["item"], one["required"]) for one in made["buckets"]] == [("Spin", True), ("Training", False)]
    [term] = made["payment_terms"]
    assert (term["interval"], term["interval_count"], term["retired"]) == ("month", 1, False)
    assert term["summary"] == "Each $89.00 monthly payment gives 8 Spin sessions (30 days)."
    bought = manager.make(
        "/memberships",
        {
            "email": "grace@example.com",
            "name": "Grace",
            "club_id": gym.club.id,
            "payment_term_id": term["id"],
            "item_ids": [gym.spin.id],
        },
    )
    assert bought["terms"][0]["sessions"] == [
        {"item_id": gym.spin.id, "item": "Spin", "quantity": 8, "days_to_expire": 30}
    ]
    offer, of_it = f"offer {made['id']}, Silver", f"payment term {term['id']}, Monthly, of offer {made['id']}, Silver"
    assert acts(session)[:7] == [
        ("create offer", offer),
        ("set bucket limits", f"{offer}: min_buckets 0 -> 1, max_buckets 1 -> 2"),
        ("add session bucket", f"Spin to {offer}, required"),
        ("add session bucket", f"Training to {offer}"),
        ("add payment term", of_it),
        ("set sessions", f"{of_it}: Spin 0 -> 8 (30 days)"),
        ("publish offer", f"{offer}: state draft -> published"),
    ]


def test_a_repetition_makes_no_second_offer(manager: Caller, gym: Gym, session: Session) -> None:
    first = manager.post("/offers", silver(gym), "offer-1")
    again = manager.post("/offers", silver(gym), "offer-1")
    assert (again.status_code, again.data, again.headers["Idempotency-Replayed"]) == (201, first.data, "true")
    assert offers(session) == 2
    path = f"/offers/{posted(first)['id']}/payment-terms"
    yearly = monthly(gym, name="Yearly", interval="year")
    one, other = manager.post(path, yearly, "term-1"), manager.post(path, yearly, "term-1")
    assert (one.data, other.headers["Idempotency-Replayed"]) == (other.data, "true")
    assert one.headers["Location"] == f"/api/v1/payment-terms/{posted(one)['id']}"
    assert session.scalars(select(func.count()).select_from(PaymentTerm)).one() == 3


def test_an_offer_begins_as_a_draft_and_is_published_retired_and_deleted(
    manager: Caller, gym: Gym, session: Session
) -> None:
    draft = manager.make("/offers", {"name": "Silver"})
    assert (draft["state"], draft["min_buckets"], draft["max_buckets"]) == ("draft", 0, 1)
    path = f"/offers/{draft['id']}"
    problem = answered(manager.patch(path, state="published"), 422)
    assert (problem["type"], pointers(problem)) == ("/api/v1/problems/offer-cannot-be-bought", ["#/state"])
    manager.make(f"{path}/payment-terms", monthly(gym, bucket_terms=[]))
    for _ in range(2):
        assert answered(manager.patch(path, state="published"))["state"] == "published"
    assert answered(manager.delete(path), 422)["type"].endswith("/wrong-state")
    for _ in range(2):
        assert answered(manager.patch(path, state="retired"))["state"] == "retired"
    assert answered(manager.patch(path, state="published"))["state"] == "published"
    assert [verb for verb, _ in acts(session)] == [
        "create offer",
        "add payment term",
        "publish offer",
        "retire offer",
        "publish offer",
    ]
    other = manager.make("/offers", {"name": "Bronze"})
    assert manager.delete(f"/offers/{other['id']}").status_code == 204
    answered(manager.get(f"/offers/{other['id']}"), 404)


def test_a_draft_is_not_retired(manager: Caller, gym: Gym) -> None:
    draft = manager.make("/offers", {"name": "Silver"})
    problem = answered(manager.patch(f"/offers/{draft['id']}", state="retired"), 422)
    assert (problem["type"], pointers(problem)) == ("/api/v1/problems/wrong-state", ["#/state"])


def test_what_can_be_picked_is_replaced_as_a_whole(manager: Caller, gym: Gym, session: Session) -> None:
    yoga = manager.make("/items", {"name": "Yoga", "session_type": "class"})
    made = manager.make("/offers", silver(gym))
    path = f"/offers/{made['id']}"
    buckets = [{"item_id": yoga["id"]}, {"item_id": gym.spin.id, "required": False}]
    shown = answered(manager.patch(path, buckets=buckets, name="Silver plus", max_buckets=1))
    assert {(one["item"], one["required"]) for one in shown["buckets"]} == {("Spin", False), ("Yoga", False)}
    assert (shown["name"], shown["min_buckets"], shown["max_buckets"]) == ("Silver plus", 1, 1)
    # What stays keeps what it gives.
    assert [(one["item"], one["quantity"]) for one in shown["payment_terms"][0]["bucket_terms"]] == [("Spin", 8)]
    before = acts(session)
    assert [verb for verb, _ in before[-4:]] == [
        "set bucket limits",
        "remove session bucket",
        "add session bucket",
        "require session bucket",
    ]
    assert answered(manager.patch(path, buckets=buckets)) == shown
    assert acts(session) == before


def test_an_offer_on_sale_is_judged_by_what_its_changes_come_to(manager: Caller, gym: Gym) -> None:
    """In whatever order they are made, an offer that nobody could buy would come in between."""
    required = [{"item_id": item.id, "required": True} for item in (gym.spin, gym.training)]
    terms = [monthly(gym, bucket_terms=both(gym))]
    made = manager.make("/offers", silver(gym, max_buckets=1, payment_terms=terms))
    path = f"/offers/{made['id']}"
    problem = answered(manager.patch(path, buckets=required), 422)
    assert problem["type"].endswith("/offer-cannot-be-bought")
    assert answered(manager.get(path)) == made
    answered(manager.patch(path, buckets=required, max_buckets=2, min_buckets=2))
    shown = answered(manager.patch(path, buckets=required[:1], max_buckets=1, min_buckets=0))
    assert (shown["state"], len(shown["buckets"])) == ("published", 1)


def test_retiring_an_offer_needs_no_offer_that_could_be_bought(manager: Caller, gym: Gym) -> None:
    made = manager.make("/offers", silver(gym))
    shown = answered(manager.patch(f"/offers/{made['id']}", state="retired", buckets=[], min_buckets=2))
    assert (shown["state"], shown["buckets"]) == ("retired", [])


def test_a_payment_term_is_changed_retired_and_deleted(manager: Caller, gym: Gym, session: Session) -> None:
    made = manager.make("/offers", silver(gym))
    term = made["payment_terms"][0]
    path = f"/payment-terms/{term['id']}"
    gives = both(gym, classes=4)
    shown = answered(manager.patch(path, dues_minor=9900, interval="week", interval_count=2, bucket_terms=gives))
    assert shown == answered(manager.get(path))
    assert shown["summary"] == (
        "Each $99.00 payment every 2 weeks gives 4 Spin sessions (30 days) and 2 Training sessions (never expiring)."
    )
    assert answered(manager.patch(path, dues_minor=9900, bucket_terms=gives)) == shown
    fewer = answered(manager.patch(path, bucket_terms=gives[:1]))["bucket_terms"]
    assert [(one["item"], one["quantity"]) for one in fewer] == [("Spin", 4)]
    assert answered(manager.patch(path, interval="once"))["interval_count"] == 1
    answered(manager.patch(path, retired=True), 422)  # the only one on sale
    yearly = manager.make(f"/offers/{made['id']}/payment-terms", monthly(gym, name="Yearly", interval="year"))
    assert answered(manager.patch(path, retired=True))["retired"]
    assert not answered(manager.patch(path, retired=False))["retired"]
    assert manager.delete(path).status_code == 204
    answered(manager.delete(path), 404)
    answered(manager.delete(f"/payment-terms/{yearly['id']}"), 422)
    assert [verb for verb, _ in acts(session)][7:] == [
        "edit payment term",
        "set sessions",
        "set sessions",
        "edit payment term",
        "add payment term",
        "set sessions",
        "retire payment term",
        "bring back payment term",
        "delete payment term",
    ]


def test_what_was_bought_stays(manager: Caller, gym: Gym, ada: Paid) -> None:
    manager.make(f"/offers/{gym.offer.id}/payment-terms", monthly(gym, name="Yearly"))
    answered(manager.patch(f"/payment-terms/{gym.term.id}", dues_minor=1, bucket_terms=both(gym, 1, 1)))
    terms = answered(manager.get(f"/memberships/{ada.membership.id}"))["terms"]
    assert [(one["dues_minor"], [sold["quantity"] for sold in one["sessions"]]) for one in terms] == [(9000, [8, 2])]
    assert answered(manager.delete(f"/payment-terms/{gym.term.id}"), 409)["type"].endswith("/term-in-use")


def test_what_is_refused_names_its_field(manager: Caller, gym: Gym, session: Session) -> None:
    gone = manager.make("/items", {"name": "Gone", "session_type": "class"})
    answered(manager.patch(f"/items/{gone['id']}", retired=True))
    spin, term = gym.spin.id, monthly(gym)
    gives = term["bucket_terms"][0]
    refused: list[tuple[Json, int, str, list[str]]] = [
        ({"name": "Gold"}, 409, "name-taken", ["#/name"]),
        ({"name": " "}, 422, "name-missing", ["#/name"]),
        ({"min_buckets": 3}, 422, "maximum-below-minimum", ["#/max_buckets"]),
        ({"min_buckets": -1}, 422, "invalid-request", ["#/min_buckets"]),
        ({"max_buckets": 1001}, 422, "invalid-request", ["#/max_buckets"]),
        ({"buckets": [{"item_id": spin}, {"item_id": 404}]}, 422, "not-found", ["#/buckets/1/item_id"]),
        ({"buckets": [{"item_id": gym.towel.id}]}, 422, "not-a-session-item", ["#/buckets/0/item_id"]),
        ({"buckets": [{"item_id": gone["id"]}]}, 422, "item-retired", ["#/buckets/0/item_id"]),
        ({"buckets": [{"item_id": spin}, {"item_id": spin}]}, 422, "listed-twice", ["#/buckets/1/item_id"]),
        ({"payment_terms": []}, 422, "offer-cannot-be-bought", ["#/published"]),
        ({"payment_terms": [term, term]}, 409, "name-taken", ["#/payment_terms/1/name"]),
        (
            {"payment_terms": [{**term, "currency": "XYZ"}]},
            422,
            "wrong-currency-code",
            ["#/payment_terms/0/currency"],
        ),
        (
            {"payment_terms": [{**term, "dues_minor": -1}]},
            422,
            "invalid-request",
            ["#/payment_terms/0/dues_minor"],
        ),
        (
            {"payment_terms": [{**term, "interval_count": 121}]},
            422,
            "invalid-request",
            ["#/payment_terms/0/interval_count"],
        ),
        (
            {"payment_terms": [{**term, "bucket_terms": [{**gives, "item_id": 404}]}]},
            422,
            "not-found",
            ["#/payment_terms/0/bucket_terms/0/item_id"],
        ),
        (
            {"payment_terms": [{**term, "bucket_terms": [gives, gives]}]},
            422,
            "listed-twice",
            ["#/payment_terms/0/bucket_terms/1/item_id"],
        ),
        (
            {"payment_terms": [{**term, "bucket_terms": [{**gives, "quantity": 0}]}]},
            422,
            "sessions-refused",
            ["#/payment_terms/0/bucket_terms/0/days_to_expire"],
        ),
        (
            {"payment_terms": [{**term, "bucket_terms": [{**gives, "quantity": 10001}]}]},
            422,
            "invalid-request",
            ["#/payment_terms/0/bucket_terms/0/quantity"],
        ),
    ]
    before = acts(session)
    for change, status, kind, at in refused:
        problem = posted(manager.post("/offers", {**silver(gym), **change}, "offer-1"), status)
        assert (problem["type"], pointers(problem)) == (f"/api/v1/problems/{kind}", at), change
    assert offers(session) == 1
    assert acts(session) == before


@pytest.mark.parametrize("path", ["/offers/404", "/payment-terms/404"])
def test_what_is_not_there_is_not_changed(manager: Caller, gym: Gym, path: str) -> None:
    answered(manager.patch(path, name="Nothing"), 404)
    answered(manager.delete(path), 404)
    posted(manager.post("/offers/404/payment-terms", monthly(gym), "term-1"), 404)


def test_an_item_in_the_body_is_none_of_the_path(manager: Caller, gym: Gym) -> None:
    """Though it has the same number: the offer is there, the item is not."""
    for _ in range(8):
        made = manager.make("/offers", {"name": f"Offer {_}"})
    missing = made["id"]
    problem = answered(manager.patch(f"/offers/{missing}", buckets=[{"item_id": missing}]), 422)
    assert pointers(problem) == ["#/buckets/0/item_id"]


def test_a_payment_term_says_how_sessions_are_released(manager: Caller, gym: Gym) -> None:
    made = manager.make("/offers", silver(gym))
    path = f"/payment-terms/{made['payment_terms'][0]['id']}"
    shown = answered(manager.patch(path, interval="year", release="monthly", partial="full", dues_minor=118_800))
    assert (shown["release"], shown["release_times"], shown["partial"]) == ("monthly", None, "full")
    assert shown["summary"] == ("Each $1,188.00 yearly payment gives 8 Spin sessions a month, 12 times (30 days each).")
    assert answered(manager.patch(path, release="times", release_times=4))["release_times"] == 4
    assert answered(manager.patch(path, dues_minor=100))["release_times"] == 4, "what is left out stays"
    assert answered(manager.patch(path, release="weekly"))["release_times"] is None


@pytest.mark.parametrize(
    ("change", "kind", "pointer"),
    [
        ({"release": "monthly"}, "not-released", "#/release"),
        ({"release": "times"}, "release-times-missing", "#/release_times"),
        ({"release": "times", "release_times": 1}, "invalid-request", "#/release_times"),
        ({"release": "daily"}, "invalid-request", "#/release"),
        ({"interval": "once", "release": "times", "release_times": 3}, "not-released", "#/release"),
        ({"partial": "half"}, "invalid-request", "#/partial"),
    ],
)
def test_a_release_that_makes_no_sense_is_refused(
    manager: Caller, gym: Gym, change: Json, kind: str, pointer: str
) -> None:
    made = manager.make("/offers", silver(gym))
    term = made["payment_terms"][0]
    problem = answered(manager.patch(f"/payment-terms/{term['id']}", **change), 422)
    assert problem["type"] == f"/api/v1/problems/{kind}"
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
    assert answered(manager.get(f"/payment-terms/{term['id']}")) == term
