"""Who paid: the rule for what names nobody, and what staff see of a payer whom no membership names."""

from typing import Any

from models.payments.facts import DuesFailed, Paid
from webhooks.processors import strict
from webhooks.processors.events import Ignored, Payer, Unusable

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


def owing(failed: DuesFailed) -> DuesFailed:
    """The failed attempt, where it was of somebody who is named. Raises Ignored."""
    if failed.amount_minor == 0:
        raise Ignored("a failed attempt of a zero amount")
    if not (failed.billing_references or failed.payer):
        raise Ignored(f"a failed attempt: no money moved; it {NOBODY}")
    return failed


def details(name: object, email: object, description: object) -> Payer | None:
    """The payer in these words; what is no text, or empty, is left out. None where nothing is left."""
    texts = [one.strip()[:MOST_SHOWN] or None if isinstance(one, str) else None for one in (name, email, description)]
    return Payer(*texts) if any(texts) else None


def loaded(body: bytes | None) -> object:
    """What is in a JSON body; None where it cannot be read."""
    try:
        return None if body is None else strict.loads(body)
    except Unusable:
        return None


def inside(holder: object, *path: str) -> Any:
    """What stands at the end of the path; None where there is nothing."""
    for key in path:
        holder = holder.get(key) if isinstance(holder, dict) else None
    return holder


def full_name(*words: object) -> str:
    """A given name and a surname in one; what is no text is left out."""
    return " ".join(word for word in words if isinstance(word, str) and word)
