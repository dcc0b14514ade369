"""Redemptions say when, where and what for; dated back, they take only what could be used then."""

from datetime import date, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue import clubs
from models.catalogue.items import Item
from models.errors import ClubInUse, InFuture, KeyReused, NotFound, SppError, TextTooLong, TooFarBack, TooFewSessions
from models.ledger import adjustments
from models.ledger.adjustments import AdjustmentReason
from models.ledger.occasions import DESK_BACK, MANAGER_BACK, Occasion
from models.ledger.redemptions import Answer, Redemption, redeem
from models.members.memberships import Membership
from models.staff.actions import Action
from models.statements import statement
from tests.models.gym import BY, NOW, PAID_AT, TRAININGS, Gym, fresh, grants_of, paid, refused, tell

DAY = timedelta(days=1)
PILATES = Occasion(class_reference="class-88", class_name="Pilates", trainer="Kim", note="Mat of her own")


@pytest.fixture
def member(gym: Gym, session: Session) -> Membership:
    """With one paid payment: 8 classes for 30 days and 2 trainings for ever."""
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    return membership


def use(
    gym: Gym, member: Membership, occasion: Occasion = PILATES, *, key: str | None = None,
    back: timedelta = MANAGER_BACK, now: timedelta = 3 * DAY, item: Item | None = None,
) -> Answer:  # fmt: skip
    return redeem(
        gym.session, member_id=member.member_id, item_id=(item or gym.spin).id, quantity=1, key=key or fresh("key"),
        by=BY, now=NOW + now, occasion=occasion, back=back,
    )  # fmt: skip


def used(session: Session) -> int:
    return session.scalars(select(func.count()).select_from(Redemption)).one()


def test_a_redemption_keeps_its_occasion(gym: Gym, session: Session, member: Membership) -> None:
    at = NOW + DAY
    other = gym.forgiving_club()
    used = use(gym, member, PILATES._replace(occurred_at=at, club_id=other.id, trainer="  Kim\u200e "))
    kept = session.get_one(Redemption, used.redemption_id)
    assert (kept.class_reference, kept.class_name, kept.trainer, kept.note, kept.club_id, kept.occurred_at) == (
        "class-88", "Pilates", "Kim", "Mat of her own", other.id, at,
    )  # fmt: skip
    act = session.scalars(select(Action).where(Action.verb == "redeem").order_by(Action.id.desc())).first()
    assert act
    assert act.reason == "Mat of her own"
    assert act.subject.endswith(f", dated {at:%Y-%m-%d %H:%M} UTC")
    entry = statement.entries(session, member.member_id)[-1]
    assert (entry.occurred_at, entry.class_name, entry.trainer, entry.club, entry.note) == (
        at, "Pilates", "Kim", other.name, "Mat of her own",
    )  # fmt: skip
    assert not list(audit(session))


def test_an_earlier_balance_is_that_of_what_was_recorded_by_then(
    gym: Gym, session: Session, member: Membership
) -> None:
    told = session.scalars(select(func.clock_timestamp())).one()
    use(gym, member, Occasion(occurred_at=PAID_AT + timedelta(minutes=5)), item=gym.training)
    usable = [
        {one.item: one.usable for one in statement.balances(session, member.member_id, told, as_of=at)}["Training"]
        for at in (told, None)
    ]
    assert usable == [TRAININGS, TRAININGS - 1]


def test_what_was_not_usable_then_is_not_taken(gym: Gym, session: Session, member: Membership) -> None:
    """Neither what was given since, nor what had expired or has expired meanwhile."""
    adjustments.adjust(
        session, member_id=member.member_id, item_id=gym.spin.id, quantity=2, last_day=date(2024, 3, 2),
        reason=AdjustmentReason.GOODWILL, note="sorry", alone_up_to=9, key=fresh("key"), by=BY, now=NOW,
    )  # fmt: skip
    bought, given = grants_of(session, member, gym.spin)
    at = PAID_AT + timedelta(minutes=10)
    assert [draw.grant_id for draw in use(gym, member, Occasion(occurred_at=at), now=timedelta(0)).draws] == [bought.id]
    during = Occasion(occurred_at=NOW + timedelta(minutes=10))
    assert [draw.grant_id for draw in use(gym, member, during, now=timedelta(hours=1)).draws] == [given.id]
    # It has expired meanwhile, though nobody has written that down yet.
    assert [draw.grant_id for draw in use(gym, member, during, now=3 * DAY).draws] == [bought.id]
    with refused(session, TooFewSessions, "nothing was taken"):
        use(gym, member, Occasion(occurred_at=PAID_AT - timedelta(minutes=1)))


