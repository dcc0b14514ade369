"""The second factor at login: the codes of an app (TOTP), and recovery codes, each good once.

The database keeps a random seed alone. The app's secret is derived from it with the console's own secret, so a copy of
the database makes no codes. Recovery codes are random, so a fast hash is enough for them, as it is for API tokens.
"""

import secrets
from base64 import b32encode
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest, digest

import pyotp
from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base
from models.errors import WrongCode
from models.staff import accounts, actions
from models.staff.accounts import SEED_BYTES, Staff
from models.staff.actions import Actor

ISSUER = "Sessions Per Payment"
STEP_S = 30
RECOVERY_CODES = 10
_RECOVERY_BYTES = 10


class RecoveryCode(Base):
    """A recovery code that was not used yet."""

    __tablename__ = "recovery_codes"
    __table_args__ = (CheckConstraint("length(hash) = 32", "hash"),)

    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)


def new_seed() -> bytes:
    """A seed for an account that sets up a second factor."""
    return secrets.token_bytes(SEED_BYTES)


def secret(seed: bytes, key: str) -> str:
    """The secret of the app, in base32; `key` is the console's secret."""
    return b32encode(digest(key.encode(), b"second factor" + seed, sha256)[:20]).decode()


def uri(seed: bytes, key: str, person: Staff) -> str:
    """What the QR code for the app says."""
    return pyotp.TOTP(secret(seed, key)).provisioning_uri(name=person.email, issuer_name=ISSUER)


def set_up(
    session: Session, person: Staff, seed: bytes, code: str, *, key: str, by: Actor, now: datetime
) -> Sequence[str]:
    """Ask the account for a code of this seed from now on. Returns its new recovery codes.

    Raises WrongCode unless the app shows that code now.
    """
    step = _step(seed, _plain(code), key, now)
    if step is None:
        raise WrongCode
    codes = [b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)]
    session.execute(delete(RecoveryCode).where(RecoveryCode.staff_id == person.id))
    session.add_all(RecoveryCode(staff_id=person.id, hash=_hash(one)) for one in codes)
    person.second_factor, person.second_factor_step = seed, step
    actions.log(session, by, "set up second factor", accounts.named(person))
    return ["-".join(one[place : place + 4] for place in range(0, len(one), 4)) for one in codes]


def turn_off(session: Session, person: Staff, *, by: Actor) -> None:
    """Ask the account for its password alone, and forget its recovery codes; without a second factor no change."""
    if person.second_factor is None:
        return
    person.second_factor = person.second_factor_step = None
    session.execute(delete(RecoveryCode).where(RecoveryCode.staff_id == person.id))
    actions.log(session, by, "remove second factor", accounts.named(person))


def accept(session: Session, person: Staff, typed: str, *, key: str, address: str, now: datetime) -> bool:
    """Whether the text is a code of the account's app, or a recovery code. Neither is accepted twice.

    The account's row has to be locked, so that of two at once with one code the second is refused.
    """
    code = _plain(typed)
    step = _step(person.second_factor, code, key, now) if person.second_factor else None
    if step is not None and person.second_factor_step is not None and step > person.second_factor_step:
        person.second_factor_step = step
        return True
    of_account = RecoveryCode.staff_id == person.id
    used = session.execute(delete(RecoveryCode).where(of_account, RecoveryCode.hash == _hash(code)))
    if not used.rowcount:  # type: ignore[attr-defined]
        return False
    left = session.scalar(select(func.count()).where(of_account))
    actions.log(session, Actor(person.email, address), "use recovery code", f"{accounts.named(person)}, {left} left")
    return True


def _step(seed: bytes, code: str, key: str, now: datetime) -> int | None:
    """The time step of which that is the code: the present one, or one beside it for clocks that differ."""
    app, present = pyotp.TOTP(secret(seed, key)), int(now.timestamp()) // STEP_S
    return next((step for step in (present, present - 1, present + 1) if _same(app.generate_otp(step), code)), None)


def _same(one: str, other: str) -> bool:
    return compare_digest(one.encode(), other.encode(errors="surrogatepass"))


def _plain(typed: str) -> str:
    return "".join(typed.split()).replace("-", "").lower()


def _hash(code: str) -> bytes:
    return sha256(code.encode(errors="surrogatepass")).digest()
