"""The payments of a membership, and the sessions that each gave. Read only."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.days import Period
from models.members.settling_again import payments_of
from models.payments.worth import first_day
from models.statements import payment_story
from models.statements.paid_for import PaidFor


class Gave(NamedTuple):
    """Sessions of an item that a payment gave the membership, and how many are reversed because its money went back."""

    item: str
    quantity: int
    reversed: int
    tranches: int = 1
    last_day: date | None = None
    """The local day on which the last of its tranches begins; None where all were usable from the payment on."""


class Payment(NamedTuple):
    """One payment of a membership, by the reference of its earliest `Paid` fact."""

    payment_id: int
    endpoint: str
    reference: str
    amount_minor: int
    currency: str
    paid_at: datetime
    state: str
    problem: str | None
    gave: Sequence[Gave]
    covers: Period | None = None
    """The period that it pays for."""
    others: Sequence[PaidFor] = ()
    """The other memberships that it pays for."""
    went_back: bool = False
    """Some of its money went back."""


class Page(NamedTuple):
    """Some payments, the latest first; `older` is the cursor of the next page, None on the last."""

    payments: Sequence[Payment]
    older: int | None


_PAYMENTS = text(f"""
    WITH paid AS (
        SELECT * FROM paid_payments WHERE id IN (
            {payments_of(":membership")}
        )
    ), wanted AS (
        SELECT * FROM paid
        WHERE CAST(:before AS bigint) IS NULL
           OR (paid_at, id) < (SELECT paid_at, id FROM paid WHERE id = CAST(:before AS bigint))
        ORDER BY paid_at DESC, id DESC
        LIMIT :limit
    )
    SELECT w.id, w.endpoint, w.reference, w.amount_minor, w.currency, w.paid_at, w.state, w.problem, coalesce((
        SELECT json_agg(json_build_array(g.name, g.quantity, g.reversed, g.tranches, g.last) ORDER BY g.name)
        FROM (
            SELECT i.name, sum(g.quantity) AS quantity, sum(g.reversed) AS reversed,
                   count(DISTINCT g.tranche) AS tranches, max(g.tranche) AS last
            FROM credit_grants g JOIN items i ON i.id = g.item_id
            WHERE g.payment_id IN (SELECT id FROM payments WHERE root_id = w.id) AND g.membership_id = :membership
            GROUP BY i.name
        ) g
    ), '[]')
    FROM wanted w
    ORDER BY w.paid_at DESC, w.id DESC
""")


def page(session: Session, membership_id: int, *, limit: int, before: int | None = None) -> Page:
    """Up to `limit` payments that are for the membership before the cursor `before`, the latest paid first."""
    values = {"membership": membership_id, "limit": limit + 1, "before": before}
    found = [_payment(*row) for row in session.execute(_PAYMENTS, values)]
    older = found[limit - 1].payment_id if len(found) > limit else None
    stories = payment_story.of_roots(session, [payment.payment_id for payment in found[:limit]])
    return Page(
        [
            payment._replace(
                covers=story.paid.covers if story.paid else None,
                went_back=story.reversed_minor > 0,
                others=[one for one in story.memberships if one.membership_id != membership_id],
            )
            for payment, story in zip(found, stories, strict=False)
        ],
        older,
    )


def _payment(*row: Any) -> Payment:
    gave = [Gave._make([*each, first_day(last)]) for *each, last in row[-1]]
    return Payment._make([*row[:-1], gave, None, (), False])
