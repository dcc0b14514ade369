"""The webhook app as its callers see it, and the database behind it."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import count
from threading import Barrier
from time import monotonic, sleep, time
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, text
from werkzeug.test import TestResponse

from models.database.engine import make_engine
from runtime.settings import DatabaseRole, Settings
from tests.database_roles import as_role
from tests.webhooks.deliveries import changed, recorded
from webhooks.app import create_app
from webhooks.signatures import sign_stripe

T = TypeVar("T")
PAID = recorded("stripe")["invoice_paid"]
_numbers = count(1)


class Site:
    """An app of these settings, posted to through WSGI."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app = create_app(as_role(settings, DatabaseRole.WEB))
        self._engine = make_engine(settings.database_url)

    def close(self) -> None:
        self._engine.dispose()

    def post(self, endpoint: str, body: bytes, headers: Mapping[str, str], **more: Any) -> TestResponse:
        return self.app.test_client().post(f"/webhooks/{endpoint}", data=body, headers=dict(headers), **more)

    def deliver(self, body: bytes, headers: Mapping[str, str] | None = None, **more: Any) -> TestResponse:
        """Posts a body as Stripe would, with some more headers."""
        return self.post("stripe", body, signed(body) | dict(headers or {}), **more)

    def deliver_at_once(self, bodies: Sequence[bytes]) -> list[int]:
        """Posts all bodies at the same time, each from a thread of its own; returns the answers' statuses."""
        ready = Barrier(len(bodies))

        def one(body: bytes) -> int:
            ready.wait()
            return self.deliver(body).status_code

        with ThreadPoolExecutor(len(bodies)) as pool:
            return list(pool.map(one, bodies))

    def events(self, event_id: str, endpoint: str = "stripe") -> Sequence[Row[Any]]:
        """The inbox's rows of that id, the first one first."""
        return self.rows(
            "SELECT * FROM webhook_events WHERE endpoint = :endpoint AND event_id = :id ORDER BY id",
            endpoint=endpoint,
            id=event_id,
        )

    def transaction(self) -> AbstractContextManager[Connection]:
        """A transaction beside the app's, committed at its end."""
        return self._engine.begin()

    def rows(self, statement: str, **values: object) -> Sequence[Row[Any]]:
        with self.transaction() as connection:
            return connection.execute(text(statement), values).all()

    def count(self) -> int:
        """How many rows the inbox has."""
        return int(self.rows("SELECT count(*) FROM webhook_events")[0][0])

    def counts(self, endpoint: str) -> dict[str, int]:
        """How many deliveries were counted, by outcome."""
        statement = "SELECT outcome, sum(count) FROM delivery_counts WHERE endpoint = :endpoint GROUP BY outcome"
        return {outcome: int(count) for outcome, count in self.rows(statement, endpoint=endpoint)}


def new_event(**changes: object) -> tuple[str, bytes]:
    """An event that nobody has seen yet: its id and its body."""
    event_id = f"evt_{next(_numbers)}"
    return event_id, changed(PAID, id=event_id, **changes)


def signed(body: bytes, key: bytes = b"whsec_test") -> dict[str, str]:
    return sign_stripe(body, key, int(time()))


def eventually(look: Callable[[], T]) -> T:
    """What `look` says once it says yes; its last word if it never does."""
    give_up_at = monotonic() + 30
    while not (seen := look()) and monotonic() < give_up_at:
        sleep(0.01)
    return seen
