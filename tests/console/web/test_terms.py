"""Payment terms: name, dues, interval and the Session Buckets section, in one window with one Save."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from models.catalogue.tables import Offer, PaymentTerm
from models.members.memberships import Membership
from models.staff.accounts import Role
from tests.console.web.builder import LogIn, acts, beside, handed_out, sessions, the_offer
from tests.console.web.conftest import Browser
from tests.models.gym import CLASS_DAYS, CLASSES, NEVER, TRAININGS, Gym, session_item, wait_until_blocked

WEEKLY: dict[str, Any] = {
    "name": "Biweekly",
    "dues": "1,045.50",
    "currency": "USD",
    "interval": "week",
    "interval_count": "2",
}
MONTHLY: dict[str, Any] = {
    "name": "Monthly",
    "dues": "90.00",
    "currency": "USD",
    "interval": "month",
    "interval_count": "1",
}
"""What Gold's one payment term says, as its window has it."""


@pytest.fixture
def manager(log_in: LogIn, gym: Gym) -> Browser:
    browser = log_in(Role.MANAGER)
    browser.get(f"/offers/{gym.offer.id}")
    return browser


def path(gym: Gym, *parts: object) -> str:
    return "/".join(map(str, (f"/offers/{gym.offer.id}/terms", *parts)))


def term(session: Session, name: str) -> PaymentTerm | None:
    session.expire_all()
    return session.scalar(select(PaymentTerm).where(PaymentTerm.name == name))


def numbers(gym: Gym, **given: tuple[object, object]) -> dict[str, Any]:
    """The fields of the Session Buckets section: quantity and days to expire by item; of others as they are."""
    fields: dict[str, Any] = {}
    given = {"Spin": (CLASSES, CLASS_DAYS), "Training": (TRAININGS, NEVER), **given}
    for bucket in gym.offer.buckets:
        quantity, days = given[bucket.item.name]
        fields |= {f"quantity_{bucket.id}": str(quantity), f"days_to_expire_{bucket.id}": str(days)}
    return fields


def test_a_payment_term_is_added_and_shown_in_plain_words(manager: Browser, gym: Gym, session: Session) -> None:
    manager.get(path(gym, "new"))
    assert 'selected value="USD"' in manager.page, "the first club's"
    assert "Session Buckets Session item Session Quantity sessions received each time dues are paid" in manager.text
    manager.post(path(gym, "new"), **WEEKLY, **numbers(gym, Spin=(4, 14), Training=(0, 0)))
    made = term(session, "Biweekly")
    assert made is not None
    assert (made.dues_minor, made.currency, made.interval, made.interval_count) == (104550, "USD", "week", 2)
    assert "$1,045.50 every 2 weeks · 0 memberships" in manager.text
    sentence = "Each $1,045.50 payment every 2 weeks gives 4 Spin sessions (14 days)."
    assert sentence in manager.text
    assert "Spin 4 14 Training not used" in manager.text
    assert sessions(session, "Gold", "Biweekly") == {"Spin": (4, 14)}
    assert acts(session)[0] == (
        f"manager add payment term: payment term {made.id}, Biweekly, of offer {gym.offer.id}, Gold: {sentence}"
    )


@pytest.mark.parametrize(
    ("currency", "typed", "stored", "shown", "example"),
    [
        ("RSD", "89", 8900, "RSD 89.00", "89.00"),
        ("IQD", "89", 89000, "IQD 89.000", "89.000"),
        ("JPY", "8900", 8900, "¥8,900", "89"),
    ],
)
def test_dues_are_typed_and_shown_in_the_decimals_of_the_currency(
    manager: Browser, gym: Gym, session: Session, currency: str, typed: str, stored: int, shown: str, example: str
) -> None:
    gym.club.currency = currency
    session.commit()
    manager.get(path(gym, "new"))
    assert f"What is paid each time, such as {example}." in manager.text
    manager.post(path(gym, "new"), **{**WEEKLY, "dues": typed, "currency": currency}, **numbers(gym))
    made = term(session, "Biweekly")
    assert made is not None
    assert made.dues_minor == stored
    assert f"{shown} every 2 weeks" in manager.text.replace("\xa0", " ")


