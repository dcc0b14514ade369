"""The audit: every projection against its entries, every settled payment against its grants."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.settlement import unsettled


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not add up; `what` names the row and both figures."""

    grant_id: int | None
    payment_id: int | None
    what: str


_GRANTS = text("""
    SELECT g.id, g.payment_id, g.remaining, g.shortfall, g.reversed,
           coalesce(e.remaining, 0) AS entered, coalesce(e.shortfall, 0) AS entered_shortfall,
           coalesce(e.reversed, 0) AS entered_reversed, coalesce(e.grants, 0) AS grants,
           coalesce(e.granted, 0) AS granted, g.quantity
    FROM credit_grants g
    LEFT JOIN (
        SELECT grant_id, sum(quantity) AS remaining, sum(shortfall) AS shortfall, sum(reversed) AS reversed,
               count(*) FILTER (WHERE opens) AS grants, sum(quantity) FILTER (WHERE opens) AS granted
        FROM (SELECT *, kind = 'grant' OR (kind = 'adjustment' AND quantity > 0) AS opens FROM ledger_entries) entries
        GROUP BY grant_id
    ) e ON e.grant_id = g.id
    WHERE (g.remaining, g.shortfall, g.reversed, 1, g.quantity)
       IS DISTINCT FROM (coalesce(e.remaining, 0), coalesce(e.shortfall, 0), coalesce(e.reversed, 0),
                         coalesce(e.grants, 0), coalesce(e.granted, 0))
    ORDER BY g.id
""")

_ROOTS = text("""
    SELECT id FROM payments WHERE same_as IS NULL AND id > :after ORDER BY id LIMIT :limit
""")


def audit(session: Session, *, batch: int = 1000) -> Iterator[Finding]:
    """Everything that does not add up, the lowest grant first; nothing where all is well.

    Payments are locked batch by batch, and let go again after each.
    """
    for row in session.execute(_GRANTS):
        shown = (("remaining", row.remaining, row.entered), ("shortfall", row.shortfall, row.entered_shortfall),
                 ("reversed", row.reversed, row.entered_reversed), ("quantity", row.quantity, row.granted))  # fmt: skip
        wrong = [
            f"{name} is {value}, its entries sum to {entered}" for name, value, entered in shown if value != entered
        ]
        if row.grants != 1:
            wrong.append(f"{row.grants} entries made it, not 1")
        yield Finding(row.id, row.payment_id, f"grant {row.id}: {'; '.join(wrong)}")
    after = 0
    while roots := list(session.scalars(_ROOTS, {"after": after, "limit": batch})):
        locks = session.begin_nested()
        differing = unsettled(session, roots)
        locks.rollback()
        for case in differing:
            what = f"payment {case.payment.root}: its facts and the ledger differ; settling would change it"
            yield Finding(None, case.payment.root, what)
        after = roots[-1]
