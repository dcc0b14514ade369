"""The promise, for every processor: in whatever order, grouping and number its deliveries come, they end in one ledger.

The samples go the whole way as in production: signed, verified, split, stored, fetched
over HTTP where the adapter fetches, and credited.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from local import endpoints, sample_gym, samples
from local.samples import Sample
from local.servers import Broker
from models.audit.checks import audit
from models.inbox import storing
from models.inbox.storing import NewEvent
from models.members.memberships import find_member
from models.statements import statement
from runtime.settings import Settings
from tests.webhooks.deliveries import received
from tests.worker.scene import NOW, PER_DUES, PICKS, Make, rows
from webhooks.processors import ADAPTERS, Processor, adapters
from worker.crediting import Crediting
from worker.fetching import Fetching

SAMPLES = [
    (processor, name)
    for processor in sorted(ADAPTERS)
    if (file := samples.FOLDER / f"{processor}.json").exists()
    for name in json.loads(file.read_text())
]
MODEST = hypothesis_settings(max_examples=4)
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


@pytest.fixture(scope="module")
def gym(
    module_database: str, module_make: Make, broker_server: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gym]:
    folder = tmp_path_factory.mktemp("local")
    with endpoints.provided(folder, run=True) as provided:
        settings = Settings(
            database_url=module_database,
            broker_url=broker_server.url,
            endpoints=provided["SPP_ENDPOINTS"],
            secrets_dir=Path(provided["SPP_SECRETS_DIR"]),
        ).with_secrets()
        processors = {adapter.endpoint.processor: adapter for adapter in adapters(settings.endpoints).values()}
        yield Gym(settings, module_make, processors, folder)


@dataclass(frozen=True)
class Arrival:
    """How the deliveries of a sample come: numbers of deliveries, by transaction, and after which of these is work."""

    groups: list[list[int]]
    works: list[bool]
    api_knows_all: bool
    """Whether the API tells from the first how it ends, or only what was told so far."""


@st.composite
def arrivals(draw: st.DrawFn, deliveries: int) -> Arrival:
    order = draw(st.permutations(range(deliveries)))
    again = draw(st.lists(st.sampled_from(order), max_size=deliveries))
    left, groups = [*order, *again], []
    while left:
        size = draw(st.integers(1, len(left)))
        groups.append(left[:size])
        left = left[size:]
    works = [draw(st.booleans()) for _ in groups]
    return Arrival(groups, works, draw(st.booleans()))


def in_order(deliveries: int) -> Arrival:
    return Arrival([[number] for number in range(deliveries)], [True] * deliveries, api_knows_all=False)


def outcome(
    gym: Gym, processor: str, name: str, how: Callable[[int], Arrival]
) -> tuple[Shown, dict[str, tuple[int, int]]]:
    """What a new member has in the end."""
    number = gym.join(processor)
    deliveries = gym.sample(processor, name, number)
    endpoint = gym.processors[processor].endpoint
    arrival = how(len(deliveries))
    if arrival.api_knows_all:
        endpoints.put_api_objects(gym.folder, endpoint, deliveries)
    times, so_far = count(), 0
    for group, works in zip(arrival.groups, arrival.works, strict=True):
        so_far = max(so_far, *(place + 1 for place in group))
        if not arrival.api_knows_all:
            endpoints.put_api_objects(gym.folder, endpoint, deliveries[:so_far])
        gym.deliver(processor, [deliveries[place].content for place in group], times)
        if works:
            gym.work(processor)
    gym.work(processor)
    unwell = (
        "SELECT endpoint, type, state, reason, error FROM webhook_events WHERE state NOT IN ('processed', 'ignored')"
    )
    assert rows(gym.make, unwell) == []
    return gym.grants(number), gym.balances(number)


@pytest.mark.parametrize(("processor", "name"), SAMPLES)
def test_any_order_grouping_and_repetition_ends_the_same(gym: Gym, processor: str, name: str) -> None:
    expected = outcome(gym, processor, name, in_order)
    grants, balances = expected
    kept = name == "paid"
    assert grants == sorted(
        (item, quantity, 0 if kept else quantity, quantity if kept else 0, 0)
        for item, quantity in zip(PICKS, PER_DUES, strict=True)
    )
    usable = {item: (quantity if kept else 0, 0) for item, quantity in zip(PICKS, PER_DUES, strict=True)}
    assert {item: balances.get(item, (0, 0)) for item in PICKS} == usable

    @MODEST
    @given(st.data())
    def in_any_order(data: st.DataObject) -> None:
        assert outcome(gym, processor, name, lambda deliveries: data.draw(arrivals(deliveries))) == expected

    in_any_order()
    with gym.make() as session:
        assert list(audit(session)) == []


def test_every_processor_has_every_sample() -> None:
    wanted = {(processor, name) for processor in ADAPTERS for name in samples.NAMES}
    assert wanted - set(SAMPLES) == {("authorize_net", "disputed")}, "Authorize.Net tells of no dispute"
