"""Overdue dues over the API: since when, who, and how they end."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from models.payments.facts import DuesFailed
from tests.console.api.conftest import Caller, Paid, answered, posted
from tests.models.gym import Gym, tell

SINCE = datetime(2026, 1, 5, 12, tzinfo=UTC)
SHOWN = "2026-01-05T12:00:00Z"


def fail(session: Session) -> None:
    tell(session, DuesFailed("in_9", SINCE, ("sub_ada",)), DuesFailed("in_9", SINCE + timedelta(days=3), ("sub_ada",)))


def test_members_and_memberships_say_since_when(reader: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    gym.join()
    fail(session)
    assert answered(reader.get(f"/members/{ada.id}"))["overdue_since"] == SHOWN
    assert answered(reader.get(f"/memberships/{ada.membership.id}"))["overdue_since"] == SHOWN
    assert [row["overdue_since"] for row in reader.data(f"/members/{ada.id}/memberships")] == [SHOWN]
    assert [row["overdue_since"] for row in reader.data("/members")] == [SHOWN, None]
    assert [row["id"] for row in reader.data("/members", overdue=True)] == [ada.id]
    assert [row["id"] for row in reader.data("/members", overdue=True, state="frozen")] == []
    assert ada.id in [row["id"] for row in reader.data("/members", state="active", order="left")]
    assert {row["overdue_since"] for row in reader.data("/members", q="sub_ada")} == {SHOWN}
    assert [row["id"] for row in reader.data("/members", q="ada", overdue=True)] == [ada.id]


def test_a_reason_overrides_a_strict_club(api: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    fail(session)
    gym.club.use_while_overdue = "strict"
    session.commit()
    wish = {"member_id": ada.id, "item_id": gym.spin.id, "quantity": 1}
    problem = posted(api.post("/redemptions", wish, "check-in-1"), 422)
    assert problem["type"] == "/api/v1/problems/overdue-sessions"
    assert "dues are overdue since Jan 5, 2026" in problem["detail"]
    done = api.post("/redemptions", {**wish, "override_reason": "New card on Friday"}, "check-in-1")
    assert posted(done)["quantity"] == 1


def test_a_manager_clears_what_was_paid_otherwise(manager: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    fail(session)
    path = f"/memberships/{ada.membership.id}/overdue-clearings"
    assert posted(manager.post(path, {"reason": "Paid in cash"}, "clear-1"))["overdue_since"] is None
    problem = posted(manager.post(path, {"reason": "Paid in cash"}, "clear-2"), 422)
    assert "nothing to clear" in problem["detail"]
    assert manager.data("/members", overdue=True) == []
