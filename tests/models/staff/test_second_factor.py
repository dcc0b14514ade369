"""The second factor: whose codes count, once each, and how many tries there are."""

from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.errors import TooManyFailures, WrongCode
from models.staff import logins, second_factor
from models.staff.accounts import Staff
from models.staff.actions import Action, Actor
from tests.models.gym import fresh
from tests.models.staff.test_accounts import NOW, PASSWORD, account

KEY = "k" * 32
SEED = b"s" * 20
STEP = timedelta(seconds=30)
APP = pyotp.TOTP(second_factor.secret(SEED, KEY))


@pytest.fixture
def ada(session: Session) -> Staff:
    return account(session)


@pytest.fixture
def codes(session: Session, ada: Staff) -> list[str]:
    """The recovery codes of Ada, whose app has shown a code at NOW."""
    by = Actor("ada@example.com", "here")
    return list(second_factor.set_up(session, ada, SEED, APP.at(NOW), key=KEY, by=by, now=NOW))


def tried(session: Session, ada: Staff, code: str, after: timedelta = STEP, key: str = KEY) -> bool:
    answer = logins.log_in_with_code(session, ada, code, key=key, address=fresh("address"), now=NOW + after)
    assert isinstance(answer, Staff | WrongCode)
    return isinstance(answer, Staff)


def test_each_code_of_the_app_counts_once_and_none_that_came_before_it(
    session: Session, ada: Staff, codes: list[str]
) -> None:
    assert not tried(session, ada, APP.at(NOW))  # which has set it up
    assert tried(session, ada, f" {APP.at(NOW + STEP)[:3]} {APP.at(NOW + STEP)[3:]}")
    assert ada.last_login_at == NOW + STEP
    assert not tried(session, ada, APP.at(NOW + STEP))
    assert tried(session, ada, APP.at(NOW + 3 * STEP), after=2 * STEP)  # a phone whose clock is ahead
    assert not tried(session, ada, APP.at(NOW + 2 * STEP), after=2 * STEP)
    assert not tried(session, ada, APP.at(NOW + 9 * STEP), after=12 * STEP)


def test_each_recovery_code_counts_once(session: Session, ada: Staff, codes: list[str]) -> None:
    assert (len(set(codes)), {len(code) for code in codes}) == (10, {19})
    assert tried(session, ada, codes[0].upper())
    assert not tried(session, ada, codes[0])
    assert tried(session, ada, codes[1].replace("-", ""))
    used = session.scalars(select(Action.subject).where(Action.verb == "use recovery code").order_by(Action.id))
    assert list(used) == [f"staff account {ada.id}, ada@example.com, {left} left" for left in (9, 8)]


def test_a_copy_of_the_database_makes_no_codes(session: Session, ada: Staff, codes: list[str]) -> None:
    assert not tried(session, ada, APP.at(NOW + STEP), key="another" * 6)
    assert not tried(session, ada, "\ud800é½" * 2)


def test_the_right_password_gives_no_further_tries(session: Session, ada: Staff, codes: list[str]) -> None:
    for _ in range(5):
        known = logins.log_in(session, email=ada.email, password=PASSWORD, address=fresh("address"), now=NOW)
        assert (known, ada.last_login_at) == (ada, None)
        assert not tried(session, ada, "000000")
    for refused in (
        logins.log_in(session, email=ada.email, password=PASSWORD, address="here", now=NOW),
        logins.log_in_with_code(session, ada, codes[0], key=KEY, address="here", now=NOW),
    ):
        assert isinstance(refused, TooManyFailures)
    assert tried(session, ada, codes[0], after=timedelta(minutes=16))


def test_without_it_the_recovery_codes_are_gone(session: Session, ada: Staff, codes: list[str]) -> None:
    second_factor.turn_off(session, ada, by=Actor("root", "here"))
    assert session.scalars(select(second_factor.RecoveryCode)).all() == []
    assert session.scalars(select(Action.verb).order_by(Action.id.desc())).first() == "remove second factor"
    with pytest.raises(WrongCode):
        second_factor.set_up(session, ada, SEED, "000000", key=KEY, by=Actor("root", "here"), now=NOW)
