"""Staff accounts: who may do what, passwords, and an admin who always remains."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import combinations
from threading import Semaphore
from typing import Literal

import pytest
from argon2 import PasswordHasher, Type, extract_parameters
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.database.engine import sessions
from models.errors import (
    InvalidEmail,
    LastAdmin,
    NameMissing,
    PasswordIsLoginName,
    PasswordTooShort,
    StaffExists,
    TextTooLong,
)
from models.staff import accounts
from models.staff.accounts import Role, Staff, may
from models.staff.actions import Action, Actor
from tests.models.gym import together

NOW = datetime(2024, 3, 1, 15, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
PASSWORD = "correct horse"


def account(session: Session, email: str = "ada@example.com", role: Role = Role.DESK) -> Staff:
    return accounts.add(
        session, email=email, name="Ada", role=role, password=PASSWORD, by=Actor("root", "here"), now=NOW
    )


def acts(session: Session) -> list[tuple[str, str, str]]:
    session.flush()
    return [(act.actor, act.verb, act.subject) for act in session.scalars(select(Action).order_by(Action.id))]


def test_each_role_may_what_the_ones_before_it_may() -> None:
    order = [Role.VIEWER, Role.DESK, Role.MANAGER, Role.ADMIN]
    for less, more in combinations(order, 2):
        assert may(more, less)
        assert not may(less, more)
    assert all(may(role, role) for role in order)
    assert may("manager", Role.DESK)


def test_an_operator_has_nothing_to_do_at_the_desk_and_the_desk_nothing_to_operate() -> None:
    assert may("operator", Role.VIEWER)
    assert may("operator", Role.OPERATOR)
    assert may("admin", Role.OPERATOR)
    for one in (Role.DESK, Role.MANAGER):
        assert not may("operator", one)
        assert not may(one, Role.OPERATOR)
    assert not may("viewer", Role.OPERATOR)
    assert not may("operator", Role.ADMIN)


class TestAdd:
    def test_an_account_is_active_and_written_down(self, session: Session) -> None:
        person = account(session)
        assert (person.email, person.name, person.role, person.active) == ("ada@example.com", "Ada", "desk", True)
        assert (person.password_changed_at, person.last_login_at) == (NOW, None)
        assert acts(session) == [("root", "add account", f"staff account {person.id}, ada@example.com as desk")]

    def test_it_is_found_in_whatever_case(self, session: Session) -> None:
        person = account(session, " Ada@Example.com ")
        assert person.email == "ada@example.com"
        assert accounts.find(session, "ADA@example.COM\n") is person
        assert accounts.find(session, "ben@example.com") is None

    @pytest.mark.parametrize("email", ["", "a\0@b", "\udcff@b"], ids=ascii)
    def test_what_no_account_can_be_called_is_not_found(self, session: Session, email: str) -> None:
        assert accounts.find(session, email) is None

    def test_a_login_name_is_taken_in_whatever_case(self, session: Session) -> None:
        account(session)
        with pytest.raises(StaffExists, match=r"'ada@example\.com'"):
            account(session, "ADA@example.com")
        assert len(acts(session)) == 1

    def test_the_database_keeps_them_unique_in_whatever_case(self, session: Session) -> None:
        person = account(session)
        with pytest.raises(IntegrityError, match="ck_staff_email"), session.begin_nested():
            session.execute(text("UPDATE staff SET email = 'Ada@example.com' WHERE id = :id"), {"id": person.id})

    def test_at_once_one_is_made(self, engine: Engine) -> None:
        results = together(engine, [account] * 3)
        assert sorted(type(result) is StaffExists for result in results) == [False, True, True]

    @pytest.mark.parametrize(
        "email", ["", "ada", "@example.com", "ada@", "a@b@c", "a da@example.com", "a\0@b", "\udcff@b"], ids=ascii
    )
    def test_a_login_name_is_an_email_address(self, session: Session, email: str) -> None:
        with pytest.raises(InvalidEmail):
            account(session, email)

    @pytest.mark.parametrize(
        ("email", "name", "error"),
        [
            ("ada@example.com", " ", NameMissing),
            ("ada@example.com", "A" * 201, TextTooLong),
            ("a" * 189 + "@example.com", "Ada", TextTooLong),
        ],
    )
    def test_what_cannot_be_kept_is_refused(
        self, session: Session, email: str, name: str, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            accounts.add(
                session, email=email, name=name, role=Role.DESK, password=PASSWORD, by=Actor("root", "here"), now=NOW
            )


EARNEST = accounts.HASHER


class OneByOne(PasswordHasher):
    """Which hashes as long as it is not told to go on, and says when it has begun."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.begun, self.go_on = Semaphore(0), Semaphore(0)

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self._take_time()
        return super().verify(hash, password)

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self._take_time()
        return super().hash(password, salt=salt)

    def _take_time(self) -> None:
        self.begun.release()
        assert self.go_on.acquire(timeout=60)


