"""Who paid: the rule for a payment that names nobody, and what staff see of a payer whom no membership names."""

from models.payments.facts import Paid
from webhooks.processors.events import Ignored, Payer

NOBODY = "names nobody: neither a subscription nor a customer"
MOST_SHOWN = 200
"""Characters of a name, e-mail address or description."""


def known(paid: Paid) -> Paid:
    """The payment, where something was paid by somebody who is named. Raises Ignored."""
    if paid.settled == 0:
        raise Ignored("zero amount: nothing was paid")
    if not (paid.billing_references or paid.payer or paid.lines):
        raise Ignored(NOBODY)
    return paid


def details(name: object, email: object, description: object) -> Payer | None:
    """The payer in these words; what is no text, or empty, is left out. None where nothing is left."""
    said = [one.strip()[:MOST_SHOWN] or None if isinstance(one, str) else None for one in (name, email, description)]
    return Payer(*said) if any(said) else None
