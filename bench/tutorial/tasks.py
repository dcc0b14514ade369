"""The tutorial's Celery app: one task, one transaction, one payment."""

import os
from datetime import UTC, datetime, timedelta

from celery import Celery
from celery.signals import worker_process_init
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload, sessionmaker

from bench.tutorial.models import Event, Grant, LedgerEntry, Membership, Payment, Plan, make_engine

app = Celery("tutorial", broker=os.environ["BROKER_URL"])
app.conf.task_acks_late = True
app.conf.task_ignore_result = True

sessions = sessionmaker[Session]()


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _open_database(**_: object) -> None:
    # After the fork: connections must not be shared between processes.
    sessions.configure(bind=make_engine(pool_size=1))


@app.task  # type: ignore[untyped-decorator]
def process_event(event_id: int) -> None:
    """Credits the sessions of one stored event; doing it twice credits once."""
    with sessions.begin() as session:
        event = session.get(Event, event_id, with_for_update=True)
        if event is None or event.processed_at is not None:
            return
        if event.type == "invoice.paid":
            _credit(session, event)
        event.processed_at = datetime.now(UTC)


def _credit(session: Session, event: Event) -> None:
    invoice = event.payload["data"]["object"]
    subscription = invoice["parent"]["subscription_details"]["subscription"]
    membership = session.scalars(
        select(Membership)
        .where(Membership.subscription == subscription)
        .options(selectinload(Membership.plan).selectinload(Plan.bucket_terms))
    ).one()
    paid_at = datetime.fromtimestamp(invoice["status_transitions"]["paid_at"], UTC)
    payment = Payment(
        invoice=invoice["id"],
        membership_id=membership.id,
        event_id=event.id,
        amount=invoice["amount_paid"],
        currency=invoice["currency"],
        paid_at=paid_at,
    )
    for terms in membership.plan.bucket_terms:
        grant = Grant(
            item=terms.item,
            quantity=terms.quantity,
            remaining=terms.quantity,
            expires_at=paid_at + timedelta(days=terms.days_to_expire),
        )
        grant.entries.append(LedgerEntry(kind="grant", quantity=terms.quantity))
        payment.grants.append(grant)
    session.add(payment)
