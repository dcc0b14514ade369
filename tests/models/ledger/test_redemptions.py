"""Members spend sessions, in burn order and once per key, and get them back."""

from datetime import date, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.database.engine import make_engine
from models.errors import KeyReused, NotFound, NothingToReturn, NotPositive, TooFewSessions
from models.ledger import adjustments
from models.ledger.adjustments import AdjustmentReason
from models.ledger.burn_order import Draw
from models.ledger.redemptions import Answer, Redemption, give_back, redeem
from models.ledger.tables import CreditGrant
from models.members.memberships import Membership
from models.members.plan_change import change_plan
from models.staff.actions import Action
from tests.models.gym import (
    BY,
    CLASSES,
    NOW,
    PAID_AT,
    TRAININGS,
    Gym,
    entries,
    fresh,
    grant_of,
    grants_of,
    paid,
    tell,
    together,
)

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def member(gym: Gym, session: Session) -> Membership:
    """With one paid payment: 8 classes for 30 days and 2 trainings for ever."""
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    return membership


def use(
    gym: Gym, member: Membership, quantity: int, *, key: str | None = None, now: datetime = NOW, item: str = "spin"
) -> Answer:
    return redeem(
        gym.session,
        member_id=member.member_id,
        item_id=getattr(gym, item).id,
        quantity=quantity,
        key=key or fresh("key"),
        by=BY,
        now=now,
    )


def put_back(session: Session, used: Answer, quantity: int | None = None, *, key: str | None = None) -> Answer:
    return give_back(
        session, redemption_id=used.redemption_id, key=key or fresh("key"), by=BY, now=NOW, quantity=quantity
    )


def remaining(session: Session, member: Membership) -> dict[int, int]:
    return {grant.id: grant.remaining for grant in grants_of(session, member)}


def three_grants(gym: Gym, session: Session) -> tuple[Membership, list[CreditGrant]]:
    """Classes: the oldest grant expires last, the second never, the youngest first."""
    membership = gym.join("sub")
    spin = gym.offer.buckets[0]
    tell(session, paid("one", "sub", at=PAID_AT - DAY))
    for at, payment, days in ((NOW + MINUTE, "two", 0), (NOW + 2 * MINUTE, "three", 5)):
        gym.term.set_bucket(spin, quantity=CLASSES, days_to_expire=days)
        picks = [gym.spin, gym.training]
        since = at.date()
        change_plan(session, membership, term=gym.term, since=since, picks=picks, reason="test", by=BY, now=at)
        tell(session, paid(payment, "sub", at=at))
    return membership, grants_of(session, membership, gym.spin)


def test_soonest_expiry_is_used_first_and_never_last(gym: Gym, session: Session) -> None:
    member, (last, never, soonest) = three_grants(gym, session)
    assert never.expires_at is None
    answer = use(gym, member, 2 * CLASSES + 3)
    assert answer.draws == [Draw(soonest.id, CLASSES), Draw(last.id, CLASSES), Draw(never.id, 3)]
    assert [grant.remaining for grant in grants_of(session, member, gym.spin)] == [0, CLASSES - 3, 0]


def test_of_grants_that_expire_together_the_oldest_is_used_first(gym: Gym, session: Session) -> None:
    member = gym.join("sub")
    tell(session, paid("late", "sub", at=PAID_AT + timedelta(minutes=30)))
    tell(session, paid("early", "sub", at=PAID_AT))
    late, early = grants_of(session, member, gym.spin)
    assert use(gym, member, CLASSES + 1).draws == [Draw(early.id, CLASSES), Draw(late.id, 1)]
    never_late, never_early = grants_of(session, member, gym.training)
    assert use(gym, member, TRAININGS + 1, item="training").draws == [Draw(never_early.id, 2), Draw(never_late.id, 1)]


def test_of_equal_expiry_what_was_free_is_used_before_what_was_paid_for(
    gym: Gym, session: Session, member: Membership
) -> None:
    """Though it was given later."""
    paid_for = grant_of(session, member, gym.spin)
    values = {"member_id": member.member_id, "reason": AdjustmentReason.GOODWILL, "note": "late trainer", "by": BY}
    for item, last_day in ((gym.spin, date(2024, 3, 31)), (gym.training, None)):
        given = {"item_id": item.id, "quantity": 2, "last_day": last_day, "key": fresh("key"), "alone_up_to": 9}
        adjustments.adjust(session, **values, **given, now=NOW)
    free = grants_of(session, member, gym.spin)[-1]
    assert free.expires_at == paid_for.expires_at
    assert use(gym, member, 3).draws == [Draw(free.id, 2), Draw(paid_for.id, 1)]
    bought, never = grants_of(session, member, gym.training)
    assert use(gym, member, 3, item="training").draws == [Draw(never.id, 2), Draw(bought.id, 1)]


