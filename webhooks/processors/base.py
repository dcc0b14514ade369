"""The skeleton of an adapter: its tables, and everything that the processors have in common."""

import hashlib
import hmac
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol

from models.payments.facts import Fact, Noted, Paid
from runtime.settings import Endpoint, SettingsError, api_key_variable, secret_variable
from webhooks import signatures
from webhooks.processors import claiming, strict
from webhooks.processors.claiming import Checkout, CodeField
from webhooks.processors.events import Delivery, Ignored, ParsedEvent, Payer, Unavailable, Unusable
from webhooks.signatures import Headers, Invalid, Verdict

Object = dict[str, Any]
Reading = str | tuple[Any, ...]
"""The name of the method that reads an event, or a tuple of that name and the method's first arguments."""


class Trial(NamedTuple):
    """How `spp up` and the tests set up an endpoint of the processor, without an account anywhere."""

    secret: Callable[[], str] = partial(secrets.token_urlsafe, 24)
    api_key: str = ""
    """What the API's stand-in takes."""
    options: dict[str, str] = {}  # noqa: RUF012 -- a tuple's default, never changed
    folders: Mapping[str, str] = {}
    """Option -> the function in `local` that fills the folder it names: "local.paypal_certificates:make"."""
    endpoint: str = ""
    """The endpoint's name, where it is not the processor's."""


class Kept(Protocol):
    """What the web processes have learned and share, by name."""

    def get(self, name: str) -> Sequence[bytes]:
        """What is kept under that name, the newest first."""

    def put(self, name: str, value: bytes, /) -> None:
        """Keep one more value."""


