"""Several charges for one period: two payments of a membership that each credited the same days.

Both are right by themselves, so settling cannot tell; a job compares them and puts both before staff.
"""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.payments import reviews, sentences
from models.wording import money

# Where a payment does not say its period, its day stands for it: two charges a month apart are two months' dues.
_SAME_PERIOD = text("""
    WITH paid AS (
        SELECT DISTINCT ON (p.root_id) p.root_id AS id, named.reference, f.occurred_at AS paid_at,
               coalesce(f.settled_minor, f.amount_minor) AS amount_minor, f.currency,
               coalesce(CAST(f.shape -> 'covers' ->> 0 AS timestamptz), f.occurred_at) AS starts,
               coalesce(CAST(f.shape -> 'covers' ->> 1 AS timestamptz), f.occurred_at + interval '1 day') AS ends
        FROM payment_facts f
        JOIN payments p ON p.id = f.payment_id
        JOIN payments root ON root.id = p.root_id AND root.state = 'settled'
        JOIN payments named ON named.id = f.payment_id
        WHERE f.kind = 'paid' AND f.occurred_at > :since
        ORDER BY p.root_id, f.occurred_at, named.reference
    ), credited AS (
        SELECT paid.*, its.membership_id
        FROM paid
        CROSS JOIN LATERAL (
            SELECT DISTINCT g.membership_id FROM payments row JOIN credit_grants g ON g.payment_id = row.id
            WHERE row.root_id = paid.id AND g.reversed < g.quantity
        ) its
        WHERE starts < ends
          AND NOT EXISTS (SELECT FROM payment_reviews r WHERE r.payment_id = paid.id AND r.reason IN ('part', 'extra'))
    )
    SELECT DISTINCT one.id, other.id, other.reference, other.amount_minor, other.currency, other.paid_at
    FROM credited one JOIN credited other ON other.membership_id = one.membership_id AND other.id <> one.id
    WHERE least(one.ends, other.ends) - greatest(one.starts, other.starts)
          > least(one.ends - one.starts, other.ends - other.starts) / 2
    ORDER BY one.id, other.id
""")


def compare(session: Session, *, since: datetime, now: datetime) -> int:
    """Put payments made after `since` that credited the same period twice into review. Returns how many there are.

    Those of which it is not true any more are taken off.
    """
    found: dict[int, list[str]] = {}
    for payment_id, _, reference, amount, currency, paid_at in session.execute(_SAME_PERIOD, {"since": since}):
        other = f"{money(amount, currency)} of {paid_at:%b} {paid_at.day}, {reference}"
        found.setdefault(payment_id, []).append(other)
    wanted = {payment: sentences.SEVERAL.format(others=", ".join(others)) for payment, others in found.items()}
    reviews.write_several(session, wanted, since=since, now=now)
    return len(wanted)