def test_a_one_time_payment_has_no_count(manager: Browser, gym: Gym, session: Session) -> None:
    manager.post(path(gym, "new"), **{**WEEKLY, "interval": "once", "interval_count": "7"}, **numbers(gym))
    made = term(session, "Biweekly")
    assert made is not None
    assert (made.interval, made.interval_count) == ("once", 1)


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"name": ""}, "name", "A name is required"),
        ({"name": "Monthly"}, "name", "There is already a payment term of 'Gold' named 'Monthly'"),
        ({"dues": "a grant"}, "dues", "'a grant' is not an amount in USD: type it like 89.00"),
        ({"dues": ""}, "dues", "is not an amount"),
        ({"dues": "-5"}, "dues", "is not an amount"),
        ({"dues": "89.5"}, "dues", "is not an amount"),
        ({"dues": "999999999999"}, "dues", "Dues can be at most"),
        ({"dues": "9" * 40}, "dues", "longer than 30"),
        ({"currency": "XQX"}, "currency", "'XQX' is not a currency"),
        ({"interval": "day"}, "interval", "Not a valid choice"),
        ({"interval_count": "0"}, "interval_count", "must be 1 or more"),
        ({"interval_count": "121"}, "interval_count", "every 120 weeks at most"),
        ({"interval_count": "two"}, "interval_count", "Type a whole number"),
    ],
)
@pytest.mark.parametrize("act", ["new", "edit"])
def test_what_is_wrong_stands_beside_its_field(
    manager: Browser, gym: Gym, session: Session, act: str, fields: dict[str, Any], field: str, message: str
) -> None:
    manager.post(path(gym, "new"), **{**WEEKLY, "name": "Other"}, **numbers(gym))
    other = term(session, "Other")
    assert other is not None
    logged = acts(session)
    answer = manager.post(path(gym, "new" if act == "new" else other.id), **{**WEEKLY, **numbers(gym), **fields})
    assert answer.status_code == 422
    assert message in beside(manager, field)
    assert acts(session) == logged
    assert term(session, "Biweekly") is None


def test_an_edit_says_that_memberships_keep_theirs_and_the_log_tells_what_changed(
    manager: Browser, gym: Gym, session: Session
) -> None:
    gym.join()
    session.commit()
    manager.get(path(gym, gym.term.id))
    assert 'value="90.00"' in manager.page
    assert "Nothing changes for the 1 membership that has it: it keeps what was agreed" in manager.text
    manager.post(path(gym, gym.term.id), **{**MONTHLY, "dues": "95"}, **numbers(gym))
    assert "$95.00 every month · 1 membership" in manager.text
    assert acts(session)[0].endswith(
        f"payment term {gym.term.id}, Monthly, of offer {gym.offer.id}, Gold: dues_minor 9000 -> 9500"
    )
    (membership,) = session.scalars(select(Membership))
    assert membership.versions[0].dues_minor == 9000


def test_sessions_are_saved_and_logged_with_the_term(manager: Browser, gym: Gym, session: Session) -> None:
    gym.join()
    session.commit()
    edited = {**MONTHLY, "dues": "95.00", **numbers(gym, Spin=(10, 45), Training=(0, 0))}
    manager.post(path(gym, gym.term.id), **edited)
    assert sessions(session, "Gold", "Monthly") == {"Spin": (10, 45)}, "both 0: not used"
    assert "Each $95.00 monthly payment gives 10 Spin sessions (45 days)." in manager.text
    logged = acts(session)
    assert logged[0].endswith(
        "Gold: dues_minor 9000 -> 9500, Spin 8 (30 days) -> 10 (45 days), Training 2 (never expiring) -> 0"
    )
    (membership,) = session.scalars(select(Membership))
    pinned = {pin.item.name: pin.quantity for pin in membership.versions[0].pinned}
    assert pinned == {"Spin": CLASSES, "Training": TRAININGS}
    manager.post(path(gym, gym.term.id), **edited)
    assert acts(session) == logged, "saving the same is not an act"


