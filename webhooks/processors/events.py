"""What adapters make of a delivery, and what they raise."""

from typing import NamedTuple


class Ignored(Exception):
    """The event is understood and has no effect; the message says why."""


class Unusable(Exception):
    """The event is authentic but can never have an effect: it is quarantined with this reason."""


class Unavailable(Exception):
    """The processor's API does not answer, or asks us to wait. It is asked again, however long that takes.

    An answer that cannot be read (a proxy's page, cut or ambiguous JSON) counts as none. So does an answer about
    another object than the one that was asked for.
    """


class NotYet(Exception):
    """What was fetched is not final, and no further event is certain to follow: it is fetched again until it is.

    The message gives the state in the processor's words, as in "PayPal says that the sale is pending".
    """


class TooMany(Exception):
    """A delivery has more events than the processor ever sends at once. It is refused as a whole, unread."""


class ParsedEvent(NamedTuple):
    """One event of a delivery. An id that we compose is readable, or begins with its hash ("sha256:...").

    A thin event names an object that has to be fetched before the event can be interpreted.
    """

    event_id: str
    type: str
    body: bytes
    api_version: str | None = None
    quarantine_reason: str | None = None
    thin: bool = False


class Payer(NamedTuple):
    """What the processor says of who paid, for staff who look at an unmatched payment. Never part of a fact."""

    name: str | None = None
    email: str | None = None
    description: str | None = None
    """What the payment was for, in the processor's words."""


class Delivery(NamedTuple):
    """A request as the processor would make it."""

    body: bytes
    headers: dict[str, str]
