"""Rounds of storm and calm, and what has to hold in each calm."""

import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from threading import Event, Thread

import psutil
import psycopg

from bench.storm import faults
from bench.storm.checking import Checking
from bench.storm.faults import OURS, SPP, Broken
from bench.storm.people import People
from bench.storm.proxy import STORES
from bench.storm.senders import Senders
from bench.storm.world import Story, World, endless
from local.stack import StackFailed

ROUND_S = 60.0
QUICK, SLOW = 3, 2
"""So many faults at once, of those that are over at once and of those that take seconds."""
QUICK_EVERY_S, SLOW_EVERY_S = 0.5, 2.0
"""Each waits for up to so long before its next."""
OPEN_AT_MOST = 200
"""Requests that wait for an answer at once; more would only queue."""
STUCK_S = 300.0
"""Without any progress for so long, something is stuck."""
LOST_ANSWERS = 8
"""So many deliveries are stored, and the database's answer is lost, while nothing else is wrong."""
LARGEST_MB = 500
"""No process of ours may become larger."""


class Storm:
    """One run."""

    def __init__(
        self, broken: Broken, senders: Senders, people: People, world: World, seed: int, checking: Checking
    ) -> None:
        self._broken, self._senders, self._people, self._checking = broken, senders, people, checking
        self._world, self._happenings = world, endless(world)
        self._drawing = [Random(f"breaker {number} of {seed}") for number in range(QUICK + SLOW)]
        self._calms_s: list[float] = []

    def blow(self, seconds: float) -> Iterator[str]:
        """Storm and calm for so long; yields what was not as promised."""
        ends = time.monotonic() + seconds
        for number in count(1):
            self._blow(min(ends, time.monotonic() + ROUND_S))
            began = time.monotonic()
            wrong = [*self._calm(), *self._checking.compare(), *self._senders.seen.wrong]
            self._calms_s.append(time.monotonic() - began)
            print(
                f"Round {number}: {self._broken.happened.times.total()} faults so far; calm and compared after "
                f"{self._calms_s[-1]:.0f} s.",
                flush=True,
            )
            yield from wrong
            if wrong or time.monotonic() >= ends:
                break
        yield from self._checking.audit()

    def figures(self) -> dict[str, object]:
        """What has happened."""
        happened, seen = self._broken.happened.times, self._senders.seen
        return {
            "faults": {**dict(sorted(happened.items())), "all": happened.total()},
            "done": dict(sorted(seen.done.items())),
            "different events": self._senders.counted.events.total(),
            "deliveries answered": {str(status): times for status, times in sorted(seen.webhooks.items())},
            "people answered": {str(status): times for status, times in sorted(seen.console.items())},
            "calms, s": [round(one) for one in self._calms_s],
        }

    def _blow(self, until: float) -> None:
        over = Event()
        breaking = [
            Thread(target=self._break, args=(over, drawing, one, every_s))
            for drawing, (one, every_s) in zip(
                self._drawing,
                [(faults.quick, QUICK_EVERY_S)] * QUICK + [(faults.slow, SLOW_EVERY_S)] * SLOW,
                strict=True,
            )
        ]
        for thread in breaking:
            thread.start()
        while time.monotonic() < until:
            if self._senders.open >= OPEN_AT_MOST:
                time.sleep(0.02)
            elif isinstance(what := next(self._happenings), Story):
                self._senders.tell(what)
            else:
                self._people.take(what)
        over.set()
        for thread in breaking:
            thread.join()

    def _break(self, over: Event, drawing: Random, one: Callable[[Broken, Random], None], every_s: float) -> None:
        while not over.wait(drawing.random() * every_s):
            try:
                one(self._broken, drawing)
                faults.revive(self._broken)
            except Exception as error:  # noqa: BLE001 - whatever it is, the storm has to go on
                self._senders.seen.wrong.append(f"a fault failed: {error!r}")

    def _calm(self) -> Iterator[str]:
        """Mend everything, and wait until all that was asked is answered and all that was told is worked off."""
        faults.mend(self._broken)
        self._wait_ready()
        yield from self._until("requests without an answer", lambda: self._senders.open)
        yield from self._lose_answers()
        yield from self._until("events not worked off", self._due)
        if self._checking.failed_events():
            replay = [str(SPP), "replay", "--all", "--yes"]
            subprocess.run(replay, env=self._broken.environment, capture_output=True, check=False)
            yield from self._until("events not worked off after a replay", self._due)
            if failed := self._checking.failed_events():
                yield f"{failed} events failed or were quarantined, also after a replay"
        since = self._checking.now()
        yield from self._until("sweeps to come", lambda: not self._checking.has_swept(since))
        yield from self._until("events not worked off after a sweep", self._due)
        for name in OURS:
            process = self._broken.stack.process(name)
            for one in [process, *process.children(recursive=True)]:
                try:
                    size = one.memory_info().rss / 1e6
                except psutil.Error:
                    continue
                if size > LARGEST_MB:
                    yield f"a process of {name} has grown to {size:.0f} MB"

    def _wait_ready(self) -> None:
        """Wait until all is there; what was killed at the last moment ends only now."""
        patient_until = time.monotonic() + STUCK_S
        while True:
            try:
                self._broken.stack.wait_ready(STUCK_S)
            except StackFailed:
                if time.monotonic() > patient_until:
                    raise
                time.sleep(0.2)
                faults.revive(self._broken)
            else:
                return

    def _until(self, what: str, left: Callable[[], int]) -> Iterator[str]:
        """Wait until nothing of it is left, as long as it goes on."""
        last, since, began = -1, time.monotonic(), None
        while True:
            try:
                began = began or self._checking.now()
                now, never = int(left()), self._checking.never(began)
            except psycopg.OperationalError:  # it is being started again
                now, never = -1, 0
            if now == 0:
                return
            if never > 0:
                yield f"{never} events are somebody's who has died, and nobody will get them"
                return
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > STUCK_S:
                yield f"stuck: {now} {what}, such as {self._checking.stuck()}"
                return
            faults.revive(self._broken)
            time.sleep(0.2)

    def _due(self) -> int:
        return self._checking.due()

    def _lose_answers(self) -> Iterator[str]:
        """Where only an answer of the database is lost, the delivery is stored again, and its processor hears nothing.

        The first one makes a good connection. A few may be refused for other reasons on a machine that is slow.
        """
        self._senders.tell_at_once(self._world.story())
        refused = 0
        for _ in range(LOST_ANSWERS):
            self._broken.proxy.lose_answers(1, STORES)
            answers = self._senders.tell_at_once(self._world.story())
            refused += any(status >= 500 for status in answers)
            self._broken.proxy.calm()
        if refused > LOST_ANSWERS // 2:
            yield f"{refused} payments were refused, although no more than an answer of the database was lost"