def test_expired_sessions_are_brought_back_before_they_are_used_for_then(
    gym: Gym, session: Session, member: Membership
) -> None:
    late, on_the_last_day = 33 * DAY, Occasion(occurred_at=NOW + 29 * DAY)
    with refused(session, TooFewSessions, "0 usable"):
        use(gym, member, on_the_last_day, now=late)
    (grant,) = grants_of(session, member, gym.spin)
    adjustments.extend(session, grant.id, last_day=date(2024, 4, 10), reason="was there", by=BY, now=NOW + late)
    assert use(gym, member, on_the_last_day, now=late).draws[0].grant_id == grant.id


def test_a_payment_told_late_serves_a_class_before_it_was_told(gym: Gym, session: Session) -> None:
    member = gym.join("late")
    tell(session, paid("late", "late"), now=NOW + 2 * DAY)
    assert use(gym, member, Occasion(occurred_at=NOW)).draws


@pytest.mark.parametrize(
    ("occasion", "back", "error", "field"),
    [
        (Occasion(occurred_at=NOW + 4 * DAY), MANAGER_BACK, InFuture, "occurred_at"),
        (Occasion(occurred_at=NOW + DAY), DESK_BACK, TooFarBack, "occurred_at"),
        (Occasion(occurred_at=NOW - 40 * DAY), MANAGER_BACK, TooFarBack, "occurred_at"),
        (Occasion(club_id=404), MANAGER_BACK, NotFound, "club_id"),
        (Occasion(note="x" * 1001), MANAGER_BACK, TextTooLong, "note"),
        (Occasion(class_reference="x" * 256), MANAGER_BACK, TextTooLong, "class_reference"),
    ],
)
def test_an_occasion_that_cannot_be_takes_nothing(
    gym: Gym,
    session: Session,
    member: Membership,
    occasion: Occasion,
    back: timedelta,
    error: type[SppError],
    field: str,
) -> None:
    with pytest.raises(error) as caught:
        use(gym, member, occasion, key="kept", back=back)
    assert caught.value.field == field
    assert not used(session)
    use(gym, member, key="kept")


def test_a_clock_that_is_a_little_ahead_is_no_future(gym: Gym, member: Membership) -> None:
    assert use(gym, member, Occasion(occurred_at=NOW + timedelta(seconds=20)), now=timedelta(0)).draws


def test_the_occasion_belongs_to_what_the_key_is_for(gym: Gym, session: Session, member: Membership) -> None:
    dated = PILATES._replace(occurred_at=NOW)
    first = use(gym, member, dated, key="booking")
    again = use(gym, member, dated, key="booking", now=90 * DAY, back=DESK_BACK)  # however late it is repeated
    assert (again, again.repeated) == (first, True)
    for other in (
        dated._replace(trainer="Lee"),
        dated._replace(note=None),
        dated._replace(class_reference="class-89"),
        dated._replace(occurred_at=NOW + timedelta(minutes=1)),
        dated._replace(club_id=gym.club.id),
    ):
        with refused(session, KeyReused, "booking"):
            use(gym, member, other, key="booking")
    assert used(session) == 1


def test_a_club_where_somebody_checked_in_is_not_deleted(gym: Gym, session: Session, member: Membership) -> None:
    other = gym.forgiving_club()
    use(gym, member, Occasion(club_id=other.id))
    with refused(session, ClubInUse, "has redemptions"):
        clubs.delete_club(session, other)
