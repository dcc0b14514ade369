"""The Offer Builder's pages: the list of offers, and what becomes of an offer as a whole."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from models.catalogue.tables import PaymentTerm
from models.staff.accounts import Role
from tests.console.web.builder import LogIn, acts, beside, buckets, sessions, the_offer
from tests.console.web.conftest import Browser
from tests.models.gym import CLASS_DAYS, CLASSES, TRAININGS, Gym, add_term, session_item


@pytest.fixture
def manager(log_in: LogIn) -> Browser:
    browser = log_in(Role.MANAGER)
    browser.get("/offers/")
    return browser


def state(session: Session, name: str) -> str:
    offer = the_offer(session, name)
    assert offer is not None
    return offer.state


def test_no_offer_says_what_to_do(manager: Browser) -> None:
    assert "There are no offers yet" in manager.text
    assert "New offer" in manager.text


def test_a_new_offer_is_a_draft_that_leads_to_being_published(manager: Browser, gym: Gym, session: Session) -> None:
    manager.post("/offers/new", name="  Silver ")
    silver = the_offer(session, "Silver")
    assert silver is not None
    assert silver.state == "draft"
    assert acts(session)[0] == f"manager create offer: offer {silver.id}, Silver"
    assert "Next: Add the session items that members get with Manage Session Buckets" in manager.text
    here = f"/offers/{silver.id}"
    manager.post(f"{here}/buckets/new", item=gym.spin.id)
    manager.get(here)
    assert "Next: Add a payment term" in manager.text
    session.expire_all()
    (bucket,) = silver.buckets
    quantity = f"quantity_{bucket.id}"
    monthly: dict[str, Any] = {
        "name": "Monthly",
        "dues": "10",
        "currency": "USD",
        "interval": "month",
        "interval_count": "1",
        quantity: "0",
        f"days_to_expire_{bucket.id}": "0",
    }
    manager.post(f"{here}/terms/new", **monthly)
    assert "Next: Edit the payment terms, and say how many sessions each payment gives" in manager.text
    session.expire_all()
    (term,) = silver.terms
    manager.post(f"{here}/terms/{term.id}", **monthly | {quantity: "3"})
    assert "Next: Publish the offer" in manager.text
    manager.post(f"{here}/buckets", minimum="0", maximum="0")
    assert "Next: Nobody could buy 'Silver': it includes its one session item but allows at most 0" in manager.text
    manager.post(f"{here}/buckets", minimum="0", maximum="1", then="close")
    manager.post(f"{here}/publish")
    assert "Next:" not in manager.text
    assert state(session, "Silver") == "published"


@pytest.mark.parametrize(
    ("name", "message"),
    [("", "A name is required"), ("Gold", "There is already an offer 'Gold'"), ("x" * 201, "longer than 200")],
)
@pytest.mark.parametrize("act", ["new", "copy", "rename"])
def test_a_name_that_cannot_be_is_refused_beside_its_field(
    manager: Browser, gym: Gym, session: Session, act: str, name: str, message: str
) -> None:
    manager.post("/offers/new", name="Silver")
    silver = the_offer(session, "Silver")
    assert silver is not None
    path = "/offers/new" if act == "new" else f"/offers/{silver.id}/{act}"
    logged = acts(session)
    assert manager.post(path, name=name).status_code == 422
    assert message in beside(manager, "name")
    assert acts(session) == logged


def test_the_list_counts_what_offers_have_and_is_filtered_by_state(
    manager: Browser, gym: Gym, session: Session
) -> None:
    gym.join()
    session.commit()
    manager.post("/offers/new", name="Silver")
    manager.get("/offers/")
    assert "All 2 Draft 1 Published 1 Retired 0" in manager.text
    assert "Gold Published 2 1 1" in manager.text
    assert "Silver Draft 0 0 0" in manager.text
    manager.get("/offers/?state=draft")
    assert "Silver" in manager.text
    assert "Gold" not in manager.text
    manager.get("/offers/?state=retired")
    assert "No offer is in this state" in manager.text
    assert manager.get("/offers/?state=<b>").status_code == 200
    assert "Gold" in manager.text


def test_the_page_shows_an_offer_in_plain_words(log_in: LogIn, gym: Gym) -> None:
    viewer = log_in(Role.VIEWER)
    viewer.get(f"/offers/{gym.offer.id}")
    for text in (
        "Minimum Required Session Buckets 1",
        "Maximum Allowed Session Buckets 2",
        "Spin Class No",
        "$90.00 every month",
        "Each $90.00 monthly payment gives 8 Spin sessions (30 days) and 2 Training sessions (never expiring).",
        f"Spin {CLASSES} {CLASS_DAYS}",
        f"Training {TRAININGS} never",
    ):
        assert text in viewer.text


def test_an_offer_is_retired_and_put_back_on_sale(manager: Browser, gym: Gym, session: Session) -> None:
    here = f"/offers/{gym.offer.id}"
    manager.post(f"{here}/retire")
    assert state(session, "Gold") == "retired"
    assert "Gold is off sale" in manager.text
    assert acts(session)[0] == f"manager retire offer: offer {gym.offer.id}, Gold: state published -> retired"
    assert "Put back on sale" in manager.text
    manager.post(f"{here}/publish")
    assert state(session, "Gold") == "published"
    assert "state retired -> published" in acts(session)[0]
    manager.post(f"{here}/publish")
    assert "is published, so it cannot be published" in manager.text


def test_what_nobody_could_buy_is_not_published_and_the_page_says_why(manager: Browser, session: Session) -> None:
    manager.post("/offers/new", name="Silver")
    silver = the_offer(session, "Silver")
    assert silver is not None
    logged = acts(session)
    manager.post(f"/offers/{silver.id}/publish")
    assert "Nobody could buy 'Silver': it has no payment term" in manager.text
    assert state(session, "Silver") == "draft"
    assert acts(session) == logged


def test_an_offer_is_renamed(manager: Browser, gym: Gym, session: Session) -> None:
    manager.post(f"/offers/{gym.offer.id}/rename", name="Platinum")
    assert "The offer is called Platinum now" in manager.text
    assert the_offer(session, "Gold") is None
    assert acts(session)[0] == f"manager rename offer: offer {gym.offer.id}: name Gold -> Platinum"


def test_a_copy_is_a_draft_of_the_same(manager: Browser, gym: Gym, session: Session) -> None:
    manager.get(f"/offers/{gym.offer.id}/copy")
    assert "Copy of Gold" in manager.page
    manager.post(f"/offers/{gym.offer.id}/copy", name="Copy of Gold")
    twin = the_offer(session, "Copy of Gold")
    assert twin is not None
    assert (twin.state, twin.min_buckets, twin.max_buckets) == ("draft", 1, 2)
    assert buckets(session, "Copy of Gold") == buckets(session, "Gold")
    assert sessions(session, "Copy of Gold", "Monthly") == sessions(session, "Gold", "Monthly")
    assert acts(session)[0] == f"manager copy offer: offer {gym.offer.id}, Gold to offer {twin.id}, Copy of Gold"


def test_only_a_draft_is_deleted_and_only_once_that_is_confirmed(manager: Browser, gym: Gym, session: Session) -> None:
    manager.post("/offers/new", name="Silver")
    silver = the_offer(session, "Silver")
    assert silver is not None
    number = silver.id
    manager.get(f"/offers/{number}/delete")
    assert "Delete Silver?" in manager.text
    assert the_offer(session, "Silver") is not None
    manager.post(f"/offers/{number}/delete")
    assert the_offer(session, "Silver") is None
    assert acts(session)[0] == f"manager delete offer: offer {number}, Silver"
    assert manager.post(f"/offers/{gym.offer.id}/delete").status_code == 422
    assert "published, so it cannot be deleted" in manager.text
    assert the_offer(session, "Gold") is not None


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DESK])
def test_who_does_not_build_sees_no_buttons_and_may_do_nothing(
    log_in: LogIn, gym: Gym, session: Session, role: Role
) -> None:
    browser = log_in(role)
    here = f"/offers/{gym.offer.id}"
    for path in ("/offers/", here):
        assert browser.get(path).status_code == 200
        for button in ("New offer", "Rename", "Copy", "Edit", "Delete", "Save", "Manage Session", "Add payment term"):
            assert button not in browser.text
        assert '<form method="post" action="/offers' not in browser.page
    term, bucket = f"{here}/terms/{gym.term.id}", f"{here}/buckets/{gym.offer.buckets[0].id}"
    for window in (
        "/offers/new",
        f"{here}/rename",
        f"{here}/copy",
        f"{here}/delete",
        f"{here}/buckets",
        f"{here}/buckets/new",
        f"{bucket}/remove",
        f"{here}/terms/new",
        term,
        f"{term}/delete",
    ):
        assert browser.get(window).status_code == 403
        assert browser.post(window, follow=False, name="Mine").status_code == 403
    for act in (f"{here}/publish", f"{here}/retire", f"{term}/retire", f"{term}/bring-back"):
        assert browser.post(act, follow=False).status_code == 403
    assert [act for act in acts(session) if act.startswith(role) and "log in" not in act] == []


@pytest.mark.parametrize("number", ["0", "-1", "999999", "9223372036854775808", "x"])
def test_what_is_not_there_is_not_found(manager: Browser, gym: Gym, number: str) -> None:
    here = f"/offers/{gym.offer.id}"
    for window in (
        f"/offers/{number}",
        f"/offers/{number}/buckets",
        f"{here}/buckets/{number}/remove",
        f"{here}/terms/{number}",
        f"{here}/terms/{number}/delete",
    ):
        assert manager.get(window).status_code == 404
    for act in (f"/offers/{number}/publish", f"{here}/buckets/{number}/remove", f"{here}/terms/{number}/retire"):
        assert manager.post(act).status_code == 404


def test_the_parts_of_another_offer_are_not_found(manager: Browser, gym: Gym, session: Session) -> None:
    manager.post("/offers/new", name="Silver")
    silver = the_offer(session, "Silver")
    assert silver is not None
    here = f"/offers/{silver.id}"
    assert manager.post(f"{here}/terms/{gym.term.id}/retire").status_code == 404
    assert manager.post(f"{here}/buckets/{gym.offer.buckets[0].id}/remove").status_code == 404


def test_a_page_asks_the_database_as_often_however_much_it_shows(
    manager: Browser, gym: Gym, session: Session, site: Flask
) -> None:
    def statements() -> int:
        seen: list[str] = []
        engine: Engine = site.extensions["spp_engine"]

        def count(*args: object) -> None:
            seen.append(str(args[2]))

        event.listen(engine, "before_cursor_execute", count)
        assert manager.get(f"/offers/{gym.offer.id}").status_code == 200
        event.remove(engine, "before_cursor_execute", count)
        return len(seen)

    few = statements()
    for name in ("Weekly", "Yearly", "Once"):
        bucket = gym.offer.add_bucket(session_item(f"{name} class"))
        add_term(gym.offer, PaymentTerm(name=name, dues_minor=100, currency="USD"), {bucket: (2, 0)})
    session.commit()
    assert statements() == few
    assert "2 Yearly class sessions" in manager.text
