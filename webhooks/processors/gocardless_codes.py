"""GoCardless: where the code of a membership comes back, which is in the metadata that the gym's server gave.

`resource_metadata` of an event is the metadata of what it is about: of a subscription or mandate when that is made, of
a payment when it is confirmed. What is fetched for an event has its metadata, too; the mandate of a payment its own.

Source: developer.gocardless.com/api-reference (events, `resource_metadata`; metadata of mandates, subscriptions,
payments and billing requests: up to 3 keys of 50 characters, values of up to 500).
"""

from datetime import datetime
from typing import NoReturn

from models.payments.facts import Fact
from webhooks.processors import claiming, payers, strict
from webhooks.processors.base import Object, SignedInHeader
from webhooks.processors.events import Ignored

OF_ITSELF = {"subscriptions": "subscription", "mandates": "mandate"}
"""What an event about is itself a billing reference -> the link that names it."""
MADE = {
    "subscription": "subscription_request_subscription",
    "instalment_schedule": "instalment_schedule_request_instalment_schedule",
    "mandate": "mandate_request_mandate",
    "customer": "customer",
}
"""Link of a payment -> the link of a billing request that says the same of what it made."""


class Codes(SignedInHeader):
    """The codes in GoCardless's events."""

    def claims(self, facts: list[Fact], event: Object, at: datetime, resource: bytes | None) -> list[Fact]:
        """Of a subscription or mandate, or of what a payment or billing request names."""
        found = payers.loaded(resource)
        metadata = {"metadata": event.get("resource_metadata")}
        code = claiming.in_metadata(metadata, found, payers.inside(found, "payment"), payers.inside(found, "mandate"))
        kind = event.get("resource_type")
        if isinstance(kind, str) and kind in OF_ITSELF:
            return claiming.of(strict.name(strict.mapping(event, "links"), OF_ITSELF[kind]), at, code)
        if kind == "billing_requests" and not facts:
            links = payers.inside(found, "links")
            made = (payers.inside(links, link) for link in MADE.values())
            named = next(filter(strict.is_name, made), None)
            return claiming.of(named, at, code) if named else []
        return claiming.closest(facts, code)

    def made(self, event: Object, at: datetime, resource: bytes | None) -> NoReturn:
        """A new subscription or mandate: nothing was collected yet."""
        raise Ignored("it is new: nothing was collected yet")


def kept(metadata: object) -> Object:
    """What is kept of metadata: the code."""
    value = metadata.get(claiming.KEY) if isinstance(metadata, dict) else None
    return {claiming.KEY: value} if claiming.begins(value) else {}
