"""Why no session can be used: one reason, a sentence with a local day, and the way out."""

from datetime import date, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from models.errors import TooFewSessions
from models.ledger import adjustments
from models.ledger.adjustments import AdjustmentReason
from models.ledger.occasions import Occasion
from models.ledger.redemptions import redeem
from models.members import life
from models.members.memberships import Membership
from models.payments import not_dues
from models.payments.facts import DuesFailed, Reversed
from models.statements import why_not as asking
from models.statements.why_not import Reason, WhyNot, why_not
from tests.models.gym import BY, CLASSES, DUES, NOW, PAID_AT, Gym, expire_all, fresh, grant_of, paid, session_item, tell
from tests.models.payments.sweeps import sweep_to_the_end
from tests.models.yearly import FEB_28, PAID, by_the_year

DAY = timedelta(days=1)
OVER = NOW + 31 * DAY


@pytest.fixture
def member(gym: Gym, session: Session) -> Membership:
    """With one paid payment: 8 classes for 30 days and 2 trainings for ever."""
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    return membership


def spend(gym: Gym, member: Membership, quantity: int) -> None:
    values = {"member_id": member.member_id, "item_id": gym.spin.id}
    redeem(gym.session, **values, quantity=quantity, key=fresh("key"), by=BY, now=NOW)


def asked(gym: Gym, member: Membership, now: datetime = NOW, at: datetime | None = None) -> WhyNot | None:
    return why_not(gym.session, member_id=member.member_id, item_id=gym.spin.id, now=now, at=at)


def answered(gym: Gym, member: Membership, now: datetime = NOW, at: datetime | None = None) -> WhyNot:
    found = asked(gym, member, now, at)
    assert found
    return found


def test_nothing_is_wrong_while_one_can_be_used(gym: Gym, member: Membership) -> None:
    assert asked(gym, member) is None
    spend(gym, member, CLASSES - 1)
    assert asked(gym, member) is None


def test_none_is_left(gym: Gym, member: Membership) -> None:
    spend(gym, member, CLASSES)
    found = answered(gym, member)
    assert (found.reason, found.sentence) == (Reason.NONE_LEFT, "No Spin sessions are left.")
    assert found.way_out == "More come with the next payment of the dues."
    assert answered(gym, member, OVER).reason == Reason.NONE_LEFT  # that nothing expired does not change


def test_they_were_taken_back_with_their_money(gym: Gym, session: Session, member: Membership) -> None:
    tell(session, Reversed("in", NOW, "refund:re_1", DUES))
    found = answered(gym, member)
    assert found.reason == Reason.NONE_LEFT
    assert found.sentence == "The last Spin sessions were taken back, because their payment was."


def test_they_were_taken_back_though_no_money_went_back(gym: Gym, session: Session, member: Membership) -> None:
    not_dues.mark(session, "stripe", "sub", reason="rent of a locker", by=BY)
    sweep_to_the_end(session, NOW)
    found = answered(gym, member)
    assert found.sentence == ("The last Spin sessions were taken back, because their payment counts for none any more.")


@pytest.mark.parametrize("is_recorded", [False, True])
def test_they_have_expired(gym: Gym, session: Session, member: Membership, is_recorded: bool) -> None:
    """Whether that was recorded or not."""
    spend(gym, member, CLASSES - 3)
    if is_recorded:
        expire_all(session, OVER)
    found = answered(gym, member, OVER)
    grant = grant_of(session, member, gym.spin)
    assert found == WhyNot(
        Reason.EXPIRED,
        "The last 3 Spin sessions expired on Mar 31, 2024.",
        f"A manager can bring them back, by extending grant {grant.id}.",
        date(2024, 3, 31),
        grant.id,
    )
    adjustments.extend(session, grant.id, last_day=date(2024, 4, 30), reason="was ill", by=BY, now=OVER)
    assert asked(gym, member, OVER) is None


def test_what_expired_and_was_then_paid_back_cannot_be_brought_back(
    gym: Gym, session: Session, member: Membership
) -> None:
    expire_all(session, OVER)
    tell(session, Reversed("in", OVER, "refund:re_1", DUES), now=OVER)
    assert answered(gym, member, OVER).reason == Reason.NONE_LEFT


def test_what_expired_long_ago_is_not_why_none_is_left_now(gym: Gym, session: Session, member: Membership) -> None:
    tell(session, paid("next", "sub", at=OVER), now=OVER)
    values = {"member_id": member.member_id, "item_id": gym.spin.id, "now": OVER + DAY}
    redeem(session, **values, quantity=CLASSES, key=fresh("key"), by=BY)
    assert answered(gym, member, OVER + DAY).reason == Reason.NONE_LEFT


