"""Whether sessions can be used while dues are overdue: as their club says, and with a reason in any case."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.errors import OverdueSessions, TextTooLong, TooFewSessions
from models.ledger import adjustments
from models.ledger.adjustments import AdjustmentReason
from models.ledger.redemptions import Answer, redeem
from models.members import overdue
from models.members.memberships import Membership
from models.payments.facts import DuesFailed
from models.staff.actions import Action
from tests.models.gym import BY, CLASSES, NOW, PAID_AT, Gym, fresh, paid, refused, tell

DAY = timedelta(days=1)
FAILED_AT = PAID_AT + 20 * DAY
NEXT_DAY = FAILED_AT + DAY


@pytest.fixture
def membership(gym: Gym, session: Session) -> Membership:
    """With last month's sessions, and this month's dues overdue."""
    membership = gym.join("sub")
    tell(session, paid("in_1", "sub"), DuesFailed("in_2", FAILED_AT, ("sub",)))
    return membership


def use(gym: Gym, membership: Membership, quantity: int = 1, *, now: datetime = NEXT_DAY, why: str = "") -> Answer:
    return redeem(
        gym.session, member_id=membership.member_id, item_id=gym.spin.id, quantity=quantity, key=fresh("key"), by=BY,
        now=now, override_reason=why,
    )  # fmt: skip


def rule(gym: Gym, use: str, days: int = 7) -> None:
    gym.club.use_while_overdue, gym.club.overdue_grace_days = use, days
    gym.session.commit()


def test_what_was_paid_for_can_be_used_unless_the_club_says_otherwise(gym: Gym, membership: Membership) -> None:
    assert use(gym, membership, now=FAILED_AT + 9 * DAY).draws


def test_strict_refuses_until_the_dues_are_paid(gym: Gym, session: Session, membership: Membership) -> None:
    rule(gym, "strict")
    with refused(session, OverdueSessions, "0 usable and 8 withheld: dues are overdue since Mar 21, 2024"):
        use(gym, membership)
    tell(session, paid("in_2", "sub", at=NEXT_DAY), now=NEXT_DAY)
    assert use(gym, membership).draws


def test_with_a_reason_the_desk_lets_them_be_used_and_the_act_says_who_and_why(
    gym: Gym, session: Session, membership: Membership
) -> None:
    rule(gym, "strict")
    used = use(gym, membership, why=" New card comes on Friday ")
    act = session.scalars(select(Action).where(Action.verb == "redeem")).one()
    assert (act.actor, act.reason) == (BY.name, "New card comes on Friday")
    assert act.subject == f"1 Spin, redemption {used.redemption_id}, though dues are overdue since 2024-03-21"
    with refused(session, TextTooLong, "at most 1000"):
        use(gym, membership, why="x" * 1001)


@pytest.mark.parametrize(("days_later", "is_refused"), [(0, False), (3, False), (4, True)])
def test_grace_counts_local_days_after_the_one_of_the_failure(
    gym: Gym, session: Session, membership: Membership, days_later: int, is_refused: bool
) -> None:
    rule(gym, "grace", 3)
    # 15:00 UTC is 10:00 in Chicago: 13 hours later it is 23:00 there.
    moment = FAILED_AT + days_later * DAY + timedelta(hours=-9 if is_refused else 13)
    if is_refused:
        with refused(session, OverdueSessions, "withheld"):
            use(gym, membership, now=moment)
    else:
        assert use(gym, membership, now=moment).draws
    (late,) = overdue.of_members(session, [membership.member_id])
    assert (f"{late.day}", f"{late.usable_until}") == ("2024-03-21", "2024-03-24")


def test_sessions_of_no_overdue_membership_are_used_first(gym: Gym, session: Session, membership: Membership) -> None:
    rule(gym, "strict")
    given = adjustments.adjust(
        session, member_id=membership.member_id, item_id=gym.spin.id, quantity=2, last_day=None,
        reason=AdjustmentReason.GOODWILL, note="late class", key=fresh("key"), by=BY, now=NOW, alone_up_to=99,
    )  # fmt: skip
    assert given
    with refused(session, OverdueSessions, "3 Spin sessions asked for, 2 usable and 8 withheld"):
        use(gym, membership, 3)
    with refused(session, TooFewSessions, f"{CLASSES + 2} usable"):
        use(gym, membership, CLASSES + 3)
    (draw,) = use(gym, membership, 2).draws
    assert draw.quantity == 2


def test_a_debit_that_is_pending_is_no_arrears(gym: Gym, session: Session) -> None:
    rule(gym, "strict")
    membership = gym.join("sub")
    tell(session, paid("in_1", "sub"))
    assert overdue.of_members(session, [membership.member_id]) == []
    assert use(gym, membership).draws
