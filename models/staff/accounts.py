"""Who works here: staff accounts, what their roles allow, and their passwords.

Every change is written to the action log, in its own transaction.
"""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from threading import BoundedSemaphore
from typing import TYPE_CHECKING
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    LargeBinary,
    String,
    delete,
    exists,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert
from sqlalchemy.orm import Mapped, Session, column_property, mapped_column

from models.database.base import Base, Id, RecordedAt, one_of
from models.database.naming import MAX_NAME_LENGTH, email_given, name_given
from models.errors import LastAdmin, NotFound, PasswordIsLoginName, PasswordTooShort, StaffExists
from models.staff import actions
from models.staff.actions import Actor
from runtime.language import Spoken

MIN_PASSWORD_LENGTH = 12
SEED_BYTES = 20
"""Of a second factor (models/staff/second_factor.py)."""

HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""How passwords are hashed: argon2id with OWASP's parameters. Those hashed otherwise are hashed anew at their login."""
_HASHING = BoundedSemaphore(2)
"""Anybody can make us hash a password without an account, so at most two hashes at a time take memory."""


class Role(StrEnum):
    """The role of a person. `may` says what each is allowed."""

    VIEWER = "viewer"
    DESK = "desk"
    MANAGER = "manager"
    OPERATOR = "operator"
    """Sees to the queues; has nothing to do at the desk."""
    ADMIN = "admin"


_ALSO = {
    Role.VIEWER: frozenset[Role](),
    Role.DESK: frozenset({Role.VIEWER}),
    Role.MANAGER: frozenset({Role.VIEWER, Role.DESK}),
    Role.OPERATOR: frozenset({Role.VIEWER}),
    Role.ADMIN: frozenset(Role),
}
"""The other roles whose work each role may do."""


def may(role: str, *needed: Role) -> bool:
    """Whether a role is enough for what needs one of these."""
    return role in needed or not _ALSO[Role(role)].isdisjoint(needed)


class StaffClub(Base):
    """A club that an account is bound to. An account without any sees all clubs."""

    __tablename__ = "staff_clubs"

    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    club_id: Mapped[int] = mapped_column(ForeignKey("clubs.id"), primary_key=True, index=True)


class Staff(Base):
    """The account of a person who works here, known by an e-mail address."""

    __tablename__ = "staff"
    __table_args__ = (
        CheckConstraint("email = lower(email) AND email ~ '^[^@[:space:]]+@[^@[:space:]]+$'", "email"),
        CheckConstraint(one_of("role", Role), "role"),
        CheckConstraint(
            f"(second_factor IS NULL) = (second_factor_step IS NULL) AND length(second_factor) = {SEED_BYTES}",
            "second_factor",
        ),
        CheckConstraint(one_of("locale", Spoken), "locale"),
    )

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH), unique=True)
    """The login name, in lower case."""
    name: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))
    role: Mapped[str]
    password_hash: Mapped[str]
    password_changed_at: Mapped[datetime]
    """Logins that began with an earlier password are over."""
    recorded_at: Mapped[RecordedAt]
    last_login_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    second_factor: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The seed of its codes; None: it logs in with its password alone."""
    second_factor_step: Mapped[int | None] = mapped_column(BigInteger)
    """The time step of the newest code that was accepted: no code of it, or of an earlier one, is accepted again."""

    if TYPE_CHECKING:
        club_ids: list[int] | None
        """The clubs that it is bound to: what it sees and does is theirs. None: all clubs."""
    locale: Mapped[str | None] = mapped_column(String(5))
    """The language and formats that the person chose; None for those of the club."""

    @property
    def active(self) -> bool:
        """Whether the account can be used."""
        return self.disabled_at is None


# Read with the account, so that no request needs a query for it.
_CLUBS = select(func.array_agg(aggregate_order_by(StaffClub.club_id, StaffClub.club_id)))
Staff.club_ids = column_property(  # type: ignore[assignment]
    _CLUBS.where(StaffClub.staff_id == Staff.id).correlate_except(StaffClub).scalar_subquery()
)


def login_name(email: str) -> str:
    """How an address is written as a login name: in lower case, without blanks around it."""
    return email.strip().lower()


def add(session: Session, *, email: str, name: str, role: Role, password: str, by: Actor, now: datetime) -> Staff:
    """Makes an active account.

    Raises InvalidEmail, NameMissing, TextTooLong, StaffExists, PasswordTooShort or PasswordIsLoginName.
    """
    login, name = email_given(email, MAX_NAME_LENGTH).lower(), name_given(name)
    new = insert(Staff).values(
        email=login, name=name, role=role.value, password_hash=_hash(login, password), password_changed_at=now
    )
    person: Staff | None = session.scalar(new.on_conflict_do_nothing().returning(Staff))
    if person is None:
        raise StaffExists(email=login)
    actions.log(session, by, "add account", f"{named(person)} as {role}")
    return person


def find(session: Session, email: str, *, lock: bool = False) -> Staff | None:
    """The account with that login name, active or not, in any case; `lock` keeps others from changing it."""
    login = login_name(email)
    if not login.isprintable():  # which PostgreSQL may not take as text at all
        return None
    query = select(Staff).where(Staff.email == login)
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return session.scalar(query)


def exist(session: Session) -> bool:
    """Whether there is any account."""
    return bool(session.scalar(select(exists(select(Staff.id)))))


def change_role(session: Session, person: Staff, role: Role, *, by: Actor) -> None:
    """Gives the person another role; the one they have is no change. Raises LastAdmin."""
    another = _lock(session, person)
    if person.role == role:
        return
    if not another:
        raise LastAdmin(email=person.email)
    actions.log(session, by, "change role", f"{named(person)} from {person.role} to {role}")
    person.role = role.value


_CLUB_NAMES = text("SELECT id, name FROM clubs WHERE id = ANY(:ids) ORDER BY name, id FOR KEY SHARE")


def bind(session: Session, person: Staff, club_ids: Collection[int], *, by: Actor) -> None:
    """Binds the account to these clubs, from its next request on; to all clubs where there are none.

    Raises NotFound for an unknown club, or LastAdmin: an admin who is bound to clubs sees to no accounts.
    """
    another = _lock(session, person)
    wanted = sorted(set(club_ids))
    if wanted == (person.club_ids or []):
        return
    if wanted and not another:
        raise LastAdmin(field="clubs", email=person.email)
    names: dict[int, str] = dict(session.execute(_CLUB_NAMES, {"ids": wanted}).all())
    if missing := [one for one in wanted if one not in names]:
        raise NotFound(field="clubs", what="club", name=missing[0])
    session.execute(delete(StaffClub).where(StaffClub.staff_id == person.id))
    session.add_all(StaffClub(staff_id=person.id, club_id=one) for one in wanted)
    session.flush()
    session.expire(person, ["club_ids"])
    where = ", ".join(f"club {one}, {name}" for one, name in names.items()) or "all clubs"
    actions.log(session, by, "bind account", f"{named(person)} to {where}")


def disable(session: Session, person: Staff, *, by: Actor, now: datetime) -> None:
    """Ends the account's use, by its password and by its tokens; again is no change. Raises LastAdmin."""
    another = _lock(session, person)
    if not person.active:
        return
    if not another:
        raise LastAdmin(email=person.email)
    person.disabled_at = now
    actions.log(session, by, "disable account", named(person))


