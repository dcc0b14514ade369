"""The clubs' pages."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.staff.accounts import Role
from tests.console.web.builder import LogIn, acts, beside, handed_out
from tests.console.web.conftest import Browser
from tests.models.gym import Gym

UPTOWN: dict[str, Any] = {
    "name": "Uptown",
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "shortfall_policy": "forgive",
}
FEE = {
    "refund_fee_percent": "10", "refund_fee": "12.50", "use_while_overdue": "grace", "overdue_grace_days": "14",
    "locale": "en_US",
}  # fmt: skip
"""As it is typed."""


@pytest.fixture
def manager(log_in: LogIn) -> Browser:
    browser = log_in(Role.MANAGER)
    browser.get("/clubs/")
    return browser


def values(session: Session, name: str) -> dict[str, Any] | None:
    session.expire_all()
    club = session.scalar(select(Club).where(Club.name == name))
    return {field: getattr(club, field) for field in UPTOWN} if club else None


def fee(session: Session, name: str) -> tuple[int, int]:
    club = session.scalars(select(Club).where(Club.name == name)).one()
    return club.refund_fee_percent, club.refund_fee_most_minor


def test_no_club_says_what_to_do(manager: Browser) -> None:
    assert "There is no club yet" in manager.text
    assert "New club" in manager.text


def test_a_club_is_made_and_shown_in_words(manager: Browser, session: Session) -> None:
    manager.post("/clubs/new", **UPTOWN, **FEE)
    assert values(session, "Uptown") == UPTOWN
    assert fee(session, "Uptown") == (10, 1250)
    assert "Uptown Central European Time Europe/Berlin EUR Forgiven" in manager.text
    assert "Allowed for 14 days, then with a reason only" in manager.text
    assert "Refund fee up to 10% and €12.50" in manager.text
    assert "manager create club: club" in acts(session)[0]
    assert "Uptown: Europe/Berlin, EUR, forgive, 10, 1250" in acts(session)[0]


def test_a_club_is_edited_and_the_log_tells_what_changed(manager: Browser, gym: Gym, session: Session) -> None:
    changed = {**UPTOWN, "currency": "USD"}
    manager.post(f"/clubs/{gym.club.id}", **changed, **FEE)
    assert values(session, "Uptown") == changed
    for change in (
        "name Downtown -> Uptown",
        "time_zone America/Chicago -> Europe/Berlin",
        "shortfall_policy repay -> forgive",
        "refund_fee_percent 5 -> 10",
        "refund_fee_most_minor 1000 -> 1250",
        "use_while_overdue warn -> grace",
        "overdue_grace_days 7 -> 14",
    ):
        assert change in acts(session)[0]


def test_what_was_not_edited_stays_as_somebody_else_has_saved_it(manager: Browser, gym: Gym, session: Session) -> None:
    manager.get(f"/clubs/{gym.club.id}")
    was = handed_out(manager)
    gym.club.time_zone = "Europe/Berlin"
    session.commit()
    sent = {"time_zone": "America/Chicago", "currency": "USD", "shortfall_policy": "repay"}
    manager.post(f"/clubs/{gym.club.id}", name="Uptown", was=was, **sent, **FEE)
    assert values(session, "Uptown") == {**sent, "name": "Uptown", "time_zone": "Europe/Berlin"}


def test_a_currency_that_was_withdrawn_stays_the_clubs(manager: Browser, session: Session) -> None:
    sofia = Club(name="Sofia", time_zone="Europe/Sofia", currency="BGN")
    session.add(sofia)
    session.commit()
    manager.get(f"/clubs/{sofia.id}")
    assert '<option selected value="BGN">' in manager.page
    manager.post(f"/clubs/{sofia.id}", **{**UPTOWN, **FEE, "currency": "BGN"})
    assert values(session, "Uptown") == {**UPTOWN, "currency": "BGN"}
    manager.get("/clubs/new")
    assert 'value="BGN"' not in manager.page
    assert 'value="XAU"' not in manager.page


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"name": ""}, "name", "A name is required"),
        ({"name": "Downtown"}, "name", "There is already a club 'Downtown'"),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "'Mars/Olympus' is not a time zone"),
        ({"time_zone": "../etc/passwd"}, "time_zone", "is not a time zone"),
        ({"time_zone": ""}, "time_zone", "is not a time zone"),
        ({"currency": "usd$"}, "currency", "'usd$' is not a currency"),
        ({"currency": "XQX"}, "currency", "'XQX' is not a currency"),
        ({"refund_fee_percent": "21"}, "refund_fee_percent", "can be at most 20 % (it is 21 %)"),
        ({"refund_fee_percent": "-1"}, "refund_fee_percent", "cannot be negative"),
        ({"refund_fee_percent": "few"}, "refund_fee_percent", "Type a whole number"),
        ({"refund_fee": "12.5"}, "refund_fee", "'12.5' is not an amount in EUR"),
        ({"refund_fee": ""}, "refund_fee", "is not an amount in EUR"),
        ({"refund_fee": "99999999"}, "refund_fee", "can be at most"),
        ({"use_while_overdue": "never"}, "use_while_overdue", "Not a valid choice"),
        ({"overdue_grace_days": "0"}, "overdue_grace_days", "must be 1 or more"),
        ({"overdue_grace_days": "91"}, "overdue_grace_days", "can be at most 90"),
        ({"shortfall_policy": "shrug"}, "shortfall_policy", "Not a valid choice"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    manager: Browser, gym: Gym, session: Session, fields: dict[str, Any], field: str, message: str
) -> None:
    assert manager.post("/clubs/new", **{**UPTOWN, **FEE, **fields}).status_code == 422
    assert message in beside(manager, field)
    assert values(session, "Uptown") is None


def test_the_currency_stays_once_members_have_signed_up(manager: Browser, gym: Gym, session: Session) -> None:
    gym.join()
    session.commit()
    assert manager.post(f"/clubs/{gym.club.id}", **UPTOWN, **FEE).status_code == 422
    assert "1 membership" in beside(manager, "currency")
    assert values(session, "Uptown") is None


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DESK])
def test_who_does_not_build_sees_no_buttons_and_may_do_nothing(log_in: LogIn, gym: Gym, role: Role) -> None:
    browser = log_in(role)
    assert browser.get("/clubs/").status_code == 200
    assert "Downtown" in browser.text
    assert "New club" not in browser.text
    assert "Edit" not in browser.text
    for path in ("/clubs/new", f"/clubs/{gym.club.id}"):
        assert browser.get(path).status_code == 403
        assert browser.post(path, follow=False, **UPTOWN, **FEE).status_code == 403


@pytest.mark.parametrize("number", ["0", "999999", "9223372036854775808", "x"])
def test_a_club_that_is_not_there_is_not_found(manager: Browser, number: str) -> None:
    assert manager.get(f"/clubs/{number}").status_code == 404
    assert manager.post(f"/clubs/{number}", **UPTOWN, **FEE).status_code == 404


def test_use_while_frozen_is_a_box_that_others_may_tick_meanwhile(manager: Browser, gym: Gym, session: Session) -> None:
    same = {"name": "Downtown", "time_zone": "America/Chicago", "currency": "USD", "shortfall_policy": "repay", **FEE}
    manager.get(f"/clubs/{gym.club.id}")
    unticked = handed_out(manager)
    manager.post(f"/clubs/{gym.club.id}", **same, use_while_frozen="y", was=unticked)
    assert "use_while_frozen False -> True" in acts(session)[0]
    assert "Sessions can be used while frozen" in manager.text
    manager.post(f"/clubs/{gym.club.id}", **same, was=unticked)
    session.refresh(gym.club)
    assert gym.club.use_while_frozen, "it was not edited, so it stays as somebody else has saved it"
    manager.get(f"/clubs/{gym.club.id}")
    manager.post(f"/clubs/{gym.club.id}", **same, was=handed_out(manager))
    session.refresh(gym.club)
    assert not gym.club.use_while_frozen