def test_each_number_that_is_wrong_is_told_beside_it_and_nothing_is_saved(
    manager: Browser, gym: Gym, session: Session
) -> None:
    spin, training = (bucket.id for bucket in gym.offer.buckets)
    fields = {**MONTHLY, "dues": "95.00", **numbers(gym, Spin=(0, 77), Training=("-3", 36501))}
    assert manager.post(path(gym, gym.term.id), **fields).status_code == 422
    assert beside(manager, f"days_to_expire_{spin}") == (
        "Days to expire is 77 but session quantity is 0: set both to 0 for an item not used under this term."
    )
    assert beside(manager, f"quantity_{spin}") == ""
    assert "cannot be negative" in beside(manager, f"quantity_{training}")
    assert "at most 36500" in beside(manager, f"days_to_expire_{training}")
    for typed in ("77", "-3", "36501", "95.00"):
        assert f'value="{typed}"' in manager.page, "what was typed is kept"
    kept = term(session, "Monthly")
    assert kept is not None
    assert kept.dues_minor == 9000
    assert sessions(session, "Gold", "Monthly") == {"Spin": (CLASSES, CLASS_DAYS), "Training": (TRAININGS, NEVER)}


@pytest.mark.parametrize("typed", ["", "x", "1.5", "1e3", "9" * 5000, "\u0663"])
def test_what_is_no_number_is_told_beside_its_field(manager: Browser, gym: Gym, session: Session, typed: str) -> None:
    spin = gym.offer.buckets[0].id
    fields = {**MONTHLY, **numbers(gym, Spin=(typed, 0), Training=(1, 0))}
    assert manager.post(path(gym, gym.term.id), **fields).status_code == 422
    assert "Type a whole number" in beside(manager, f"quantity_{spin}")
    assert sessions(session, "Gold", "Monthly")["Spin"] == (CLASSES, CLASS_DAYS)


def test_a_term_on_sale_under_which_too_little_could_be_picked_is_refused(
    manager: Browser, gym: Gym, session: Session
) -> None:
    nothing = numbers(gym, Spin=(0, 0), Training=(0, 0))
    assert manager.post(path(gym, "new"), **WEEKLY, **nothing).status_code == 422
    refusal = "Nobody could buy 'Gold' under its payment term '{}': it gives sessions of 0 session items"
    assert refusal.format("Biweekly") in manager.text
    assert term(session, "Biweekly") is None
    assert manager.post(path(gym, gym.term.id), **MONTHLY, **nothing).status_code == 422
    assert refusal.format("Monthly") in manager.text
    assert set(sessions(session, "Gold", "Monthly")) == {"Spin", "Training"}


class TestWithSomebodyElse:
    """Two managers have the window open at once: neither takes back what the other has saved."""

    def test_saving_one_field_leaves_another_persons_edit_of_another(
        self, manager: Browser, gym: Gym, session: Session
    ) -> None:
        manager.get(path(gym, gym.term.id))
        was = handed_out(manager)
        gym.term.dues_minor = 9900
        gym.term.set_bucket(gym.offer.buckets[1], quantity=3, days_to_expire=0)
        session.commit()
        manager.post(path(gym, gym.term.id), **MONTHLY, **numbers(gym, Spin=(10, 45)), was=was)
        assert sessions(session, "Gold", "Monthly") == {"Spin": (10, 45), "Training": (3, 0)}
        kept = term(session, "Monthly")
        assert kept is not None
        assert kept.dues_minor == 9900
        assert "Gold: Spin 8 (30 days) -> 10 (45 days)" in acts(session)[0]

    def test_a_refused_window_shows_what_the_other_has_saved(
        self, manager: Browser, gym: Gym, session: Session
    ) -> None:
        manager.get(path(gym, gym.term.id))
        was = handed_out(manager)
        gym.term.dues_minor = 9900
        session.commit()
        manager.post(path(gym, gym.term.id), **MONTHLY, **numbers(gym, Spin=(0, 45)), was=was)
        assert 'value="99.00"' in manager.page
        manager.post(path(gym, gym.term.id), **{**MONTHLY, "dues": "99.00"}, **numbers(gym), was=handed_out(manager))
        kept = term(session, "Monthly")
        assert kept is not None
        assert kept.dues_minor == 9900

    def test_numbers_for_an_item_that_is_gone_are_not_dropped_in_silence(
        self, manager: Browser, gym: Gym, session: Session
    ) -> None:
        fields = {**MONTHLY, **numbers(gym, Spin=(10, 45))}
        gym.offer.remove_bucket(gym.offer.buckets[0])
        session.commit()
        assert manager.post(path(gym, gym.term.id), **fields).status_code == 422
        assert "A session item was removed from this offer meanwhile: look at the numbers again." in manager.text

    def test_an_item_that_came_meanwhile_is_asked_for(self, manager: Browser, gym: Gym, session: Session) -> None:
        fields = {**MONTHLY, **numbers(gym)}
        yoga = gym.offer.add_bucket(session_item("Yoga"))
        session.commit()
        assert manager.post(path(gym, gym.term.id), **fields).status_code == 422
        assert "Type a whole number" in beside(manager, f"quantity_{yoga.id}")


