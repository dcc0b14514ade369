"""Processor adapters: each turns one processor's deliveries into events, and events into facts.

An adapter translates and never decides. It is one file here, one line in `ADAPTERS`,
a folder of recorded payloads and a test class that inherits the contract tests.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from models.facts import Fact
from settings import Endpoint, SettingsError
from webhooks.signatures import Headers, Verdict

ADAPTERS = {
    "standard_webhooks": "webhooks.processors.standard_webhooks",
    "stripe": "webhooks.processors.stripe",
}
"""Processor name -> module; imported when an endpoint uses it."""


class Ignored(Exception):
    """The event is understood and has no effect; the message says why."""


class Unusable(Exception):
    """The event is authentic but can never have an effect: it is quarantined with this reason."""


class Split(NamedTuple):
    """One event of a delivery. Composed ids begin with the hash that makes them ("sha256:...")."""

    event_id: str
    type: str
    body: bytes
    api_version: str | None = None
    quarantine_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Where an event came in: what the adapter holds it against."""

    mode: str
    account: str | None
    event_id: str
    received_at: datetime


class Processor(Protocol):
    """What an adapter module offers. None of it does I/O, and only `interpret` raises."""

    def verify(self, body: bytes, headers: Headers, keys: Sequence[bytes], now: float) -> Verdict:
        """Whether the delivery is authentic: None, or Invalid with the reason. `now` in Unix seconds."""

    def split(self, body: bytes, headers: Headers) -> list[Split]:
        """The events of an authentic delivery, at least one; what cannot be read is one in quarantine."""

    def same_content(self, first: bytes, second: bytes) -> bool:
        """Whether two bodies of one event id say the same, apart from what varies between redeliveries."""

    def interpret(self, type: str, body: bytes, source: Source) -> list[Fact]:  # noqa: A002
        """What the event means. Raises Ignored or Unusable with the reason."""

    def sign(self, body: bytes, key: bytes, timestamp: int) -> dict[str, str]:
        """Headers with which the processor would deliver this body, for trying things out."""


def check(endpoints: Iterable[Endpoint]) -> None:
    """Raises SettingsError where an endpoint names a processor without an adapter."""
    for endpoint in endpoints:
        if endpoint.processor not in ADAPTERS:
            raise SettingsError(
                f"Endpoint {endpoint.name!r} names processor {endpoint.processor!r}; "
                f"there are adapters for: {', '.join(sorted(ADAPTERS))}."
            )


def adapter(name: str) -> Processor:
    """The adapter of that processor. Raises KeyError for a name that is not in `ADAPTERS`."""
    return cast("Processor", import_module(ADAPTERS[name]))
