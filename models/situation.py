"""The situation: all that the alarms' rules look at, read from PostgreSQL, for many viewers at the cost of one."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from models import alarms, heartbeats, pauses, silence
from models.alarms import Alarm, Paused, Situation
from models.figures import DAY_S, NOW_S, Overview
from models.recent import Recent
from models.silence import Silence
from settings import Settings


class Lookout:
    """What one process shows and tells of an installation; of the present at most 5 s old, of the day 60 s.

    Its methods raise SQLAlchemyError where the database does not answer.
    """

    def __init__(self, make: "sessionmaker[Session]", settings: Settings) -> None:
        self._make, self._settings = make, settings
        self._overview = Overview(make, settings.endpoints)
        self._situation, self._silences = Recent(self._look, NOW_S), Recent(self._listen, DAY_S)

    def now(self) -> Situation:
        """The situation as it is kept now."""
        return self._situation()

    def alarms(self) -> list[Alarm]:
        """What has to be told now, the gravest first."""
        return alarms.fired(self.now())

    def _look(self) -> Situation:
        figures, silences = self._overview.now(), self._silences()
        with self._make() as session:
            return Situation(
                figures=figures,
                workers=heartbeats.workers(session),
                silences=silences,
                paused=[Paused(one.endpoint, one.paused_at, one.paused_by) for one in pauses.paused(session)],
            )

    def _listen(self) -> list[Silence]:
        with self._make() as session:
            now: datetime = session.scalars(select(func.now())).one()
            return silence.silences(session, self._settings.endpoints, now)
