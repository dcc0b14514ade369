"""Processor adapters: each turns one processor's deliveries into events, and events into facts.

An adapter translates and never decides. It is one file here, one line in `ADAPTERS`,
a folder of samples, one of recorded payloads, and a test class that inherits the
contract tests.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from typing import ClassVar, NamedTuple, Protocol, cast

from models.payments.facts import Fact
from runtime.settings import Endpoint, SettingsError
from webhooks.signatures import Headers, Verdict

ADAPTERS = {
    "adyen": "webhooks.processors.adyen:Adyen",
    "authorize_net": "webhooks.processors.authorize_net:AuthorizeNet",
    "braintree": "webhooks.processors.braintree:Braintree",
    "gocardless": "webhooks.processors.gocardless:GoCardless",
    "paypal": "webhooks.processors.paypal:PayPal",
    "square": "webhooks.processors.square:Square",
    "standard_webhooks": "webhooks.processors.standard_webhooks:StandardWebhooks",
    "stripe": "webhooks.processors.stripe:Stripe",
}
"""Processor name -> module and class; imported when an endpoint uses it."""


class Ignored(Exception):
    """The event is understood and has no effect; the message says why."""


class Unusable(Exception):
    """The event is authentic but can never have an effect: it is quarantined with this reason."""


class Unavailable(Exception):
    """The processor's API does not answer, or asks us to wait: it is asked again, however long that takes.

    No answer is also what cannot be read (a proxy's page, cut or ambiguous JSON) and what is about something else
    than was asked for.
    """


class NotYet(Exception):
    """What was fetched is not final, and nothing is certain to tell when it is: it is fetched again until it is.

    The message says what the processor says, as in "PayPal says that the sale is pending".
    """


class TooMany(Exception):
    """A delivery has more events than the processor ever delivers at once: it is refused as a whole, unread."""


class ParsedEvent(NamedTuple):
    """One event of a delivery. An id that we compose is readable, or begins with its hash ("sha256:...").

    A thin one names something that has to be fetched before it can be interpreted.
    """

    event_id: str
    type: str
    body: bytes
    api_version: str | None = None
    quarantine_reason: str | None = None
    thin: bool = False


class Delivery(NamedTuple):
    """A request as the processor would make it."""

    body: bytes
    headers: dict[str, str]


class Kept(Protocol):
    """Where what one process has learned is kept for all, by name."""

    def get(self, name: str) -> Sequence[bytes]:
        """What is kept under that name, the newest first."""

    def put(self, name: str, value: bytes, /) -> None:
        """Keeps one more."""


class Processor(ABC):
    """One processor as one endpoint hears it.

    What the web process calls (`verify`, `challenge`, `split`, `same_content`) does no I/O, and raises no more than its
    docstring says; only `learn` asks somebody else, within seconds. Client libraries are imported
    by `fetch` and `fetch_history` only, which the worker calls, outside of any transaction.
    """

    dedupe: ClassVar[str]
    """What makes two deliveries the same event, in words."""
    answer_within_s: ClassVar[int]
    """How long the processor waits for an answer before it counts the delivery as failed."""
    accepted: ClassVar[str] = ""
    """The body of the answer 200."""
    refused: ClassVar[int] = 400
    """The status of the answer to a delivery that is not authentic."""
    digits: ClassVar[Mapping[str, int]] = {}
    """Currency -> how many digits amounts in minor units have where the processor departs from ISO 4217."""
    options: ClassVar[frozenset[str]] = frozenset()
    """What an endpoint can set beyond mode and account."""
    library: ClassVar[str | None] = None
    """The package, installed by the extra of the processor's name, by which it asks its API."""
    api_key: ClassVar[str] = ""
    """What its API asks for, in words; empty where no API is ever asked."""
    fetches: ClassVar[bool] = False
    """Whether some of its events are thin."""
    horizon: ClassVar[timedelta | None] = None
    """How far back its API lists what happened; None where it cannot be asked."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError where the endpoint's options or secrets are not what the processor has."""
        self.endpoint = endpoint
        for option in endpoint.options.keys() - self.options:
            has = f"has the options: {', '.join(sorted(self.options))}" if self.options else "has no options"
            raise SettingsError(f"Endpoint {endpoint.name!r}: {endpoint.processor} {has}; {option!r} is none.")

    @abstractmethod
    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """Whether the delivery is authentic: None, or Invalid with the reason. `now` in Unix seconds."""

    def learn(self, headers: Headers, now: float, source: str, kept: Kept) -> Verdict:
        """Gets what `verify` lacked to decide on a delivery with these headers; then verify it again.

        `source` is where the delivery came from: what it has us ask for is counted against it. What was learned
        goes into `kept`. The verdict says why nothing was learned.
        """
        return None

    @abstractmethod
    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """The events of an authentic delivery, at least one; what cannot be read is one in quarantine.

        Raises TooMany.
        """

    @abstractmethod
    def same_content(self, first: bytes, second: bytes) -> bool:
        """Whether two bodies of one event id say the same, apart from what varies between redeliveries."""

    @abstractmethod
    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """What the event means; `resource` is what was fetched for a thin one.

        Raises Ignored or Unusable; for a thin one also NotYet.
        """

    @abstractmethod
    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """The delivery of this content as the processor would make it, for trying things out."""

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """The answer to a GET by which the processor tries an endpoint; None where it makes none."""
        return None

    def fetch(self, type: str, body: bytes) -> bytes:
        """What a thin event names, from the processor's API, as JSON.

        Bounded in time. Raises Unavailable; Unusable for an event that names nothing; LookupError for what the API does
        not have, which is tried again like any other failure.
        """
        raise NotImplementedError

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """What the API lists for that time as events, the oldest first as far as the API allows.

        An event that the processor also delivers has the same id here. Raises as `fetch` does.
        """
        raise NotImplementedError


def adapters(endpoints: Iterable[Endpoint]) -> dict[str, Processor]:
    """The adapter of each endpoint, by the endpoint's name.

    Raises SettingsError where a processor has no adapter, a client library is
    missing, or an endpoint is set up wrong.
    """
    return {endpoint.name: adapter(endpoint) for endpoint in endpoints}


def adapter(endpoint: Endpoint) -> Processor:
    """The adapter for that endpoint. Raises SettingsError as `adapters` does."""
    kind = processor_class(endpoint)
    asks = kind.fetches or endpoint.api_key
    if asks and kind.library and find_spec(kind.library) is None:
        raise SettingsError(
            f"Endpoint {endpoint.name!r} needs the package {kind.library!r}, which is not installed: "
            f"pip install 'sessions-per-payment[{endpoint.processor}]'"
        )
    return kind(endpoint)


def processor_class(endpoint: Endpoint) -> type[Processor]:
    """What is declared of the endpoint's processor. Raises SettingsError for one without an adapter."""
    if endpoint.processor not in ADAPTERS:
        raise SettingsError(
            f"Endpoint {endpoint.name!r} names processor {endpoint.processor!r}; "
            f"there are adapters for: {', '.join(sorted(ADAPTERS))}."
        )
    module, _, name = ADAPTERS[endpoint.processor].partition(":")
    return cast("type[Processor]", getattr(import_module(module), name))
