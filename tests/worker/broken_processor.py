"""An adapter with a mistake in it: it cannot divide by zero. All else it does as Stripe's."""

from models.facts import Fact
from webhooks.processors import Source, stripe
from webhooks.processors.stripe import same_content, sign, split, verify

__all__ = ["interpret", "same_content", "sign", "split", "verify"]


def interpret(type: str, body: bytes, source: Source) -> list[Fact]:  # noqa: A002 -- the protocol's name
    if b"in_mistaken" in body:
        raise ZeroDivisionError(f"in {source.event_id}")
    return stripe.interpret(type, body, source)
