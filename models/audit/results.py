"""Finished audits: what each verified and found, kept for ever.

The first of each day (UTC) is sent to every alert channel, so that the head of the chain is kept elsewhere too.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, LargeBinary, String, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base, Id, RecordedAt
from models.database.paging import newest_first

KEPT = 20
"""How many findings of an audit are kept in words; all are counted."""


class Audit(Base):
    """One audit. A trigger refuses every change."""

    __tablename__ = "audits"
    __table_args__ = (CheckConstraint("(head IS NULL) = (head_entry IS NULL)", "head"),)

    id: Mapped[Id]
    started_at: Mapped[datetime]
    finished_at: Mapped[RecordedAt]
    entries: Mapped[int] = mapped_column(BigInteger)
    """Sealed entries that it verified or sealed."""
    head_entry: Mapped[int | None] = mapped_column(BigInteger)
    head: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The hash at the head of the chain; NULL before anything was sealed."""
    findings: Mapped[int] = mapped_column(BigInteger)
    left_out: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Payments that waited to be settled again and would change, so that it could not judge them."""
    first_findings: Mapped[list[str]] = mapped_column(ARRAY(String))


class AuditNotice(Base):
    """An audit that was sent to a channel."""

    __tablename__ = "audit_notices"

    audit_id: Mapped[int] = mapped_column(ForeignKey("audits.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(String(20), primary_key=True)
    sent_at: Mapped[RecordedAt]


def to_send(session: Session, channel: str) -> Audit | None:
    """The audit to send to the channel: the first one with a head on the last day (UTC) that has one.

    None once it was sent. Days on which the channel did not work are skipped: a later head covers them.
    """
    with_head = Audit.head.is_not(None)
    last = select(func.max(Audit.finished_at)).where(with_head).scalar_subquery()
    of_day = select(Audit).where(with_head, Audit.finished_at >= func.date_trunc("day", last, "UTC"))
    audit = session.scalar(of_day.order_by(Audit.id).limit(1))
    return audit if audit and session.get(AuditNotice, (audit.id, channel)) is None else None


def was_sent(session: Session, channel: str, audit: Audit) -> None:
    """Record that the audit was sent to the channel."""
    session.execute(insert(AuditNotice).values(audit_id=audit.id, channel=channel).on_conflict_do_nothing())


def latest(session: Session) -> Audit | None:
    """The last finished audit."""
    return session.scalar(select(Audit).order_by(Audit.id.desc()).limit(1))


class Page(NamedTuple):
    """Some audits, the newest first; `older` is the cursor of the next page, None on the last."""

    audits: Sequence[Audit]
    older: int | None


def page(session: Session, *, limit: int, before: int | None = None) -> Page:
    """Up to `limit` audits older than the cursor `before`, the newest first."""
    return Page(*newest_first(session, select(Audit), Audit.id, limit=limit, before=before))


_LOST_HEADS = text("""
    SELECT a.id, a.head_entry FROM audits a LEFT JOIN entry_chain c ON c.entry_id = a.head_entry
    WHERE a.head IS NOT NULL AND c.hash IS DISTINCT FROM a.head
    ORDER BY a.id LIMIT :limit
""")


def lost_heads(session: Session, *, limit: int = KEPT) -> list[tuple[int, int]]:
    """Audits whose head the chain no longer has, each with its entry: the chain was rewritten."""
    return [(row.id, row.head_entry) for row in session.execute(_LOST_HEADS, {"limit": limit})]
