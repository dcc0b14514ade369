"""Grants, read with locks before they are moved, and the sums of their entries."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.days import last_day
from models.database.arrays import array
from models.ledger import kinds
from models.ledger.clawback import Grant

_GRANT = """
    SELECT id, payment_id, member_id, membership_id, item_id, tranche, quantity, remaining, shortfall, reversed,
           expires_at, recorded_at, effective_at, late_after_s
    FROM credit_grants
"""

_GRANTS_BY_ID = text(f"""{_GRANT}
    WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR UPDATE
""")


_GRANTS = text(f"""{_GRANT}
    WHERE payment_id = ANY(CAST(:payment_ids AS bigint[]))
       OR (shortfall > 0 AND member_id = ANY(CAST(:member_ids AS bigint[])))
    ORDER BY id
    FOR UPDATE
""")


def of_payments(session: Session, payment_ids: Iterable[int], member_ids: Iterable[int]) -> dict[int, Grant]:
    """The grants of these payments, and these members' grants with an open shortfall; locked, by id."""
    values = {"payment_ids": array(payment_ids), "member_ids": array(member_ids)}
    return {row.id: Grant(*row) for row in session.execute(_GRANTS, values)}


_DEBTS = text(f"""{_GRANT}
    WHERE shortfall > 0 AND member_id = :member AND item_id = :item ORDER BY id FOR UPDATE
""")


def open_debts(session: Session, member_id: int, item_id: int) -> list[Grant]:
    """The member's grants of that item with an open shortfall, locked, in the order of ids."""
    return [Grant(*row) for row in session.execute(_DEBTS, {"member": member_id, "item": item_id})]


_ENTERED = text(f"""
    SELECT grant_id,
           coalesce(-sum(quantity) FILTER (WHERE {kinds.GONE} AND NOT {kinds.EXPIRED}), 0) AS taken_by_hand,
           coalesce(-sum(quantity) FILTER (WHERE {kinds.TAKES_BACK}), 0) AS clawed_back
    FROM ledger_entries e
    WHERE grant_id = ANY(CAST(:ids AS bigint[]))
    GROUP BY grant_id
""")

_EXPIRED = text(f"""
    SELECT grant_id, expiry_run_id, -sum(quantity) AS expired
    FROM ledger_entries e
    WHERE grant_id = ANY(CAST(:ids AS bigint[])) AND {kinds.EXPIRED}
    GROUP BY grant_id, expiry_run_id
    ORDER BY grant_id, max(id) DESC
""")

_REPAYMENTS = text("""
    SELECT grant_id, counter_grant_id, -sum(shortfall) AS repaid
    FROM ledger_entries
    WHERE grant_id = ANY(CAST(:ids AS bigint[])) AND kind = 'debt_repayment'
    GROUP BY grant_id, counter_grant_id
    HAVING sum(shortfall) < 0
    ORDER BY grant_id, max(id) DESC
""")


def read_entries(session: Session, wanted: Collection[int], grants: dict[int, Grant]) -> None:
    """Fill in the sums of the wanted grants' entries, and add the grants that repaid their shortfalls."""
    if not wanted:
        return
    ids = {"ids": array(wanted)}
    for grant_id, taken_by_hand, clawed_back in session.execute(_ENTERED, ids).all():
        grants[grant_id].taken_by_hand, grants[grant_id].clawed_back = taken_by_hand, clawed_back
    for grant_id, run, expired in session.execute(_EXPIRED, ids).all():
        grants[grant_id].expired[run] = expired
    repayments = session.execute(_REPAYMENTS, ids).all()
    if missing := {payer for _, payer, _ in repayments} - grants.keys():
        grants |= {row.id: Grant(*row) for row in session.execute(_GRANTS_BY_ID, {"ids": array(missing)}).all()}
    for grant_id, payer, repaid in repayments:
        grants[grant_id].repayments.append((grants[payer], repaid))


def with_entries(session: Session, grant_id: int) -> Grant:
    """One grant, locked, with the sums of its entries."""
    grants = {row.id: Grant(*row) for row in session.execute(_GRANTS_BY_ID, {"ids": array([grant_id])})}
    read_entries(session, [grant_id], grants)
    return grants[grant_id]


_DATES = text(f"""
    SELECT grant_id, expires_at, action_id IS NOT NULL AS by_hand
    FROM ledger_entries e
    WHERE grant_id = ANY(CAST(:ids AS bigint[])) AND {kinds.DATES}
    ORDER BY grant_id, id
""")


class ByHand(NamedTuple):
    """What staff have done to the expiry of a grant: the days that they added, and the last moment that they set."""

    days: timedelta
    until: datetime | None
    """None: it never expires."""


def extended_by_hand(session: Session, zones: Mapping[int, str]) -> dict[int, ByHand]:
    """The extensions by hand of those of these grants that have any; `zones` has the time zone of each one's club."""
    found: dict[int, ByHand] = {}
    before: dict[int, date | None] = {}
    for grant_id, expires_at, by_hand in session.execute(_DATES, {"ids": array(zones)}).all():
        last = last_day(expires_at, zones[grant_id]) if expires_at else None
        if by_hand:
            first, known = before[grant_id], found.get(grant_id)
            added = last - first if last and first else timedelta(0)
            found[grant_id] = ByHand(added + known.days if known else added, expires_at)
        before[grant_id] = last
    return found
