"""The window Manage Session Buckets."""

import re

import pytest
from sqlalchemy.orm import Session

from models.members.memberships import Membership
from models.staff.accounts import Role
from tests.console.web.builder import LogIn, acts, beside, buckets, handed_out, sessions, the_offer
from tests.console.web.conftest import Browser
from tests.models.gym import NOW, Gym, session_item


@pytest.fixture
def manager(log_in: LogIn, gym: Gym) -> Browser:
    browser = log_in(Role.MANAGER)
    browser.get(window(gym))
    return browser


def window(gym: Gym) -> str:
    return f"/offers/{gym.offer.id}/buckets"


def limits(session: Session) -> tuple[int, int]:
    gold = the_offer(session, "Gold")
    assert gold is not None
    return gold.min_buckets, gold.max_buckets


def test_the_window_stands_over_the_offer_and_is_left_by_close(manager: Browser, gym: Gym) -> None:
    assert "Manage Session Buckets" in manager.text
    assert "It applies only with more than one session item" in manager.text
    assert "Payment Terms" in manager.text, "the page under it"
    answer = manager.post(window(gym), minimum="1", maximum="2", then="close")
    assert answer.request.path == f"/offers/{gym.offer.id}"
    assert "A member picks between" not in manager.text, "nothing was changed"


def test_limits_are_saved_and_logged(manager: Browser, gym: Gym, session: Session) -> None:
    manager.post(window(gym), minimum="0", maximum="1")
    assert limits(session) == (0, 1)
    assert "A member picks between 0 and 1 session items" in manager.text
    assert "Add New" in manager.text, "the window is still open"
    logged = acts(session)
    assert logged[0] == (
        f"manager set bucket limits: offer {gym.offer.id}, Gold: min_buckets 1 -> 0, max_buckets 2 -> 1"
    )
    manager.post(window(gym), minimum="0", maximum="1")
    assert acts(session) == logged, "saving the same is not an act"


def test_a_maximum_below_the_minimum_cannot_be_saved_and_says_so_beside_the_maximum(
    manager: Browser, gym: Gym, session: Session
) -> None:
    assert manager.post(window(gym), minimum="2", maximum="1").status_code == 422
    assert beside(manager, "maximum") == (
        "Maximum allowed session buckets (1) cannot be less than minimum required (2)."
    )
    assert beside(manager, "minimum") == ""
    assert limits(session) == (1, 2)
    assert re.search(r'<input[^>]* name="minimum"[^>]* value="2"', manager.page), "what was typed is kept"


@pytest.mark.parametrize("then", ["save", "close", "add", "require-{spin}", "remove-{spin}", "", "dance", "remove-77"])
class TestWhicheverButtonComesNext:
    """The page names no Save for the limits: they are kept by every button of the window."""

    def test_the_limits_are_kept(self, manager: Browser, gym: Gym, session: Session, then: str) -> None:
        spin = gym.offer.buckets[0].id
        answer = manager.post(window(gym), minimum="0", maximum="1", then=then.format(spin=spin))
        assert answer.status_code == 200
        assert limits(session) == (0, 1)
        assert "A member picks between 0 and 1 session items." in manager.text
        here = f"/offers/{gym.offer.id}"
        goes = {"close": here, "add": f"{here}/buckets/new", "remove-{spin}": f"{here}/buckets/{spin}/remove"}
        assert answer.request.path == goes.get(then, f"{here}/buckets")

    def test_limits_that_are_wrong_stop_it(self, manager: Browser, gym: Gym, session: Session, then: str) -> None:
        spin = gym.offer.buckets[0].id
        logged = acts(session)
        answer = manager.post(window(gym), minimum="2", maximum="1", then=then.format(spin=spin))
        assert answer.status_code == 422
        assert "(1) cannot be less than minimum required (2)" in beside(manager, "maximum")
        for field, typed in (("minimum", 2), ("maximum", 1)):
            assert re.search(rf'<input[^>]* name="{field}"[^>]* value="{typed}"', manager.page)
        assert limits(session) == (1, 2)
        assert buckets(session, "Gold")["Spin"] is False
        assert acts(session) == logged


