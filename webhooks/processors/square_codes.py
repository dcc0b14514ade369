"""Square: where the code of a membership comes back, and what a payment means with it.

A payment link puts its `payment_note` into the note of the payment, and the `reference_id` of its order stays with the
order; a payment made through the API has a `reference_id` of its own. The order of a link names no customer: the
payment does, once it is made. So the code claims the payment's customer, and the first subscription of that customer
whose invoice is the dues follows. What comes with a code is no sale at the desk: it counts by itself, with its order.

Sources: developer.squareup.com/reference/square: PaymentLink (payment_note), Payment (note, up to 500 characters;
reference_id, up to 40), Order (reference_id, up to 40; metadata); developer.squareup.com/docs/checkout-api:
square-order-checkout ("Finding a customer associated with a payment made for an order").
"""

from models.payments.facts import Fact
from webhooks.processors import claiming, payers, strict
from webhooks.processors.base import Object, SignedInHeader


class Codes(SignedInHeader):
    """The codes in Square's events."""

    def claims(self, facts: list[Fact], found: Object) -> list[Fact]:
        """Of what a payment, or an invoice's order, is looked up by."""
        return claiming.closest(facts, code_of(found))


def code_of(found: Object) -> str | None:
    """The code that came with a payment, or with the order of an invoice."""
    order = found.get("order")
    written = (payers.inside(holder, "reference_id") for holder in (found, order))
    return claiming.within(*written, found.get("note")) or claiming.in_metadata(order)


def payer_of(payment: Object) -> tuple[str, ...]:
    """The customer of a payment; without one, the code that came with it."""
    return claiming.named_by(code_of(payment), strict.optional_name(payment, "customer_id"))
