"""Who paid, as the processor says it, for staff who look at a payment: read from the stored events, and kept nowhere.

Masked as bodies are masked. A payment whose events are pruned, or whose endpoint is not configured any more, has none.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress

from sqlalchemy.orm import Session

from models.database.naming import visible
from models.inbox import paid_events
from models.inbox.private import masked
from runtime.settings import Endpoint, SettingsError
from webhooks.processors import Processor, adapter
from webhooks.processors.events import Payer

NOBODY = Payer()


def of_payments(session: Session, endpoints: Iterable[Endpoint], roots: Collection[int]) -> dict[int, Payer]:
    """By payment, what its events say of who paid: of each detail what the first of them says."""
    known: dict[str, Processor] = {}
    for endpoint in endpoints:
        with suppress(SettingsError):
            known[endpoint.name] = adapter(endpoint)
    payers: dict[int, Payer] = {}
    for event in paid_events.of_payments(session, list(roots)):
        processor = known.get(event.endpoint)
        if processor and (details := processor.payer_details(event.type, event.body, event.resource)):
            before = payers.get(event.payment_id, NOBODY)
            payers[event.payment_id] = Payer(*(old or new for old, new in zip(before, details, strict=True)))
    return {root: Payer(*map(_shown, payer)) for root, payer in payers.items()}


def _shown(text: str | None) -> str | None:
    return " ".join(visible(masked(text)).split()) or None if text else None
