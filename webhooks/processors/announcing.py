"""What adapters say of subscriptions and mandates: their ends and pauses, which stand as proposals for memberships."""

from datetime import UTC, datetime

from models.payments.facts import Announced, Said
from webhooks.processors.events import Unusable

FIRST, LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def ends(reference: str, told: datetime, at: datetime) -> Announced:
    """That it ends, or ended, at that moment. Raises Unusable for one that no calendar has."""
    if not FIRST <= at <= LAST:
        raise Unusable(f"its end is in the year {at.year}")
    return Announced(reference, told, Said.ENDS, at)
