"""The origin of an entry: its payment, fact and webhook event, or the person who made it. Read only.

A fixed number of statements, however long the member's history is.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.inbox.events import WebhookEvent
from models.ledger.redemptions import Redemption
from models.ledger.tables import LedgerEntry
from models.payments import money_back, recorded
from models.payments.facts import Paid
from models.payments.recorded import PaymentFact
from models.payments.references import Payment, PaymentState
from models.staff.accounts import Staff
from models.staff.actions import Action
from models.statements import paid_for, statement
from models.statements.paid_for import PaidFor
from models.statements.statement import EntryLine, GrantLine


@dataclass(frozen=True)
class PaymentHistory:
    """The payment behind an entry, the fact that caused it, and the event of that fact."""

    payment: Payment
    """The root, which has the state."""
    references: list[str]
    """All its references, the first known first."""
    memberships: list[PaidFor]
    """Those that it is for."""
    paid: Paid | None
    fact: PaymentFact
    event: WebhookEvent


@dataclass(frozen=True)
class Explanation:
    """An entry, the grant that it moved, and its cause."""

    entry: EntryLine
    grant: GrantLine
    history: PaymentHistory | None
    action: Action | None
    person: Staff | None
    """The staff account that acted, if it was one."""
    redemption: Redemption | None
    """The redemption that the entry belongs to or, for a return, that it undoes."""
    given_back: Redemption | None
    """The return, if the entry is one."""
    returns: list[Redemption]
    """All returns of the redemption, the oldest first."""
    other: GrantLine | None
    """The other grant of a debt repayment."""


def explain(session: Session, member_id: int, entry_id: int, now: datetime) -> Explanation | None:
    """The origin of a member's entry; None if the member has no entry of that id."""
    known, entry = session.get(LedgerEntry, entry_id), statement.entry(session, member_id, entry_id)
    if known is None or entry is None:
        return None
    lines = {line.grant_id: line for line in statement.grants(session, member_id, now)}
    action = session.get(Action, known.action_id) if known.action_id else None
    spent = session.get(Redemption, known.redemption_id) if known.redemption_id else None
    given_back, redemption = None, spent
    if spent and spent.undoes:
        given_back, redemption = spent, session.get(Redemption, spent.undoes)
    returns = select(Redemption).where(Redemption.undoes == (redemption.id if redemption else None))
    return Explanation(
        entry,
        lines[entry.grant_id],
        _history(session, known.fact_id) if known.fact_id else None,
        action,
        session.scalar(select(Staff).where(Staff.email == action.actor)) if action else None,
        redemption,
        given_back,
        list(session.scalars(returns.order_by(Redemption.id))) if redemption else [],
        lines.get(known.counter_grant_id) if known.counter_grant_id else None,
    )


def _history(session: Session, fact_id: int) -> PaymentHistory:
    fact = session.get_one(PaymentFact, fact_id)
    named = session.get_one(Payment, fact.payment_id)
    rows = session.scalars(select(Payment).where(Payment.root_id == named.root_id).order_by(Payment.id)).all()
    root = rows[0]
    every = [known.fact for _, known in recorded.of_payments(session, [row.id for row in rows])]
    event = session.get_one(WebhookEvent, fact.event_id)
    references, owners = [row.reference for row in rows], paid_for.of_payments(session, [root.id])[root.id]
    return PaymentHistory(root, references, owners, money_back.payment_of(every), fact, event)


class Troubled(NamedTuple):
    """A payment of the member whose facts contradict each other."""

    endpoint: str
    payment: str
    problem: str


def troubled(session: Session, member_id: int, limit: int) -> list[Troubled]:
    """Up to `limit` payments of the member whose facts contradict each other, the newest first.

    One that is held for its problem stands in review instead.
    """
    found = select(Payment.endpoint, Payment.reference, Payment.problem).where(
        paid_for.of_member(session, member_id), Payment.problem.is_not(None), Payment.state != PaymentState.HELD,
        Payment.same_as.is_(None),
    )  # fmt: skip
    return [Troubled._make(row) for row in session.execute(found.order_by(Payment.id.desc()).limit(limit))]