class Processor(ABC):
    """One processor as one endpoint hears it.

    The web process calls `verify`, `challenge`, `parse` and `same_content`. They do no I/O, and raise only what their
    docstrings say. `learn` may ask another host, within seconds. `fetch` and `fetch_history` are called by the worker
    outside of any transaction; only they import client libraries.
    """

    readings: ClassVar[Mapping[str, Reading]] = {}
    """Event types, separated by blanks -> what they mean."""
    ignored: ClassVar[Mapping[str, str]] = {}
    """Reason -> the event types, separated by blanks, that are ignored for it."""
    about_money: ClassVar[tuple[str, ...]] = ()
    """How types begin that are about money. Of one that is in neither table, staff are told at its payment."""
    mode_field: ClassVar[tuple[str, object, object] | None] = None
    """The key under which an event names its mode, and the value there in live and in test mode."""
    account_field: ClassVar[str] = ""
    """Where an event names the account, keys separated by dots. Compared where the endpoint has an account."""

    id_field: ClassVar[str] = "id"
    type_field: ClassVar[str] = "type"
    version_field: ClassVar[str] = ""
    varies: ClassVar[str | None] = None
    """The key of an event whose value differs between redeliveries."""
    dedupe: ClassVar[str]
    """What makes two deliveries the same event, in words."""
    answer_within_s: ClassVar[int]
    """How long the processor waits for an answer before it counts the delivery as failed."""
    accepted: ClassVar[str] = ""
    """The body of the answer 200."""
    refused: ClassVar[int] = 400
    """The status of the answer to a delivery that is not authentic."""
    kept_headers: ClassVar[tuple[str, ...]] = ()
    """The processor's own headers that are stored with an event. Never one with a signature, password or token."""
    digits: ClassVar[Mapping[str, int]] = {}
    """Currency -> how many digits amounts in minor units have where the processor departs from ISO 4217."""

    options: ClassVar[frozenset[str]] = frozenset()
    """What an endpoint can set beyond mode and account."""
    secret_form: ClassVar[tuple[str, str]] = ("(?s:.*)", "")
    """A pattern that all of the endpoint's secrets match, and what a secret is, in words."""
    trial: ClassVar[Trial] = Trial()
    code_field: ClassVar[CodeField] = CodeField("the id of the subscription, or a reference that you choose", "{code}")
    """Where a membership's code is put."""
    makes_checkout: ClassVar[bool] = False
    """Whether `make_checkout` can make a page for a first payment."""
    checkout_options: ClassVar[frozenset[str]] = frozenset()
    """Options of the endpoint without which it makes none."""

    library: ClassVar[str | None] = None
    """The package by which its API is asked; the extra of the processor's name installs it."""
    api: ClassVar[Mapping[str, str]] = {}
    """Mode -> the address of its API. The option `api` overrides it."""
    api_key: ClassVar[str] = ""
    """What its API asks for, in words; empty where no API is ever asked."""
    api_key_words: ClassVar[int] = 1
    fetches: ClassVar[bool] = False
    """Whether some of its events are thin."""
    needs_api: ClassVar[bool] = False
    """Whether nothing at all is credited without its API."""
    horizon: ClassVar[timedelta | None] = None
    """How far back its API lists what happened; None where it cannot be asked."""

    meanings: Mapping[str, Reading]
    """`readings`, by single event types."""
    reasons: Mapping[str, str]
    """Event type -> why it is ignored."""

    def __init_subclass__(cls) -> None:
        cls.meanings = {each: reading for types, reading in cls.readings.items() for each in types.split()}
        cls.reasons = {each: why for why, types in cls.ignored.items() for each in types.split()}

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError where the endpoint's options or secrets are not of the processor's form."""
        self.endpoint = endpoint
        for option in endpoint.options.keys() - self.options:
            known = f"has the options: {', '.join(sorted(self.options))}" if self.options else "has no options"
            raise self.wrong(f"{option!r} is not an option of {endpoint.processor}, which {known}.")
        pattern, secret = self.secret_form
        if not all(re.fullmatch(pattern.encode(), key) for key in endpoint.keys):
            raise self.wrong(f"a secret is not {secret}. Put it into {secret_variable(endpoint.name)}.")

    # Receiving

    @abstractmethod
    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """Whether the delivery is authentic: None, or Invalid with the reason. `now` in Unix seconds."""

    def learn(self, headers: Headers, now: float, source: str, kept: Kept) -> Verdict:
        """Get what `verify` lacked to decide on a delivery with these headers; then verify it again.

        `source` is where the delivery came from: requests that it causes count against that source's budget. What
        was learned goes into `kept`. The verdict says why nothing was learned.
        """
        return None

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """The answer to a GET by which the processor tests an endpoint; None where it sends none."""
        return None

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """The events of an authentic delivery, at least one. An unreadable one is in quarantine. Raises TooMany."""
        return [self.event(body)]

    def event(self, body: bytes) -> ParsedEvent:
        """The one event that a JSON body is."""
        return strict.event(body, self.id_field, self.type_field, self.version_field)

    def same_content(self, first: bytes, second: bytes) -> bool:
        """Whether two bodies of one event id agree, apart from what varies between redeliveries."""
        return strict.same(first, second, without=self.varies)

    @abstractmethod
    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """The delivery of this content as the processor would make it, signed with the endpoint's first secret."""

    # Meaning

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """What the event means; `resource` is what was fetched for a thin one.

        Raises Ignored or Unusable; for a thin one also NotYet.
        """
        event = self.load(body)
        self.check(event)
        if self.is_unknown(type):
            return self.unknown(type, event, resource)
        read, details = self.reading(type), self.details(type, event, resource)
        try:
            facts = read(*details)
        except Ignored:
            # Of what has no other effect, a code can come back as well.
            if not (claimed := self.claims([], *details)):
                raise
            return claimed
        return [*facts, *self.claims(facts, *details)]

    def load(self, body: bytes) -> Object:
        """The event in a body. Raises Unusable."""
        return strict.loads(body)

    def check(self, event: Object) -> None:
        """Compare the event's mode and account with the endpoint's. Raises Unusable; Ignored for a test message."""
        if self.mode_field:
            name, live, test = self.mode_field
            theirs, ours = event.get(name), live if self.endpoint.mode == "live" else test
            if type(theirs) is not type(ours) or theirs != ours:
                raise Unusable(f"{name} is {theirs!r:.60}, but the endpoint is in {self.endpoint.mode} mode")
        if self.account_field and self.endpoint.account is not None:
            *path, name = self.account_field.split(".")
            for key in path:
                event = strict.mapping(event, key)
            self.check_account(self.account_field, strict.optional_name(event, name))

    def check_account(self, name: str, theirs: str | None) -> None:
        """Raises Unusable where the account that an event names is not the endpoint's."""
        if theirs != self.endpoint.account:
            raise Unusable(f"{name} is {theirs!r:.60}, but the endpoint's account is {self.endpoint.account!r}")

    def reading(self, type: str) -> Callable[..., list[Fact]]:
        """The method that reads events of that type. Raises Ignored for a type that is not about dues."""
        found = self.meanings.get(type)
        if found is None:
            raise Ignored(self.reasons.get(type, f"{type[:100]} says nothing about dues"))
        name, *given = [found] if isinstance(found, str) else found
        return partial(getattr(self, name), *given)

    def is_unknown(self, type: str) -> bool:
        """Whether the type is about money, and this version does not know it."""
        return type.startswith(self.about_money) and type not in self.meanings and type not in self.reasons

    def unknown(self, type: str, event: Object, resource: bytes | None) -> list[Fact]:
        """What staff are told of such an event, at the payment that it names. Raises Ignored where it names none."""
        what = f"{self.endpoint.processor} sent {type[:100]}, which this version does not know"
        try:
            payment, at = self.named_payment(*self.details(type, event, resource))
        except Unusable:
            payment = None
        if payment is None:
            raise Ignored(f"{what}, and it names no payment")
        return [Noted(payment, at, f"{what}: see the payment there")]

    def claims(self, facts: list[Fact], *details: Any) -> list[Fact]:
        """The codes of memberships that came back with an event; `facts` is what else it means.

        By default of a reference that the merchant chose. Raises Unusable.
        """
        return claiming.chosen(facts)

    def named_payment(self, *details: Any) -> tuple[str | None, datetime]:
        """The payment that an event about money names, whatever its type, and when it happened. Raises Unusable."""
        raise NotImplementedError

    def details(self, type: str, event: Object, resource: bytes | None) -> tuple[Any, ...]:
        """What of an event the readings take."""
        return (event,)

    def payer_details(self, type: str, body: bytes, resource: bytes | None = None) -> Payer | None:
        """What the event says of who paid, for staff; None where it says nothing. Never raises, never in a fact."""
        return None

    # The API

    def fetch(self, type: str, body: bytes) -> bytes:
        """What a thin event names, from the processor's API, as JSON.

        Bounded in time. Raises Unavailable; Unusable for an event that names nothing; LookupError for what the API
        does not have, which is tried again like any other failure.
        """
        raise NotImplementedError

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """What the API lists for that time as events, the oldest first as far as the API allows.

        An event that the processor also delivers has the same id here. Raises as `fetch` does.
        """
        raise NotImplementedError

    def make_checkout(self, wanted: Checkout) -> str:
        """Make a page of the processor's for a first payment, with the membership's code; its address.

        Called outside of any transaction, bounded in time. Raises Unavailable, or LookupError where it is refused.
        """
        raise NotImplementedError

    @property
    def api_address(self) -> str:
        """The address of the API for the endpoint's mode, or the option `api`."""
        return self.endpoint.options.get("api", self.api.get(self.endpoint.mode, "")).rstrip("/")

    @property
    def api_key_at(self) -> str:
        """The variable that holds the API key."""
        return api_key_variable(self.endpoint.name)

    def api_credentials(self) -> list[str]:
        """The words of the API key. Raises Unavailable where they are missing, or too many."""
        words = [word.get_secret_value() for word in self.endpoint.api_key]
        if len(words) != self.api_key_words:
            found = f"the API key has {len(words)} words, not {self.api_key_words}" if words else "there is no API key"
            raise Unavailable(f"{found}: put {self.api_key} into {self.api_key_at}")
        return words

    def key_refused(self, host: str, status: int | None) -> Unavailable:
        """The error for an API that refuses the key."""
        key = f"{self.api_key} of the {self.endpoint.mode} mode"
        return Unavailable(f"{host} refuses the API key (status {status}): put {key} into {self.api_key_at}")

    def wrong(self, what: str) -> SettingsError:
        """The error for a setting of this endpoint."""
        return SettingsError(f"Endpoint {self.endpoint.name!r}: {what}")


