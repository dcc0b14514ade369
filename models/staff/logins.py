"""Logging in with a password, throttled by account and by address; and the logins that last until they are ended."""

from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, LargeBinary, case, delete, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.arrays import array
from models.database.base import Base
from models.errors import TooManyFailures, WrongCode, WrongLogin
from models.staff import accounts, actions, second_factor
from models.staff.accounts import Staff
from models.staff.actions import Actor

MAX_FAILURES = 5
"""Of one account."""
MAX_FAILURES_FROM_ADDRESS = 50
"""Of one address: a whole club may come from it."""
UNKNOWN = "somebody unknown"
"""The actor of a failed login in the action log."""
WINDOW = timedelta(minutes=15)
LASTS = timedelta(days=7)
"""A login ends after that time, also for a busy person."""


Keys = tuple[bytes, bytes]
"""Those under which the failures of an account and of an address are counted."""


class Login(Base):
    """One browser's login to an account, named by its cookie; gone when its person logs out."""

    __tablename__ = "logins"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), index=True)
    password_changed_at: Mapped[datetime]
    """The account's, when the login began: a new password ends it."""
    began_at: Mapped[datetime] = mapped_column(index=True)


class LoginFailures(Base):
    """How often logging in has failed, for one account or from one address, since the first failure of its window."""

    __tablename__ = "login_failures"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """SHA-256 of the account or address: what people type by mistake, such as passwords, is not stored."""
    failures: Mapped[int]
    until: Mapped[datetime] = mapped_column(index=True)
    """The end of the window; from then on the row means nothing."""


def log_in(
    session: Session, *, email: str, password: str, address: str, now: datetime
) -> Staff | WrongLogin | TooManyFailures:
    """The person with that login name and password, or the reason for the refusal; commit in either case.

    One with a second factor is not logged in yet: `log_in_with_code` comes next.

    A refusal is returned rather than raised because the failure has to stay counted. After 5
    failures of the account, or 50 from the address, in 15 minutes, whatever is tried is refused
    until the 15 minutes are over. Neither the answer nor its time reveals whether the account is
    unknown, disabled, or has another password. Tries of one account, or from one address,
    wait for each other, so that many at once are no more than as many in turn. WrongLogin has the id of
    the account, if there is one, for the log alone. The account's last failure stands in the action log.
    """
    person = check(session, email=email, password=password, address=address, now=now)
    if isinstance(person, Staff) and person.second_factor is None:
        _note_login(session, person, address, now)
    return person


def log_in_with_code(
    session: Session, person: Staff, code: str, *, key: str, address: str, now: datetime
) -> Staff | WrongCode | TooManyFailures:
    """The person whose password was right, if that is a code of their second factor; otherwise as `log_in`.

    Wrong codes count as wrong passwords do, and a right password takes back no failure of an account that has a second
    factor: who knows the password alone has 5 tries in 15 minutes. `key` is the console's secret.
    """
    keys = _keys(person.email, address)
    if refusal := _refusal(session, keys, now):
        return refusal
    locked = accounts.find(session, person.email, lock=True)
    if not locked or not second_factor.accept(session, locked, code, key=key, address=address, now=now):
        _note_failure(session, keys, locked, address, now)
        return WrongCode(account=person.id)
    session.execute(delete(LoginFailures).where(LoginFailures.key == keys[0]))
    _note_login(session, locked, address, now)
    return locked


def _note_login(session: Session, person: Staff, address: str, now: datetime) -> None:
    person.last_login_at = now
    actions.log(session, Actor(person.email, address), "log in", accounts.named(person))


def check(
    session: Session, *, email: str, password: str, address: str, now: datetime
) -> Staff | WrongLogin | TooManyFailures:
    """Whether that is the account's password, counted and refused as by `log_in`; for a person who is logged in."""
    keys = _keys(email, address)
    if refusal := _refusal(session, keys, now):
        return refusal
    # Locked, so that a password changed meanwhile is not undone by rehashing the old one.
    person = accounts.find(session, email, lock=True)
    if not accounts.verify(person, password) or person is None or not person.active:
        _note_failure(session, keys, person, address, now)
        return WrongLogin(account=person and person.id)
    accounts.rehash(person, password)
    if person.second_factor is None:
        session.execute(delete(LoginFailures).where(LoginFailures.key == keys[0]))
    return person


def _refusal(session: Session, keys: Keys, now: datetime) -> TooManyFailures | None:
    """Waits for other tries of the account or address; whether there were too many."""
    session.execute(_IN_TURN, {"locks": array(int.from_bytes(key[:8], signed=True) for key in keys)})
    if not (until := _refused_until(session, *keys, now)):
        return None
    wait = until - now
    return TooManyFailures(minutes=ceil(wait / timedelta(minutes=1)), seconds=ceil(wait.total_seconds()))


