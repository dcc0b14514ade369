"""A closure is settled in batches: what is credited, changed or killed meanwhile makes no difference."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.clubs import Club, create_club
from models.catalogue.days import last_day
from models.members import closure_walk, life
from models.members.club_move import move_club
from models.members.life import LifeAct, Scope
from models.members.memberships import Membership
from models.payments import living, settlement
from tests.models.gym import BY, NOW, Gym, expire_all, grants_of, paid, tell, together
from tests.models.payments.sweeps import sweep_to_the_end

ZONE, SOON = "America/Chicago", timedelta(0)
OPEN_DAY, CLOSED_DAY = date(2024, 3, 31), date(2024, 4, 5)
"""The last usable day without the closure, and with it."""


def close(session: Session, club: Club) -> LifeAct:
    days = {"first": date(2024, 3, 5), "last": date(2024, 3, 9)}
    return life.close(session, club, scope=Scope.CLASS, **days, reason="snow", by=BY, now=NOW).act


def undo(session: Session, act: LifeAct) -> LifeAct:
    return life.undo(session, act, reason="a mistake", by=BY, now=NOW).act


def some(gym: Gym, count: int) -> list[Membership]:
    held = [gym.join(f"sub_{number}") for number in range(count)]
    tell(gym.session, *(paid(f"in_{number}", f"sub_{number}") for number in range(count)))
    gym.session.commit()
    return held


def step(session: Session, limit: int = 1) -> bool:
    return settlement.settle_closures(session, now=NOW, late_credit=SOON, limit=limit)


def days(gym: Gym, held: Sequence[Membership]) -> list[date]:
    gym.session.expire_all()
    found = [grant.expires_at for one in held for grant in grants_of(gym.session, one, gym.spin)]
    return [last_day(expires, ZONE) for expires in found if expires]


def test_it_is_settled_batch_by_batch_and_a_kill_loses_nothing(open_gym: Gym) -> None:
    session, held = open_gym.session, some(open_gym, 5)
    close(session, open_gym.club)
    session.commit()
    assert (closure_walk.waiting(session), days(open_gym, held)) == (5, [OPEN_DAY] * 5)
    assert step(session, 2)
    session.commit()
    assert (closure_walk.waiting(session), days(open_gym, held)) == (3, [CLOSED_DAY] * 2 + [OPEN_DAY] * 3)
    assert list(audit(session)) == [], "what waits is no difference"
    assert step(session, 2)
    session.rollback()
    assert (closure_walk.waiting(session), days(open_gym, held)) == (3, [CLOSED_DAY] * 2 + [OPEN_DAY] * 3)
    while step(session, 2):
        session.commit()
    assert (closure_walk.waiting(session), days(open_gym, held)) == (0, [CLOSED_DAY] * 5)
    assert list(audit(session)) == []


@pytest.mark.parametrize("steps", range(4))
def test_undone_or_changed_under_way_it_ends_as_if_it_had_waited(open_gym: Gym, steps: int) -> None:
    session, held = open_gym.session, some(open_gym, 2)
    act = close(session, open_gym.club)
    for _ in range(steps):
        step(session)
    changed = life.change(session, act, last=date(2024, 3, 12), reason="more snow", by=BY, now=NOW).act
    step(session)
    other = close(session, open_gym.club)
    step(session)
    undo(session, changed)
    tell(session, paid("late", "sub_0"))
    session.commit()
    sweep_to_the_end(session)
    assert days(open_gym, held) == [CLOSED_DAY] * 3
    undo(session, other)
    sweep_to_the_end(session)
    assert days(open_gym, held) == [OPEN_DAY] * 3
    assert list(audit(session)) == []


def test_a_closure_reaches_what_was_paid_for_there_and_its_preview_counts_the_same(gym: Gym) -> None:
    session = gym.session
    other = create_club(
        session, name="Other", time_zone=ZONE, currency="USD", refund_fee_percent=0, refund_fee_most_minor=0
    )
    held = [gym.join("moves"), gym.join("stays")]
    tell(session, paid("in_1", "moves"), paid("in_2", "stays"))
    move_club(session, held[0], other, reason="moved house", by=BY, now=NOW)
    later = NOW + timedelta(hours=1)
    tell(session, paid("in_3", "moves", at=later), now=later)
    session.flush()
    act = close(session, other)
    assert living.reach(session, act, later).grants == 1
    assert closure_walk.waiting(session) == 1
    sweep_to_the_end(session)
    assert days(gym, held) == [OPEN_DAY, CLOSED_DAY, OPEN_DAY]
    act = close(session, gym.club)
    assert living.reach(session, act, later).grants == 2
    assert closure_walk.waiting(session) == 2
    sweep_to_the_end(session)
    assert days(gym, held) == [CLOSED_DAY] * 3


def test_workers_and_people_at_once(open_gym: Gym, engine: Engine) -> None:
    session, held = open_gym.session, some(open_gym, 6)
    act = close(session, open_gym.club)
    session.commit()

    def walks(own: Session) -> int:
        steps = 0
        while step(own):
            own.commit()
            steps += 1
        return steps

    def undoes(own: Session) -> int:
        return undo(own, own.get_one(LifeAct, act.id)).id

    ended = together(engine, [walks, walks, undoes, lambda own: tell(own, paid("new", "sub_0")), walks])
    assert not [one for one in ended if isinstance(one, Exception)]
    sweep_to_the_end(session)
    assert days(open_gym, held) == [OPEN_DAY] * 7
    assert list(audit(session)) == []


def test_the_window_bounds_what_is_looked_at(open_gym: Gym, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grants of other days or clubs are passed over, some at a time."""
    monkeypatch.setattr(closure_walk, "WINDOW", 1)
    session, held = open_gym.session, some(open_gym, 2)
    expire_all(session, datetime(2024, 6, 1, tzinfo=NOW.tzinfo))
    life.close(session, open_gym.club, scope=Scope.CLASS, first=OPEN_DAY, last=OPEN_DAY, reason="snow", by=BY, now=NOW)
    assert closure_walk.waiting(session) == 2
    sweep_to_the_end(session)
    assert days(open_gym, held) == [date(2024, 4, 1)] * 2
