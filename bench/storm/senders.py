"""Those who post and click: each request is tried again, with the same key, until its answer is definite."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from queue import SimpleQueue
from zoneinfo import ZoneInfo

from bench.storm.counted import Counted
from bench.storm.world import STAYS, Delivery, Story, parts
from local.api_objects import Objects

SENDERS = 16
TIMEOUT_S = 20.0
"""Longer than any wait within the service."""
PAUSE_S, AWAY_S = 0.1, 0.5
"""Before the next try; the longer one where nobody has answered."""
ZONE = ZoneInfo("America/Chicago")
AGAIN = {0, 429, 502, 503, 504}
"""0: no answer at all. What a sender tries again by the documentation; all else is definite."""


@dataclass
class Seen:
    """How requests were answered."""

    webhooks: Counter[int] = field(default_factory=Counter)
    console: Counter[int] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    """Stories told, and what people have done, by kind; without what the rules refused."""
    wrong: list[str] = field(default_factory=list)
    """Answers that must never be."""


def pause(status: int) -> None:
    """Wait before the next try."""
    time.sleep(PAUSE_S if status else AWAY_S)


class Senders:
    """Threads that take what is to be done from a queue, and the processors among those who send."""

    def __init__(
        self, counted: Counted, objects: Callable[[str], Objects], ports: Callable[[], tuple[int, int]]
    ) -> None:
        self.seen = Seen()
        self.counted = counted
        self.lock = threading.Lock()
        """Held around what touches `counted`."""
        self._objects = objects
        self._ports = ports
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._open = 0
        self._opening = threading.Lock()
        for _ in range(SENDERS):
            threading.Thread(target=self._work, daemon=True).start()

    @property
    def open(self) -> int:
        """Requests that have no definite answer yet."""
        return self._open

    def put(self, work: Callable[[], None]) -> None:
        """Let one of the threads do it."""
        with self._opening:
            self._open += 1
        self._queue.put(work)

    def close(self) -> None:
        """End the threads."""
        for _ in range(SENDERS):
            self._queue.put(None)

    def _work(self) -> None:
        while work := self._queue.get():
            try:
                work()
            except Exception as error:  # noqa: BLE001 - a sender that died would leave its requests open
                self.seen.wrong.append(f"a sender failed: {error!r}")
            finally:
                with self._opening:
                    self._open -= 1

    def tell(self, story: Story) -> None:
        """Let its deliveries arrive, in any order."""
        self.expect(story)
        for delivery in story.deliveries:
            if not delivery.api_is_late:
                self._put_objects(delivery)
            for _ in range(delivery.times):
                self.put(lambda delivery=delivery: self.deliver(delivery))  # type: ignore[misc]
            if delivery.api_is_late:
                threading.Timer(2.0, self._put_objects, (delivery,)).start()

    def tell_at_once(self, story: Story) -> list[int]:
        """Deliver it here and now; returns each first answer."""
        self.expect(story)
        answers = []
        for delivery in story.deliveries:
            self._put_objects(delivery)
            answers.append(self._post(delivery))
            self.deliver(delivery)
        return answers

    def expect(self, story: Story) -> None:
        """Count it: it is told until it is accepted."""
        with self.lock:
            self.seen.done["payments told"] += 1
            for delivery in story.deliveries:
                self.counted.events[delivery.processor.endpoint.name] += len(parts(delivery.sample.content))
            if story.place is None:
                self.counted.lost_for_good += 1
            elif story.ending == STAYS:
                self.counted.paid_on[story.place].append(story.paid_at.astimezone(ZONE).date())

    def deliver(self, delivery: Delivery) -> None:
        """Until it is accepted, as processors do."""
        name = delivery.processor.endpoint.name
        while not 200 <= (status := self._post(delivery)) < 300:
            if status not in AGAIN | {400}:  # 400: too old by a clock that is wrong now
                self.seen.wrong.append(f"{name} answered {status}")
                return
            pause(status)

    def _post(self, delivery: Delivery) -> int:
        body, headers = delivery.processor.sign(delivery.sample.content, int(time.time()))
        status, _, _ = self.ask(0, "POST", f"/webhooks/{delivery.processor.endpoint.name}", body, headers)
        self.seen.webhooks[status] += 1
        return status

    def _put_objects(self, delivery: Delivery) -> None:
        objects = self._objects(delivery.processor.endpoint.processor)
        for (kind, number), value in delivery.sample.api.items():
            objects.put(kind, number, value)

    def ask(
        self, which: int, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes, Message]:
        """One request to web (0) or console (1): status, content and headers of the answer; (0, ...) for none."""
        connection = http.client.HTTPConnection("127.0.0.1", self._ports()[which], timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        except (OSError, http.client.HTTPException):
            return 0, b"", Message()
        finally:
            connection.close()
