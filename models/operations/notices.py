"""Notices of alarms: each channel gets one when an alarm begins, every 4 hours while it lasts, and when it is over."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base, Id, Prose, one_of
from models.operations.alarms import Alarm, Severity

AGAIN_AFTER = timedelta(hours=4)
OVER_AFTER = timedelta(minutes=2)
"""How long an alarm must stay away before it is over, so that a flapping one gives one notice."""
KEPT = timedelta(days=400)


class KnownAlarm(Base):
    """An alarm, from the first time it was seen until it was over."""

    __tablename__ = "alarms"
    __table_args__ = (
        Index("uq_alarms_open", "rule", "endpoint", unique=True, postgresql_where=text("resolved_at IS NULL")),
        CheckConstraint(one_of("severity", Severity), "severity"),
    )

    id: Mapped[Id]
    rule: Mapped[str] = mapped_column(String(40))
    endpoint: Mapped[str] = mapped_column(String(63), server_default="")
    """Empty if the alarm concerns all endpoints."""
    severity: Mapped[str]
    message: Mapped[str] = mapped_column(Prose)
    since: Mapped[datetime]
    seen_at: Mapped[datetime]
    """When it was last seen."""
    resolved_at: Mapped[datetime | None] = mapped_column(index=True)


class Notice(Base):
    """The last notice of an alarm that a channel got."""

    __tablename__ = "notices"

    alarm_id: Mapped[int] = mapped_column(ForeignKey("alarms.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(String(20), primary_key=True)
    told_at: Mapped[datetime]
    told_end: Mapped[bool] = mapped_column(server_default="false")
    """Whether that notice said that the alarm is over."""


class News(StrEnum):
    """The kind of a notice."""

    FIRED = "fired"
    LASTS = "lasts"
    RESOLVED = "resolved"


class AlarmNews(NamedTuple):
    """A notice to be sent."""

    alarm: KnownAlarm
    news: News


def see(session: Session, fired: Sequence[Alarm], now: datetime) -> None:
    """Records the alarms that have fired, and ends those that stayed away for two minutes."""
    for alarm in fired:
        new = insert(KnownAlarm).values(
            rule=alarm.rule,
            endpoint=alarm.endpoint or "",
            severity=alarm.severity.value,
            message=alarm.message,
            since=alarm.since or now,
            seen_at=now,
        )
        known = {"message": new.excluded.message, "severity": new.excluded.severity, "seen_at": now}
        keys = [KnownAlarm.rule, KnownAlarm.endpoint]
        is_open = KnownAlarm.resolved_at.is_(None)
        session.execute(new.on_conflict_do_update(index_elements=keys, index_where=is_open, set_=known))
    gone = KnownAlarm.resolved_at.is_(None) & (KnownAlarm.seen_at <= now - OVER_AFTER)
    session.execute(update(KnownAlarm).where(gone).values(resolved_at=now))
    old = select(KnownAlarm.id).where(KnownAlarm.resolved_at < now - KEPT)
    session.execute(delete(Notice).where(Notice.alarm_id.in_(old)))
    session.execute(delete(KnownAlarm).where(KnownAlarm.id.in_(old)))


def to_tell(session: Session, channel: str, now: datetime) -> list[AlarmNews]:
    """The notices that the channel is due, the oldest alarm first.

    An alarm that was over before its first notice gives none.
    """
    sent = (Notice.alarm_id == KnownAlarm.id) & (Notice.channel == channel)
    lasts = KnownAlarm.resolved_at.is_(None)
    unsent = Notice.told_at.is_(None) | (Notice.told_at <= now - AGAIN_AFTER)
    lasting = select(KnownAlarm, Notice.told_at).outerjoin(Notice, sent).where(lasts, unsent)
    ended = select(KnownAlarm).join(Notice, sent).where(~lasts, ~Notice.told_end)
    found = [AlarmNews(alarm, News.LASTS if told_at else News.FIRED) for alarm, told_at in session.execute(lasting)]
    found += [AlarmNews(alarm, News.RESOLVED) for alarm in session.scalars(ended)]
    return sorted(found, key=lambda one: one.alarm.id)


def was_sent(session: Session, channel: str, sent: Iterable[AlarmNews], now: datetime) -> None:
    """Records that the channel got these notices."""
    for alarm, news in sent:
        values = {"told_at": now, "told_end": news == News.RESOLVED}
        new = insert(Notice).values(alarm_id=alarm.id, channel=channel, **values)
        session.execute(new.on_conflict_do_update(index_elements=[Notice.alarm_id, Notice.channel], set_=values))


def lasting(session: Session) -> Sequence[KnownAlarm]:
    """The alarms that last, the longest first."""
    query = select(KnownAlarm).where(KnownAlarm.resolved_at.is_(None)).order_by(KnownAlarm.since, KnownAlarm.id)
    return session.scalars(query).all()
