"""Idempotency keys: each with the request made under it and the answer that was given.

For actions whose own tables store no key. The key is taken in the transaction of the action, so a refused or
rolled-back one leaves the key free, and of two at once the second waits for the first.
"""

from hashlib import sha256

from sqlalchemy import CheckConstraint, LargeBinary, String, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base, RecordedAt
from models.errors import KeyReused


class KeptAnswer(Base):
    """The result of one key. Kept for good."""

    __tablename__ = "kept_answers"
    __table_args__ = (CheckConstraint("length(content) = 32", "content"),)

    idempotency_key: Mapped[str] = mapped_column(String(255), primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of what was asked."""
    location: Mapped[str] = mapped_column(server_default="")
    """The Location of the answer."""
    answer: Mapped[str] = mapped_column(server_default="")
    recorded_at: Mapped[RecordedAt]


def take(session: Session, key: str, asked: str) -> KeptAnswer | None:
    """Takes the key for this action. Returns the earlier answer, or None the first time.

    After the first time `keep` has to follow, in the same transaction. Raises KeyReused where the key
    was used for something else.
    """
    content = sha256(asked.encode()).digest()
    new = insert(KeptAnswer).values(idempotency_key=key, content=content).on_conflict_do_nothing()
    if session.scalar(new.returning(KeptAnswer.idempotency_key)):
        return None
    known = session.scalars(select(KeptAnswer).where(KeptAnswer.idempotency_key == key)).one()
    if known.content != content:
        raise KeyReused(key=key)
    return known


def keep(session: Session, key: str, *, location: str, answer: str) -> None:
    """Keeps what a repetition with that key is answered."""
    kept = session.get_one(KeptAnswer, key)
    kept.location, kept.answer = location, answer
