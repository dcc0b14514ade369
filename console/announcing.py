"""What pages, API and command line do with announcements: find them by what was shown, and apply them at once."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from models.members.life import Done
from models.payments import announcements, living
from models.payments.announcements import Announcement
from models.payments.living import MovedGrant
from models.staff.actions import Actor
from runtime.settings import Endpoint


def processors(endpoints: Iterable[Endpoint]) -> dict[str, str]:
    """Endpoint -> its processor."""
    return {endpoint.name: endpoint.processor for endpoint in endpoints}


def apply(
    session: Session, one: Announcement, *, reason: str, by: Actor, now: datetime, late_credit: timedelta,
    preview: bool = False,
) -> list[MovedGrant]:  # fmt: skip
    """Apply it and settle what that changes, or only preview that. Returns the grants that are moved."""

    def act() -> Done:
        return announcements.apply(session, one, reason=reason, by=by, now=now)

    how = living.preview if preview else living.apply
    return how(session, act, now=now, late_credit=late_credit).moved
