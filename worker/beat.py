"""Beat's scheduler: Celery's own, which a clock that was ahead for a while does not silence.

Celery counts from when a job last ran. If that was by a clock an hour ahead, nothing would run for an hour after the
clock is right again, and a restart would change nothing, because the schedule is kept in a file.
"""

from time import monotonic, time

from celery.beat import PersistentScheduler

NOTICED_S = 1.0
"""A clock that was set back by less is let be."""


class Scheduler(PersistentScheduler):  # type: ignore[misc]  # Celery has no types
    """Looks at the clock before it asks what is due."""

    _since_boot = float("inf")

    def tick(self, *args: object, **kwargs: object) -> float:
        """Send what is due; returns how long to wait."""
        ahead = time() - monotonic()
        if ahead < self._since_boot - NOTICED_S:
            self._begin_from_now()
        self._since_boot = ahead
        return float(super().tick(*args, **kwargs))

    def _begin_from_now(self) -> None:
        """What ran in the future ran now; and in what order things are due is worked out anew."""
        for entry in self.schedule.values():
            entry.last_run_at = min(entry.last_run_at, entry.default_now())
        self._heap = None
