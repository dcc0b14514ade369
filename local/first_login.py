"""A demo login for the console. Only for embedded databases: a user's own gets no account that they did not make."""

import secrets
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from local.kept import kept
from local.sample_gym import BY
from models.staff import accounts
from models.staff.accounts import Role

EMAIL, NAME = "admin@example.com", "Alex Admin"


def make(session: Session, data: Path, *, now: datetime) -> str | None:
    """Make the admin account if it does not exist; returns what `credentials` returns."""
    if accounts.find(session, EMAIL) is None:
        password = kept(_file(data), lambda: secrets.token_urlsafe(12))
        accounts.add(session, email=EMAIL, name=NAME, role=Role.ADMIN, password=password, by=BY, now=now)
    return credentials(session, data)


def credentials(session: Session, data: Path) -> str | None:
    """`admin@example.com with password ...`; None without such an account, or if its password was changed."""
    person = accounts.find(session, EMAIL)
    if person is None or not person.active or not _file(data).exists():
        return None
    password = _file(data).read_text().strip()
    return f"{EMAIL} with password {password}" if accounts.verify(person, password) else None


def _file(data: Path) -> Path:
    return data / "first-login"
