"""API tokens: made by a staff account, shown once, stored as a hash.

The hash is SHA-256, and that is right here: a slow hash protects what people choose, which
can be guessed, and a token is 32 random bytes, which cannot. A fast hash without salt lets
one indexed lookup verify it.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, String, or_, select, update
from sqlalchemy.orm import Mapped, Session, contains_eager, joinedload, mapped_column, relationship

from models.database.base import Base, Id, RecordedAt, one_of
from models.database.naming import MAX_NAME_LENGTH, name_given
from models.errors import NotFound, WrongState
from models.staff import actions
from models.staff.accounts import Staff
from models.staff.actions import Actor
from runtime.language import say

PREFIX = "spp_"
RANDOM_BYTES = 32
SHOWN = len(PREFIX) + 8
"""The number of characters shown of a token, by which people recognize it."""
USE_NOTED_EVERY = timedelta(minutes=1)


class TokenScope(StrEnum):
    """What a token may do; writing includes reading."""

    READ = "read"
    WRITE = "write"


class ApiToken(Base):
    """A key to the API, in the name of the account that made it; as good as that account is active."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        CheckConstraint("length(hash) = 32", "hash"),
        CheckConstraint(one_of("scope", TokenScope), "scope"),
    )

    id: Mapped[Id]
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), index=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))
    """What it is for."""
    scope: Mapped[str]
    hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    start: Mapped[str] = mapped_column(String(SHOWN))
    """Its first characters, for display."""
    recorded_at: Mapped[RecordedAt]
    last_used_at: Mapped[datetime | None]
    """To the minute."""
    revoked_at: Mapped[datetime | None]

    owner: Mapped[Staff] = relationship()

    def allows(self, needed: TokenScope) -> bool:
        """Whether its scope is enough for what needs that one."""
        return needed == TokenScope.READ or self.scope == TokenScope.WRITE


class NewToken(NamedTuple):
    """A new token and its text, which is not stored."""

    token: ApiToken
    text: str


def make(session: Session, owner: Staff, *, name: str, scope: TokenScope, by: Actor) -> NewToken:
    """Makes a token in the name of the owner. Raises NameMissing, TextTooLong, or WrongState for a disabled account."""
    name = name_given(name)
    if not owner.active:
        raise WrongState(what=say("Account {email}", email=owner.email), state="disabled", verb="given a token")
    secret = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    token = ApiToken(owner=owner, name=name, scope=scope.value, hash=_hash(secret), start=secret[:SHOWN])
    session.add(token)
    session.flush()
    actions.log(session, by, "make token", f"{_named(token)} to {scope}, of {owner.email}")
    return NewToken(token, secret)


def list_tokens(session: Session) -> Sequence[ApiToken]:
    """Every token with its owner, those in use first, then the newest."""
    query = select(ApiToken).options(joinedload(ApiToken.owner))
    return session.scalars(query.order_by(ApiToken.revoked_at.is_not(None), ApiToken.id.desc())).all()


def revoke(session: Session, token_id: int, *, by: Actor, now: datetime) -> None:
    """Ends the token's use; again is no change. Raises NotFound."""
    token = session.get(ApiToken, token_id, with_for_update={"key_share": True}, populate_existing=True)
    if token is None:
        raise NotFound(what="token", name=token_id)
    if token.revoked_at is None:
        token.revoked_at = now
        actions.log(session, by, "revoke token", _named(token))


def verify(session: Session, text: str, now: datetime) -> ApiToken | None:
    """The token of that text, with its owner; None where it was never made, is revoked, or its owner is disabled.

    One statement, which also notes the use, at most once a minute, and never waits to do so.
    """
    good = (ApiToken.hash == _hash(text)) & ApiToken.revoked_at.is_(None) & Staff.disabled_at.is_(None)
    stale = or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at <= now - USE_NOTED_EVERY)
    due = (
        select(ApiToken.id)
        .join(ApiToken.owner)
        .where(good, stale)
        .with_for_update(of=ApiToken, key_share=True, skip_locked=True)
        .cte("due")
    )
    noted = update(ApiToken).where(ApiToken.id.in_(select(due.c.id))).values(last_used_at=now).cte("noted")
    query = select(ApiToken).join(ApiToken.owner).where(good).options(contains_eager(ApiToken.owner)).add_cte(noted)
    return session.scalar(query.execution_options(populate_existing=True))


def _hash(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()


def _named(token: ApiToken) -> str:
    return f"token {token.id}, {token.start}..., {token.name!r}"