def test_a_redemption_is_entered_on_each_grant(gym: Gym, session: Session, member: Membership) -> None:
    answer = use(gym, member, 3)
    entry = entries(session, grant_of(session, member, gym.spin))[-1]
    assert (entry.kind, entry.quantity, entry.redemption_id) == ("redemption", -3, answer.redemption_id)
    assert entry.occurred_at == NOW


def test_who_used_and_returned_them_is_written_down_once(gym: Gym, session: Session, member: Membership) -> None:
    for _ in range(2):
        used = use(gym, member, 3, key="use")
        returned = put_back(session, used, 1, key="back")
    redeemed, gave_back = session.scalars(
        select(Action).where(Action.verb.in_(["redeem", "give back"])).order_by(Action.id)
    ).all()
    assert redeemed.subject == f"3 Spin, redemption {used.redemption_id}"
    assert gave_back.subject == f"1 Spin, return {returned.redemption_id} of redemption {used.redemption_id}"
    for act in (redeemed, gave_back):
        assert (act.actor, act.origin, act.member_id, act.reason) == (*BY, member.member_id, None)
    _, *moved = entries(session, grant_of(session, member, gym.spin))
    assert [entry.action_id for entry in moved] == [redeemed.id, gave_back.id]


def test_a_refused_redemption_is_not_written_down(gym: Gym, session: Session, member: Membership) -> None:
    with pytest.raises(TooFewSessions):
        use(gym, member, CLASSES + 1)
    assert session.scalars(select(Action).where(Action.verb == "redeem")).all() == []


def test_too_few_sessions_take_nothing(gym: Gym, session: Session, member: Membership) -> None:
    before = remaining(session, member)
    with pytest.raises(TooFewSessions, match="9 Spin sessions asked for, 8 usable: nothing was taken"):
        use(gym, member, CLASSES + 1)
    assert remaining(session, member) == before
    assert session.scalar(select(func.count()).select_from(Redemption)) == 0


@pytest.mark.parametrize("quantity", [0, -1])
def test_less_than_one_is_refused(gym: Gym, session: Session, member: Membership, quantity: int) -> None:
    used = use(gym, member, 1)
    with pytest.raises(NotPositive):
        use(gym, member, quantity)
    with pytest.raises(NotPositive):
        put_back(session, used, quantity)


def test_sessions_are_usable_from_their_effective_moment_until_their_expiry(
    gym: Gym, session: Session, member: Membership
) -> None:
    expires = grant_of(session, member, gym.spin).expires_at
    assert expires is not None
    instant = timedelta(microseconds=1)
    for now in (PAID_AT - instant, expires, expires + instant):
        with pytest.raises(TooFewSessions, match="0 usable"):
            use(gym, member, 1, now=now)
    use(gym, member, 1, now=PAID_AT)
    use(gym, member, 1, now=expires - instant)
    assert use(gym, member, 1, now=expires + 1000 * DAY, item="training").draws


def test_the_same_key_and_content_give_the_first_answer_again(gym: Gym, session: Session) -> None:
    member, _ = three_grants(gym, session)
    first = use(gym, member, CLASSES + 1, key="once")
    before = remaining(session, member)
    assert use(gym, member, CLASSES + 1, key="once", now=NOW + DAY) == first
    assert len(first.draws) == 2
    assert remaining(session, member) == before
    returned = put_back(session, first, 2, key="back")
    assert put_back(session, first, 2, key="back") == returned
    assert use(gym, member, CLASSES + 1, key="once") == first


def test_a_return_of_all_is_answered_again_the_same(gym: Gym, session: Session, member: Membership) -> None:
    used = use(gym, member, 3)
    first = put_back(session, used, key="back")
    assert put_back(session, used, key="back") == first
    assert grant_of(session, member, gym.spin).remaining == CLASSES


def test_the_same_key_with_other_content_is_refused(gym: Gym, session: Session, member: Membership) -> None:
    used = use(gym, member, 2, key="taken")
    other = gym.join("other")
    tell(session, paid("of other", "other"))
    before = remaining(session, member) | remaining(session, other)
    with pytest.raises(KeyReused, match="'taken'"):
        use(gym, member, 1, key="taken")
    with pytest.raises(KeyReused):
        use(gym, member, 2, key="taken", item="training")
    with pytest.raises(KeyReused):
        use(gym, other, 2, key="taken")
    for quantity in (None, 1, 2):
        with pytest.raises(KeyReused):
            put_back(session, used, quantity, key="taken")
    assert remaining(session, member) | remaining(session, other) == before


