"""Plan changes by programs: another payment term, other picks, or the current terms."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.catalogue.tables import PaymentTerm
from models.members.memberships import Membership
from models.staff.actions import Action
from tests.console.api.conftest import Caller, Json, answered, posted
from tests.models.gym import Gym, add_term

TODAY = datetime.now(ZoneInfo("America/Chicago")).date()
LATER = (TODAY + timedelta(days=40)).isoformat()


@pytest.fixture
def membership(gym: Gym) -> Membership:
    membership = gym.join()
    gym.session.commit()
    return membership


@pytest.fixture
def yearly(gym: Gym) -> PaymentTerm:
    term = PaymentTerm(name="Yearly", dues_minor=118_800, currency="USD", interval="year", release="monthly")
    add_term(gym.offer, term, dict.fromkeys(gym.offer.buckets, (8, 30)))
    gym.session.commit()
    return term


def path(membership: Membership) -> str:
    return f"/memberships/{membership.id}/plan-changes"


def test_the_plan_changes_from_a_day_on(
    manager: Caller, gym: Gym, session: Session, membership: Membership, yearly: PaymentTerm
) -> None:
    wish = {"payment_term_id": yearly.id, "item_ids": [gym.spin.id], "since": LATER, "reason": "Wants a year"}
    response = manager.post(path(membership), wish, "change-1")
    shown = posted(response)
    assert response.headers["Location"] == f"/api/v1/memberships/{membership.id}"
    assert (shown["payment_term"], shown["payment_term_id"]) == ("Monthly", gym.term.id), "until that day"
    now, planned = shown["terms"]
    assert (now["payment_term"], now["release"], now["interval"]) == ("Monthly", "at_once", "month")
    assert (planned["offer"], planned["payment_term"], planned["payment_term_id"]) == ("Gold", "Yearly", yearly.id)
    assert planned["summary"] == (
        "Each $1,188.00 yearly payment gives 8 Spin sessions a month, 12 times (30 days each)."
    )
    assert posted(manager.post(path(membership), wish, "change-1")) == shown, "once per idempotency key"
    assert answered(manager.get(f"/memberships/{membership.id}")) == shown
    act = session.scalars(select(Action).order_by(Action.id.desc()).limit(1)).one()
    assert (act.verb, act.reason, act.member_id) == ("change plan", "Wants a year", membership.member_id)
    back = posted(manager.post(f"{path(membership)}/withdrawals", {"since": LATER, "reason": "Not now"}, "change-2"))
    assert back["terms"] == [now]


def test_from_now_on_it_is_the_plan(manager: Caller, membership: Membership, yearly: PaymentTerm) -> None:
    shown = posted(manager.post(path(membership), {"payment_term_id": yearly.id, "reason": "Asked"}, "change-1"))
    assert shown["payment_term"] == "Yearly"
    assert [one["item"] for one in shown["terms"][1]["sessions"]] == ["Spin", "Training"], "the picks stay"
    assert manager.data(f"/members/{membership.member_id}/memberships") == [shown]


def test_without_a_payment_term_it_moves_to_the_current_terms(
    manager: Caller, gym: Gym, session: Session, membership: Membership
) -> None:
    gym.term.set_bucket(gym.offer.buckets[0], quantity=10, days_to_expire=30)
    session.commit()
    shown = posted(manager.post(path(membership), {"reason": "Asked"}, "change-1"))
    assert [one["quantity"] for one in shown["terms"][1]["sessions"]] == [10, 2]


def test_what_the_rules_refuse_is_told_by_its_field(
    manager: Caller, gym: Gym, session: Session, membership: Membership, yearly: PaymentTerm
) -> None:
    yearly.retire(datetime.now().astimezone())
    session.commit()
    refused: list[tuple[Json, str, str | None]] = [
        ({"payment_term_id": yearly.id}, "wrong-state", "#/payment_term_id"),
        ({"payment_term_id": 404}, "not-found", "#/payment_term_id"),
        ({"item_ids": [404]}, "not-found", "#/item_ids"),
        ({"item_ids": [gym.towel.id]}, "pick-not-offered", "#/item_ids"),
        ({"item_ids": []}, "too-few-picks", "#/item_ids"),
        ({"since": "2020-01-01"}, "date-in-past", "#/since"),
        ({"reason": " "}, "reason-missing", "#/reason"),
    ]
    for change, kind, pointer in refused:
        problem = posted(manager.post(path(membership), {"reason": "Asked", **change}, "change-1"), 422)
        assert problem["type"] == f"/api/v1/problems/{kind}", change
        assert [fault["pointer"] for fault in problem["errors"]] == [pointer], change
    assert len(answered(manager.get(f"/memberships/{membership.id}"))["terms"]) == 1


def test_the_desk_changes_no_plans(api: Caller, membership: Membership) -> None:
    assert api.post(path(membership), {"reason": "Asked"}, "change-1").status_code == 403
    offer = f"/offers/{membership.versions[0].term.offer_id}/plan-changes"
    assert api.post(offer, {"expected": 1, "reason": "Asked"}, "change-2").status_code == 403


class TestPreview:
    def test_it_says_in_words_what_the_change_would_do(
        self, reader: Caller, manager: Caller, gym: Gym, membership: Membership, yearly: PaymentTerm
    ) -> None:
        wish = {"payment_term_id": yearly.id, "item_ids": gym.spin.id, "since": LATER}
        shown = answered(reader.get(f"{path(membership)}/preview", **wish))
        assert (shown["membership_id"], shown["offer"], shown["payment_term"]) == (membership.id, "Gold", "Yearly")
        assert "each $1,188.00 yearly payment gives 8 Spin sessions a month, 12 times" in shown["what"]
        assert len(answered(manager.get(f"/memberships/{membership.id}"))["terms"]) == 1, "nothing is changed"
        posted(manager.post(path(membership), {**wish, "item_ids": [gym.spin.id], "reason": "Asked"}, "change-1"))
        done = answered(manager.get(f"/memberships/{membership.id}"))["terms"][1]
        assert (done["since"], done["payment_term_id"]) == (shown["since"], shown["payment_term_id"])

    def test_several_picks_are_a_repeated_parameter(
        self, reader: Caller, gym: Gym, membership: Membership, yearly: PaymentTerm
    ) -> None:
        wish = {"payment_term_id": yearly.id, "item_ids": [gym.spin.id, gym.training.id]}
        what = answered(reader.get(f"{path(membership)}/preview", **wish))["what"]
        assert "8 Spin sessions a month" in what
        assert "8 Training sessions a month" in what

    @pytest.mark.parametrize(
        ("wish", "kind", "parameter"),
        [
            ({"payment_term_id": 404}, "not-found", "payment_term_id"),
            ({"item_ids": 404}, "not-found", "item_ids"),
            ({"item_ids": "spin"}, "invalid-request", "item_ids/0"),
            ({"since": "2020-01-01"}, "date-in-past", "since"),
            ({"reason": "Asked"}, "invalid-request", "reason"),
        ],
    )
    def test_what_is_refused_is_told_by_its_parameter(
        self, reader: Caller, membership: Membership, wish: Json, kind: str, parameter: str
    ) -> None:
        problem = answered(reader.get(f"{path(membership)}/preview", **wish), 422)
        assert problem["type"] == f"/api/v1/problems/{kind}"
        assert [fault["parameter"] for fault in problem["errors"]] == [parameter]


class TestAllOfAnOffer:
    @pytest.fixture
    def outdated(self, gym: Gym, session: Session, membership: Membership) -> list[int]:
        """The ids of two memberships with 8 classes of an offer that gives 10 now; a third has 10."""
        ids = [membership.id, gym.join().id]
        gym.term.set_bucket(gym.offer.buckets[0], quantity=10, days_to_expire=30)
        gym.join()
        session.commit()
        return ids

    @pytest.fixture
    def path(self, gym: Gym) -> str:
        return f"/offers/{gym.offer.id}/plan-changes"

    def test_those_that_differ_are_moved_if_they_are_as_many_as_expected(
        self, manager: Caller, gym: Gym, session: Session, path: str, outdated: list[int]
    ) -> None:
        planned = answered(manager.get(f"{path}/preview"))
        assert planned == {
            "offer_id": gym.offer.id, "since": None, "count": 2, "membership_ids": outdated, "left_out": [],
        }  # fmt: skip
        problem = answered(manager.post(path, {"expected": 3, "reason": "New season"}, "move-1"), 409)
        assert problem["detail"] == "There are 2 now, not the 3 that you confirmed: look at them again."
        assert [fault["pointer"] for fault in problem["errors"]] == ["#/expected"]
        assert answered(manager.get(f"{path}/preview")) == planned
        response = manager.post(path, {"expected": 2, "reason": "New season"}, "move-1")
        assert posted(response) == planned
        assert response.headers["Location"] == f"/api/v1/offers/{gym.offer.id}"
        for membership_id in outdated:
            terms = answered(manager.get(f"/memberships/{membership_id}"))["terms"]
            assert [one["sessions"][0]["quantity"] for one in terms] == [8, 10]
        assert answered(manager.get(f"{path}/preview"))["count"] == 0
        assert posted(manager.post(path, {"expected": 2, "reason": "New season"}, "move-1")) == planned
        acts = session.scalars(select(Action).where(Action.verb == "change plan")).all()
        assert [act.reason for act in acts] == ["New season"] * 2

    def test_from_a_day_on_and_of_one_payment_term(
        self, manager: Caller, gym: Gym, path: str, outdated: list[int], yearly: PaymentTerm
    ) -> None:
        assert answered(manager.get(f"{path}/preview", payment_term_id=yearly.id))["count"] == 0
        wish = {"payment_term_id": gym.term.id, "since": LATER}
        assert answered(manager.get(f"{path}/preview", **wish))["since"] == LATER
        assert posted(manager.post(path, {**wish, "expected": 2, "reason": "x"}, "move-1"))["count"] == 2
        now, planned = answered(manager.get(f"/memberships/{outdated[0]}"))["terms"]
        assert planned["since"] > now["since"]

    def test_who_cannot_keep_the_picks_is_left_out_with_the_reason(
        self, reader: Caller, gym: Gym, session: Session, path: str, outdated: list[int]
    ) -> None:
        gym.offer.set_bucket_limits(0, 2)
        gym.term.set_bucket(gym.offer.buckets[1], quantity=0, days_to_expire=0)
        session.commit()
        planned = answered(reader.get(f"{path}/preview"))
        assert (planned["count"], len(planned["left_out"])) == (0, 3)
        first = planned["left_out"][0]
        assert first["membership_id"] == outdated[0]
        assert "'Monthly' gives no sessions of 'Training'" in first["why"]

    def test_what_is_refused(self, manager: Caller, path: str, outdated: list[int]) -> None:
        for wrong, pointer in (
            ({"payment_term_id": 404}, "#/payment_term_id"),
            ({"since": "2020-01-01"}, "#/since"),
            ({"reason": " "}, "#/reason"),
            ({"expected": 0}, "#/expected"),
        ):
            wish = {"expected": 2, "reason": "New season", **wrong}
            problem = answered(manager.post(path, wish, "move-1"), 422)
            assert [fault["pointer"] for fault in problem["errors"]] == [pointer], wrong
        answered(manager.get("/offers/404/plan-changes/preview"), 404)
        answered(manager.get(f"{path}/preview", payment_term_id=404), 422)
        assert answered(manager.get(f"{path}/preview"))["count"] == 2