def test_the_next_are_coming(gym: Gym, session: Session) -> None:
    """And those of this month are used, or have expired."""
    by_the_year(gym)
    gym.term.set_bucket(gym.offer.buckets[0], quantity=CLASSES, days_to_expire=9)
    member = gym.join("sub")
    tell(session, paid("in", "sub", at=PAID), now=PAID)
    values = {"member_id": member.member_id, "item_id": gym.spin.id, "quantity": CLASSES, "by": BY}
    redeem(session, **values, key=fresh("key"), now=PAID)
    found = answered(gym, member, PAID)
    assert (found.reason, found.day) == (Reason.NOT_YET, date(2023, 2, 28))
    assert found.sentence == "The next 8 Spin sessions can be used from Feb 28, 2023, not before."
    found = answered(gym, member, FEB_28 + 12 * DAY)
    assert (found.reason, found.day) == (Reason.EXPIRED, date(2023, 3, 9))
    assert found.way_out.endswith(". 8 more can be used from Mar 31, 2023.")


def test_a_moment_before_they_could_be_used(gym: Gym, session: Session, member: Membership) -> None:
    found = answered(gym, member, NOW, PAID_AT - timedelta(minutes=1))
    assert (found.reason, found.day) == (Reason.NOT_YET, date(2024, 3, 1))
    assert found.sentence == "There were no Spin sessions at that time: the next came on Mar 1, 2024."
    values = {"member_id": member.member_id, "item_id": gym.spin.id, "by": BY, "key": fresh("key"), "now": NOW}
    before = Occasion(occurred_at=PAID_AT - timedelta(minutes=1))
    with pytest.raises(
        TooFewSessions, match=r"^1 Spin session asked for, 0 usable at that time \(the next came on Mar"
    ):
        redeem(session, **values, quantity=1, occasion=before)
    spend(gym, member, CLASSES)
    assert answered(gym, member, NOW, PAID_AT - timedelta(minutes=1)).sentence == found.sentence


def test_a_moment_at_which_they_could_be_used_that_have_expired_since(gym: Gym, member: Membership) -> None:
    assert answered(gym, member, OVER, NOW).reason == Reason.EXPIRED


def test_other_items_and_none_at_all(gym: Gym, session: Session, member: Membership) -> None:
    yoga = session_item("Yoga Sessions")
    session.add(yoga)
    session.flush()
    found = why_not(session, member_id=member.member_id, item_id=yoga.id, now=NOW)
    assert found
    assert found.reason == Reason.OTHER_ITEMS
    assert found.sentence == "There are no Yoga sessions, only 8 Spin sessions and 2 Training sessions."
    newcomer = gym.join("new")
    found = answered(gym, newcomer)
    assert (found.reason, found.sentence) == (Reason.NEVER_ANY, "There were never any Spin sessions.")
    assert found.way_out.startswith("They come with the first payment of the dues.")
    first, why = date(2024, 3, 1), {"reason": "ill", "by": BY, "now": NOW}
    life.freeze(session, newcomer, first=first, last=None, **why)
    assert answered(gym, newcomer).way_out.startswith("The membership is frozen until further notice, and dues of")
    tell(session, DuesFailed("late", PAID_AT, ("new",)))
    assert answered(gym, newcomer).way_out == "Dues are overdue since Mar 1, 2024: they come when those are paid."


def test_a_refusal_says_why_where_no_session_can_be_used(gym: Gym, session: Session, member: Membership) -> None:
    values = {"member_id": member.member_id, "item_id": gym.spin.id, "now": OVER}
    with pytest.raises(TooFewSessions) as caught, asking.explained(session, **values):
        redeem(session, **values, quantity=1, key=fresh("key"), by=BY)
    assert caught.value.why_not
    assert caught.value.why_not["reason"] == Reason.EXPIRED
    assert "nothing was taken. The last 8 Spin sessions expired on Mar 31, 2024. A manager" in str(caught.value)
    values["now"] = NOW
    with pytest.raises(TooFewSessions) as caught, asking.explained(session, **values):
        redeem(session, **values, quantity=CLASSES + 1, key=fresh("key"), by=BY)
    assert caught.value.why_not is None


def test_of_a_member_every_item_that_cannot_be_used(gym: Gym, session: Session, member: Membership) -> None:
    spend(gym, member, CLASSES)
    assert {item: why.reason for item, why in asking.of_member(session, member.member_id, NOW).items()} == {
        gym.spin.id: Reason.NONE_LEFT
    }


def test_given_sessions_count(gym: Gym, session: Session, member: Membership) -> None:
    spend(gym, member, CLASSES)
    adjustments.adjust(
        session, member_id=member.member_id, item_id=gym.spin.id, quantity=1, last_day=date(2024, 3, 5),
        reason=AdjustmentReason.GOODWILL, note="sorry", alone_up_to=9, key=fresh("key"), by=BY, now=NOW,
    )  # fmt: skip
    assert asked(gym, member) is None
