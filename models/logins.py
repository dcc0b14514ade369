"""Logging in with a password, throttled: failures are counted for the account and for the address they came from."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil

from sqlalchemy import LargeBinary, case, delete, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models import actions, staff
from models.actions import Actor
from models.arrays import array
from models.base import Base
from models.errors import TooManyFailures, WrongLogin
from models.staff import Staff

MAX_FAILURES = 5
"""Of one account."""
MAX_FAILURES_FROM_ADDRESS = 50
"""Of one address: a whole club may come from it."""
WINDOW = timedelta(minutes=15)


class LoginFailures(Base):
    """How often logging in has failed, for one account or from one address, since the first failure of its window."""

    __tablename__ = "login_failures"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """SHA-256 of whom it counts: of one length, and no record of what people type by mistake, passwords among it."""
    failures: Mapped[int]
    until: Mapped[datetime] = mapped_column(index=True)
    """The end of the window; from then on the row means nothing."""


def log_in(
    session: Session, *, email: str, password: str, address: str, now: datetime
) -> Staff | WrongLogin | TooManyFailures:
    """The person who has that login name and password, or why nobody is logged in; commit in either case.

    A refusal is returned rather than raised because the failure has to stay counted. After 5
    failures of the account, or 50 from the address, in 15 minutes, whatever is tried is refused
    until the 15 minutes are over. An unknown, a disabled account and a wrong password are told
    apart neither by the answer nor by its time. Tries of one account, or from one address,
    wait for each other, so that many at once are no more than as many in turn.
    """
    person = check(session, email=email, password=password, address=address, now=now)
    if isinstance(person, Staff):
        person.last_login_at = now
        actions.log(session, Actor(person.email, address), "log in", staff.named(person))
    return person


def check(
    session: Session, *, email: str, password: str, address: str, now: datetime
) -> Staff | WrongLogin | TooManyFailures:
    """Whether that is the account's password, counted and refused as `log_in` does, for whom is logged in already."""
    account, origin = keys = (_key("account", staff.login_name(email)), _key("address", _network(address)))
    session.execute(_IN_TURN, {"locks": array(int.from_bytes(key[:8], signed=True) for key in keys)})
    if until := _refused_until(session, account, origin, now):
        wait = until - now
        return TooManyFailures(minutes=ceil(wait / timedelta(minutes=1)), seconds=ceil(wait.total_seconds()))
    # Locked, so that a password changed meanwhile is not undone by rehashing the old one.
    person = staff.find(session, email, lock=True)
    if not staff.verify(person, password) or person is None or not person.active:
        _count(session, (account, origin), now)
        return WrongLogin()
    staff.rehash(person, password)
    session.execute(delete(LoginFailures).where(LoginFailures.key == account))
    return person


_IN_TURN = text("""
    SELECT pg_advisory_xact_lock(lock)
    FROM (SELECT unnest(CAST(:locks AS bigint[])) AS lock ORDER BY lock) AS locks
""")


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


# Skipping what others hold: nobody waits, or meets in a deadlock, for the sake of tidiness.
_FORGET = text("""
    DELETE FROM login_failures WHERE key IN (
        SELECT key FROM login_failures WHERE until <= :now ORDER BY until LIMIT 100 FOR UPDATE SKIP LOCKED
    )
""")


def _count(session: Session, keys: Sequence[bytes], now: datetime) -> None:
    """Counts one failure for each key, and forgets windows that are over."""
    new = insert(LoginFailures).values([{"key": key, "failures": 1, "until": now + WINDOW} for key in sorted(keys)])
    over = LoginFailures.until <= now
    session.execute(
        new.on_conflict_do_update(
            index_elements=[LoginFailures.key],
            set_={
                "failures": case((over, 1), else_=LoginFailures.failures + 1),
                "until": case((over, new.excluded.until), else_=LoginFailures.until),
            },
        )
    )
    session.execute(_FORGET, {"now": now})
