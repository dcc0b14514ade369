"""Suggestions: the memberships that an unmatched payment may be for, by what its processor says of who paid. Read only.

A suggestion decides nothing: a person links the payment's billing reference to a membership.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import array
from runtime.language import noted

LATEST = 20_000
"""Facts, the newest, that are searched for an earlier payment of the same customer: no index has customers."""
NEWEST = 500
"""Memberships, the newest, that are searched for one that waits for its first payment."""


class Likeness(StrEnum):
    """What a payment and a membership have in common, the surest first."""

    CODE = noted("its code came with it")
    CUSTOMER = noted("same customer at the processor")
    EMAIL = noted("same e-mail address")
    NAME = noted("same name")
    DUES = noted("dues of this amount")


class Payment(NamedTuple):
    """What is known of a payment that has no membership."""

    endpoint: str
    amount_minor: int
    currency: str
    payer: Sequence[str] = ()
    """The processor's ids of the customer, and of what was paid for."""
    name: str | None = None
    email: str | None = None


class Suggestion(NamedTuple):
    """A membership that the payment may be for, and why."""

    membership_id: int
    member_id: int
    member: str
    email: str
    offer: str
    club: str
    likenesses: Sequence[Likeness]


_SUGGEST = text("""
    WITH named AS MATERIALIZED (
        SELECT CAST(string_agg(quote_literal(lexeme), ' & ') AS tsquery) AS words FROM unnest(name_words(:name))
    ), found AS (
        SELECT m.id AS membership_id, 0 AS likeness
        FROM payments p
        JOIN payment_facts f ON f.payment_id = p.id AND f.kind = 'claimed'
        JOIN memberships m ON m.code = f.cause
        WHERE p.endpoint = :endpoint AND p.reference = ANY(CAST(:payer AS text[]))
        UNION ALL
        SELECT membership_id, 1 FROM billing_references
        WHERE endpoint = :endpoint AND reference = ANY(CAST(:payer AS text[]))
        UNION ALL
        SELECT root.membership_id, 1
        FROM (SELECT payment_id, shape FROM payment_facts ORDER BY id DESC LIMIT :latest) f
        JOIN payments p ON p.id = f.payment_id
        JOIN payments root ON root.id = p.root_id
        WHERE f.shape -> 'payer' ?| CAST(:payer AS text[]) AND p.endpoint = :endpoint
        UNION ALL
        SELECT m.id, 2 FROM members n JOIN memberships m ON m.member_id = n.id WHERE lower(n.email) = lower(:email)
        UNION ALL
        (SELECT m.id, 3 FROM members n JOIN memberships m ON m.member_id = n.id
         WHERE name_words(n.name) @@ (SELECT words FROM named) LIMIT :limit)
        UNION ALL
        SELECT m.id, 4 FROM (SELECT id FROM memberships ORDER BY id DESC LIMIT :newest) m
        WHERE NOT EXISTS (SELECT FROM billing_references b WHERE b.membership_id = m.id)
    ), judged AS (
        SELECT m.id, m.member_id, t.payment_term_id, m.club_id,
               t.dues_minor = :amount AND m.currency = :currency AS same_dues,
               array_agg(DISTINCT f.likeness ORDER BY f.likeness) FILTER (WHERE f.likeness < 4) AS likenesses
        FROM found f
        JOIN memberships m ON m.id = f.membership_id AND m.withdrawn_at IS NULL
        CROSS JOIN LATERAL (
            SELECT dues_minor, payment_term_id FROM membership_terms
            WHERE membership_id = m.id AND since <= clock_timestamp() ORDER BY since DESC, id DESC LIMIT 1
        ) t
        GROUP BY m.id, t.payment_term_id, same_dues
    )
    SELECT j.id, n.id AS member_id, n.name, n.email, o.name AS offer, c.name AS club, j.likenesses, j.same_dues
    FROM judged j
    JOIN members n ON n.id = j.member_id AND n.erased_at IS NULL
    JOIN payment_terms t ON t.id = j.payment_term_id
    JOIN offers o ON o.id = t.offer_id
    JOIN clubs c ON c.id = j.club_id
    WHERE j.likenesses IS NOT NULL OR j.same_dues
    ORDER BY j.likenesses[1], cardinality(j.likenesses) DESC NULLS LAST, j.same_dues DESC, j.id DESC
    LIMIT :limit
""")


def suggest(session: Session, payment: Payment, *, limit: int) -> list[Suggestion]:
    """Up to `limit` memberships that the payment may be for, the likeliest first.

    Equal dues alone suggest only a membership that has no billing reference yet.
    """
    values = {
        "endpoint": payment.endpoint,
        "payer": array(payment.payer),
        "name": payment.name or "",
        "email": payment.email or "",
        "amount": payment.amount_minor,
        "currency": payment.currency,
        "latest": LATEST,
        "newest": NEWEST,
        "limit": limit,
    }
    kinds = list(Likeness)
    return [
        Suggestion(
            row.id, row.member_id, row.name, row.email, row.offer, row.club,
            [*(kinds[one] for one in row.likenesses or ()), *([Likeness.DUES] if row.same_dues else ())],
        )
        for row in session.execute(_SUGGEST, values)
    ]  # fmt: skip
