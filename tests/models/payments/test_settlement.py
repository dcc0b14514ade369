"""Settling payments: matching, holding, lateness, and a number of statements that does not grow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.members.memberships import add_billing_reference
from models.payments import settlement
from models.payments.facts import DuesFailed, Fact, Linked, Reversed
from models.payments.recorded import PaymentFact
from models.payments.references import Payment
from tests.models.days import expires_at
from tests.models.gym import (
    BY,
    CLASS_DAYS,
    CLASSES,
    DUES,
    ENDPOINT,
    NOW,
    PAID_AT,
    TRAININGS,
    Event,
    Gym,
    deliver,
    entries,
    events,
    fresh,
    grant_of,
    grants_of,
    paid,
    store,
    tell,
)

DAY = timedelta(days=1)


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """The statements that the engine executes meanwhile."""
    executed: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        executed.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield executed
    finally:
        event.remove(engine, "before_cursor_execute", note)


def payment_row(session: Session, reference: str) -> Payment:
    wanted = select(Payment).where(Payment.reference == reference)
    return session.scalars(wanted.execution_options(populate_existing=True)).one()


def plain(payment: str) -> list[Fact]:
    return [paid(payment, "sub")]


def refunded(payment: str) -> list[Fact]:
    return [paid(payment, "sub"), Reversed(payment, PAID_AT, f"refund of {payment}:re", DUES // 2, "USD")]


def linked(payment: str) -> list[Fact]:
    other = payment + "_intent"
    return [paid(payment, "sub"), Linked(payment, PAID_AT, other), Reversed(other, PAID_AT, "dispute:" + payment)]


def failed_first(payment: str) -> list[Fact]:
    return [DuesFailed(payment, PAID_AT, ("sub",)), DuesFailed(payment + "_2", PAID_AT, ("sub",)), paid(payment, "sub")]


@pytest.mark.parametrize("said", [plain, refunded, linked, failed_first])
def test_the_number_of_statements_does_not_grow_with_the_group(
    gym: Gym, session: Session, shared_engine: Engine, said: Callable[[str], list[Fact]]
) -> None:
    membership = gym.join("sub")
    executed = []
    for size in (2, 300):
        told = store(session, events(*(fact for _ in range(size) for fact in said(fresh("pay")))))
        with statements(shared_engine) as noted:
            settlement.take_in(session, told, now=NOW, late_credit=DAY)
        executed.append(noted)
    assert len(grants_of(session, membership)) == 2 * 302
    assert executed[0] == executed[1]


def test_a_payment_gives_each_pinned_item_once(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    assert tell(session, paid("in", "sub")) == {}
    assert tell(session, paid("in", "sub")) == {}
    spin, training = grant_of(session, membership, gym.spin), grant_of(session, membership, gym.training)
    assert (spin.remaining, spin.expires_at) == (CLASSES, expires_at(PAID_AT, CLASS_DAYS, "America/Chicago"))
    assert (training.remaining, training.expires_at) == (TRAININGS, None)
    assert (spin.effective_at, [entry.kind for entry in entries(session, spin)]) == (PAID_AT, ["grant"])


def test_the_most_specific_billing_reference_decides(gym: Gym, session: Session) -> None:
    by_customer, by_subscription = gym.join("cus"), gym.join("sub")
    tell(session, paid("in", "sub", "cus"))
    assert grants_of(session, by_customer) == []
    assert len(grants_of(session, by_subscription)) == 2


def test_an_unmatched_payment_settles_once_its_reference_is_known(gym: Gym, session: Session) -> None:
    assert tell(session, paid("in", "sub")) == {}
    assert payment_row(session, "in").state == "unmatched"
    gym.join("other")
    assert settlement.settle_matched(session, now=NOW, late_credit=DAY) == 0
    membership = gym.join("sub")
    assert settlement.settle_matched(session, now=NOW, late_credit=DAY) == 1
    assert payment_row(session, "in").state == "settled"
    assert grant_of(session, membership, gym.spin).remaining == CLASSES
    assert settlement.settle_matched(session, now=NOW, late_credit=DAY) == 0


def test_settling_matched_payments_is_bounded(gym: Gym, session: Session) -> None:
    tell(session, *(paid(f"in_{number}", "sub") for number in range(3)))
    gym.join("sub")
    settled = [settlement.settle_matched(session, now=NOW, late_credit=DAY, limit=2) for _ in range(3)]
    assert settled == [2, 1, 0]


def test_an_unmatched_payment_waits_for_references_told_later_too(gym: Gym, session: Session) -> None:
    tell(session, paid("in", "cus"))
    tell(session, paid("in", "sub", "cus"))
    membership = gym.join("sub")
    assert settlement.settle_matched(session, now=NOW, late_credit=DAY) == 1
    assert grant_of(session, membership, gym.spin).remaining == CLASSES


def test_two_unmatched_payments_that_are_linked_wait_for_the_references_of_both(gym: Gym, session: Session) -> None:
    tell(session, paid("in", "cus"))
    tell(session, paid("pi", "sub"))
    tell(session, Linked("in", PAID_AT, "pi"))
    membership = gym.join("sub")
    assert settlement.settle_matched(session, now=NOW, late_credit=DAY) == 1
    assert grant_of(session, membership, gym.spin).remaining == CLASSES


def test_dues_in_another_currency_are_held(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    (problem,) = tell(session, paid("in", "sub", currency="EUR")).values()
    assert problem == "paid in EUR, but the membership is in USD"
    row = payment_row(session, "in")
    assert (row.state, row.problem) == ("held", problem)
    assert grants_of(session, membership) == []
    assert list(audit(session)) == []


def test_a_held_payment_says_why_to_each_of_its_events_and_to_no_other(gym: Gym, session: Session) -> None:
    gym.join("sub")
    told = store(session, events(paid("in", "sub", currency="EUR"), paid("good", "sub"), Linked("in", PAID_AT, "pi")))
    held, good, link = (event.event_id for event in told)
    problems = settlement.take_in(session, told, now=NOW, late_credit=DAY)
    assert problems.keys() == {held, link}
    assert good not in problems


def test_a_refund_in_another_currency_has_no_effect_but_on_its_own_event(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    foreign = Reversed("in", PAID_AT, "refund of in:re_1", DUES, "EUR")
    half = Reversed("in", PAID_AT, "refund of in:re_2", DUES // 2, "USD")
    told = store(session, events(foreign, paid("in", "sub"), half))
    problems = settlement.take_in(session, told, now=NOW, late_credit=DAY)
    assert problems.keys() == {told[0].event_id}
    assert "another currency" in problems[told[0].event_id]
    row = payment_row(session, "in")
    assert (row.state, row.problem) == ("settled", problems[told[0].event_id])
    assert grant_of(session, membership, gym.spin).remaining == CLASSES // 2
    assert list(audit(session)) == []


def test_one_reference_on_two_endpoints_is_two_payments(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    add_billing_reference(session, membership, "other", "sub", by=BY)
    deliver(session, [*events(paid("in", "sub")), *events(paid("in", "sub"), endpoint="other")])
    assert [grant.remaining for grant in grants_of(session, membership, gym.spin)] == [CLASSES, CLASSES]
    assert {row.endpoint for row in session.scalars(select(Payment))} == {ENDPOINT, "other"}


@pytest.mark.parametrize(
    ("late_by", "protection", "counted_from"),
    [
        (DAY, DAY, PAID_AT),
        (DAY + timedelta(seconds=1), DAY, PAID_AT + DAY + timedelta(seconds=1)),
        (40 * DAY, DAY, PAID_AT + 40 * DAY),
        (40 * DAY, timedelta(0), PAID_AT),
    ],
)
def test_days_of_sessions_credited_late_count_from_crediting(
    gym: Gym, session: Session, late_by: timedelta, protection: timedelta, counted_from: datetime
) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"), now=PAID_AT + late_by, late_credit=protection)
    grant = grant_of(session, membership, gym.spin)
    assert grant.expires_at == expires_at(counted_from, CLASS_DAYS, "America/Chicago")
    (entry,) = entries(session, grant)
    assert (entry.note is not None) == (counted_from != PAID_AT)
    assert "late" in (entry.note or "late")
    (never,) = entries(session, grant_of(session, membership, gym.training))
    assert never.note is None


def test_dues_of_the_near_future_are_usable_at_once(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub", at=NOW + timedelta(minutes=5)))
    assert grant_of(session, membership, gym.spin).effective_at == NOW


def test_of_what_one_event_told_the_reversal_is_the_cause_and_not_the_link(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    deliver(session, events(paid("in", "sub")))
    told = (Reversed("ch", PAID_AT, "refund:re", DUES, "USD"), Linked("ch", PAID_AT, "in"))
    deliver(session, [Event(fresh("evt"), told)])
    clawback = entries(session, grant_of(session, membership, gym.spin))[-1]
    kind = session.scalar(select(PaymentFact.kind).where(PaymentFact.id == clawback.fact_id))
    assert (clawback.kind, kind) == ("clawback", "reversed")