def _note_failure(session: Session, keys: Keys, person: Staff | None, address: str, now: datetime) -> None:
    if _count(session, *keys, now) == MAX_FAILURES and person:
        why = f"{MAX_FAILURES} failed logins, the last from there: closed for {WINDOW // timedelta(minutes=1)} min"
        actions.log(session, Actor(UNKNOWN, address), "lock login", accounts.named(person), reason=why)


def change_password(session: Session, person: Staff, password: str, *, by: Actor, now: datetime) -> None:
    """Sets a new password, which ends the account's logins and forgets its failures.

    Raises PasswordTooShort or PasswordIsLoginName.
    """
    accounts.change_password(session, person, password, by=by, now=now)
    session.execute(delete(LoginFailures).where(LoginFailures.key == _key("account", person.email)))


def begin(session: Session, person: Staff, now: datetime, *, instead_of: UUID | None = None) -> UUID:
    """Keeps a login of the person's until it is ended; its id is for the cookie. Forgets those that are over.

    One that takes the place of another, after a new password, lasts no longer than that.
    """
    other = session.get(Login, instead_of) if instead_of else None
    began_at = other.began_at if other else now
    if other:
        session.delete(other)
    login = Login(id=uuid4(), staff_id=person.id, password_changed_at=person.password_changed_at, began_at=began_at)
    session.add(login)
    session.execute(_FORGET_LOGINS, {"before": now - LASTS})
    return login.id


def account(session: Session, login: UUID, now: datetime) -> Staff | None:
    """The active account of a login that lasts, or None."""
    query = select(Staff).join(Login, Login.staff_id == Staff.id)
    query = query.where(Login.id == login, Login.began_at > now - LASTS, Staff.disabled_at.is_(None))
    return session.scalar(query.where(Login.password_changed_at == Staff.password_changed_at))


def end(session: Session, login: UUID) -> None:
    """Ends a login: its cookie, and every copy of it, is worth nothing from now on."""
    session.execute(delete(Login).where(Login.id == login))


_IN_TURN = text("""
    SELECT pg_advisory_xact_lock(lock)
    FROM (SELECT unnest(CAST(:locks AS bigint[])) AS lock ORDER BY lock) AS locks
""")


def count_links(session: Session, email: str, address: str, now: datetime) -> TooManyFailures | None:
    """Counts that a link to set a password was asked for; whether too many were, by the limits of failed logins."""
    keys = _keys(email, address, "link ")
    refusal = _refusal(session, keys, now)
    if refusal is None:
        _count(session, *keys, now)
    return refusal


def _keys(email: str, address: str, what: str = "") -> Keys:
    return _key(f"{what}account", accounts.login_name(email)), _key(f"{what}address", _network(address))


def _key(kind: str, name: str) -> bytes:
    return sha256(f"{kind} {name}".encode(errors="surrogatepass")).digest()


def _network(address: str) -> str:
    """What one party holds: an IPv4 address, or the 64-bit network of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or IPv6Network((parsed.packed, 64), strict=False))


def _refused_until(session: Session, account: bytes, origin: bytes, now: datetime) -> datetime | None:
    key, failures = LoginFailures.key, LoginFailures.failures
    full = or_((key == account) & (failures >= MAX_FAILURES), (key == origin) & (failures >= MAX_FAILURES_FROM_ADDRESS))
    return session.scalar(select(func.max(LoginFailures.until)).where(full, LoginFailures.until > now))


_FORGET_LOGINS = text("""
    DELETE FROM logins WHERE id IN (
        SELECT id FROM logins WHERE began_at <= :before ORDER BY began_at LIMIT 100 FOR UPDATE SKIP LOCKED
    )
""")

# SKIP LOCKED, so that cleaning up neither waits nor deadlocks.
_FORGET = text("""
    DELETE FROM login_failures WHERE key IN (
        SELECT key FROM login_failures WHERE until <= :now ORDER BY until LIMIT 100 FOR UPDATE SKIP LOCKED
    )
""")


def _count(session: Session, account: bytes, origin: bytes, now: datetime) -> int:
    """Counts one failure for each, and forgets windows that are over; returns the account's failures."""
    keys = sorted((account, origin))
    new = insert(LoginFailures).values([{"key": key, "failures": 1, "until": now + WINDOW} for key in keys])
    over = LoginFailures.until <= now
    counted = session.execute(
        new.on_conflict_do_update(
            index_elements=[LoginFailures.key],
            set_={
                "failures": case((over, 1), else_=LoginFailures.failures + 1),
                "until": case((over, new.excluded.until), else_=LoginFailures.until),
            },
        ).returning(LoginFailures.key, LoginFailures.failures)
    ).all()
    session.execute(_FORGET, {"now": now})
    return next(failures for key, failures in counted if key == account)
