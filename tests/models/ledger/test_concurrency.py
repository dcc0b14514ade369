"""Payments told by several workers at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from random import Random

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.database.engine import make_engine, sessions
from models.payments import references as payments
from models.payments import settlement
from models.payments.facts import Fact, Linked, Reversed
from models.payments.recorded import EventFacts, references
from tests.models.gym import (
    CLASSES,
    DUES,
    NOW,
    PAID_AT,
    Gym,
    deliver,
    events,
    grant_of,
    grants_of,
    paid,
    store,
    tell,
    together,
    wait_until_blocked,
)


def heard_of(session: Session, facts: list[Fact]) -> list[EventFacts]:
    """An event for each fact, stored, and their payments known: nothing but settling makes workers wait."""
    told = store(session, events(*facts))
    payments.identify(session, references(told))
    session.commit()
    return told


def test_overlapping_payments_taken_in_at_once_are_credited_once(open_gym: Gym, database_url: str) -> None:
    gym, session = open_gym, open_gym.session
    membership = gym.join("sub")
    facts: list[Fact] = []
    for number in range(20):
        one, two, three = f"in_{number}", f"pi_{number}", f"ch_{number}"
        facts += [paid(one, "sub"), Linked(one, PAID_AT, two), Linked(two, PAID_AT, three), paid(one, "sub")]
        facts += [Reversed(two, PAID_AT, f"refund of {three}:re", DUES // 2, "USD")]
    told = heard_of(session, facts)
    Random(1).shuffle(told)

    def worker(number: int) -> Callable[[Session], None]:
        def work(session: Session) -> None:
            mine = told[number::6]
            while mine:
                group, mine = mine[:4], mine[4:]
                while True:  # as the worker does: a try that failed for a deadlock is tried again
                    try:
                        settlement.take_in(session, group, now=NOW, late_credit=timedelta(0))
                        session.commit()
                        break
                    except OperationalError:
                        session.rollback()

        return work

    engine = make_engine(database_url, pool_size=6)
    assert together(engine, [worker(number) for number in range(6)]) == [None] * 6
    engine.dispose()
    standing = [grant for grant in grants_of(session, membership, gym.spin) if grant.reversed < grant.quantity]
    assert [(grant.quantity, grant.reversed, grant.remaining) for grant in standing] == [(8, 4, 4)] * 20
    assert list(audit(session)) == []


def test_one_payment_told_by_many_workers_at_once_is_credited_once(open_gym: Gym, database_url: str) -> None:
    gym, session = open_gym, open_gym.session
    membership = gym.join("sub")
    told = heard_of(session, [paid("in", "sub")] * 8)
    engine = make_engine(database_url, pool_size=8)
    jobs = [partial(settlement.take_in, events=[one], now=NOW, late_credit=timedelta(0)) for one in told]
    assert together(engine, jobs) == [{}] * 8
    engine.dispose()
    assert grant_of(session, membership, gym.spin).remaining == CLASSES


def test_one_event_taken_in_by_many_workers_at_once_counts_once(open_gym: Gym, database_url: str) -> None:
    gym, session = open_gym, open_gym.session
    membership = gym.join("sub")
    told = store(session, events(paid("in", "sub")))
    session.commit()
    engine = make_engine(database_url, pool_size=8)
    jobs = [partial(settlement.take_in, events=told, now=NOW, late_credit=timedelta(0))] * 8
    assert together(engine, jobs) == [{}] * 8
    engine.dispose()
    assert grant_of(session, membership, gym.spin).remaining == CLASSES


def test_a_link_committed_while_we_waited_for_its_payment_brings_its_refund(open_gym: Gym, engine: Engine) -> None:
    gym, session = open_gym, open_gym.session
    membership = gym.join("sub")
    tell(session, Linked("in", PAID_AT, "ch"))
    tell(session, Reversed("pi", PAID_AT, "refund of pi:re_1", DUES, "USD"))
    deliver(session, events(Linked("in", PAID_AT, "pi")))

    def pay() -> None:
        with sessions(engine).begin() as other:
            deliver(other, events(paid("in", "sub")))

    with ThreadPoolExecutor() as pool:
        paying = pool.submit(pay)
        wait_until_blocked(engine, paying.done)
        session.commit()
        paying.result()
    assert grant_of(session, membership, gym.spin).remaining == 0
    assert list(audit(session)) == []
