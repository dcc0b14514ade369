"""Closures by programs: their preview, their progress, their changes and their undoing."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.days import last_day
from tests.console.api.conftest import Caller, Json, answered, posted
from tests.models.gym import Gym, fresh, grants_of, paid, tell
from tests.models.payments.sweeps import sweep_to_the_end

CHICAGO = "America/Chicago"
TODAY = datetime.now(ZoneInfo(CHICAGO)).date()
MEMBERS = 30


def day(after: int) -> str:
    return (TODAY + timedelta(days=after)).isoformat()


HOLIDAYS = {"first_day": day(23), "last_day": day(25)}


@pytest.fixture
def path(gym: Gym) -> str:
    return f"/clubs/{gym.club.id}/closures"


@pytest.fixture
def people(gym: Gym, session: Session) -> list[int]:
    """Members who paid just now; their ids."""
    joined = []
    for _ in range(MEMBERS):
        reference = fresh("sub")
        joined.append(gym.join(reference).member_id)
        tell(session, paid(fresh("in"), reference, at=datetime.now(UTC)), now=datetime.now(UTC))
    return joined


def last_days(caller: Caller, people: list[int], item: str = "Spin") -> set[date | None]:
    found = set()
    for member_id in people:
        [grant] = [one for one in caller.data(f"/members/{member_id}/grants") if one["item"] == item]
        expires = grant["expires_at"]
        found.add(last_day(datetime.fromisoformat(expires), CHICAGO) if expires else None)
    return found


def test_a_closure_moves_every_grant_and_its_undoing_restores_every_day(
    manager: Caller, reader: Caller, session: Session, path: str, people: list[int], gym: Gym
) -> None:
    before = last_days(reader, people)
    reach = {"club_id": gym.club.id, "grants": MEMBERS, "members": MEMBERS, "sessions": 8 * MEMBERS}
    assert answered(reader.get(f"{path}/preview", **HOLIDAYS)) == {**reach, "days": 3, "brought_back": 0}
    none = answered(reader.get(f"{path}/preview", first_day=day(40), last_day=day(40), scope="all"))
    assert (none["grants"], none["days"]) == (0, 1), "all have expired by then, but what never does"
    assert reader.data(path) == []

    response = manager.post(path, {**HOLIDAYS, "reason": "Holidays"}, "close-1")
    made = posted(response)
    assert (made["club_id"], made["scope"], made["waiting"]) == (gym.club.id, "class", MEMBERS)
    assert response.headers["Location"] == f"/api/v1/closures/{made['id']}"
    assert posted(manager.post(path, {**HOLIDAYS, "reason": "Holidays"}, "close-1")) == made
    sweep_to_the_end(session, datetime.now(UTC))
    [listed] = reader.data(path)
    assert listed == answered(reader.get(f"/closures/{made['id']}")) == {**made, "waiting": 0}
    [moved] = last_days(reader, people)
    [unmoved] = before
    assert moved is not None
    assert unmoved is not None
    assert moved - unmoved == timedelta(days=3)

    change = {"last_day": day(24), "reason": "One day less"}
    changed = answered(manager.patch(f"/closures/{made['id']}", **change))
    assert (changed["id"], changed["last_day"], changed["waiting"]) == (made["id"], day(24), MEMBERS)
    assert answered(manager.patch(f"/closures/{made['id']}", **change)) == changed, "a repetition changes nothing"
    sweep_to_the_end(session, datetime.now(UTC))
    assert last_days(reader, people) == {moved - timedelta(days=1)}

    undo = f"/closures/{made['id']}/undoing"
    gone = posted(manager.post(undo, {"reason": "Open after all"}, "undo-1"))
    assert (gone["id"], gone["undone"], gone["waiting"]) == (made["id"], True, MEMBERS)
    sweep_to_the_end(session, datetime.now(UTC))
    assert last_days(reader, people) == before
    assert reader.data(path) == []
    assert posted(manager.post(undo, {"reason": "Open after all"}, "undo-1")) == gone
    problem = posted(manager.post(undo, {"reason": "Open after all"}, "undo-2"), 422)
    assert problem["type"] == "/api/v1/problems/wrong-state"


def test_a_closure_for_one_kind_of_sessions_moves_no_other(
    manager: Caller, gym: Gym, session: Session, path: str
) -> None:
    manager.make(path, {**HOLIDAYS, "scope": "personal_training", "reason": "No trainer"})
    membership = gym.join("sub_one")
    tell(session, paid("in_one", "sub_one", at=datetime.now(UTC)), now=datetime.now(UTC))
    assert len(grants_of(session, membership)) == 2
    [spin] = last_days(manager, [membership.member_id])
    assert spin == datetime.now(ZoneInfo(CHICAGO)).date() + timedelta(days=30)


@pytest.mark.parametrize(
    ("wrong", "kind", "name"),
    [
        ({"last_day": day(22)}, "days-backwards", "last_day"),
        ({"first_day": "1999-12-24"}, "year-wrong", "first_day"),
        ({"last_day": day(23 + 3653)}, "year-wrong", "last_day"),
        ({"last_day": day(23 + 400)}, "too-long", "last_day"),
        ({"scope": "towels"}, "invalid-request", "scope"),
    ],
)
def test_what_is_refused_is_told_by_its_field(manager: Caller, path: str, wrong: Json, kind: str, name: str) -> None:
    wish = {**HOLIDAYS, **wrong}
    problem = answered(manager.post(path, {**wish, "reason": "x"}, "close-1"), 422)
    assert problem["type"] == f"/api/v1/problems/{kind}"
    assert [one["pointer"] for one in problem["errors"]] == [f"#/{name}"]
    problem = answered(manager.get(f"{path}/preview", **wish), 422)
    assert (problem["type"], problem["errors"][0]["parameter"]) == (f"/api/v1/problems/{kind}", name)
    assert manager.data(path) == []


def test_it_needs_a_reason_and_days(manager: Caller, path: str, gym: Gym) -> None:
    for wrong, pointer in (({"reason": " "}, "#/reason"), ({"last_day": None}, "#/last_day")):
        problem = answered(manager.post(path, {**HOLIDAYS, "reason": "x", **wrong}, "close-1"), 422)
        assert [one["pointer"] for one in problem["errors"]] == [pointer]
    answered(manager.get("/closures/404"), 404)
    answered(manager.post("/clubs/404/closures", {**HOLIDAYS, "reason": "x"}, "close-1"), 404)


def test_a_closure_that_was_brings_many_expired_sessions_back_only_if_their_number_is_expected(
    manager: Caller, path: str, gym: Gym, session: Session
) -> None:
    for number, ago in enumerate((33, 33, 60)):
        at = datetime.now(UTC) - timedelta(days=ago)
        gym.join(reference := fresh("sub"))
        tell(session, paid(f"in_{number}", reference, at=at), now=at)
    session.commit()
    days = {"scope": "class", "first_day": day(-9), "last_day": day(-5)}
    planned = answered(manager.get(f"{path}/preview", **days))
    assert (planned["grants"], planned["brought_back"]) == (0, 16)
    body = {**days, "reason": "Snow"}
    assert answered(manager.post(path, body, key=fresh("key")), 422)["errors"][0]["pointer"] == "#/expected"
    assert manager.data(path) == []
    made = manager.make(path, {**body, "expected": 16})
    sweep_to_the_end(session, datetime.now(UTC))
    assert manager.data(path)[0]["id"] == made["id"]
    left = text("SELECT sum(remaining) FROM credit_grants WHERE expires_at > clock_timestamp()")
    assert session.scalars(left).one() == 16
