"""Undoing an expiry run: by counter-entries, resumable, and in step with what processors say of the payments."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue import days
from models.catalogue.clubs import Club
from models.errors import DayOver, DayTooFar, NotFound, ReasonMissing, WrongState
from models.ledger import expiry, expiry_undo
from models.ledger.expiry import Breaker, ExpiryRun
from models.ledger.redemptions import redeem
from models.members.memberships import Membership
from models.payments.facts import Fact, Restored, Reversed
from models.staff.actions import Action
from models.statements import statement
from tests.models.gym import (
    BY,
    CLASSES,
    DUES,
    NOW,
    PAID_AT,
    Gym,
    entries,
    fresh,
    grant_of,
    grants_of,
    paid,
    tell,
    together,
)

BREAKER = Breaker(1000, 5)
TODAY = datetime.now(UTC)
NEXT_WEEK = TODAY.date() + timedelta(days=7)
REASON = "The term had the wrong days"


def expire(session: Session) -> ExpiryRun:
    """Writes down all that has expired, in one run."""
    more = True
    while more:
        _, more = expiry.step(session, as_of=TODAY, breaker=BREAKER)
    return session.scalars(select(ExpiryRun).order_by(ExpiryRun.id.desc()).limit(1)).one()


def undo(session: Session, run: ExpiryRun, last_day: date | None = NEXT_WEEK, limit: int = 1000) -> ExpiryRun:
    expiry_undo.undo(session, run.id, last_day=last_day, reason=REASON, by=BY, now=TODAY)
    while expiry_undo.step(session, now=TODAY, limit=limit):
        session.commit()
    session.refresh(run)
    return run


def expired(gym: Gym, payments: int = 1) -> tuple[Membership, ExpiryRun]:
    membership = gym.join("sub")
    tell(gym.session, *(paid(f"in_{number}", "sub") for number in range(payments)))
    return membership, expire(gym.session)


def test_the_sessions_come_back_to_the_end_of_the_day(gym: Gym, session: Session) -> None:
    membership, run = expired(gym)
    grant = grant_of(session, membership, gym.spin)
    before = grant.expires_at
    assert grant.remaining == 0
    undo(session, run)
    session.refresh(grant)
    assert (grant.remaining, grant.expires_at) == (CLASSES, days.end_of(NEXT_WEEK, gym.club.time_zone))
    assert (run.state, run.undone_grants, run.undone_sessions, run.left_grants) == ("undone", 1, CLASSES, 0)
    *_, back, later = entries(session, grant)
    assert (back.kind, back.quantity, back.expires_at) == ("expiry", CLASSES, None)
    assert (later.kind, later.quantity, later.expires_at) == ("extension", 0, grant.expires_at)
    assert {back.action_id, later.action_id} == {run.undone_by}
    act = session.get_one(Action, run.undone_by)
    assert (act.actor, act.verb, act.reason) == (BY.name, "undo expiry", REASON)
    assert list(audit(session)) == []
    # What was known before stays readable: it had expired.
    then = statement.grants(session, membership.member_id, TODAY, as_of=back.recorded_at - timedelta(microseconds=1))
    assert [(one.remaining, one.expires_at) for one in then if one.item_id == gym.spin.id] == [(0, before)]
    usable = {one.item: one.usable for one in statement.balances(session, membership.member_id, TODAY)}
    assert usable[gym.spin.name] == CLASSES


def test_it_can_be_for_ever(gym: Gym, session: Session) -> None:
    membership, run = expired(gym)
    undo(session, run, last_day=None)
    grant = grant_of(session, membership, gym.spin)
    assert (grant.remaining, grant.expires_at) == (CLASSES, None)
    assert list(audit(session)) == []
    as_of = statement.grants(session, membership.member_id, TODAY, as_of=datetime.now(UTC) + timedelta(minutes=1))
    assert [one.expires_at for one in as_of if one.item_id == gym.spin.id] == [None]


def test_each_club_has_its_own_midnight(gym: Gym, session: Session) -> None:
    far = Club(name="Kiritimati", time_zone="Pacific/Kiritimati", currency="USD")
    session.add(far)
    session.flush()
    here, there = gym.join("here"), gym.join("there", club=far)
    tell(session, paid("in_here", "here"), paid("in_there", "there"))
    undo(session, expire(session))
    for membership in (here, there):
        grant = grant_of(session, membership, gym.spin)
        assert grant.expires_at == days.end_of(NEXT_WEEK, membership.club.time_zone)
    # Over at one of them is over.
    run = session.scalars(select(ExpiryRun)).one()
    run.state, run.undone_by = "finished", None
    with pytest.raises(DayOver):
        expiry_undo.undo(session, run.id, last_day=TODAY.date() - timedelta(days=1), reason=REASON, by=BY, now=TODAY)


def test_it_goes_on_in_batches_and_gives_nothing_back_twice(gym: Gym, session: Session) -> None:
    membership, run = expired(gym, payments=5)
    expiry_undo.undo(session, run.id, last_day=NEXT_WEEK, reason=REASON, by=BY, now=TODAY)
    assert expiry_undo.step(session, now=TODAY, limit=2)
    session.commit()
    back = [grant.remaining for grant in grants_of(session, membership, gym.spin)]
    assert back == [CLASSES, CLASSES, 0, 0, 0]
    # As if what it had come to was forgotten: the entries themselves still tell.
    run.undone_up_to = 0
    while expiry_undo.step(session, now=TODAY, limit=2):
        session.commit()
    assert [grant.remaining for grant in grants_of(session, membership, gym.spin)] == [CLASSES] * 5
    assert (run.state, run.undone_grants, run.undone_sessions) == ("undone", 5, 5 * CLASSES)
    assert not expiry_undo.step(session, now=TODAY)
    assert list(audit(session)) == []


def test_neighbouring_grants_in_different_batches_all_come_back(gym: Gym, session: Session) -> None:
    for bucket in gym.offer.buckets:
        gym.term.set_bucket(bucket, quantity=CLASSES, days_to_expire=30)
    session.flush()
    membership, run = expired(gym)
    undo(session, run, limit=1)
    assert [grant_of(session, membership, item).remaining for item in (gym.spin, gym.training)] == [CLASSES] * 2
    assert run.undone_grants == 2


def test_two_workers_at_once_give_everything_back_once(open_gym: Gym, engine: Engine) -> None:
    session = open_gym.session
    membership, run = expired(open_gym, payments=30)
    expiry_undo.undo(session, run.id, last_day=NEXT_WEEK, reason=REASON, by=BY, now=TODAY)
    session.commit()

    def work(session: Session) -> int:
        batches = 0
        while expiry_undo.step(session, now=TODAY, limit=3):
            session.commit()
            batches += 1
        return batches

    done = together(engine, [work, work])
    assert all(isinstance(batches, int) for batches in done), done
    while expiry_undo.step(session, now=TODAY):
        session.commit()
    session.refresh(run)
    assert (run.state, run.undone_grants) == ("undone", 30)
    assert [grant.remaining for grant in grants_of(session, membership, open_gym.spin)] == [CLASSES] * 30
    assert list(audit(session)) == []


def test_a_lot_whose_payment_was_reversed_is_left(gym: Gym, session: Session) -> None:
    membership, run = expired(gym, payments=2)
    tell(session, Reversed("in_0", NOW, "refund:re_0", DUES, "USD"), now=TODAY)
    undo(session, run)
    first, second = grants_of(session, membership, gym.spin)
    assert (first.remaining, first.reversed, second.remaining) == (0, CLASSES, CLASSES)
    assert (run.undone_grants, run.left_grants) == (1, 1)
    assert list(audit(session)) == []


def test_a_refund_after_the_undo_takes_them_back(gym: Gym, session: Session) -> None:
    membership, run = expired(gym)
    undo(session, run)
    tell(session, Reversed("in_0", NOW, "refund:re_0", DUES, "USD"), now=TODAY)
    grant = grant_of(session, membership, gym.spin)
    assert (grant.remaining, grant.reversed, grant.shortfall) == (0, CLASSES, 0)
    assert entries(session, grant)[-1].quantity == -CLASSES
    tell(session, Restored("in_0", NOW + timedelta(hours=1), "refund:re_0", DUES, "USD"), now=TODAY)
    assert (grant := grant_of(session, membership, gym.spin)).remaining == CLASSES
    assert list(audit(session)) == []


@settings(max_examples=25)
@given(
    used=st.integers(0, CLASSES),
    refunded=st.sampled_from([0, DUES // 4, DUES // 2, DUES]),
    when=st.sampled_from(["before expiring", "before the undo", "after the undo"]),
    restored=st.booleans(),
)
def test_whatever_comes_first_an_undone_expiry_leaves_what_is_owed(
    gym: Gym, session: Session, used: int, refunded: int, when: str, restored: bool
) -> None:
    """Sessions that were used and went back are short, those that were left by the undo are gone, no others."""
    reference = fresh("sub")
    membership, payment = gym.join(reference), fresh("in")
    tell(session, paid(payment, reference))
    told: list[Fact] = [Reversed(payment, PAID_AT, f"refund:{payment}", refunded, "USD")] if refunded else []
    if restored and refunded:
        told.append(Restored(payment, PAID_AT + timedelta(minutes=1), f"refund:{payment}", refunded, "USD"))
    if used:
        who = {"member_id": membership.member_id, "item_id": gym.spin.id}
        redeem(session, **who, quantity=used, key=fresh("key"), by=BY, now=NOW)
    if when == "before expiring":
        tell(session, *told)
    run = expire(session)
    if when == "before the undo":
        tell(session, *told, now=TODAY)
    if run is not None and run.state == "finished":
        undo(session, run)
    if when == "after the undo":
        tell(session, *told, now=TODAY)
    grant = grant_of(session, membership, gym.spin)
    owed = CLASSES * (0 if restored else refunded) // DUES
    assert grant.reversed == owed
    assert list(audit(session)) == []
    left = owed > 0 and when != "after the undo"
    if left:
        assert grant.remaining == 0
    else:
        assert grant.remaining - grant.shortfall == CLASSES - used - owed
    session.rollback()


def test_what_is_refused(gym: Gym, session: Session) -> None:
    _, run = expired(gym)
    by = {"reason": REASON, "by": BY, "now": TODAY}
    with pytest.raises(ReasonMissing):
        expiry_undo.undo(session, run.id, last_day=NEXT_WEEK, **{**by, "reason": " "})
    with pytest.raises(DayOver):
        expiry_undo.undo(session, run.id, last_day=TODAY.date() - timedelta(days=2), **by)
    with pytest.raises(DayTooFar):
        expiry_undo.undo(session, run.id, last_day=date(9999, 12, 31), **by)
    with pytest.raises(NotFound):
        expiry_undo.undo(session, run.id + 1, last_day=None, **by)
    undo(session, run)
    with pytest.raises(WrongState, match="is undone, so it cannot be undone"):
        expiry_undo.undo(session, run.id, last_day=None, **by)
