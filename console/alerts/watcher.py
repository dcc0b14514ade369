"""The watcher: a thread of the console that looks at the rules every 30 s and tells people what they have to know.

Of several consoles one speaks at a time, the one that holds the lock. What a channel does not take is tried again
with the next look; what was told is kept in PostgreSQL, so a restart repeats nothing.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from console import broker_state
from console.alerts.channels import NOT_TOLD, Channel
from models.audit import results
from models.audit.results import Audit
from models.database.engine import make_engine, sessions
from models.operations import notices
from models.operations.alarms import DATABASE, RULES, Alarm
from models.operations.notices import AlarmNews, KnownAlarm, News
from models.operations.situation import Lookout
from runtime import outages
from runtime.logs import first_line
from runtime.outages import Outage
from runtime.settings import Settings

EVERY_S = 30
UNREACHABLE_FOR = timedelta(seconds=60)
"""So long the database has to be away before people are told."""
_LOCK = 0x5350_5001
"""Any number that nobody else takes for an advisory lock."""

log = structlog.get_logger()


class Watcher:
    """Looks and tells; `start` lets it do so in a thread of its own."""

    def __init__(
        self, settings: Settings, channels: Sequence[Channel], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._engine: Engine = make_engine(settings.database_url, pool_size=2)
        self._make = sessions(self._engine)
        self._lookout = Lookout(self._make, settings, broker=lambda: broker_state.look(settings.broker_url).trouble)
        self._channels, self._clock = channels, clock
        self._closed = threading.Event()
        self._away: KnownAlarm | None = None
        self._told_away: set[str] = set()
        self._outage = Outage("watcher")

    def start(self, every_s: float = EVERY_S) -> None:
        """Looks so often for as long as the process lives; first after that time, when all others have started too."""
        threading.Thread(target=self._go_on, args=[every_s], name="watcher", daemon=True).start()

    def look(self) -> None:
        """Looks once, and tells what there is to tell; raises nothing that the world outside does to it."""
        try:
            with self._engine.connect() as lock:
                if not lock.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}):
                    return
                # Held by the connection, not by a transaction: none lasts while somebody is told.
                lock.commit()
                try:
                    self._look()
                finally:
                    lock.scalar(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
        except SQLAlchemyError as error:
            self._outage.failed(error, "looks")
            self._unreachable(first_line(error))
        else:
            outages.DATABASE.works()
            self._outage.works()
            self._reachable()

    def close(self) -> None:
        """Ends, and gives its connections back."""
        self._closed.set()
        self._engine.dispose()

    def _look(self) -> None:
        fired, now = self._lookout.alarms(), self._clock()
        with self._make.begin() as session:
            notices.see(session, fired, now)
        for channel in self._channels:
            with self._make() as session:
                news = notices.to_tell(session, channel.name, now)
                audit = results.to_send(session, channel.name)
            for told in news:
                if not _tell(channel, told):
                    break
                with self._make.begin() as session:
                    notices.was_told(session, channel.name, [told], now)
            else:
                if audit and _tell(channel, audit):
                    with self._make.begin() as session:
                        results.was_sent(session, channel.name, audit)

    def _unreachable(self, why: str) -> None:
        """Nothing can be kept now: who was told is remembered until the database is back."""
        now = self._clock()
        if self._away is None:
            message = f"The database does not answer: {why}. Nothing is received or credited; bring it back."
            self._away = _made(Alarm(DATABASE, RULES[DATABASE], None, message, now), now)
        self._away.seen_at = now
        if now - self._away.since >= UNREACHABLE_FOR:
            for channel in self._channels:
                if channel.name not in self._told_away and _tell(channel, AlarmNews(self._away, News.FIRED)):
                    self._told_away.add(channel.name)

    def _reachable(self) -> None:
        if self._away is not None:
            self._away.resolved_at = self._clock()
            for channel in self._channels:
                if channel.name in self._told_away:
                    _tell(channel, AlarmNews(self._away, News.RESOLVED))
            self._away, self._told_away = None, set()

    def _go_on(self, every_s: float) -> None:
        while not self._closed.wait(every_s):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 -- whoever watches must not fall asleep
                self._outage.failed(error, "looks")


def _made(alarm: Alarm, now: datetime) -> KnownAlarm:
    severity = alarm.severity.value
    return KnownAlarm(
        rule=alarm.rule, endpoint="", severity=severity, message=alarm.message, since=alarm.since, seen_at=now
    )


def _tell(channel: Channel, news: AlarmNews | Audit) -> bool:
    """Whether it could be told."""
    if isinstance(news, Audit):
        what, about = "audit", dict[str, object](audit=news.id)
    else:
        what, about = "alarm", {"rule": news.alarm.rule, "endpoint": news.alarm.endpoint, "news": news.news.value}
    try:
        channel.tell(news)
    except NOT_TOLD as error:
        log.warning(f"{what}_not_told", channel=channel.name, **about, error=first_line(error))
        return False
    log.info(f"{what}_told", channel=channel.name, **about)
    return True
