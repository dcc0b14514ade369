"""What happens, drawn from one seed: what processors tell, and what people do."""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple

from bench.storm.counted import DUES_MINOR
from bench.stripe_events import subscription_id
from local import samples
from local.samples import Sample
from webhooks.processors import Processor, processor_class

STAYS = "paid"
"""The sample of a payment whose money stays; that of all others goes back."""
ENDINGS = (STAYS, STAYS, STAYS, "refunded", "disputed", "late_failure")
STRANGER = "sub_of_nobody"
ACTS = ("redeem",) * 6 + ("return",) * 2 + ("give", "take", "freeze", "unfreeze", "page", "export")


class Delivery(NamedTuple):
    """One delivery of a story, how often it is sent, and whether its processor's API knows of it only later."""

    processor: Processor
    sample: Sample
    times: int
    api_is_late: bool


class Story(NamedTuple):
    """One payment and what becomes of it; `member` is None where nobody has its reference."""

    member: int | None
    ending: str
    paid_at: datetime
    deliveries: list[Delivery]


class Act(NamedTuple):
    """Something that a person does, with numbers to choose by."""

    kind: str
    member: int
    number: int
    chance: float


class World:
    """Endless stories and acts. The same seed draws the same ones; only the times in them are of now."""

    def __init__(self, seed: int, processors: list[Processor], members: int) -> None:
        self._random = Random(seed)
        self._processors = processors
        self._members = members
        self._number = 0

    def burst(self) -> list[Story | Act]:
        """What happens next, all at once, in no order."""
        size = self._random.choice((5, 10, 20, 60))
        wanted: list[Story | Act] = [self._story() if self._random.random() < 0.5 else self._act() for _ in range(size)]
        self._random.shuffle(wanted)
        return wanted

    def _story(self) -> Story:
        self._number += 1
        processor = self._random.choice(self._processors)
        known = samples.names(processor.endpoint.processor)
        member = self._random.randrange(self._members) if self._random.random() < 0.97 else None
        ending = self._random.choice([one for one in ENDINGS if one in known]) if member is not None else STAYS
        now = datetime.now(UTC)
        made = samples.sample(
            processor.endpoint.processor,
            ending,
            reference=subscription_id(member) if member is not None else STRANGER,
            number=f"{self._number:012d}",
            now=now,
            amount_minor=DUES_MINOR,
            account=processor.endpoint.account,
            digits=processor_class(processor.endpoint).digits,
        )
        deliveries = [
            Delivery(processor, one, self._random.choice((1, 1, 2, 3)), self._random.random() < 0.2) for one in made
        ]
        self._random.shuffle(deliveries)
        return Story(member, ending, now, deliveries)

    def _act(self) -> Act:
        self._number += 1
        member = self._random.randrange(self._members)
        return Act(self._random.choice(ACTS), member, self._number, self._random.random())


def endless(world: World) -> Iterator[Story | Act]:
    """One burst after the other."""
    while True:
        yield from world.burst()
