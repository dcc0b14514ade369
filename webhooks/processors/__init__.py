"""Processor adapters: each turns one processor's deliveries into events, and events into facts.

An adapter translates and never decides. It is one file here, one line in `ADAPTERS`,
a file of samples, recorded payloads, and a test class that inherits the contract tests.
"""

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from runtime.settings import Endpoint, SettingsError
from webhooks.processors.base import Kept, Processor, SignedInHeader, Trial, dues
from webhooks.processors.events import Delivery, Ignored, NotYet, ParsedEvent, TooMany, Unavailable, Unusable

__all__ = [
    "ADAPTERS", "Delivery", "Ignored", "Kept", "NotYet", "ParsedEvent", "Processor", "SignedInHeader", "TooMany",
    "Trial", "Unavailable", "Unusable", "adapter", "adapters", "dues", "processor_class", "processor_named",
]  # fmt: skip

ADAPTERS = {
    "stripe": "webhooks.processors.stripe:Stripe",
    "standard_webhooks": "webhooks.processors.standard_webhooks:StandardWebhooks",
    "gocardless": "webhooks.processors.gocardless:GoCardless",
    "adyen": "webhooks.processors.adyen:Adyen",
    "square": "webhooks.processors.square:Square",
    "braintree": "webhooks.processors.braintree:Braintree",
    "paypal": "webhooks.processors.paypal:PayPal",
    "authorize_net": "webhooks.processors.authorize_net:AuthorizeNet",
}
"""Processor name -> module and class; imported when an endpoint uses it."""


def adapters(endpoints: Iterable[Endpoint]) -> dict[str, Processor]:
    """The adapter of each endpoint, by the endpoint's name.

    Raises SettingsError where a processor has no adapter, a client library is
    missing, or an endpoint is set up wrong.
    """
    return {endpoint.name: adapter(endpoint) for endpoint in endpoints}


def adapter(endpoint: Endpoint) -> Processor:
    """The adapter for that endpoint. Raises SettingsError as `adapters` does."""
    kind = processor_class(endpoint)
    asks = kind.needs_api or endpoint.api_key
    if asks and kind.library and find_spec(kind.library) is None:
        raise SettingsError(
            f"Endpoint {endpoint.name!r} needs the package {kind.library!r}, which is not installed: "
            f"pip install 'sessions-per-payment[{endpoint.processor}]'"
        )
    return kind(endpoint)


def processor_class(endpoint: Endpoint) -> type[Processor]:
    """The class of the endpoint's adapter. Raises SettingsError for a processor without one."""
    if endpoint.processor not in ADAPTERS:
        raise SettingsError(
            f"Endpoint {endpoint.name!r} names processor {endpoint.processor!r}; "
            f"there are adapters for: {', '.join(sorted(ADAPTERS))}."
        )
    return processor_named(endpoint.processor)


def processor_named(name: str) -> type[Processor]:
    """The class of the adapter of that name, one of `ADAPTERS`."""
    module, _, kind = ADAPTERS[name].partition(":")
    return cast("type[Processor]", getattr(import_module(module), kind))
