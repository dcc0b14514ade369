"""Logging in: who gets in, and how many tries there are."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Literal

import pytest
from argon2 import Parameters, PasswordHasher, extract_parameters
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from models.database.engine import make_engine, sessions
from models.errors import PasswordTooShort, TooManyFailures, WrongLogin
from models.staff import accounts, logins
from models.staff.accounts import Role, Staff
from models.staff.actions import Action, Actor
from models.staff.logins import Login, LoginFailures, log_in
from tests.models.gym import fresh, together, wait_until_blocked
from tests.models.staff.test_accounts import NOW, PASSWORD, account

ADA = "ada@example.com"
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def ada(session: Session) -> Staff:
    return account(session, ADA)


def attempt(
    session: Session,
    email: str = ADA,
    password: str = PASSWORD,
    address: str | None = None,
    now: datetime = NOW,
) -> Staff | WrongLogin | TooManyFailures:
    """From an address of its own, unless told."""
    answer = log_in(session, email=email, password=password, address=address or fresh("address"), now=now)
    session.commit()
    return answer


def fail(session: Session, times: int, email: str = ADA, address: str | None = None, now: datetime = NOW) -> None:
    for _ in range(times):
        assert type(attempt(session, email, "wrong", address, now)) is WrongLogin


def test_the_right_password_logs_in(session: Session, ada: Staff) -> None:
    assert attempt(session) is ada
    assert ada.last_login_at == NOW
    assert attempt(session, " ADA@Example.com", address="192.0.2.1") is ada
    [first, second] = session.scalars(select(Action).where(Action.verb == "log in").order_by(Action.id))
    assert (first.actor, first.subject) == (ADA, f"staff account {ada.id}, {ADA}")
    assert second.origin == "192.0.2.1"


def test_a_wrong_password_an_unknown_and_a_disabled_account_get_one_answer(session: Session, ada: Staff) -> None:
    account(session, "ben@example.com")
    accounts.disable(session, ada, by=Actor("root", "here"), now=NOW)
    answers = [
        attempt(session),
        attempt(session, "ben@example.com", "wrong"),
        attempt(session, "nobody@example.com"),
        attempt(session, "a\0\udcff", "\0\udcff"),
    ]
    assert {(type(answer), str(answer)) for answer in answers} == {
        (WrongLogin, "The e-mail address or the password is wrong.")
    }
    assert ada.last_login_at is None
    assert "log in" not in session.scalars(select(Action.verb)).all()


def test_a_password_asked_for_again_is_checked_and_counted_but_is_no_login(session: Session, ada: Staff) -> None:
    def check(password: str) -> Staff | WrongLogin | TooManyFailures:
        return logins.check(session, email=ADA, password=password, address="192.0.2.1", now=NOW)

    assert check(PASSWORD) is ada
    assert ada.last_login_at is None
    assert "log in" not in session.scalars(select(Action.verb)).all()
    assert [type(check("wrong")) for _ in range(6)] == [WrongLogin] * 5 + [TooManyFailures]
    assert type(attempt(session)) is TooManyFailures


class NotingHasher(PasswordHasher):
    """Which notes what each hash that it compares with costs to compute."""

    def __init__(self) -> None:
        super().__init__(time_cost=2, memory_cost=64, parallelism=1)
        self.costs: list[Parameters] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.costs.append(extract_parameters(str(hash)))
        return super().verify(hash, password)


def test_an_unknown_and_a_disabled_account_cost_as_much_to_refuse(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hash, as costly as that of a real password: the answer's time tells nothing."""
    hasher = NotingHasher()
    monkeypatch.setattr(accounts, "HASHER", hasher)
    account(session, ADA)
    accounts.disable(session, account(session, "ben@example.com"), by=Actor("root", "here"), now=NOW)
    for email in (ADA, "nobody@example.com", "ben@example.com"):
        fail(session, 1, email)
    assert hasher.costs == [hasher.costs[0]] * 3
    assert (hasher.costs[0].time_cost, hasher.costs[0].memory_cost) == (2, 64)


def test_logging_in_hashes_anew_what_was_hashed_at_another_cost(session: Session, ada: Staff) -> None:
    usual = ada.password_hash.split("$")[3]
    ada.password_hash = PasswordHasher(time_cost=1, memory_cost=1024).hash(PASSWORD)
    assert type(attempt(session, password="wrong")) is WrongLogin
    assert ada.password_hash.split("$")[3] != usual
    assert attempt(session) is ada
    assert ada.password_hash.split("$")[3] == usual
    assert attempt(session) is ada