def test_the_limits_stay_when_what_the_button_does_is_refused(manager: Browser, gym: Gym, session: Session) -> None:
    gym.term.set_bucket(gym.offer.buckets[0], quantity=0, days_to_expire=0)
    session.commit()
    manager.post(window(gym), minimum="0", maximum="1", then=f"require-{gym.offer.buckets[0].id}")
    assert "it gives no sessions of Spin, required at sign-up" in manager.text
    assert "A member picks between 0 and 1 session items." in manager.text
    assert limits(session) == (0, 1)
    assert buckets(session, "Gold")["Spin"] is False


def test_limits_that_somebody_else_has_changed_meanwhile_are_not_taken_back(
    manager: Browser, gym: Gym, session: Session
) -> None:
    was = handed_out(manager)
    gym.offer.set_bucket_limits(0, 4)
    session.commit()
    manager.post(window(gym), minimum="1", maximum="2", was=was, then="add")
    assert limits(session) == (0, 4), "nothing was edited here"
    manager.post(window(gym), minimum="1", maximum="3", was=was, then="add")
    assert limits(session) == (0, 3), "only the maximum was"
    for garbage in ("", "[]", "{", '{"minimum": 1}', "[" * 100_000, "1" * 5000):
        manager.post(window(gym), minimum="1", maximum="2", was=garbage)
        assert limits(session) == (1, 2)


@pytest.mark.parametrize(
    ("minimum", "maximum", "field", "message"),
    [
        ("-1", "2", "minimum", "cannot be negative"),
        ("", "2", "minimum", "Type a whole number"),
        ("one", "2", "minimum", "Type a whole number"),
        ("1.5", "2", "minimum", "Type a whole number"),
        ("1_0", "20", "minimum", "Type a whole number"),
        ("1", "9" * 5000, "maximum", "Type a whole number"),
        ("1", "1001", "maximum", "can be at most 1000"),
    ],
)
def test_limits_that_are_none_are_refused_beside_their_field(
    manager: Browser, gym: Gym, session: Session, minimum: str, maximum: str, field: str, message: str
) -> None:
    assert manager.post(window(gym), minimum=minimum, maximum=maximum).status_code == 422
    assert message in beside(manager, field)
    assert limits(session) == (1, 2)


def test_limits_by_which_nobody_could_buy_a_published_offer_are_refused(
    manager: Browser, gym: Gym, session: Session
) -> None:
    assert manager.post(window(gym), minimum="3", maximum="3").status_code == 422
    assert "Nobody could buy 'Gold': it asks for at least 3 session items but has 2" in manager.text
    assert limits(session) == (1, 2)


def test_only_scheduler_buckets_not_yet_added_and_not_retired_are_offered(
    manager: Browser, gym: Gym, session: Session
) -> None:
    manager.get(f"{window(gym)}/new")
    assert "There is nothing to add" in manager.text
    retired = session_item("Boxing")
    retired.retire(NOW)
    session.add_all([session_item("Yoga"), retired])
    session.commit()
    manager.get(f"{window(gym)}/new")
    choices = manager.text.partition("that this offer does not have yet.")[2]
    assert choices.split("Required")[0].strip() == "Session item Yoga (Class)"


@pytest.mark.parametrize("required", [True, False])
def test_an_item_is_added_required_or_not(manager: Browser, gym: Gym, session: Session, required: bool) -> None:
    yoga = session_item("Yoga")
    session.add(yoga)
    session.commit()
    if required:
        gym.offer.retire()  # on sale, an item is required only once there are sessions of it
        session.commit()
    manager.post(f"{window(gym)}/new", item=yoga.id, required="y" if required else "")
    assert buckets(session, "Gold")["Yoga"] is required
    assert "Yoga is added" in manager.text
    subject = f"Yoga to offer {gym.offer.id}, Gold{', required' if required else ''}"
    assert acts(session)[0] == f"manager add session bucket: {subject}"
    manager.get(f"/offers/{gym.offer.id}/terms/{gym.term.id}")
    assert "Session Quantity of Yoga" in manager.page, "each payment term asks for its sessions"


