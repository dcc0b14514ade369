"""What the payment provider says of subscriptions, as programs ask for it and answer it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.members import life
from models.payments.facts import Announced, Change
from tests.console.api.conftest import Caller, Paid, answered, posted
from tests.models.gym import Gym, tell

TOLD, ENDS = datetime(2026, 10, 5, 18, tzinfo=UTC), datetime(2028, 1, 31, 18, tzinfo=UTC)


@pytest.fixture
def announced(session: Session, ada: Paid) -> int:
    """The id of what was said of Ada's subscription: it ends."""
    tell(session, Announced("sub_ada", TOLD, Change.ENDS, ENDS))
    return int(
        session.connection().exec_driver_sql("SELECT id FROM payment_facts WHERE kind = 'announced'").scalar_one()
    )


def lived(session: Session, ada: Paid) -> list[tuple[str, date | None]]:
    session.commit()
    return [(act.kind, act.last_day) for act in life.in_force(session, membership_id=ada.membership.id)]


def test_each_says_what_it_does(reader: Caller, ada: Paid, announced: int) -> None:
    shown = {
        "id": announced,
        "membership_id": ada.membership.id,
        "member_id": ada.id,
        "endpoint": "stripe",
        "reference": "sub_ada",
        "said_at": "2026-10-05T18:00:00Z",
        "what": "Stripe says that this subscription ends on Jan 31, 2028",
        "does": "end",
        "first_day": None,
        "last_day": "2028-01-31",
    }
    assert reader.data("/announcements") == [shown]
    assert reader.data("/announcements", membership_id=ada.membership.id) == [shown]
    assert reader.data("/announcements", membership_id=99) == []


def test_they_are_paged_the_latest_first(reader: Caller, gym: Gym, announced: int, session: Session) -> None:
    for place in range(2):
        gym.join(f"sub_{place}")
        tell(session, Announced(f"sub_{place}", TOLD + timedelta(days=place), Change.PAUSED))
    pages = [[row["reference"] for row in page] for page in reader.pages("/announcements", limit=1)]
    assert pages == [["sub_1"], ["sub_ada"], ["sub_0"]] or pages == [["sub_1"], ["sub_0"], ["sub_ada"]]
    for wrong in ("bWVtYmVycyA1MA", "x", "YW5ub3VuY2VtZW50cyAyMDI2IDEgMQ"):
        answered(reader.get("/announcements", cursor=wrong), 422)


def test_one_is_applied_once_per_key(manager: Caller, ada: Paid, announced: int, session: Session) -> None:
    path, body = f"/announcements/{announced}/applications", {"membership_id": ada.membership.id, "does": "end"}
    made = manager.post(path, body, "key-1")
    done = posted(made)
    assert (done["does"], done["what"]) == ("end", "The membership ends on Jan 31, 2028")
    assert manager.client.get(made.headers["Location"], headers=manager.headers).status_code == 200
    assert manager.post(path, body, "key-1").headers["Idempotency-Replayed"] == "true"
    assert lived(session, ada) == [("end", date(2028, 1, 31))]
    assert manager.data("/announcements") == []
    assert "not open any more" in answered(manager.post(path, body, "key-2"), 409)["detail"]


def test_one_is_dismissed(manager: Caller, ada: Paid, announced: int, session: Session) -> None:
    body = {"membership_id": ada.membership.id, "reason": "She signs up anew."}
    done = manager.make(f"/announcements/{announced}/dismissals", body)
    assert done == {"announcement_id": announced, "membership_id": ada.membership.id}
    assert manager.data("/announcements") == []
    assert lived(session, ada) == []


def test_what_was_not_expected_is_refused(manager: Caller, ada: Paid, announced: int, session: Session) -> None:
    path = f"/announcements/{announced}/applications"
    for body, status in (
        ({"membership_id": ada.membership.id, "does": "reopen"}, 409),
        ({"membership_id": 99}, 409),
        ({"membership_id": ada.membership.id, "does": "whatever"}, 422),
        ({}, 422),
    ):
        answered(manager.post(path, body, f"key-{status}-{len(body)}-{body.get('does')}"), status)
    assert lived(session, ada) == []


def test_the_desk_may_not(api: Caller, ada: Paid, announced: int) -> None:
    answered(api.post(f"/announcements/{announced}/applications", {"membership_id": ada.membership.id}, "key-1"), 403)


def test_a_club_says_whether_ends_apply_by_themselves(manager: Caller, gym: Gym, session: Session) -> None:
    assert manager.patch(f"/clubs/{gym.club.id}", apply_announcements=True).json == {
        **manager.get(f"/clubs/{gym.club.id}").get_json(),
        "apply_announcements": True,
    }
    session.expire_all()
    assert session.get_one(Club, gym.club.id).apply_announcements
