"""Writing down what has expired: exact, bounded, and safe to run twice or to be killed."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.database.engine import sessions
from models.ledger import entries as ledger
from models.ledger.tables import CreditGrant, LedgerEntry
from tests.models.gym import (
    CLASSES,
    PAID_AT,
    TRAININGS,
    Gym,
    entries,
    expire_all,
    grant_of,
    grants_of,
    paid,
    tell,
    together,
)

MONTHS_LATER = PAID_AT + timedelta(days=90)


def payments(gym: Gym, number: int) -> list[CreditGrant]:
    """So many grants of classes, each expiring on a day of its own, the last paid first."""
    membership = gym.join("sub")
    tell(gym.session, *(paid(f"in_{day}", "sub", at=PAID_AT - timedelta(days=day)) for day in range(number)))
    return grants_of(gym.session, membership, gym.spin)


def expires(grant: CreditGrant) -> datetime:
    assert grant.expires_at is not None
    return grant.expires_at


def expiries(session: Session) -> list[int]:
    """The grants that have an expiry entry, once for each."""
    return list(
        session.scalars(select(LedgerEntry.grant_id).where(LedgerEntry.kind == "expiry").order_by(LedgerEntry.grant_id))
    )


def test_a_expired_lot_gets_one_entry_dated_at_its_expiry(gym: Gym, session: Session) -> None:
    (grant,) = payments(gym, 1)
    assert ledger.expire(session, as_of=MONTHS_LATER) == 1
    expiry = entries(session, grant)[-1]
    assert (expiry.kind, expiry.quantity, expiry.occurred_at) == ("expiry", -CLASSES, expires(grant))
    session.refresh(grant)
    assert grant.remaining == 0
    assert ledger.expire(session, as_of=MONTHS_LATER) == 0
    assert list(audit(session)) == []


def test_a_lot_expires_at_its_moment_and_not_before(gym: Gym, session: Session) -> None:
    (grant,) = payments(gym, 1)
    assert ledger.expire(session, as_of=expires(grant) - timedelta(microseconds=1)) == 0
    assert ledger.expire(session, as_of=expires(grant)) == 1


def test_what_never_expires_and_what_is_used_up_stays(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    expire_all(session, MONTHS_LATER)
    assert expire_all(session, MONTHS_LATER + timedelta(days=1)) == 0
    assert grant_of(session, membership, gym.training).remaining == TRAININGS


def test_nothing_is_taken_before_its_time_by_the_databases_clock(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub", at=datetime.now(UTC)))
    assert ledger.expire(session, as_of=datetime.now(UTC) + timedelta(days=1000)) == 0
    assert grant_of(session, membership, gym.spin).remaining == CLASSES


def test_a_run_is_bounded_and_takes_the_longest_expired_first(gym: Gym, session: Session) -> None:
    grants = payments(gym, 5)
    by_age = sorted(grants, key=expires)
    assert ledger.expire(session, as_of=MONTHS_LATER, limit=2) == 2
    assert expiries(session) == sorted(grant.id for grant in by_age[:2])
    assert [ledger.expire(session, as_of=MONTHS_LATER, limit=2) for _ in range(3)] == [2, 1, 0]
    assert expiries(session) == sorted(grant.id for grant in grants)


def test_two_runs_at_once_write_one_entry_per_grant(open_gym: Gym, engine: Engine) -> None:
    grants = payments(open_gym, 60)
    open_gym.session.commit()

    def run(session: Session) -> int:
        total = 0
        while expired := ledger.expire(session, as_of=MONTHS_LATER, limit=7):
            session.commit()
            total += expired
        return total

    one, other = together(engine, [run, run])
    assert isinstance(one, int)
    assert isinstance(other, int)
    assert one + other == 60
    assert expiries(open_gym.session) == [grant.id for grant in grants]
    assert list(audit(open_gym.session)) == []


def test_a_run_passes_over_grants_that_another_holds(open_gym: Gym, engine: Engine) -> None:
    payments(open_gym, 3)
    open_gym.session.commit()
    with sessions(engine)() as other:
        assert ledger.expire(other, as_of=MONTHS_LATER, limit=2) == 2
        assert ledger.expire(open_gym.session, as_of=MONTHS_LATER) == 1
        other.rollback()
    assert ledger.expire(open_gym.session, as_of=MONTHS_LATER) == 2


@pytest.mark.parametrize("killed", ["rolled back", "backend terminated"])
def test_a_run_killed_half_way_is_picked_up(open_gym: Gym, engine: Engine, killed: str) -> None:
    grants = payments(open_gym, 5)
    expire = partial(ledger.expire, as_of=MONTHS_LATER, limit=2)
    open_gym.session.commit()
    with sessions(engine)() as session:
        expire(session)
        session.commit()
        expire(session)
        if killed == "rolled back":
            session.rollback()
        else:
            backend = session.scalar(text("SELECT pg_backend_pid()"))
            open_gym.session.execute(text("SELECT pg_terminate_backend(:backend, 5000)"), {"backend": backend})
            with pytest.raises(DBAPIError):
                expire(session)
    assert len(expiries(open_gym.session)) == 2
    assert expire_all(open_gym.session, MONTHS_LATER) == 3
    assert expiries(open_gym.session) == [grant.id for grant in grants]
    assert list(audit(open_gym.session)) == []
