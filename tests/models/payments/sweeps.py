"""What the worker does from time to time, until there is nothing to do."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from models.payments import settlement
from tests.models.gym import NOW


def sweep_to_the_end(session: Session, now: datetime = NOW, late_credit: timedelta = timedelta(0)) -> None:
    while settlement.settle_closures(session, now=now, late_credit=late_credit):
        session.commit()
    for _ in range(10):
        settled = settlement.settle_matched(session, now=now, late_credit=late_credit)
        session.commit()
        if not settled:
            return
    raise AssertionError("the sweep settles the same payments for ever")
