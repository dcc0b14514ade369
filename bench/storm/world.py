"""What happens, drawn from one seed: what processors tell, and what people do."""

import json
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
BATCHES = ("events", "notificationItems")
"""Where processors that send several events at once have them."""
ACTS = {
    "redeem": 50, "redeem the last": 20, "redeem on a page": 10, "redeem by spp": 2, "return": 20, "give": 8, "take": 8,
    "freeze": 8, "unfreeze": 6, "change the plan": 8, "merge": 1, "import balances": 2, "import people": 2, "read": 12,
    "read a page": 6, "export": 4,
}  # fmt: skip
"""What people do, and how often of each other."""
SETTLED = 2
"""The first places: their payments stay, and neither plan nor member changes. Only from these are sessions taken by
hand: when money goes back, what staff has taken of it already is not owed again, and no addition could tell of what."""
MEMBERS, NEWCOMERS = 12, 6
"""Places that somebody has from the beginning, and those whose people an import brings; until then they pay already."""


class Delivery(NamedTuple):
    """One delivery of a story, how often it is sent, and whether its processor's API knows of it only later."""

    processor: Processor
    sample: Sample
    times: int
    api_is_late: bool


class Story(NamedTuple):
    """One payment and what becomes of it; `place` is None where nobody will ever have its reference."""

    place: int | None
    ending: str
    paid_at: datetime
    deliveries: list[Delivery]


class Act(NamedTuple):
    """Something that a person does, with numbers to choose by."""

    kind: str
    place: int
    number: int
    chance: float


class World:
    """Endless stories and acts. The same seed draws the same ones; only the times in them are of now."""

    def __init__(self, seed: int, processors: list[Processor]) -> None:
        self._random = Random(seed)
        self._processors = processors
        self._number = 0

    def story(self) -> Story:
        """One more payment."""
        return self._story()

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
        place = self._place() if self._random.random() < 0.97 else None
        ending = self._random.choice([one for one in ENDINGS if one in known])
        if place is None or place < SETTLED or place >= MEMBERS:
            ending = STAYS
        now = datetime.now(UTC)
        made = samples.sample(
            processor.endpoint.processor,
            ending,
            reference=subscription_id(place) if place is not None else STRANGER,
            number=f"{self._number:012d}",
            now=now,
            amount_minor=DUES_MINOR,
            account=processor.endpoint.account,
            digits=processor_class(processor.endpoint).digits,
        )
        if self._random.random() < 0.3:
            made = _in_one(made)
        deliveries = [
            Delivery(processor, one, self._random.choice((1, 1, 2, 3)), self._random.random() < 0.2) for one in made
        ]
        self._random.shuffle(deliveries)
        return Story(place, ending, now, deliveries)

    def _act(self) -> Act:
        self._number += 1
        (kind,) = self._random.choices([*ACTS], [*ACTS.values()])
        place = self._place()
        if kind == "import people":
            place = MEMBERS + self._random.randrange(NEWCOMERS)
        elif kind == "take":
            place = self._random.randrange(SETTLED)
        elif kind in {"change the plan", "merge"}:
            place = SETTLED + self._random.randrange(MEMBERS + NEWCOMERS - SETTLED)
        return Act(kind, place, self._number, self._random.random())

    def _place(self) -> int:
        return self._random.randrange(MEMBERS + NEWCOMERS)


def parts(content: bytes) -> list[str]:
    """The events of a delivery, as its processor wrote them."""
    try:
        told = json.loads(content)
    except ValueError:
        return [content.decode()]
    for name in BATCHES:
        if name in told:
            return [json.dumps(one) for one in told[name]]
    return [content.decode()]


def _in_one(made: list[Sample]) -> list[Sample]:
    """One delivery with all events, of a processor that sends several at once."""
    told = [json.loads(one.content) if one.content.startswith(b"{") else {} for one in made]
    for name in BATCHES:
        if name in told[0]:
            together = told[0] | {name: [event for one in told for event in one[name]]}
            api = {place: value for one in made for place, value in one.api.items()}
            return [made[0]._replace(content=json.dumps(together).encode(), api=api)]
    return made


def endless(world: World) -> Iterator[Story | Act]:
    """One burst after the other."""
    while True:
        yield from world.burst()