class TestHashing:
    """Whoever can reach the login page can have passwords hashed."""

    def test_it_takes_19_mib_each(self) -> None:
        cost = extract_parameters(EARNEST.hash("correct horse"))
        assert (cost.type, cost.memory_cost, cost.time_cost, cost.parallelism) == (Type.ID, 19 * 1024, 2, 1)

    def test_what_was_hashed_at_a_greater_cost_still_counts(self) -> None:
        before = PasswordHasher().hash("correct horse")
        assert EARNEST.verify(before, "correct horse")
        assert EARNEST.check_needs_rehash(before)

    def test_two_at_a_time(self, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        person = account(session)
        hasher = OneByOne()
        monkeypatch.setattr(accounts, "HASHER", hasher)
        with ThreadPoolExecutor(6) as pool:
            tried = [pool.submit(accounts.verify, person, PASSWORD) for _ in range(4)]
            tried += [pool.submit(accounts._hash, "ada@example.com", PASSWORD) for _ in range(2)]
            for left in range(6, 0, -1):
                for _ in range(2 if left == 6 else left > 1):
                    assert hasher.begun.acquire(timeout=60)
                assert not hasher.begun.acquire(timeout=0.05)
                hasher.go_on.release()
            assert all(one.result() for one in tried)


class TestPasswords:
    def test_only_the_right_one_is(self, session: Session) -> None:
        person = account(session)
        assert accounts.verify(person, PASSWORD)
        assert not accounts.verify(person, PASSWORD.upper())
        assert not accounts.verify(person, "")
        assert not accounts.verify(None, PASSWORD)
        assert person.password_hash.startswith("$argon2id$")

    def test_the_same_letters_are_the_same_password_however_composed(self, session: Session) -> None:
        person = account(session)
        accounts.change_password(session, person, "caf\u00e9 au lait, \ufb01ve", by=Actor("root", "here"), now=NOW)
        assert accounts.verify(person, "cafe\u0301 au lait, five")

    def test_any_text_can_be_tried(self, session: Session) -> None:
        assert not accounts.verify(account(session), "\0\udcff" * 1000)

    @pytest.mark.parametrize(
        ("password", "error"),
        [
            ("elevenchars", PasswordTooShort),
            ("", PasswordTooShort),
            ("ada@example.com", PasswordIsLoginName),
            ("ADA@Example.com ", PasswordIsLoginName),
        ],
    )
    def test_what_is_easily_guessed_is_refused(self, session: Session, password: str, error: type[Exception]) -> None:
        person = account(session)
        with pytest.raises(error):
            accounts.change_password(session, person, password, by=Actor("root", "here"), now=LATER)
        with pytest.raises(error):
            accounts.add(
                session,
                email=person.email,
                name="A",
                role=Role.DESK,
                password=password,
                by=Actor("root", "here"),
                now=NOW,
            )
        assert accounts.verify(person, PASSWORD)
        assert len(acts(session)) == 1

    def test_twelve_characters_are_enough(self, session: Session) -> None:
        accounts.change_password(session, account(session), "twelve chars", by=Actor("root", "here"), now=NOW)

    def test_a_new_one_replaces_the_old(self, session: Session) -> None:
        person = account(session)
        accounts.change_password(session, person, "battery staple", by=Actor("ben", "here"), now=LATER)
        assert accounts.verify(person, "battery staple")
        assert not accounts.verify(person, PASSWORD)
        assert person.password_changed_at == LATER
        assert acts(session)[1:] == [("ben", "change password", f"staff account {person.id}, ada@example.com")]
        assert not any(word in str(acts(session)) for word in ("battery", PASSWORD))

    def test_one_hashed_at_another_cost_is_hashed_anew(self, session: Session) -> None:
        person = account(session)
        now_usual = person.password_hash.split("$")[3]
        accounts.rehash(person, PASSWORD)
        person.password_hash = PasswordHasher(time_cost=1, memory_cost=1024).hash(PASSWORD)
        assert accounts.verify(person, PASSWORD)
        accounts.rehash(person, PASSWORD)
        assert person.password_hash.split("$")[3] == now_usual
        assert accounts.verify(person, PASSWORD)

    def test_one_hashed_at_the_usual_cost_is_left(self, session: Session) -> None:
        person = account(session)
        before = person.password_hash
        accounts.rehash(person, PASSWORD)
        assert person.password_hash == before


class TestRolesAndDisabling:
    def test_a_role_can_change(self, session: Session) -> None:
        person = account(session)
        accounts.change_role(session, person, Role.MANAGER, by=Actor("ben", "here"))
        accounts.change_role(session, person, Role.MANAGER, by=Actor("ben", "here"))
        assert person.role == "manager"
        subject = f"staff account {person.id}, ada@example.com from desk to manager"
        assert acts(session)[1:] == [("ben", "change role", subject)]

    def test_an_account_can_be_disabled_once(self, session: Session) -> None:
        person = account(session)
        accounts.disable(session, person, by=Actor("ben", "here"), now=NOW)
        accounts.disable(session, person, by=Actor("ben", "here"), now=LATER)
        assert (person.active, person.disabled_at) == (False, NOW)
        assert acts(session)[1:] == [("ben", "disable account", f"staff account {person.id}, ada@example.com")]

    def test_a_disabled_one_can_be_enabled_once(self, session: Session) -> None:
        person = account(session)
        accounts.enable(session, person, by=Actor("ben", "here"), now=LATER)
        assert (person.password_changed_at, len(acts(session))) == (NOW, 1)
        accounts.disable(session, person, by=Actor("ben", "here"), now=NOW)
        accounts.enable(session, person, by=Actor("ben", "here"), now=LATER)
        assert (person.active, accounts.verify(person, PASSWORD)) == (True, True)
        assert acts(session)[2:] == [("ben", "enable account", f"staff account {person.id}, ada@example.com")]

    def test_who_was_logged_in_before_it_was_disabled_is_to_log_in_anew(self, session: Session) -> None:
        person = account(session)
        accounts.disable(session, person, by=Actor("ben", "here"), now=NOW)
        accounts.enable(session, person, by=Actor("ben", "here"), now=LATER)
        assert person.password_changed_at == LATER

    @pytest.mark.parametrize("others", [[], [Role.MANAGER]])
    def test_the_last_admin_stays(self, session: Session, others: list[Role]) -> None:
        admin = account(session, role=Role.ADMIN)
        for role in others:
            account(session, "ben@example.com", role)
        gone = account(session, "gone@example.com", Role.ADMIN)
        accounts.disable(session, gone, by=Actor("root", "here"), now=NOW)
        before = acts(session)
        with pytest.raises(LastAdmin, match=r"ada@example\.com"):
            accounts.disable(session, admin, by=Actor("root", "here"), now=NOW)
        with pytest.raises(LastAdmin):
            accounts.change_role(session, admin, Role.MANAGER, by=Actor("root", "here"))
        accounts.change_role(session, admin, Role.ADMIN, by=Actor("root", "here"))
        assert (admin.role, admin.active, acts(session)) == ("admin", True, before)
        accounts.change_role(session, gone, Role.DESK, by=Actor("root", "here"))

    def test_with_another_admin_each_can_go(self, session: Session) -> None:
        ada, ben, cyd = (account(session, f"{name}@example.com", Role.ADMIN) for name in ("ada", "ben", "cyd"))
        accounts.disable(session, ada, by=Actor("root", "here"), now=NOW)
        accounts.change_role(session, ben, Role.VIEWER, by=Actor("root", "here"))
        with pytest.raises(LastAdmin):
            accounts.disable(session, cyd, by=Actor("root", "here"), now=NOW)

    def test_an_admin_who_is_bound_to_a_club_does_not_count(self, session: Session) -> None:
        club, by = Club(name="Downtown", time_zone="America/Chicago", currency="USD"), Actor("root", "here")
        session.add(club)
        session.flush()
        ada, ben = (account(session, f"{name}@example.com", Role.ADMIN) for name in ("ada", "ben"))
        accounts.bind(session, ada, [club.id], by=by)
        assert (ada.club_ids, acts(session)[-1][1:]) == (
            [club.id],
            ("bind account", f"staff account {ada.id}, ada@example.com to club {club.id}, Downtown"),
        )
        for leave in (
            lambda: accounts.bind(session, ben, [club.id], by=by),
            lambda: accounts.disable(session, ben, by=by, now=NOW),
        ):
            with pytest.raises(LastAdmin):
                leave()
        accounts.bind(session, ada, [], by=by)
        assert (ada.club_ids, acts(session)[-1][2]) == (None, f"staff account {ada.id}, ada@example.com to all clubs")
        accounts.disable(session, ben, by=by, now=NOW)

    def test_of_all_admins_that_go_at_once_one_stays(self, engine: Engine) -> None:
        with sessions(engine).begin() as session:
            ids = [account(session, f"{name}@example.com", Role.ADMIN).id for name in ("ada", "ben", "cyd", "dee")]

        def disable(person: int, session: Session) -> None:
            accounts.disable(session, session.get_one(Staff, person), by=Actor("root", "here"), now=NOW)

        def demote(person: int, session: Session) -> None:
            accounts.change_role(session, session.get_one(Staff, person), Role.DESK, by=Actor("root", "here"))

        leave: list[Callable[[int, Session], None]] = [disable, demote, disable, demote]
        results = together(engine, [partial(way, person) for way, person in zip(leave, ids, strict=True)])
        assert [type(result) for result in results if result] == [LastAdmin]
        with sessions(engine)() as session:
            left = [one.id for one in session.scalars(select(Staff)) if one.active and one.role == Role.ADMIN]
        assert left == [person for person, result in zip(ids, results, strict=True) if result]

    def test_what_another_did_meanwhile_is_seen(self, engine: Engine) -> None:
        with sessions(engine).begin() as session:
            ada = account(session, role=Role.ADMIN)
            account(session, "ben@example.com", Role.ADMIN)
        with sessions(engine)() as session:
            stale = session.get_one(Staff, ada.id)
            with sessions(engine).begin() as other:
                accounts.disable(other, other.get_one(Staff, ada.id), by=Actor("root", "here"), now=NOW)
            accounts.disable(session, stale, by=Actor("root", "here"), now=LATER)
            assert stale.disabled_at == NOW
