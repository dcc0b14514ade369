"""Those who post and click: each request is tried again, with the same key, until its answer is definite."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from queue import SimpleQueue
from typing import Any
from zoneinfo import ZoneInfo

from bench.storm.counted import GIVES, Counted
from bench.storm.world import STAYS, Act, Delivery, Story
from local.api_objects import Objects

SENDERS = 12
TIMEOUT_S = 20.0
"""Longer than any wait within the service."""
PAUSE_S = 0.1
ZONE = ZoneInfo("America/Chicago")
ITEMS = {item: number for number, item in enumerate(GIVES, start=1)}
AGAIN = {0, 429, 502, 503, 504}
"""0: no answer at all. What a sender tries again by the documentation; all else is definite."""


@dataclass
class Seen:
    """How requests were answered."""

    webhooks: Counter[int] = field(default_factory=Counter)
    console: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """Answers that must never be."""


class Senders:
    """Threads that take what happens from a queue; `finish` waits until all of it has its answer."""

    def __init__(
        self, counted: Counted, objects: Callable[[str], Objects], ports: Callable[[], tuple[int, int]], token: str
    ) -> None:
        self.seen = Seen()
        self._counted = counted
        self._objects = objects
        self._ports = ports
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._open = 0
        self._redeemed: list[tuple[int, int, str]] = []
        """Redemption, member and item of those that were not returned."""
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    @property
    def open(self) -> int:
        """Requests that have no definite answer yet."""
        return self._open

    def take(self, what: Story | Act) -> None:
        """Let it happen."""
        if isinstance(what, Story):
            self._story(what)
        else:
            self._put(lambda: self._act(what))

    def close(self) -> None:
        """End the threads."""
        for _ in self._threads:
            self._queue.put(None)

    def _put(self, work: Callable[[], None]) -> None:
        with self._lock:
            self._open += 1
        self._queue.put(work)

    def _work(self) -> None:
        while work := self._queue.get():
            try:
                work()
            except Exception as error:  # noqa: BLE001 - a sender that died would leave its requests open
                self.seen.wrong.append(f"a sender failed: {error!r}")
            finally:
                with self._lock:
                    self._open -= 1

    # Processors

    def _story(self, story: Story) -> None:
        if story.member is None:
            with self._lock:
                self._counted.unmatched += 1
        elif story.ending == STAYS:
            with self._lock:
                self._counted.payment(story.member, story.paid_at.astimezone(ZONE).date())
        for delivery in story.deliveries:
            objects = self._objects(delivery.processor.endpoint.processor)
            if not delivery.api_is_late:
                _tell(objects, delivery)
            for _ in range(delivery.times):
                self._put(lambda delivery=delivery: self._deliver(delivery))  # type: ignore[misc]
            if delivery.api_is_late:
                threading.Timer(2.0, _tell, (objects, delivery)).start()

    def _deliver(self, delivery: Delivery) -> None:
        """Until it is accepted, as processors do."""
        name = delivery.processor.endpoint.name
        while True:
            body, headers = delivery.processor.sign(delivery.sample.content, int(time.time()))
            status, _ = self._ask(0, "POST", f"/webhooks/{name}", body, headers)
            self.seen.webhooks[status] += 1
            if 200 <= status < 300:
                return
            if status not in AGAIN | {400}:  # 400: too old by a clock that is wrong now
                self.seen.wrong.append(f"{name} answered {status}")
                return
            time.sleep(PAUSE_S)

    # People

    def _act(self, act: Act) -> None:
        item = [*ITEMS][act.number % len(ITEMS)]
        member_id = act.member + 1
        match act.kind:
            case "redeem":
                body: dict[str, Any] = {"member_id": member_id, "item_id": ITEMS[item], "quantity": 1 + act.number % 3}
                if made := self._post("/redemptions", body, act):
                    with self._lock:
                        self._counted.move(act.member, item, -body["quantity"])
                        self._redeemed.append((made["id"], act.member, item))
            case "return":
                with self._lock:
                    if not self._redeemed:
                        return
                    place = int(act.chance * len(self._redeemed))
                    redemption, member, spent = self._redeemed.pop(place)
                if made := self._post(f"/redemptions/{redemption}/returns", {}, act):
                    with self._lock:
                        self._counted.move(member, spent, made["quantity"])
            case "give" | "take":
                sessions = 1 if act.kind == "give" else -1
                body = {
                    "member_id": member_id,
                    "item_id": ITEMS[item],
                    "quantity": sessions,
                    "reason": "goodwill",
                    "note": "The storm.",
                }
                made = self._post("/adjustments", body, act)
                if made and made["state"] == "applied":
                    with self._lock:
                        self._counted.move(act.member, item, sessions)
            case "freeze":
                first = _today() + timedelta(days=1 + act.number % 20)
                last = first + timedelta(days=act.number % 5)
                body = {"first_day": str(first), "last_day": str(last), "reason": "The storm."}
                if made := self._post(f"/memberships/{member_id}/freezes", body, act):
                    with self._lock:
                        self._counted.frozen[made["id"]] = act.member, first, last
            case "unfreeze":
                with self._lock:
                    if not self._counted.frozen:
                        return
                    freeze = [*self._counted.frozen][int(act.chance * len(self._counted.frozen))]
                    undone = self._counted.frozen.pop(freeze)
                if not self._post(f"/freezes/{freeze}/undoing", {"reason": "The storm."}, act):
                    with self._lock:
                        self._counted.frozen[freeze] = undone
            case "page":
                self._get(f"/members/{member_id}/grants" if act.chance < 0.5 else f"/members/{member_id}/balances")
            case "export":
                self._get("/exports/balances.csv")

    def _post(self, path: str, body: dict[str, Any], act: Act) -> Any:
        """What was made; None where the rules refused it."""
        headers = {**self._headers, "Idempotency-Key": f"storm-{act.number}"}
        while True:
            status, answer = self._ask(1, "POST", f"/api/v1{path}", json.dumps(body).encode(), headers)
            self.seen.console[status] += 1
            if status in (200, 201):
                return json.loads(answer)
            if status not in AGAIN:
                if status not in (409, 422):
                    self.seen.wrong.append(f"POST {path} answered {status}: {answer[:200]!r}")
                return None
            time.sleep(PAUSE_S)

    def _get(self, path: str) -> None:
        status, answer = self._ask(1, "GET", f"/api/v1{path}", b"", self._headers)
        self.seen.console[status] += 1
        if status not in AGAIN | {200}:
            self.seen.wrong.append(f"GET {path} answered {status}: {answer[:200]!r}")

    def _ask(self, which: int, method: str, path: str, body: bytes, headers: Any) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._ports()[which], timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()


def _tell(objects: Objects, delivery: Delivery) -> None:
    for (kind, number), value in delivery.sample.api.items():
        objects.put(kind, number, value)


def _today() -> date:
    return datetime.now(ZONE).date()
