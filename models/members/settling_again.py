"""Which settled payments are to be settled again because what decides their worth or their days was changed.

The flag makes the worker's sweep settle them, in batches; who waits for the result settles those returned at once.
"""

from collections.abc import Iterable
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import Batch

# In the order of their ids, as everybody locks payments.
_OF_MEMBERSHIPS = Batch(
    """
    UPDATE payments SET settle_again = true
    WHERE id IN (
        SELECT p.id
        FROM ROWS
        JOIN LATERAL (
            SELECT id FROM payments WHERE membership_id = new.membership_id
            UNION SELECT payment_id FROM payment_matches WHERE membership_id = new.membership_id
        ) matched ON true
        JOIN payments p ON p.id = matched.id AND p.state IN ('settled', 'freeze_fee', 'before_cut_over', 'held')
        JOIN paid_payments paid ON paid.id = p.id AND paid.paid_at >= coalesce(new.start, '-infinity')
        ORDER BY p.id
        FOR NO KEY UPDATE OF p
    )
    RETURNING id
    """,
    membership_id="bigint", start="timestamptz",
)  # fmt: skip

_OF_CLUB = text("""
    UPDATE payments SET settle_again = true
    WHERE id IN (
        SELECT p.id FROM payments p
        WHERE NOT p.settle_again AND p.id IN (
            SELECT named.root_id
            FROM credit_grants g
            JOIN memberships m ON m.id = g.membership_id AND (
                m.club_id = :club
                OR m.id IN (SELECT membership_id FROM earlier_clubs WHERE club_id = :club)
            )
            JOIN clubs c ON c.id = :club
            JOIN items i ON i.id = g.item_id AND :scope IN ('all', i.session_type)
            JOIN payments named ON named.id = g.payment_id
            WHERE g.expires_at > CAST(CAST(:first AS date) AS timestamp) AT TIME ZONE c.time_zone
        )
        ORDER BY p.id
        FOR NO KEY UPDATE
    )
    RETURNING id
""")


def of_memberships(session: Session, changes: Iterable[tuple[int, datetime | None]]) -> list[int]:
    """Flag the payments of each membership that were paid from a moment on; None is all. Returns their ids."""
    return [payment_id for (payment_id,) in _OF_MEMBERSHIPS.execute(session, list(changes))]


def of_club(session: Session, club_id: int, first: date, scope: str) -> list[int]:
    """Flag the payments whose sessions of that scope can be used on that local day or later. Returns their ids."""
    return list(session.scalars(_OF_CLUB, {"club": club_id, "first": first, "scope": scope}))
