"""A gym that hears of all processors, with their APIs' stand-ins, and members who pay by any of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path

from local import sample_gym, samples
from local.samples import Sample
from models.inbox import storing
from models.inbox.storing import NewEvent
from models.members.lookup import find_member
from models.statements import statement
from runtime.settings import Settings
from tests.webhooks.deliveries import received
from tests.worker.scene import NOW, PICKS, Make, rows
from webhooks.processors import Processor
from worker.crediting import Crediting
from worker.fetching import Fetching

_numbers = count(1)

Shown = list[tuple[str, int, int, int, int]]
"""Per grant: item, quantity, reversed, remaining, shortfall."""


@dataclass(frozen=True)
class Gym:
    """A database with the sample gym, and the endpoints of all processors with their APIs' stand-ins."""

    settings: Settings
    make: Make
    processors: dict[str, Processor]
    """Processor -> the adapter of its endpoint."""
    folder: Path

    def join(self, processor: str) -> str:
        """A new member; returns the number in their email, billing reference and payments."""
        number = str(100_000 + next(_numbers))
        endpoint = self.processors[processor].endpoint
        with self.make.begin() as session:
            sample_gym.join(session, f"{number}@example.com", "Ada", PICKS, [(endpoint.name, f"sub_{number}")])
        return number

    def sample(self, processor: str, name: str, number: str) -> list[Sample]:
        """The deliveries of that sample for that member, the last one a minute ago."""
        account = self.processors[processor].endpoint.account
        now = NOW - timedelta(minutes=1)
        return samples.sample(processor, name, reference=f"sub_{number}", number=number, now=now, account=account)

    def deliver(self, processor: str, contents: Sequence[bytes], times: Iterator[int]) -> None:
        """Signs, verifies, splits, and stores all at once."""
        adapter = self.processors[processor]
        events = []
        for content in contents:
            now = int(NOW.timestamp()) + next(times)
            delivery = adapter.sign(content, now)
            headers = received(delivery.headers)
            assert adapter.verify(delivery.body, headers, now) is None
            events += [NewEvent(adapter.endpoint.name, *part) for part in adapter.parse(delivery.body, headers)]
        with self.make.begin() as session:
            storing.store(session, events, lambda _, first, second: adapter.same_content(first, second))

    def work(self, processor: str) -> None:
        """What the worker does: fetch what has to be fetched, and credit."""
        adapter = self.processors[processor]
        if adapter.fetches:
            Fetching(self.settings, self.make, adapter).drain()
        Crediting(self.settings, self.make, lambda: NOW).drain()

    def grants(self, number: str) -> Shown:
        found = rows(
            self.make,
            "SELECT i.name, g.quantity, g.reversed, g.remaining, g.shortfall FROM credit_grants g"
            " JOIN items i ON i.id = g.item_id JOIN members m ON m.id = g.member_id"
            " WHERE m.email = :email ORDER BY i.name, g.id",
            email=f"{number}@example.com",
        )
        return [tuple(row) for row in found]

    def balances(self, number: str) -> dict[str, tuple[int, int]]:
        """Per item what can be used, and what is owed."""
        with self.make() as session:
            member = find_member(session, f"{number}@example.com")
            assert member is not None
            return {one.item: (one.usable, one.shortfall) for one in statement.balances(session, member.id, NOW)}