def enable(session: Session, person: Staff, *, by: Actor, now: datetime) -> None:
    """Lets a disabled account be used again, with its password and its tokens; one that is not is no change.

    Who was logged in when it was disabled has to log in anew.
    """
    _lock(session, person)
    if person.active:
        return
    person.disabled_at = None
    person.password_changed_at = now
    actions.log(session, by, "enable account", named(person))


def change_password(session: Session, person: Staff, password: str, *, by: Actor, now: datetime) -> None:
    """Sets a new password. Raises PasswordTooShort or PasswordIsLoginName."""
    person.password_hash = _hash(person.email, password)
    person.password_changed_at = now
    actions.log(session, by, "change password", named(person))


def choose_locale(person: Staff, locale: Spoken) -> None:
    """Shows the person pages in this language from now on. A choice for oneself, so no act for the log."""
    person.locale = locale.value


def verify(person: Staff | None, password: str) -> bool:
    """Whether that is the account's password. Without an account it takes as long, to reveal nothing."""
    try:
        with _HASHING:
            HASHER.verify(person.password_hash if person else _dummy_hash(), _typed(password))
    except VerifyMismatchError:
        return False
    return person is not None


def rehash(person: Staff, password: str) -> None:
    """Hashes the right password anew if the cost of hashing has changed since."""
    if HASHER.check_needs_rehash(person.password_hash):
        person.password_hash = _hashed(password)


def _dummy_hash() -> str:
    """A hash that costs as much to verify as a real one, and that no password has."""
    return f"$argon2id$v=19$m={HASHER.memory_cost},t={HASHER.time_cost},p={HASHER.parallelism}${'A' * 22}${'A' * 43}"


def _hash(login: str, password: str) -> str:
    if len(password) < MIN_PASSWORD_LENGTH:
        raise PasswordTooShort(length=len(password), minimum=MIN_PASSWORD_LENGTH)
    if login_name(password) == login:
        raise PasswordIsLoginName
    return _hashed(password)


def _hashed(password: str) -> str:
    with _HASHING:
        return HASHER.hash(_typed(password))


def _typed(password: str) -> bytes:
    # Keyboards and systems differ in how they compose the same letter.
    return normalize("NFKC", password).encode(errors="surrogatepass")


def _lock(session: Session, person: Staff) -> bool:
    """Locks and rereads the account; whether an active admin who sees all clubs remains without it.

    All active admins are locked with it, in the order of ids, so that of two who would
    each leave the other as the last one, the second waits and then sees what the first did.
    """
    admins = (Staff.role == Role.ADMIN) & Staff.disabled_at.is_(None)
    query = select(Staff).where(or_(Staff.id == person.id, admins)).order_by(Staff.id)
    locked = session.scalars(query.with_for_update(key_share=True).execution_options(populate_existing=True)).all()
    # Asked again: what a locking query reads of other tables may be older than the lock.
    of_these = StaffClub.staff_id.in_([one.id for one in locked])
    bound = set(session.scalars(select(StaffClub.staff_id).where(of_these)))
    session.expire(person, ["club_ids"])
    others = {one.id for one in locked} - {person.id} - bound
    return bool(others) or person.role != Role.ADMIN or person.id in bound


def named(person: Staff) -> str:
    """The account, for the action log."""
    return f"staff account {person.id}, {person.email}"
