"""The inventory's pages: items made, changed, retired and deleted, and what is refused."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.catalogue.items import Item
from models.staff.accounts import Role
from tests.console.web.builder import LogIn, acts, beside
from tests.console.web.conftest import Browser
from tests.models.gym import Gym


@pytest.fixture
def manager(log_in: LogIn) -> Browser:
    browser = log_in(Role.MANAGER)
    browser.get("/inventory/")
    return browser


def item(session: Session, name: str) -> Item | None:
    session.expire_all()
    return session.scalar(select(Item).where(Item.name == name))


def test_an_empty_inventory_says_what_to_do(manager: Browser) -> None:
    assert "There are no items yet" in manager.text
    assert "New item" in manager.text


def test_a_new_item_is_kept_listed_and_logged(manager: Browser, session: Session) -> None:
    manager.post("/inventory/new", name="  Yoga ", kind="scheduler_bucket", session_type="class")
    made = item(session, "Yoga")
    assert made is not None
    assert (made.kind, made.session_type) == ("scheduler_bucket", "class")
    assert "Yoga is added." in manager.text
    assert "Yoga Scheduler Bucket Class 0 offers" in manager.text
    assert acts(session)[0] == f"manager create item: item {made.id}, Yoga: Scheduler Bucket, Class"


def test_the_session_type_counts_for_scheduler_buckets_only(manager: Browser, session: Session) -> None:
    manager.post("/inventory/new", name="Mat", kind="other", session_type="class")
    made = item(session, "Mat")
    assert made is not None
    assert (made.kind, made.session_type) == ("other", None)


def test_the_list_says_where_items_are_used(manager: Browser, gym: Gym) -> None:
    manager.get("/inventory/")
    assert "Spin Scheduler Bucket Class 1 offer Active" in manager.text
    assert "Training Scheduler Bucket Personal Training 1 offer" in manager.text
    assert "Towel Other" in manager.text


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"name": " "}, "name", "A name is required"),
        ({"name": "Spin"}, "name", "There is already an item 'Spin'"),
        ({"name": "x" * 201}, "name", "longer than 200 characters"),
        ({"kind": "thing"}, "kind", "Not a valid choice"),
        ({"session_type": "sauna"}, "session_type", "Not a valid choice"),
        ({"session_type": ""}, "session_type", "Say what the sessions are good for"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    manager: Browser, gym: Gym, session: Session, fields: dict[str, Any], field: str, message: str
) -> None:
    form: dict[str, Any] = {"name": "New", "kind": "scheduler_bucket", "session_type": "class", **fields}
    assert manager.post("/inventory/new", **form).status_code == 422
    assert message in beside(manager, field)
    assert len(session.scalars(select(Item)).all()) == 3


def test_an_item_is_renamed_and_the_log_has_both_names(manager: Browser, gym: Gym, session: Session) -> None:
    form: dict[str, Any] = {"name": "Spin Class", "kind": "scheduler_bucket", "session_type": "class"}
    manager.post(f"/inventory/{gym.spin.id}", **form)
    assert "Spin Class is saved" in manager.text
    logged = acts(session)
    assert logged[0] == f"manager edit item: item {gym.spin.id}, Spin Class: name Spin -> Spin Class"
    manager.post(f"/inventory/{gym.spin.id}", **form)
    assert acts(session) == logged, "saving the same is not an act"


def test_an_item_in_use_keeps_its_kind(manager: Browser, gym: Gym, session: Session) -> None:
    answer = manager.post(f"/inventory/{gym.spin.id}", name="Spin", kind="other", session_type="class")
    assert answer.status_code == 422
    assert "in use (1 offer" in beside(manager, "kind")
    kept = item(session, "Spin")
    assert kept is not None
    assert kept.kind == "scheduler_bucket"


def test_an_item_is_retired_and_brought_back(manager: Browser, gym: Gym, session: Session) -> None:
    window = f"/inventory/{gym.spin.id}"
    fields: dict[str, Any] = {"name": "Spin", "kind": "scheduler_bucket", "session_type": "class"}
    manager.post(window, **fields, then="retire")
    assert "Spin is retired" in manager.text
    kept = item(session, "Spin")
    assert kept is not None
    assert kept.retired_at is not None
    assert acts(session)[0] == f"manager retire item: item {gym.spin.id}, Spin"
    manager.post(window, **fields, then="retire")
    assert "is retired, so it cannot be retired again" in manager.text
    manager.post(window, **fields, then="bring-back")
    assert "Spin can be added to offers again" in manager.text
    kept = item(session, "Spin")
    assert kept is not None
    assert kept.retired_at is None
    assert acts(session)[0] == f"manager bring back item: item {gym.spin.id}, Spin"


def test_what_was_typed_is_kept_when_the_next_button_is_retire(manager: Browser, gym: Gym, session: Session) -> None:
    window = f"/inventory/{gym.spin.id}"
    fields: dict[str, Any] = {"kind": "scheduler_bucket", "session_type": "class", "then": "retire"}
    assert manager.post(window, name="", **fields).status_code == 422
    assert "A name is required" in beside(manager, "name")
    kept = item(session, "Spin")
    assert kept is not None
    assert kept.retired_at is None, "nothing is done until what was typed is right"
    manager.post(window, name="Cycle", **fields)
    assert "Cycle is retired" in manager.text
    kept = item(session, "Cycle")
    assert kept is not None
    assert kept.retired_at is not None
    assert [act.partition(":")[0] for act in acts(session)[:2]] == ["manager retire item", "manager edit item"]


def test_only_an_unused_item_is_deleted(manager: Browser, gym: Gym, session: Session) -> None:
    assert manager.post(f"/inventory/{gym.spin.id}", name="Cycle", then="delete").status_code == 422
    assert "retire it instead" in manager.text
    assert item(session, "Spin") is not None
    towel = gym.towel.id
    manager.post(f"/inventory/{towel}", name="", then="delete")
    assert "Towel is deleted" in manager.text
    assert item(session, "Towel") is None
    assert acts(session)[0] == f"manager delete item: item {towel}, Towel"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DESK])
def test_who_does_not_build_sees_no_buttons_and_may_do_nothing(log_in: LogIn, gym: Gym, role: Role) -> None:
    browser = log_in(role)
    assert browser.get("/inventory/").status_code == 200
    assert "Spin" in browser.text
    for button in ("New item", "Edit", "Retire", "Delete"):
        assert button not in browser.text
    spin = f"/inventory/{gym.spin.id}"
    assert browser.get("/inventory/new").status_code == 403
    assert browser.get(spin).status_code == 403
    for act in ("/inventory/new", spin):
        for then in ("", "retire", "delete"):
            assert browser.post(act, follow=False, name="Mine", kind="other", then=then).status_code == 403


@pytest.mark.parametrize("number", ["0", "-1", "999999", "9223372036854775808", "x"])
def test_an_item_that_is_not_there_is_not_found(manager: Browser, number: str) -> None:
    assert manager.get(f"/inventory/{number}").status_code == 404
    assert manager.post(f"/inventory/{number}", then="delete").status_code == 404


def test_names_are_shown_as_text(manager: Browser, session: Session) -> None:
    manager.post("/inventory/new", name="<b>Bold\0</b>", kind="other", session_type="class")
    assert item(session, "<b>Bold</b>") is not None
    assert "&lt;b&gt;Bold&lt;/b&gt;" in manager.page