def test_a_new_password_unlocks_a_locked_login(session: Session, ada: Staff) -> None:
    account(session, "ben@example.com")
    fail(session, 5)
    fail(session, 5, "ben@example.com")
    assert type(attempt(session)) is TooManyFailures
    logins.change_password(session, ada, "battery staple", by=Actor("root", "here"), now=NOW)
    assert attempt(session, password="battery staple") is ada
    assert type(attempt(session, "ben@example.com")) is TooManyFailures
    with pytest.raises(PasswordTooShort):
        logins.change_password(session, ada, "short", by=Actor("root", "here"), now=NOW)


def test_the_action_log_tells_whose_login_was_locked_and_from_where(session: Session, ada: Staff) -> None:
    fail(session, 4, address="192.0.2.1")
    fail(session, 5, "nobody@example.com")
    assert not session.scalars(select(Action).where(Action.verb == "lock login")).all()
    fail(session, 1, address="192.0.2.2")
    attempt(session, password="wrong")
    [act] = session.scalars(select(Action).where(Action.verb == "lock login"))
    assert (act.actor, act.origin) == ("somebody unknown", "192.0.2.2")
    assert act.subject == f"staff account {ada.id}, {ADA}"
    assert act.reason == "5 failed logins, the last from there: closed for 15 min"


class TestLogins:
    """What lasts after logging in."""

    def test_it_lasts_for_seven_days_and_is_forgotten_then(self, session: Session, ada: Staff) -> None:
        first = logins.begin(session, ada, NOW)
        last = NOW + logins.LASTS - timedelta(microseconds=1)
        assert logins.account(session, first, last) is ada
        assert logins.account(session, first, NOW + logins.LASTS) is None
        second = logins.begin(session, ada, NOW + logins.LASTS)
        assert session.scalars(select(Login.id)).all() == [second]

    def test_it_ends_alone(self, session: Session, ada: Staff) -> None:
        first, second = logins.begin(session, ada, NOW), logins.begin(session, ada, NOW)
        logins.end(session, first)
        logins.end(session, first)
        assert [logins.account(session, login, NOW) for login in (first, second)] == [None, ada]

    def test_a_new_password_ends_all(self, session: Session, ada: Staff) -> None:
        first = logins.begin(session, ada, NOW)
        logins.change_password(session, ada, "battery staple", by=Actor("root", "here"), now=NOW + MINUTE)
        assert logins.account(session, first, NOW) is None

    def test_so_does_disabling_and_enabling_brings_none_back(self, session: Session, ada: Staff) -> None:
        account(session, "ben@example.com", role=Role.ADMIN)
        first = logins.begin(session, ada, NOW)
        accounts.disable(session, ada, by=Actor("root", "here"), now=NOW)
        session.flush()
        assert logins.account(session, first, NOW) is None
        accounts.enable(session, ada, by=Actor("root", "here"), now=NOW + MINUTE)
        session.flush()
        assert logins.account(session, first, NOW) is None

    def test_one_that_takes_the_place_of_another_lasts_no_longer(self, session: Session, ada: Staff) -> None:
        first = logins.begin(session, ada, NOW)
        second = logins.begin(session, ada, NOW + 6 * DAY, instead_of=first)
        assert logins.account(session, first, NOW) is None
        assert logins.account(session, second, NOW + 6 * DAY) is ada
        assert logins.account(session, second, NOW + 7 * DAY) is None


def test_a_password_changed_while_the_old_one_logs_in_stays_changed(engine: Engine) -> None:
    """Though logging in hashes the old one anew."""
    with sessions(engine).begin() as session:
        person = account(session)
        person.password_hash = PasswordHasher(time_cost=1, memory_cost=1024).hash(PASSWORD)

    def change() -> None:
        with sessions(engine).begin() as other:
            mine = other.get_one(Staff, person.id)
            accounts.change_password(other, mine, "battery staple", by=Actor("root", "here"), now=NOW)

    with sessions(engine)() as session, ThreadPoolExecutor() as pool:
        assert isinstance(log_in(session, email=ADA, password=PASSWORD, address="::1", now=NOW), Staff)
        session.flush()
        changing = pool.submit(change)
        wait_until_blocked(engine, changing.done)
        session.commit()
        changing.result()
        assert attempt(session, password="battery staple")
        assert accounts.verify(accounts.find(session, ADA, lock=True), "battery staple")


def test_a_password_changed_just_before_is_the_one_that_counts(engine: Engine) -> None:
    with sessions(engine).begin() as session:
        account(session)

    def old_one() -> Staff | WrongLogin | TooManyFailures:
        with sessions(engine)() as other:
            known = accounts.find(other, ADA)
            assert known
            return attempt(other)

    with sessions(engine)() as session, ThreadPoolExecutor() as pool:
        person = accounts.find(session, ADA)
        assert person
        accounts.change_password(session, person, "battery staple", by=Actor("root", "here"), now=NOW)
        session.flush()
        trying = pool.submit(old_one)
        wait_until_blocked(engine, trying.done)
        session.commit()
        assert type(trying.result()) is WrongLogin