def test_an_offer_on_sale_that_cannot_be_bought_under_a_term_says_so(
    manager: Browser, gym: Gym, session: Session
) -> None:
    """As it can be since before that was refused."""
    gym.term.bucket_terms.clear()
    session.commit()
    manager.get(f"/offers/{gym.offer.id}")
    assert "Nobody could buy 'Gold' under its payment term 'Monthly'" in manager.text
    manager.post(path(gym, gym.term.id), **MONTHLY, **numbers(gym))
    assert "Nobody could buy" not in manager.text


def test_a_term_is_retired_and_brought_back(manager: Browser, gym: Gym, session: Session) -> None:
    manager.post(path(gym, "new"), **WEEKLY, **numbers(gym))
    manager.post(path(gym, gym.term.id, "retire"))
    retired = term(session, "Monthly")
    assert retired is not None
    assert retired.retired_at is not None
    assert datetime.now(UTC) >= retired.retired_at
    assert "Monthly can no longer be bought" in manager.text
    assert "manager retire payment term" in acts(session)[0]
    manager.post(path(gym, gym.term.id, "retire"))
    assert "is retired, so it cannot be retired again" in manager.text
    manager.post(path(gym, gym.term.id, "bring-back"))
    back = term(session, "Monthly")
    assert back is not None
    assert back.retired_at is None
    assert "manager bring back payment term" in acts(session)[0]


def test_a_term_that_gives_too_little_is_not_brought_back(manager: Browser, gym: Gym, session: Session) -> None:
    manager.post(path(gym, "new"), **WEEKLY, **numbers(gym))
    manager.post(path(gym, gym.term.id, "retire"))
    manager.post(path(gym, gym.term.id), **MONTHLY, **numbers(gym, Spin=(0, 0), Training=(0, 0)))
    manager.post(path(gym, gym.term.id, "bring-back"))
    assert "Nobody could buy 'Gold' under its payment term 'Monthly'" in manager.text
    kept = term(session, "Monthly")
    assert kept is not None
    assert kept.retired_at is not None


def test_the_last_term_on_sale_stays(manager: Browser, gym: Gym, session: Session) -> None:
    manager.post(path(gym, gym.term.id, "retire"))
    assert "Nobody could buy 'Gold': it has no payment term on sale" in manager.text
    assert manager.post(path(gym, gym.term.id, "delete")).status_code == 422
    kept = term(session, "Monthly")
    assert kept is not None
    assert kept.retired_at is None
    assert not any("payment term" in act for act in acts(session))


def test_two_managers_cannot_retire_the_last_two_terms_at_once(
    manager: Browser, gym: Gym, session: Session, engine: Engine
) -> None:
    manager.post(path(gym, "new"), **WEEKLY, **numbers(gym))
    first, second = gym.term, term(session, "Biweekly")
    assert second is not None
    ids = first.id, second.id
    session.scalars(select(Offer).where(Offer.id == gym.offer.id).with_for_update(key_share=True)).one()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: assert_answered(manager, path(gym, ids[1], "retire")))
        wait_until_blocked(engine, other.done)
        first.retire(datetime.now(UTC))
        session.commit()
        other.result()
    assert "Nobody could buy 'Gold': it has no payment term on sale" in manager.text
    kept = term(session, "Biweekly")
    assert kept is not None
    assert kept.retired_at is None


