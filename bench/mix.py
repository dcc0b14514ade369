"""A steady mix of what several processors deliver: payments, their refunds, disputes and failures, repeats, forgeries.

Stories follow one another: a payment, and what becomes of it. Which processor tells the next one, and how it ends,
follows from its number alone.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple

from pydantic import SecretStr

from bench import stripe_events
from local import samples
from runtime.settings import Endpoint
from webhooks.processors import Processor, adapter

ENDINGS = ("paid",) * 16 + ("refunded",) * 2 + ("disputed", "late_failure")
NEW, REPEATED, FORGED = "new", "repeated", "forged"


class Request(NamedTuple):
    """One request as bytes, and what it is: NEW, REPEATED or FORGED."""

    content: bytes
    kind: str


class Mix:
    """Requests for those of the endpoints whose processors need not be asked anything; each is taken once."""

    def __init__(self, endpoints: tuple[Endpoint, ...], memberships: int) -> None:
        known = [one for one in map(adapter, endpoints) if not one.needs_api]
        self.endpoints = [one.endpoint.name for one in known]
        self._tellers = [(one, _forger(one)) for one in known]
        self._memberships = memberships
        self._told = self._tell()
        self._made = 0
        self._last: Request | None = None

    def take(self, number: int) -> list[Request]:
        """The next requests, signed now: every tenth repeats the one before it, every twentieth is forged."""
        self._last = None  # of what was taken before, the end may never have been sent
        return [self._next() for _ in range(number)]

    def _next(self) -> Request:
        self._made += 1
        if self._made % 10 == 0 and self._last:
            return self._last._replace(kind=REPEATED)
        (processor, forger), content = next(self._told)
        if self._made % 20 == 11:
            return Request(_http(forger, content), FORGED)
        self._last = Request(_http(processor, content), NEW)
        return self._last

    def _tell(self) -> Iterator[tuple[tuple[Processor, Processor], bytes]]:
        for number in count():
            teller = self._tellers[number % len(self._tellers)]
            for sample in samples.sample(
                teller[0].endpoint.processor,
                ENDINGS[number // len(self._tellers) % len(ENDINGS)],
                reference=stripe_events.subscription_id(number % self._memberships),
                number=f"{number:012d}",
                now=datetime.now(UTC),
                amount_minor=stripe_events.AMOUNT_CENTS,
            ):
                yield teller, sample.content


def _forger(processor: Processor) -> Processor:
    """Signs like that one, with a secret of its own."""
    secret = SecretStr(processor.trial.secret())
    return adapter(Endpoint.model_validate({**processor.endpoint.model_dump(), "secrets": (secret,)}))


def _http(processor: Processor, content: bytes) -> bytes:
    body, headers = processor.sign(content, int(time.time()))
    told = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **headers}
    lines = [
        f"POST /webhooks/{processor.endpoint.name} HTTP/1.1",
        *(f"{name}: {value}" for name, value in told.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