class TestThrottle:
    def test_after_five_failures_the_right_password_is_refused_too(self, session: Session, ada: Staff) -> None:
        fail(session, 1)
        fail(session, 4, now=NOW + 5 * MINUTE)
        refused = attempt(session, now=NOW + 5.5 * MINUTE)
        assert type(refused) is TooManyFailures
        assert refused.details == {"minutes": 10, "seconds": 570}
        assert str(refused) == "Too many failed logins: try again in 10 min."
        assert type(attempt(session, "ADA@example.com ", now=NOW + 6 * MINUTE)) is TooManyFailures
        assert ada.last_login_at is None

    def test_after_the_window_all_is_forgotten(self, session: Session, ada: Staff) -> None:
        fail(session, 5)
        assert type(attempt(session, now=NOW + 15 * MINUTE - timedelta(microseconds=1))) is TooManyFailures
        fail(session, 4, now=NOW + 15 * MINUTE)
        assert attempt(session, now=NOW + 15 * MINUTE) is ada

    def test_refused_tries_prolong_nothing(self, session: Session, ada: Staff) -> None:
        fail(session, 5)
        for _ in range(7):
            assert type(attempt(session, password="wrong", now=NOW + 14 * MINUTE)) is TooManyFailures
        assert attempt(session, now=NOW + 15 * MINUTE) is ada

    def test_success_clears_the_account(self, session: Session, ada: Staff) -> None:
        for times in (1, 4):
            fail(session, times)
            assert attempt(session) is ada

    def test_accounts_are_counted_apart(self, session: Session, ada: Staff) -> None:
        fail(session, 5, "ben@example.com")
        assert attempt(session) is ada

    def test_an_unknown_account_is_counted_too(self, session: Session) -> None:
        fail(session, 5, "nobody@example.com")
        assert type(attempt(session, "nobody@example.com")) is TooManyFailures

    @pytest.mark.parametrize(
        ("address", "same", "other"),
        [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
            ("2001:db8::1", "2001:db8:0:0:ffff::2", "2001:db8:0:1::1"),
        ],
    )
    def test_an_address_that_tries_many_accounts_is_refused(
        self, session: Session, ada: Staff, address: str, same: str, other: str
    ) -> None:
        for number in range(50):
            assert attempt(session, address=same) is ada
            fail(session, 1, f"{number}@example.com", address)
        assert type(attempt(session, address=same)) is TooManyFailures
        assert attempt(session, address=other) is ada

    def test_an_address_that_is_refused_counts_against_nobody(self, session: Session, ada: Staff) -> None:
        for number in range(50):
            fail(session, 1, f"{number}@example.com", "192.0.2.1")
        for _ in range(6):
            assert type(attempt(session, password="wrong", address="192.0.2.1")) is TooManyFailures
        assert attempt(session) is ada

    def test_an_own_account_does_not_clear_an_address(self, session: Session, ada: Staff) -> None:
        for number in range(50):
            fail(session, 1, f"{number}@example.com", "192.0.2.1")
            answer = attempt(session, address="192.0.2.1")
            assert (answer is ada) == (number < 49)

    def test_many_tries_at_once_are_no_more_than_five(self, engine: Engine, database_url: str) -> None:
        with sessions(engine).begin() as session:
            account(session)
        wide = make_engine(database_url, pool_size=12)
        jobs: list[Callable[[Session], object]] = [lambda session: type(attempt(session, password="wrong"))] * 12
        answers = together(wide, jobs)
        wide.dispose()
        assert sorted(map(str, answers)) == sorted(map(str, [WrongLogin] * 5 + [TooManyFailures] * 7))

    def test_old_counts_go_as_new_ones_come(self, session: Session) -> None:
        for number in range(6):
            fail(session, 1, f"{number}@example.com", now=NOW + number * MINUTE)
        assert session.scalar(select(func.count()).select_from(LoginFailures)) == 12
        fail(session, 1, "late@example.com", now=NOW + 18 * MINUTE)
        assert session.scalar(select(func.count()).select_from(LoginFailures)) == 2 * (2 + 1)

    def test_what_succeeds_or_is_refused_leaves_no_count(self, session: Session, ada: Staff) -> None:
        attempt(session)
        fail(session, 5, address="192.0.2.1")
        attempt(session, address="192.0.2.9")
        assert session.scalar(select(func.count()).select_from(LoginFailures)) == 2