def assert_answered(browser: Browser, path: str) -> None:
    assert browser.post(path).status_code == 200


def test_only_a_term_that_nobody_bought_is_deleted_once_that_is_confirmed(
    manager: Browser, gym: Gym, session: Session
) -> None:
    gym.join()
    session.commit()
    manager.post(path(gym, "new"), **WEEKLY, **numbers(gym))
    assert manager.post(path(gym, gym.term.id, "delete")).status_code == 422
    assert "'Monthly' was bought by 1 membership: retire it instead" in manager.text
    made = term(session, "Biweekly")
    assert made is not None
    number = made.id
    manager.get(path(gym, number, "delete"))
    assert "Delete Biweekly?" in manager.text
    assert term(session, "Biweekly") is not None
    manager.post(path(gym, number, "delete"))
    assert term(session, "Biweekly") is None
    assert acts(session)[0].startswith(f"manager delete payment term: payment term {number}, Biweekly")


def test_an_offer_without_items_asks_for_no_sessions(manager: Browser, gym: Gym, session: Session) -> None:
    manager.post("/offers/new", name="Silver")
    silver = the_offer(session, "Silver")
    assert silver is not None
    manager.post(f"/offers/{silver.id}/terms/new", **WEEKLY)
    assert "the offer has no session items yet" in manager.text
    made = term(session, "Biweekly")
    assert made is not None
    manager.get(f"/offers/{silver.id}/terms/{made.id}")
    assert "Each payment gives no sessions: the offer has no session items yet." in manager.text


def test_what_becomes_of_freezes_and_the_end_is_set_in_plain_words(
    manager: Browser, gym: Gym, session: Session
) -> None:
    manager.get(path(gym, "new"))
    assert "Dues while frozen Nothing: it is the fee of the freeze" in manager.text
    rules = {"frozen_dues": "part", "on_end": "days", "on_end_days": "14"}
    said = (
        "Dues paid while the membership is frozen give the part of the sessions that they pay for. When the membership "
        "ends, unused sessions are usable for 14 days after the last day of the membership."
    )
    manager.get(path(gym, "preview"), query_string={**WEEKLY, **numbers(gym), **rules})
    assert manager.page.endswith(said)
    manager.post(path(gym, "new"), **WEEKLY, **numbers(gym), **rules)
    made = term(session, "Biweekly")
    assert made is not None
    assert (made.frozen_dues, made.on_end, made.on_end_days) == ("part", "days", 14)
    assert said in manager.text, "the offer's page says it"
    manager.get(path(gym, made.id))
    assert said in manager.text
    assert 'selected value="days"' in manager.page
    manager.post(path(gym, made.id), **WEEKLY, **numbers(gym), **rules | {"on_end": "keep"})
    made = term(session, "Biweekly")
    assert made is not None
    assert (made.on_end, made.on_end_days) == ("keep", None)
    assert "on_end days -> keep" in acts(session)[0]


@pytest.mark.parametrize(
    ("rules", "field", "message"),
    [
        ({"on_end": "days"}, "on_end_days", "Say for how many days after the end sessions can be used: 1 to 730"),
        ({"on_end": "days", "on_end_days": "0"}, "on_end_days", "1 to 730 (it is 0)"),
        ({"on_end": "days", "on_end_days": "731"}, "on_end_days", "1 to 730 (it is 731)"),
        ({"on_end": "days", "on_end_days": "few"}, "on_end_days", "Type a whole number"),
        ({"on_end": "never"}, "on_end", "Not a valid choice"),
        ({"frozen_dues": "half"}, "frozen_dues", "Not a valid choice"),
    ],
)
def test_what_is_wrong_about_freezes_and_the_end_stands_beside_its_field(
    manager: Browser, gym: Gym, session: Session, rules: dict[str, str], field: str, message: str
) -> None:
    assert manager.post(path(gym, "new"), **WEEKLY, **numbers(gym), **rules).status_code == 422
    assert message in beside(manager, field)
    assert term(session, "Biweekly") is None
