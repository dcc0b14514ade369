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
