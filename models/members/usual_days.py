"""How long sessions of an item usually last: what is offered where somebody gives sessions to a member by hand."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session


class UsualDays(NamedTuple):
    """Of one item."""

    days_to_expire: int
    """0 is never."""
    is_own: bool
    """Whether a plan that the member has now gives it."""


_USUAL = text("""
    SELECT DISTINCT ON (item_id) item_id, days, own
    FROM (
        SELECT p.item_id, p.days_to_expire AS days, true AS own, t.id AS weight
        FROM memberships m
        JOIN LATERAL (
            SELECT id FROM membership_terms
            WHERE membership_id = m.id AND since <= :now ORDER BY since DESC, id DESC LIMIT 1
        ) t ON true
        JOIN pinned_terms p ON p.terms_id = t.id AND p.quantity > 0
        WHERE m.member_id = :member AND m.withdrawn_at IS NULL
        UNION ALL
        SELECT s.item_id, b.days_to_expire, false, count(*)
        FROM bucket_terms b JOIN session_buckets s ON s.id = b.session_bucket_id
        GROUP BY s.item_id, b.days_to_expire
    ) known
    ORDER BY item_id, own DESC, weight DESC, days
""")


def of_items(session: Session, member_id: int, now: datetime) -> Mapping[int, UsualDays]:
    """By item: as in the member's newest plan that gives it, or else as in most payment terms."""
    rows = session.execute(_USUAL, {"member": member_id, "now": now})
    return {item_id: UsualDays(days, own) for item_id, days, own in rows}
