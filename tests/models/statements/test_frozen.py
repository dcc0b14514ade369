"""Frozen sessions are not usable: in balances, at any moment, and at check-in until the day before they are again."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.clubs import edit_club
from models.catalogue.days import local_day
from models.catalogue.offers import edit_term
from models.catalogue.terms import OnEnd
from models.errors import MembershipFrozen
from models.ledger.redemptions import redeem
from models.members import life, lives
from models.members.life import Done, LifeAct
from models.members.memberships import Membership
from models.payments import living
from models.statements import statement
from models.statements.why_not import Reason, WhyNot, why_not
from tests.models.gym import BY, CLASSES, Gym, fresh, paid, tell

ZONE, DAY = "America/Chicago", timedelta(days=1)
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def now() -> datetime:
    """The database's clock says when an act was recorded, so these tests live today."""
    return datetime.now(UTC)


@pytest.fixture
def held(gym: Gym, now: datetime) -> Membership:
    membership = gym.join("sub")
    tell(gym.session, paid("in", "sub", at=now), now=now)
    return membership


def freeze(gym: Gym, held: Membership, now: datetime, first: int, last: int | None) -> LifeAct:
    today = local_day(now, ZONE)
    days = {"first": today + first * DAY, "last": None if last is None else today + last * DAY}
    return life.freeze(gym.session, held, **days, reason="hurt", by=BY, now=now).act


def spin(
    gym: Gym, held: Membership, now: datetime, as_of: datetime | None = None
) -> tuple[int, int, str | None, date | None]:
    rows = statement.balances(gym.session, held.member_id, now, as_of=as_of)
    one = next(row for row in rows if row.item_id == gym.spin.id)
    return one.usable, one.frozen, one.frozen_until if one.frozen else None, one.frozen_to


def words(now: datetime, days: int) -> str:
    day = local_day(now, ZONE) + days * DAY
    return f"{day:%b} {day.day}, {day.year}"


def test_a_balance_has_what_can_be_redeemed_and_apart_from_it_what_is_frozen(
    gym: Gym, held: Membership, now: datetime
) -> None:
    assert spin(gym, held, now) == (CLASSES, 0, None, None)
    freeze(gym, held, now, -2, 3)
    assert spin(gym, held, now) == (0, CLASSES, words(now, 3), local_day(now, ZONE) + 3 * DAY)
    later = now + 10 * DAY
    assert spin(gym, held, later) == (CLASSES, 0, None, None)
    assert spin(gym, held, now, as_of=later) == (CLASSES, 0, None, None), "a moment to come, as it will be"
    edit_club(gym.session, gym.club, use_while_frozen=True)
    gym.session.flush()
    assert spin(gym, held, now) == (CLASSES, 0, None, None)
    assert list(audit(gym.session)) == []


def test_until_further_notice_there_is_no_day(gym: Gym, held: Membership, now: datetime) -> None:
    freeze(gym, held, now, 0, None)
    assert spin(gym, held, now) == (0, CLASSES, "further notice", None)


def test_as_of_a_moment_it_is_frozen_as_was_known_then(gym: Gym, held: Membership, now: datetime) -> None:
    act = freeze(gym, held, now, -2, 3)
    longer = life.change(gym.session, act, last=local_day(now, ZONE) + 5 * DAY, reason="ill", by=BY, now=now).act
    undone = life.undo(gym.session, longer, reason="a mistake", by=BY, now=now).act
    seen = []
    for moment in (act.recorded_at - MOMENT, act.recorded_at, longer.recorded_at, undone.recorded_at):
        of = lives.read(gym.session, [held.id], as_of=moment).of(held.id, held.club_id)
        seen.append((spin(gym, held, now, as_of=moment)[:3], of.words(local_day(now, ZONE))))
    assert seen == [
        ((CLASSES, 0, None), []),
        ((0, CLASSES, words(now, 3)), [f"Frozen until {words(now, 3)}"]),
        ((0, CLASSES, words(now, 5)), [f"Frozen until {words(now, 5)}"]),
        ((CLASSES, 0, None), []),
    ]


@pytest.mark.parametrize(("second", "until"), [((4, 6), 6), ((2, 9), 9), ((5, 6), 3), ((4, None), None)])
def test_a_refusal_names_the_last_day_of_freezes_that_meet(
    gym: Gym, held: Membership, now: datetime, second: tuple[int, int | None], until: int | None
) -> None:
    freeze(gym, held, now, -2, 3)
    freeze(gym, held, now, *second)
    with pytest.raises(MembershipFrozen, match="further notice" if until is None else words(now, until)):
        redeem(gym.session, member_id=held.member_id, item_id=gym.spin.id, quantity=1, key=fresh("key"), by=BY, now=now)


@pytest.mark.parametrize(("rule", "days", "until"), [("last_day", None, ""), ("days", 7, ", and they could be used")])
def test_why_not_says_that_the_membership_ended(
    gym: Gym, session: Session, now: datetime, rule: str, days: int | None, until: str
) -> None:
    edit_term(session, gym.term, on_end=OnEnd(rule), on_end_days=days)
    held = gym.join("sub")
    began = now - 5 * DAY
    tell(session, paid("in", "sub", at=began), now=began)
    last = local_day(now, ZONE)

    def end() -> Done:
        return life.end(session, held, last=last, reason="moves away", by=BY, now=now)

    living.apply(session, end, now=now, late_credit=timedelta(0))

    def asked(at: datetime) -> WhyNot | None:
        return why_not(session, member_id=held.member_id, item_id=gym.spin.id, now=at)

    assert asked(now) is None
    why = asked(now + 10 * DAY)
    assert why is not None
    assert (why.reason, why.day) == (Reason.ENDED, last)
    assert why.sentence.startswith(f"The membership of the last 8 Spin sessions ended on {words(now, 0)}{until}")
    assert "reopen" in why.way_out
