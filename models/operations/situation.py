"""The situation: the input of the alarms' rules, read once for many viewers."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, sessionmaker

from models.inbox import pauses
from models.members import overdue
from models.operations import alarms, heartbeats, jobs, silence
from models.operations.alarms import Alarm, Audited, Paused, Situation, Stopped
from models.operations.figures import DAY_S, NOW_S, Overview
from models.operations.recent import Recent
from models.operations.silence import Silence
from models.payments import announcements
from runtime.settings import Settings

_STOPPED = text("SELECT id, started_at, due, usual FROM expiry_runs WHERE state = 'stopped' AND finished_at IS NULL")
_AUDITED = text("SELECT finished_at, findings, first_findings[1] FROM audits ORDER BY id DESC LIMIT 1")


class Members(NamedTuple):
    """What staff have to look at beside payments."""

    overdue: int
    """Memberships whose dues failed and are owed still."""
    announcements: int
    """Open proposals of processors."""


class Lookout:
    """The situation, cached: figures of the present are at most `now_s` old, those of the day 60 s.

    `broker` returns why the broker does not answer, or None if it does; by default it is not asked.
    Its methods raise SQLAlchemyError where the database does not answer.
    """

    def __init__(
        self, make: sessionmaker[Session], settings: Settings, now_s: float = NOW_S,
        broker: Callable[[], str | None] = lambda: None,
    ) -> None:  # fmt: skip
        self._make, self._settings, self._broker = make, settings, broker
        self._overview = Overview(make, settings.endpoints, now_s)
        self._situation, self._silences = Recent(self._look, now_s), Recent(self._listen, DAY_S)
        self._members = Recent(self._count, DAY_S)

    def now(self) -> Situation:
        """The cached situation."""
        return self._situation()

    def members(self) -> Members:
        """The cached counts about members, at most a minute old. The role of /metrics may not read them."""
        return self._members()

    def alarms(self) -> list[Alarm]:
        """The alarms that have fired now, the most severe first."""
        return alarms.fired(self.now())

    def _look(self) -> Situation:
        figures, silences = self._overview.now(), self._silences()
        with self._make() as session:
            stopped = session.execute(_STOPPED).one_or_none()
            audited = session.execute(_AUDITED).one_or_none()
            return Situation(
                figures=figures,
                workers=heartbeats.workers(session),
                web=heartbeats.web_processes(session),
                jobs=jobs.timetable(session, self._settings, _now(session)),
                silences=silences,
                stopped=Stopped(*stopped) if stopped else None,
                audited=Audited(*audited) if audited else None,
                paused=[Paused(one.endpoint, one.paused_at, one.paused_by) for one in pauses.paused(session)],
                broker_error=self._broker(),
            )

    def _count(self) -> Members:
        with self._make() as session:
            return Members(overdue.count(session), announcements.count(session))

    def _listen(self) -> list[Silence]:
        with self._make() as session:
            return silence.silences(session, self._settings.endpoints, _now(session))


def _now(session: Session) -> datetime:
    """By the database's clock."""
    now: datetime = session.scalars(select(func.clock_timestamp())).one()
    return now