def test_an_item_that_cannot_be_added_is_refused_beside_the_list(manager: Browser, gym: Gym, session: Session) -> None:
    boxing = session_item("Boxing")
    boxing.retire(NOW)
    session.add_all([boxing, session_item("Yoga")])
    session.commit()
    for item, message in (
        (gym.spin.id, "'Spin' is already a session bucket of 'Gold'"),
        (gym.towel.id, "'Towel' is not a scheduler bucket"),
        (boxing.id, "'Boxing' is retired"),
        (999999, "There is no item 999999"),
        ("", "Select an item"),
        ("x", "Select an item"),
        ("9" * 30, "Select an item"),
    ):
        assert manager.post(f"{window(gym)}/new", item=item).status_code == 422
        assert message in beside(manager, "item")
    assert set(buckets(session, "Gold")) == {"Spin", "Training"}


def test_required_is_turned_on_and_off(manager: Browser, gym: Gym, session: Session) -> None:
    spin = gym.offer.buckets[0].id
    assert "Make required" in manager.text
    manager.post(window(gym), minimum="1", maximum="2", then=f"require-{spin}")
    assert buckets(session, "Gold")["Spin"] is True
    assert "Spin is required at sign-up" in manager.text
    assert acts(session)[0] == (
        f"manager require session bucket: Spin of offer {gym.offer.id}, Gold: required False -> True"
    )
    manager.post(window(gym), minimum="1", maximum="2", then=f"optional-{spin}")
    assert buckets(session, "Gold")["Spin"] is False


def test_more_required_than_allowed_is_refused_once_on_sale(manager: Browser, gym: Gym, session: Session) -> None:
    manager.post(window(gym), minimum="0", maximum="1")
    spin, training = (bucket.id for bucket in gym.offer.buckets)
    manager.post(window(gym), minimum="0", maximum="1", then=f"require-{spin}")
    logged = acts(session)
    manager.post(window(gym), minimum="0", maximum="1", then=f"require-{training}")
    assert "it requires 2 session items but allows at most 1" in manager.text
    assert buckets(session, "Gold")["Training"] is False
    assert acts(session) == logged


def test_removing_says_first_what_it_affects(manager: Browser, gym: Gym, session: Session) -> None:
    gym.join()
    session.commit()
    spin = gym.offer.buckets[0].id
    manager.get(f"{window(gym)}/{spin}/remove")
    assert "Nothing changes for the 1 membership of this offer" in manager.text
    assert "New sign-ups cannot pick Spin" in manager.text
    assert "Spin" in buckets(session, "Gold")
    manager.post(f"{window(gym)}/{spin}/remove")
    assert "Spin is removed" in manager.text
    assert set(buckets(session, "Gold")) == {"Training"}
    assert set(sessions(session, "Gold", "Monthly")) == {"Training"}
    assert acts(session)[0] == f"manager remove session bucket: Spin from offer {gym.offer.id}, Gold"
    (membership,) = session.query(Membership)
    assert {pin.item.name for pin in membership.versions[0].pinned} == {"Spin", "Training"}


def test_an_item_that_the_offer_on_sale_needs_is_not_removed(manager: Browser, gym: Gym, session: Session) -> None:
    barre = gym.offer.add_bucket(session_item("Barre"))
    session.flush()
    gym.term.set_bucket(barre, quantity=1, days_to_expire=0)
    session.commit()
    manager.post(window(gym), minimum="3", maximum="3")
    assert manager.post(f"{window(gym)}/{barre.id}/remove").status_code == 422
    assert "it asks for at least 3 session items but has 2" in manager.text
    assert set(buckets(session, "Gold")) == {"Spin", "Training", "Barre"}
