"""Expiry runs: kept where something expired, stopped where far too much would, and allowed by a person."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.database.engine import sessions
from models.errors import NotFound, ReasonMissing, WrongState
from models.ledger import entries, expiry
from models.ledger.expiry import Breaker, ExpiryRun, RunState
from models.ledger.tables import LedgerEntry
from models.staff.actions import Action
from tests.models.gym import BY, CLASSES, PAID_AT, Gym, paid, tell, together, wait_until_blocked

LATER = PAID_AT + timedelta(days=90)
BREAKER = Breaker(grants_from=5, times=2)


def expiring(gym: Gym, grants: int, *, at: datetime = PAID_AT) -> None:
    """So many grants of classes, all paid at that moment."""
    membership = gym.join(reference := f"sub_{at:%Y%m%d%H%M%S}_{grants}")
    assert membership.id
    tell(gym.session, *(paid(f"in {at} {grants} {number}", reference, at=at) for number in range(grants)))


def work(session: Session, *, as_of: datetime = LATER, limit: int = 1000) -> int:
    """As a job does it: until there is no more to do; the grants written down."""
    total, more = 0, True
    while more:
        grants, more = expiry.step(session, as_of=as_of, breaker=BREAKER, limit=limit)
        session.commit()
        total += grants
    return total


def runs(session: Session) -> list[ExpiryRun]:
    query = select(ExpiryRun).order_by(ExpiryRun.id)
    return list(session.scalars(query.execution_options(populate_existing=True)))


def yesterday(session: Session, grants: int, *, days: int = 1, state: str = "finished") -> None:
    """A run of another day, with so many grants."""
    session.execute(
        text(
            "INSERT INTO expiry_runs (state, as_of, started_at, finished_at, due, usual, grants, undone_by)"
            " SELECT CAST(:state AS text), at, at, at, :grants, 0, :grants,"
            " CASE WHEN CAST(:state AS text) = 'undone' THEN (SELECT min(id) FROM actions) END"
            " FROM (SELECT clock_timestamp() - make_interval(days => :days) AS at) moment"
        ),
        {"grants": grants, "days": days, "state": state},
    )
    session.commit()


def test_a_run_is_kept_with_what_it_wrote_down_and_its_entries_name_it(gym: Gym, session: Session) -> None:
    expiring(gym, 3)
    assert work(session, limit=2) == 3
    (run,) = runs(session)
    assert (run.state, run.grants, run.sessions, run.due) == (RunState.FINISHED, 3, 3 * CLASSES, 3)
    assert run.as_of == LATER
    named = session.scalars(select(LedgerEntry.expiry_run_id).where(LedgerEntry.kind == "expiry")).all()
    assert named == [run.id] * 3
    assert list(audit(session)) == []


def test_where_nothing_expires_there_is_no_run(gym: Gym, session: Session) -> None:
    expiring(gym, 3)
    assert work(session, as_of=PAID_AT) == 0
    assert runs(session) == []


def test_a_run_over_far_more_than_usual_is_stopped_once_with_both_figures(gym: Gym, session: Session) -> None:
    yesterday(session, 4)
    expiring(gym, 9)
    assert [work(session), work(session)] == [0, 0]
    _, run = runs(session)
    assert (run.state, run.due, run.usual, run.grants) == (RunState.STOPPED, 9, 4, 0)
    assert expiry.stopped(session) is run


@pytest.mark.parametrize(("before", "grants", "written"), [(4, 8, 8), (4, 9, 0), (2, 5, 5), (2, 6, 0), (0, 5, 5)])
def test_what_is_usual_and_what_is_always_allowed(
    gym: Gym, session: Session, before: int, grants: int, written: int
) -> None:
    """Twice the largest day, and at least 5 grants."""
    if before:
        yesterday(session, before)
        yesterday(session, before - 1, days=3)
    expiring(gym, grants)
    assert work(session) == written


def test_only_five_weeks_count_and_nothing_that_was_undone(gym: Gym, session: Session) -> None:
    yesterday(session, 100, days=36)
    expiring(gym, 6)
    yesterday(session, 100, state="undone")
    assert work(session) == 0
    assert expiry.stopped(session)


def test_the_runs_of_one_day_count_together(gym: Gym, session: Session) -> None:
    expiring(gym, 3)
    expiring(gym, 3, at=PAID_AT + timedelta(days=2))
    assert work(session, as_of=PAID_AT + timedelta(days=31)) == 3
    assert work(session) == 0
    assert expiry.stopped(session)


def test_a_person_lets_a_stopped_run_go_on_and_nothing_beyond_it(gym: Gym, session: Session) -> None:
    expiring(gym, 6)
    expiring(gym, 2, at=PAID_AT + timedelta(days=5))
    assert work(session, as_of=PAID_AT + timedelta(days=31)) == 0
    stopped = expiry.stopped(session)
    assert stopped
    expiry.allow(session, stopped.id, reason="A season pass ended", by=BY)
    session.commit()
    # What was allowed is not held against the two that expired later.
    assert work(session) == 6 + 2
    first, second = runs(session)
    assert (first.state, first.grants, second.state, second.grants) == ("finished", 6, "finished", 2)
    act = session.get_one(Action, first.allowed_by)
    assert (act.actor, act.verb, act.reason) == (BY.name, "allow expiry", "A season pass ended")
    assert list(audit(session)) == []


def test_allowing_is_refused_without_a_reason_and_for_what_is_not_stopped(gym: Gym, session: Session) -> None:
    expiring(gym, 6)
    work(session)
    (run,) = runs(session)
    with pytest.raises(ReasonMissing):
        expiry.allow(session, run.id, reason=" ", by=BY)
    with pytest.raises(NotFound):
        expiry.allow(session, run.id + 1, reason="Why not", by=BY)
    expiry.allow(session, run.id, reason="All right", by=BY)
    with pytest.raises(WrongState):
        expiry.allow(session, run.id, reason="Again", by=BY)


def test_what_is_stopped_cannot_be_used_either(gym: Gym, session: Session) -> None:
    """The breaker keeps a expire from being written down; it gives nobody a session."""
    expiring(gym, 6)
    work(session)
    usable = "SELECT count(*) FROM credit_grants WHERE remaining > 0 AND expires_at <= clock_timestamp()"
    assert session.scalar(text(usable)) == 6
    member = session.scalars(text("SELECT member_id FROM credit_grants LIMIT 1")).one()
    with pytest.raises(Exception, match="0 usable"):
        entries.draw(session, member_id=member, item_id=gym.spin.id, quantity=1, now=datetime.now(UTC))


@pytest.mark.parametrize(("grants", "written"), [(5, 5), (40, 0)])
def test_two_at_once_share_a_run_or_are_both_stopped(open_gym: Gym, engine: Engine, grants: int, written: int) -> None:
    expiring(open_gym, grants)
    open_gym.session.commit()
    done = together(engine, [lambda session: work(session, limit=1)] * 2)
    assert sum(grants for grants in done if isinstance(grants, int)) == written, done
    (run,) = runs(open_gym.session)
    assert run.grants == written
    assert list(audit(open_gym.session)) == []


def test_no_run_begins_over_what_another_process_is_just_writing_down(open_gym: Gym, engine: Engine) -> None:
    expiring(open_gym, 3)
    session = open_gym.session
    session.commit()

    def late() -> int:
        with sessions(engine)() as other:
            return work(other)

    with ThreadPoolExecutor(1) as pool:
        assert expiry.step(session, as_of=LATER, breaker=BREAKER) == (3, True)
        found = pool.submit(late)
        wait_until_blocked(engine, found.done)
        assert expiry.step(session, as_of=LATER, breaker=BREAKER) == (0, True)
        session.commit()
        assert found.result() == 0
    assert [(run.state, run.due, run.grants) for run in runs(session)] == [("finished", 3, 3)]


def test_a_run_that_was_cut_off_is_gone_on_with(gym: Gym, session: Session) -> None:
    expiring(gym, 5)
    expiry.step(session, as_of=LATER, breaker=BREAKER, limit=2)
    session.commit()
    assert [run.state for run in runs(session)] == ["running"]
    assert work(session) == 3
    (run,) = runs(session)
    assert (run.state, run.grants) == ("finished", 5)


def test_the_database_has_one_open_run_at_most(session: Session) -> None:
    insert = text("INSERT INTO expiry_runs (state, as_of, due, usual) VALUES (:state, now(), 1, 0)")
    session.execute(insert, {"state": "stopped"})
    with pytest.raises(IntegrityError, match="ix_expiry_runs_open"):
        session.execute(insert, {"state": "running"})


def test_runs_are_leafed_through_the_newest_first(session: Session) -> None:
    for number in range(1, 6):
        yesterday(session, number)
    first = expiry.page(session, limit=2)
    assert [run.grants for run in first.runs] == [5, 4]
    second = expiry.page(session, limit=3, before=first.older)
    assert ([run.grants for run in second.runs], second.older) == ([3, 2, 1], None)


def test_a_run_is_not_over_while_another_process_holds_some_of_its_grants(open_gym: Gym, engine: Engine) -> None:
    session = open_gym.session
    expiring(open_gym, 3)
    session.commit()
    with sessions(engine)() as other:
        other.execute(text("SELECT FROM credit_grants WHERE expires_at IS NOT NULL LIMIT 1 FOR UPDATE"))
        assert work(session) == 2
        assert [run.state for run in runs(session)] == ["running"]
        other.rollback()
    assert work(session) == 1
    assert [(run.state, run.grants) for run in runs(session)] == [("finished", 3)]
