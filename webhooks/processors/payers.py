"""Reading who paid, leniently: whatever is missing or malformed is left out, because nothing depends on it."""

from webhooks.processors import strict
from webhooks.processors.base import Object
from webhooks.processors.events import Payer, Unusable

LONGEST = 200
"""Characters that are kept of a text."""


def loaded(body: bytes | None) -> Object:
    """The JSON object in `body`; empty where it cannot be read."""
    try:
        return strict.loads(body) if body is not None else {}
    except Unusable:
        return {}


def payer(name: str | None, email: str | None, description: str | None) -> Payer | None:
    """The payer of whom something is known, or None."""
    return Payer(name, email, description) if name or email or description else None


def text(holder: object, *path: str) -> str | None:
    """The text at the end of the path, in one line; None where there is none."""
    for key in path:
        holder = holder.get(key) if isinstance(holder, dict) else None
    line = " ".join(holder.split()) if isinstance(holder, str) else ""
    return line[:LONGEST] or None


def full_name(holder: object, *keys: str) -> str | None:
    """The texts under these keys, such as a given name and a surname, in one."""
    return " ".join(filter(None, (text(holder, key) for key in keys))) or None
