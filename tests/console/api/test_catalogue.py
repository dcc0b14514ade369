"""What gyms sell, as programs read it."""

import pytest

from tests.console.api.conftest import Caller, answered
from tests.models.gym import Gym


def test_an_offer_is_told_whole(reader: Caller, gym: Gym) -> None:
    (offer,) = reader.data("/offers")
    assert offer == answered(reader.get(f"/offers/{gym.offer.id}"))
    assert (offer["name"], offer["state"], offer["min_buckets"], offer["max_buckets"]) == ("Gold", "published", 1, 2)
    assert offer["buckets"] == [
        {"item_id": gym.spin.id, "item": "Spin", "session_type": "class", "required": False},
        {"item_id": gym.training.id, "item": "Training", "session_type": "personal_training", "required": False},
    ]
    assert offer["payment_terms"] == [
        {
            "id": gym.term.id,
            "offer_id": gym.offer.id,
            "name": "Monthly",
            "dues_minor": 9000,
            "currency": "USD",
            "interval": "month",
            "interval_count": 1,
            "partial": "proportional",
            "release": "at_once",
            "release_times": None,
            "frozen_dues": "nothing",
            "on_end": "keep",
            "on_end_days": None,
            "payment_link": None,
            "retired": False,
            "summary": "Each $90.00 monthly payment gives 8 Spin sessions (30 days)"
            " and 2 Training sessions (never expiring).",
            "bucket_terms": [
                {"item_id": gym.spin.id, "item": "Spin", "quantity": 8, "days_to_expire": 30},
                {"item_id": gym.training.id, "item": "Training", "quantity": 2, "days_to_expire": 0},
            ],
        }
    ]


def test_under_a_payment_term_only_what_it_gives_is_offered(reader: Caller, gym: Gym) -> None:
    gym.term.set_bucket(gym.offer.buckets[0], quantity=0, days_to_expire=0)
    gym.session.commit()
    (offer,) = reader.data("/offers")
    assert [bucket["item"] for bucket in offer["buckets"]] == ["Spin", "Training"]
    assert [one["item"] for one in offer["payment_terms"][0]["bucket_terms"]] == ["Training"]


def test_offers_are_chosen_by_their_state(reader: Caller, gym: Gym) -> None:
    assert [row["name"] for row in reader.data("/offers", state="published")] == ["Gold"]
    gym.offer.retire()
    gym.session.commit()
    assert reader.data("/offers", state="published") == []
    assert [row["name"] for row in reader.data("/offers", state="retired")] == ["Gold"]
    answered(reader.get("/offers", state="sold"), 422)


@pytest.mark.parametrize("number", [404, 2**63, "x"])
def test_an_offer_that_is_none_is_not_found(reader: Caller, gym: Gym, number: object) -> None:
    answered(reader.get(f"/offers/{number}"), 404)


def test_items_and_clubs_are_listed(reader: Caller, gym: Gym) -> None:
    assert [(row["name"], row["kind"], row["session_type"]) for row in reader.data("/items")] == [
        ("Spin", "scheduler_bucket", "class"),
        ("Training", "scheduler_bucket", "personal_training"),
        ("Towel", "other", None),
    ]
    assert reader.data("/clubs") == [
        {
            "id": 1,
            "name": "Downtown",
            "time_zone": "America/Chicago",
            "currency": "USD",
            "shortfall_policy": "repay",
            "refund_fee_percent": 5,
            "refund_fee_most_minor": 1000,
            "use_while_frozen": False,
            "use_while_overdue": "warn",
            "overdue_grace_days": 7,
            "apply_announcements": False,
            "locale": "en_US",
        }
    ]