class SignedInHeader(Processor):
    """A processor that signs the body in one header; hexadecimal HMAC-SHA256 unless the adapter says otherwise."""

    signature_header: ClassVar[str]

    def signature(self, body: bytes, key: bytes) -> str:
        """What stands in the header."""
        return hmac.digest(key, body, hashlib.sha256).hex()

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """Every secret is tried; an empty one matches nothing. No timestamp is signed."""
        given = headers.get(self.signature_header.lower())
        return self.matches(given, body) if given else Invalid(f"no {self.signature_header} header")

    def matches(self, given: str, body: bytes) -> Verdict:
        """Whether the signature is the body's, with one of the endpoint's secrets."""
        expected = [self.signature(body, key).encode() for key in self.endpoint.keys if key]
        return signatures.verdict([given.encode("latin-1", "replace")], expected, self.signature_header)

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Nothing is dated: `timestamp` is not used."""
        return Delivery(body, {self.signature_header: self.signature(body, self.endpoint.keys[0])})


def dues(payment: str, at: datetime, amount_minor: int, currency: str, *references: str | None) -> Paid:
    """A payment with the billing references that it names, the most specific first.

    Raises Ignored for a zero amount.
    """
    if amount_minor == 0:
        raise Ignored("zero amount: nothing was paid")
    return Paid(payment, at, amount_minor, currency, tuple(filter(None, dict.fromkeys(references))))
