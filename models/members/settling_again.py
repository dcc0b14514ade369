"""Which settled payments are to be settled again because what decides their worth or their days was changed.

The flag makes the worker's sweep settle them, in batches; a caller who needs the result at once settles those returned.
A closure of a club flags nothing: it leaves a cursor (`closure_walk.py`).
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from models.database.arrays import Batch


def payments_of(membership: str) -> str:
    """SQL: the ids of the payments that were matched to a membership, also those of which it has a part."""
    return f"""SELECT id FROM payments WHERE membership_id = {membership}
            UNION SELECT payment_id FROM payment_matches WHERE membership_id = {membership}"""


# In the order of their ids, as everybody locks payments.
_OF_MEMBERSHIPS = Batch(
    f"""
    UPDATE payments SET settle_again = true
    WHERE id IN (
        SELECT p.id
        FROM ROWS
        JOIN LATERAL (
            {payments_of("new.membership_id")}
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


def of_memberships(session: Session, changes: Iterable[tuple[int, datetime | None]]) -> list[int]:
    """Flag the payments of each membership that were paid from a moment on; None is all. Returns their ids."""
    return [payment_id for (payment_id,) in _OF_MEMBERSHIPS.execute(session, list(changes))]
