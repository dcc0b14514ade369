"""The promise, for every processor: in whatever order, grouping and number its deliveries come, they end in one ledger.

The samples go the whole way as in production: signed, verified, split, stored, fetched
over HTTP where the adapter fetches, and credited.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from local import endpoints, samples
from models.audit.checks import audit
from tests.worker.every_processor import Gym, Shown
from tests.worker.scene import PER_DUES, PICKS, rows
from webhooks.processors import ADAPTERS

SAMPLES = [
    (processor, name)
    for processor in sorted(ADAPTERS)
    if (file := samples.FOLDER / f"{processor}.json").exists()
    for name in json.loads(file.read_text())
]
MODEST = hypothesis_settings(max_examples=4)


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
