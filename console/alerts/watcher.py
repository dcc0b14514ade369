"""The watcher: a thread of the console that checks the alarm rules every 30 s and sends news to the channels.

Of several consoles only the one that holds an advisory lock sends. What a channel refuses is tried again at the next
check. What was sent is recorded in PostgreSQL, so a restart repeats nothing.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from console import broker_state
from console.alerts.channels import NOT_SENT, Channel
from models.audit import results
from models.audit.results import Audit
from models.database.engine import make_engine, sessions
from models.operations import notices
from models.operations.alarms import DATABASE, RULES
from models.operations.notices import AlarmNews, KnownAlarm, News
from models.operations.situation import Lookout
from runtime import outages
from runtime.logs import first_line
from runtime.outages import Outage
from runtime.settings import Settings

EVERY_S = 30
UNREACHABLE_FOR = timedelta(seconds=60)
"""How long the database must be away before an alarm is sent."""
_LOCK = 0x5350_5001
"""The advisory lock's key: any number that no other lock uses."""

log = structlog.get_logger()


class Watcher:
    """Checks the rules and sends news; `start` does so in a thread of its own."""

    def __init__(
        self, settings: Settings, channels: Sequence[Channel], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._engine: Engine = make_engine(settings.database_url, pool_size=2)
        self._make = sessions(self._engine)
        self._lookout = Lookout(self._make, settings, broker=lambda: broker_state.look(settings.broker_url).trouble)
        self._channels, self._clock = channels, clock
        self._closed = threading.Event()
        self._away: KnownAlarm | None = None
        self._sent_away: set[str] = set()
        self._outage = Outage("watcher")

    def start(self, every_s: float = EVERY_S) -> None:
        """Check at this interval until the process ends. The first check waits, so that other processes can start."""
        threading.Thread(target=self._go_on, args=[every_s], name="watcher", daemon=True).start()

    def look(self) -> None:
        """Check once, and send what is new. Raises nothing when database, broker or channels fail."""
        try:
            with self._engine.connect() as lock:
                if not lock.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}):
                    return
                # The connection holds the lock, not a transaction: none stays open while a channel is slow.
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
        """End, and close the connections."""
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
            for one in news:
                if not _sent(channel, one):
                    break
                with self._make.begin() as session:
                    notices.was_sent(session, channel.name, [one], now)
            else:
                if audit and _sent(channel, audit):
                    with self._make.begin() as session:
                        results.was_sent(session, channel.name, audit)

    def _unreachable(self, why: str) -> None:
        """Send the database's own alarm. Until it is back, nothing can be recorded: memory has who got it."""
        now = self._clock()
        if self._away is None:
            message = f"The database does not answer: {why}. Nothing is received or credited; bring it back."
            severity = RULES[DATABASE].value
            self._away = KnownAlarm(
                rule=DATABASE, endpoint="", severity=severity, message=message, since=now, seen_at=now
            )
        self._away.seen_at = now
        if now - self._away.since >= UNREACHABLE_FOR:
            for channel in self._channels:
                if channel.name not in self._sent_away and _sent(channel, AlarmNews(self._away, News.FIRED)):
                    self._sent_away.add(channel.name)

    def _reachable(self) -> None:
        if self._away is not None:
            self._away.resolved_at = self._clock()
            for channel in self._channels:
                if channel.name in self._sent_away:
                    _sent(channel, AlarmNews(self._away, News.RESOLVED))
            self._away, self._sent_away = None, set()

    def _go_on(self, every_s: float) -> None:
        while not self._closed.wait(every_s):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 -- the watcher must outlive any failure
                self._outage.failed(error, "looks")


def _sent(channel: Channel, news: AlarmNews | Audit) -> bool:
    """Send the news through the channel; whether it was accepted."""
    if isinstance(news, Audit):
        what, about = "audit", dict[str, object](audit=news.id)
    else:
        what, about = "alarm", {"rule": news.alarm.rule, "endpoint": news.alarm.endpoint, "news": news.news.value}
    try:
        channel.send(news)
    except NOT_SENT as error:
        log.warning(f"{what}_not_sent", channel=channel.name, **about, error=first_line(error))
        return False
    log.info(f"{what}_sent", channel=channel.name, **about)
    return True
