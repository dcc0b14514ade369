"""Outages in the log: one line when what a process depends on fails, one a minute, one when it works again.

    {"event": "database_failing", "error": "connection refused"}
    {"event": "database_still_failing", "error": "connection refused", "failing_s": 60, "deliveries": 812, "ticks": 58}
    {"event": "database_working_again", "failing_s": 71, "deliveries": 950, "ticks": 69}

The numbers are what failed meanwhile in this process, by kind. What is expected gets no traceback.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Literal

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError

from runtime.logs import first_line

TELL_EVERY_S = 60.0
SETTLED_S = 5.0
"""It works again when it does so long after the last failure: a server that starts refuses some and takes others."""
AWAY = ("08", "53300", "57P")
"""PostgreSQL's error codes (Appendix A): connection exceptions, too many connections, operator intervention."""

log = structlog.get_logger()


class Outage:
    """The outages of one dependency, in the log. Thread-safe."""

    def __init__(
        self, name: str, level: Literal["error", "warning"] = "error", *, tell_every_s: float = TELL_EVERY_S,
        settled_s: float = SETTLED_S,
    ) -> None:  # fmt: skip
        self._name, self._level = name, level
        self._tell_every_s, self._settled_s = tell_every_s, settled_s
        self._lock = threading.Lock()
        self._began: float | None = None
        self._failed_at = self._logged_at = 0.0
        self._worked_at: float | None = None
        self._failures: Counter[str] = Counter()

    def failed(self, error: Exception | str, kind: str) -> None:
        """Notes that one of that kind (deliveries, ticks, ...) failed, and logs what is due.

        An error which says that the database is away belongs to the database's outage.
        """
        if self is not DATABASE and is_away(error):
            DATABASE.failed(error, kind)
            return
        why = error if isinstance(error, str) else first_line(error)
        now = monotonic()
        with self._lock:
            begins = self._began is None
            if self._began is None:
                self._began, self._logged_at, self._failures = now, now, Counter()
            self._failures[kind] += 1
            self._failed_at, self._worked_at = now, None
            due = now - self._logged_at >= self._tell_every_s
            if due:
                self._logged_at = now
            tally = self._tally(self._began, now)
        if begins:
            getattr(log, self._level)(f"{self._name}_failing", error=why)
        elif due:
            log.warning(f"{self._name}_still_failing", error=why, **tally)

    def works(self) -> None:
        """Notes that it worked. Costs next to nothing where it was not failing."""
        if self._began is None:
            return
        now = monotonic()
        with self._lock:
            if self._began is None:
                return
            self._worked_at = self._worked_at or now
            if now - self._failed_at < self._settled_s:
                return
            tally = self._tally(self._began, self._worked_at)
            self._began = None
        log.info(f"{self._name}_working_again", **tally)

    @contextmanager
    def survived(self, kind: str) -> Iterator[None]:
        """Runs a block that needs the database, in a loop that must go on: an error in it is noted, and ends here."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 -- whatever it is
            self.failed(error, kind)
        else:
            DATABASE.works()
            self.works()

    def _tally(self, began: float, until: float) -> dict[str, int]:
        return {"failing_s": round(until - began), **self._failures}


DATABASE = Outage("database")
"""PostgreSQL, as this process sees it."""


def is_away(error: object) -> bool:
    """Whether the error says that PostgreSQL is away; not that it is busy, or refuses something."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        # The client library's own words: refused, cut off, no answer in time.
        return error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError)
    return str(state).startswith(AWAY)
