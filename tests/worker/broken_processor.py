"""An adapter with a mistake in it: it cannot divide by zero. All else it does as Stripe's."""

from models.payments.facts import Fact
from webhooks.processors.stripe import Stripe


class Broken(Stripe):
    """Stripe, but for one payment."""

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """Divides by zero where it meets that payment."""
        if b"in_mistaken" in body:
            raise ZeroDivisionError("in in_mistaken")
        return super().interpret(type, body, resource)
