"""A plan change in the tests' gym, and payments around it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.items import Item
from models.members.memberships import Membership, MembershipTerms
from models.members.plan_change import change_plan
from models.payments.facts import Reversed
from tests.models.gym import (
    BY,
    DUES,
    NOW,
    Gym,
    grants_of,
    paid,
    tell,
)

CHICAGO = "America/Chicago"
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
MOVED_ON = date(2024, 3, 15)
MOVED_AT = datetime(2024, 3, 15, 5, tzinfo=UTC)
"""Midnight in Chicago, where it is summer by then."""
FEWER, FEWER_DAYS = 4, 7
LATER = MOVED_AT + 20 * DAY


def edit(gym: Gym, quantity: int, days: int) -> None:
    """Changes what the offer gives of classes."""
    (bucket,) = (bucket for bucket in gym.offer.buckets if bucket.item is gym.spin)
    gym.term.set_bucket(bucket, quantity=quantity, days_to_expire=days)
    gym.session.flush()


def move(gym: Gym, member: Membership, **changed: Any) -> MembershipTerms:
    """From MOVED_ON on, unless told otherwise, entered at NOW."""
    values: dict[str, Any] = {
        "term": gym.term,
        "since": MOVED_ON,
        "picks": [gym.spin, gym.training],
        "reason": "asked for it",
        "by": BY,
        "now": NOW,
    }
    return change_plan(gym.session, member, **values | changed)


def pay(gym: Gym, payment: str, at: datetime) -> None:
    tell(gym.session, paid(payment, "sub", at=at), now=LATER)


def half_back(payment: str) -> Reversed:
    return Reversed(payment, LATER, f"refund of {payment}:re", DUES // 2, "USD")


def given(gym: Gym, member: Membership, item: Item | None = None) -> list[int]:
    return [grant.quantity for grant in grants_of(gym.session, member, item or gym.spin)]


def clean(session: Session) -> bool:
    return list(audit(session)) == []
