"""The login that `spp demo-data` makes."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from local import first_login
from local.sample_gym import BY
from models.staff import accounts
from models.staff.accounts import Role

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_it_is_an_admin_whose_password_only_the_folder_knows(session: Session, tmp_path: Path) -> None:
    made = first_login.make(session, tmp_path, now=NOW)
    password = (tmp_path / "first-login").read_text().strip()
    person = accounts.find(session, first_login.EMAIL)
    assert made == f"admin@example.com with password {password}"
    assert (tmp_path / "first-login").stat().st_mode & 0o777 == 0o600
    assert person is not None
    assert (person.role, accounts.verify(person, password)) == (Role.ADMIN, True)
    assert session.scalar(text("SELECT verb FROM actions")) == "add account"


def test_it_is_made_once_and_told_again(session: Session, tmp_path: Path) -> None:
    assert first_login.credentials(session, tmp_path) is None
    made = first_login.make(session, tmp_path, now=NOW)
    assert first_login.make(session, tmp_path, now=NOW) == made
    assert first_login.credentials(session, tmp_path) == made


def test_a_new_password_is_not_told_and_stays(session: Session, tmp_path: Path) -> None:
    first_login.make(session, tmp_path, now=NOW)
    person = accounts.find(session, first_login.EMAIL)
    assert person is not None
    accounts.change_password(session, person, "of their own choice", by=BY, now=NOW)
    assert first_login.make(session, tmp_path, now=NOW) is None
    assert first_login.credentials(session, tmp_path) is None
    assert accounts.verify(person, "of their own choice")


def test_an_account_of_somebody_elses_is_left_alone(session: Session, tmp_path: Path) -> None:
    accounts.add(
        session, email=first_login.EMAIL, name="Ada", role=Role.VIEWER, password="of their own choice", by=BY, now=NOW
    )
    assert first_login.make(session, tmp_path, now=NOW) is None
    assert list(tmp_path.iterdir()) == []


def test_a_disabled_one_is_not_told(session: Session, tmp_path: Path) -> None:
    first_login.make(session, tmp_path, now=NOW)
    person = accounts.find(session, first_login.EMAIL)
    assert person is not None
    person.disabled_at = NOW
    assert first_login.credentials(session, tmp_path) is None