def test_a_refused_try_does_not_use_up_its_key(gym: Gym, session: Session, member: Membership) -> None:
    with pytest.raises(TooFewSessions):
        use(gym, member, CLASSES + 1, key="again")
    tell(session, paid("two", "sub"))
    used = use(gym, member, CLASSES + 1, key="again")
    with pytest.raises(NothingToReturn):
        put_back(session, used, CLASSES + 2, key="back")
    assert sum(draw.quantity for draw in put_back(session, used, 1, key="back").draws) == 1


def test_sessions_return_to_the_grants_they_came_from_in_reverse_order(gym: Gym, session: Session) -> None:
    member, (last, never, soonest) = three_grants(gym, session)
    used = use(gym, member, 2 * CLASSES + 3)
    assert put_back(session, used, 4).draws == [Draw(never.id, 3), Draw(last.id, 1)]
    assert put_back(session, used, CLASSES).draws == [Draw(last.id, CLASSES - 1), Draw(soonest.id, 1)]
    assert put_back(session, used).draws == [Draw(soonest.id, CLASSES - 1)]
    assert [grant.remaining for grant in grants_of(session, member, gym.spin)] == [CLASSES] * 3
    assert list(audit(session)) == []


def test_no_more_returns_than_was_taken(gym: Gym, session: Session, member: Membership) -> None:
    used = use(gym, member, 3)
    with pytest.raises(NothingToReturn, match=f"redemption {used.redemption_id} has 3 left"):
        put_back(session, used, 4)
    put_back(session, used, 2)
    with pytest.raises(NothingToReturn, match="has 1 left"):
        put_back(session, used, 2)
    put_back(session, used)
    for quantity in (None, 1):
        with pytest.raises(NothingToReturn, match="has 0 left"):
            put_back(session, used, quantity)
    assert grant_of(session, member, gym.spin).remaining == CLASSES


def test_only_a_redemption_can_be_returned(gym: Gym, session: Session, member: Membership) -> None:
    with pytest.raises(NotFound, match="There is no redemption 0"):
        give_back(session, redemption_id=0, key="back", by=BY, now=NOW)
    returned = put_back(session, use(gym, member, 1))
    with pytest.raises(NotFound):
        put_back(session, returned)


def committed(gym: Gym, quantity: int) -> Membership:
    """A member with so many classes left, where everybody sees it."""
    membership = gym.join("sub")
    tell(gym.session, paid("in", "sub"))
    use(gym, membership, CLASSES - quantity)
    gym.session.commit()
    return membership


def test_of_fifty_redemptions_of_the_last_session_at_once_one_succeeds(open_gym: Gym, database_url: str) -> None:
    member = committed(open_gym, 1)
    one = partial(redeem, member_id=member.member_id, item_id=open_gym.spin.id, quantity=1, by=BY, now=NOW)
    engine = make_engine(database_url, pool_size=50)
    results = together(engine, [partial(one, key=f"at-once-{number}") for number in range(50)])
    engine.dispose()
    kinds = [type(result) for result in results]
    assert (kinds.count(Answer), kinds.count(TooFewSessions)) == (1, 49)
    grant = grant_of(open_gym.session, member, open_gym.spin)
    assert grant.remaining == 0
    assert sum(entry.quantity for entry in entries(open_gym.session, grant)) == 0


def test_the_same_key_many_times_at_once_takes_once(open_gym: Gym, database_url: str) -> None:
    member = committed(open_gym, CLASSES - 1)
    three = partial(redeem, member_id=member.member_id, item_id=open_gym.spin.id, quantity=3, by=BY, now=NOW)
    engine = make_engine(database_url, pool_size=10)
    answers = together(engine, [partial(three, key="once")] * 10)
    assert answers == [answers[0]] * 10
    assert isinstance(answers[0], Answer)
    assert grant_of(open_gym.session, member, open_gym.spin).remaining == CLASSES - 4
    open_gym.session.commit()
    back = partial(give_back, redemption_id=answers[0].redemption_id, key="back", by=BY, now=NOW)
    returns = together(engine, [back] * 10)
    engine.dispose()
    assert returns == [returns[0]] * 10
    assert grant_of(open_gym.session, member, open_gym.spin).remaining == CLASSES - 1


def test_one_redemption_returned_many_times_at_once_returns_once(open_gym: Gym, database_url: str) -> None:
    member = committed(open_gym, CLASSES - 1)
    used = use(open_gym, member, 3)
    open_gym.session.commit()
    engine = make_engine(database_url, pool_size=10)
    back = partial(give_back, redemption_id=used.redemption_id, by=BY, now=NOW)
    kinds = [type(result) for result in together(engine, [partial(back, key=f"b{number}") for number in range(10)])]
    engine.dispose()
    assert (kinds.count(Answer), kinds.count(NothingToReturn)) == (1, 9)
    assert grant_of(open_gym.session, member, open_gym.spin).remaining == CLASSES - 1
