"""Sessions given and taken by hand: what moves, whom it repays, and who did it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.clubs import Club
from models.catalogue.rules import MAX_DAYS_TO_EXPIRE, MAX_QUANTITY
from models.database.engine import make_engine
from models.errors import (
    DayOver,
    DayTooFar,
    KeyReused,
    NotASessionItem,
    NotFound,
    NumberTooLarge,
    ReasonMissing,
    TextTooLong,
    TooFewSessions,
    ZeroQuantity,
)
from models.ledger import adjustments
from models.ledger.adjustments import Adjustment, AdjustmentReason
from models.ledger.merging import merge
from models.ledger.redemptions import Answer, redeem
from models.ledger.tables import CreditGrant, LedgerEntry
from models.members.memberships import Membership
from models.payments.facts import Restored, Reversed
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
    expire_all,
    fresh,
    grant_of,
    grants_of,
    paid,
    tell,
    together,
)

DAY = timedelta(days=1)
NOTE = "the shower was cold"


@pytest.fixture
def member(gym: Gym) -> Membership:
    """With one paid payment: 8 classes until midnight of the 31st, and 2 trainings for ever."""
    membership = gym.join("sub")
    tell(gym.session, paid("in", "sub"))
    return membership


def adjust(gym: Gym, member: Membership, quantity: int, **changed: Any) -> Adjustment:
    """Spin sessions for ever, unless told otherwise."""
    values: dict[str, Any] = {
        "member_id": member.member_id,
        "item_id": gym.spin.id,
        "quantity": quantity,
        "last_day": None,
        "reason": AdjustmentReason.GOODWILL,
        "note": NOTE,
        "alone_up_to": 20,
        "key": fresh("key"),
        "by": BY,
        "now": NOW,
    }
    return adjustments.adjust(gym.session, **values | changed)


def use(gym: Gym, member: Membership, quantity: int) -> Answer:
    return redeem(
        gym.session,
        member_id=member.member_id,
        item_id=gym.spin.id,
        quantity=quantity,
        key=fresh("key"),
        by=BY,
        now=NOW,
    )


def adjusted_grant(gym: Gym, member: Membership) -> CreditGrant:
    """The newest of classes."""
    return grants_of(gym.session, member, gym.spin)[-1]


def state(gym: Gym, member: Membership) -> list[tuple[int, int]]:
    """Remaining and shortfall of each grant of classes, the oldest first."""
    return [(grant.remaining, grant.shortfall) for grant in grants_of(gym.session, member, gym.spin)]


def acts(session: Session) -> int:
    return session.scalars(select(func.count()).select_from(Action)).one()


def last_act(session: Session) -> Action:
    return session.scalars(select(Action).order_by(Action.id.desc()).limit(1)).one()


def test_sessions_given_are_a_lot_of_their_own(gym: Gym, session: Session, member: Membership) -> None:
    adjustment = adjust(gym, member, 3)
    grant = adjusted_grant(gym, member)
    assert (grant.quantity, grant.remaining, grant.payment_id) == (3, 3, None)
    assert (grant.effective_at, grant.expires_at) == (NOW, None)
    (entry,) = entries(session, grant)
    assert (entry.kind, entry.quantity, entry.note) == ("adjustment", 3, f"goodwill: {NOTE}")
    assert entry.action_id == grant.action_id == last_act(session).id
    assert (adjustment.approved, adjustment.decided_by, adjustment.decided_at) == (True, BY.name, NOW)
    assert list(audit(session)) == []


def test_who_gave_them_from_where_and_why_is_written_down(gym: Gym, session: Session, member: Membership) -> None:
    before = acts(session)
    for quantity in (3, -2):
        adjustment = adjust(gym, member, quantity, note=f" {NOTE}\n")
        act = last_act(session)
        assert (act.actor, act.origin, act.verb, act.member_id) == (*BY, "adjust", member.member_id)
        assert act.subject == f"adjustment {adjustment.id}: {quantity:+d} Spin"
        assert (act.reason, adjustment.note) == (f"goodwill: {NOTE}", NOTE)
    assert acts(session) == before + 2


def test_the_members_page_says_who_gave_and_took_them(gym: Gym, session: Session, member: Membership) -> None:
    adjust(gym, member, 3)
    adjust(gym, member, -1)
    given = statement.grants(session, member.member_id, NOW)[-1]
    assert (given.payment, given.given_by, given.note, given.used) == (None, BY.name, f"goodwill: {NOTE}", 0)
    *_, gave, took = statement.entries(session, member.member_id)
    assert [(entry.kind, entry.quantity, entry.actor) for entry in (gave, took)] == [
        ("adjustment", 3, BY.name),
        ("adjustment", -1, BY.name),
    ]


@pytest.mark.parametrize(
    ("zone", "last_day", "expires"),
    [
        ("America/Chicago", date(2024, 3, 9), "2024-03-10T00:00-06:00"),
        # The day on which the clock goes forward has 23 hours.
        ("America/Chicago", date(2024, 3, 10), "2024-03-11T00:00-05:00"),
        ("America/Chicago", date(2024, 3, 1), "2024-03-02T00:00-06:00"),
        ("Europe/Berlin", date(2024, 3, 31), "2024-04-01T00:00+02:00"),
        ("America/Havana", date(2024, 3, 9), "2024-03-10T01:00-04:00"),
        ("Pacific/Kiritimati", date(2024, 3, 2), "2024-03-03T00:00+14:00"),
        ("Pacific/Honolulu", date(2024, 3, 2), "2024-03-03T00:00-10:00"),
    ],
)
def test_they_can_be_used_until_the_end_of_the_last_day_at_the_club(
    gym: Gym, session: Session, zone: str, last_day: date, expires: str
) -> None:
    club = Club(name=fresh("Club"), time_zone=zone, currency="USD")
    session.add(club)
    session.flush()
    member = gym.join(club=club)
    adjust(gym, member, 3, last_day=last_day)
    assert adjusted_grant(gym, member).expires_at == datetime.fromisoformat(expires).astimezone(UTC)
    assert expire_all(session, datetime.fromisoformat(expires) - timedelta(microseconds=1)) == 0
    assert expire_all(session, datetime.fromisoformat(expires)) == 1
    assert list(audit(session)) == []


def test_the_club_is_that_of_the_newest_membership(gym: Gym, session: Session, member: Membership) -> None:
    club = Club(name="Island", time_zone="Pacific/Kiritimati", currency="USD")
    session.add(club)
    session.flush()
    merge(session, gym.join(club=club).member_id, member.member_id, reason="one person", by=BY, now=NOW)
    adjust(gym, member, 1, last_day=date(2024, 3, 2))
    assert adjusted_grant(gym, member).expires_at == datetime(2024, 3, 2, 10, tzinfo=UTC)


def test_an_open_shortfall_of_that_item_is_repaid_first(gym: Gym, session: Session, member: Membership) -> None:
    use(gym, member, 5)
    tell(session, Reversed("in", PAID_AT, "dispute:dp", DUES, "USD"))
    adjust(gym, member, 2, item_id=gym.training.id)
    assert state(gym, member) == [(0, 5)]
    adjust(gym, member, 3)
    assert state(gym, member) == [(0, 2), (0, 0)]
    adjust(gym, member, 3)
    assert state(gym, member) == [(0, 0), (0, 0), (1, 0)]
    assert list(audit(session)) == []
    tell(session, Restored("in", PAID_AT + DAY, "dispute:dp"))
    assert state(gym, member) == [(3, 0), (3, 0), (3, 0)], "what they repaid comes back to them"
    assert list(audit(session)) == []


def test_another_members_shortfall_stays(gym: Gym, session: Session, member: Membership) -> None:
    use(gym, member, 5)
    tell(session, Reversed("in", PAID_AT, "dispute:dp", DUES, "USD"))
    other = gym.join("other")
    adjust(gym, other, 3)
    assert (state(gym, member), state(gym, other)) == ([(0, 5)], [(3, 0)])


def test_sessions_taken_are_drawn_in_burn_order(gym: Gym, session: Session, member: Membership) -> None:
    adjust(gym, member, 4, last_day=date(2024, 3, 5))
    adjust(gym, member, 2)
    adjust(gym, member, -5)
    assert state(gym, member) == [(CLASSES - 1, 0), (0, 0), (2, 0)]
    adjust(gym, member, -CLASSES)
    assert state(gym, member) == [(0, 0), (0, 0), (1, 0)]
    first, soonest, never = grants_of(session, member, gym.spin)
    assert [[entry.quantity for entry in entries(session, grant)] for grant in (first, soonest, never)] == [
        [CLASSES, -1, 1 - CLASSES],
        [4, -4],
        [2, -1],
    ]
    assert list(audit(session)) == []


def test_more_than_there_are_cannot_be_taken(gym: Gym, session: Session, member: Membership) -> None:
    before = acts(session)
    with pytest.raises(TooFewSessions, match="9 Spin sessions asked for, 8 usable: nothing was taken"):
        adjust(gym, member, -CLASSES - 1, key="again")
    assert (state(gym, member), acts(session)) == ([(CLASSES, 0)], before)
    adjust(gym, member, -CLASSES, key="again")
    assert state(gym, member) == [(0, 0)]


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"quantity": 0}, ZeroQuantity, "plus to give, minus to take"),
        ({"quantity": MAX_QUANTITY + 1}, NumberTooLarge, "at most 10000"),
        ({"quantity": -MAX_QUANTITY - 1}, NumberTooLarge, "it is 10001"),
        ({"note": " \n"}, ReasonMissing, "a note is required"),
        ({"note": "x" * 1001}, TextTooLong, "1000 characters .* 1001"),
        ({"item_id": 0}, NotFound, "no item 0"),
        ({"member_id": 0}, NotFound, "no member 0"),
        ({"member_id": 0, "last_day": date(2024, 3, 9)}, NotFound, "no member 0"),
        ({"last_day": date(2024, 2, 29)}, DayOver, "choose a later one"),
        ({"last_day": NOW.date() + timedelta(days=MAX_DAYS_TO_EXPIRE + 1)}, DayTooFar, "Feb 7, 2124"),
        ({"last_day": date.max}, DayTooFar, "Dec 31, 9999"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    gym: Gym, session: Session, member: Membership, changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    before = acts(session), state(gym, member)
    with pytest.raises(error, match=message):
        adjust(gym, member, **{"quantity": 3} | changed)
    assert (acts(session), state(gym, member)) == before
    assert session.scalars(select(Adjustment)).all() == []


def test_only_session_items_are_given(gym: Gym, session: Session, member: Membership) -> None:
    with pytest.raises(NotASessionItem, match="'Towel' is not a scheduler bucket: it has no sessions"):
        adjust(gym, member, 1, item_id=gym.towel.id)
    assert session.scalars(select(Adjustment)).all() == []


def test_the_longest_note_and_the_last_possible_day_are_taken(gym: Gym, session: Session, member: Membership) -> None:
    adjust(gym, member, 1, note="x" * 1000, last_day=NOW.date() + timedelta(days=MAX_DAYS_TO_EXPIRE))
    assert last_act(session).reason == "goodwill: " + "x" * 1000


def test_the_same_key_adjusts_once(gym: Gym, session: Session, member: Membership) -> None:
    once = partial(adjust, gym, member, 3, last_day=date(2024, 3, 9), key="once")
    first, before = once(), acts(session)
    assert once(now=NOW + 30 * DAY) is first
    assert (state(gym, member), acts(session)) == ([(CLASSES, 0), (3, 0)], before)


@pytest.mark.parametrize(
    "changed",
    [
        {"quantity": 2},
        {"last_day": date(2024, 3, 10)},
        {"last_day": None},
        {"reason": AdjustmentReason.OTHER},
        {"note": "else"},
        {"item": "training"},
        {"member": "other"},
    ],
    ids=str,
)
def test_the_same_key_for_something_else_is_refused(
    gym: Gym, session: Session, member: Membership, changed: dict[str, Any]
) -> None:
    values: dict[str, Any] = {"quantity": 3, "last_day": date(2024, 3, 9), "key": "taken"}
    adjust(gym, member, **values)
    if changed == {"item": "training"}:
        changed = {"item_id": gym.training.id}
    elif changed == {"member": "other"}:
        changed = {"member_id": gym.join().member_id}
    before = acts(session)
    with pytest.raises(KeyReused, match="'taken'"):
        adjust(gym, member, **values | changed)
    assert (state(gym, member), acts(session)) == ([(CLASSES, 0), (3, 0)], before)


def test_the_same_key_at_once_adjusts_once(open_gym: Gym, database_url: str) -> None:
    member = open_gym.join()
    open_gym.session.commit()
    give = partial(
        adjustments.adjust,
        member_id=member.member_id,
        item_id=open_gym.spin.id,
        quantity=3,
        last_day=None,
        reason=AdjustmentReason.TRANSFER,
        note="from Uptown",
        alone_up_to=20,
        key="once",
        by=BY,
        now=NOW,
    )
    engine = make_engine(database_url, pool_size=8)
    given = together(engine, [give] * 8)
    engine.dispose()
    ids = {answer.id if isinstance(answer, Adjustment) else answer for answer in given}
    assert len(ids) == 1
    assert state(open_gym, member) == [(3, 0)]


def test_the_last_session_is_taken_or_used_and_not_both(open_gym: Gym, database_url: str) -> None:
    session = open_gym.session
    member = open_gym.join("sub")
    tell(session, paid("in", "sub"))
    use(open_gym, member, CLASSES - 1)
    session.commit()
    one: dict[str, Any] = {"member_id": member.member_id, "item_id": open_gym.spin.id, "by": BY, "now": NOW}
    how: dict[str, Any] = {"last_day": None, "reason": AdjustmentReason.NO_SHOW, "note": "absent", "alone_up_to": 20}
    jobs: list[Callable[[Session], Answer | Adjustment]] = []
    for number in range(8):
        jobs.append(partial(redeem, quantity=1, key=f"use {number}", **one))
        jobs.append(partial(adjustments.adjust, quantity=-1, key=f"take {number}", **one, **how))
    engine = make_engine(database_url, pool_size=16)
    answers = together(engine, jobs)
    engine.dispose()
    assert [type(answer) for answer in answers].count(TooFewSessions) == 15
    assert state(open_gym, member) == [(0, 0)]
    assert list(audit(session)) == []


@pytest.mark.parametrize("column", ["remaining", "shortfall", "reversed"])
def test_the_audit_finds_one_wrong_unit_on_an_adjusted_grant(
    gym: Gym, session: Session, member: Membership, column: str
) -> None:
    adjust(gym, member, 3)
    adjust(gym, member, -9)
    grant = adjusted_grant(gym, member)
    assert list(audit(session)) == []
    session.execute(text(f"UPDATE credit_grants SET {column} = {column} + 1 WHERE id = {grant.id}"))
    finding, *_ = audit(session)
    assert (finding.grant_id, finding.payment_id) == (grant.id, None)
    assert f"{column} is" in finding.what


def test_the_audit_finds_a_lot_that_was_filled_twice(gym: Gym, session: Session, member: Membership) -> None:
    adjust(gym, member, 2)
    grant = adjusted_grant(gym, member)
    session.add(
        LedgerEntry(grant_id=grant.id, kind="adjustment", quantity=1, occurred_at=NOW, action_id=grant.action_id)
    )
    session.flush()
    finding, *_ = audit(session)
    assert "quantity is 2, its entries sum to 3" in finding.what


def test_what_was_taken_by_hand_is_not_owed_when_the_money_goes_back(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    adjustments.adjust(
        session,
        member_id=membership.member_id,
        item_id=gym.spin.id,
        quantity=-3,
        last_day=None,
        reason=AdjustmentReason.CORRECTION,
        note="credited twice",
        alone_up_to=10,
        key=fresh("key"),
        by=BY,
        now=NOW,
    )
    tell(session, Reversed("in", NOW, "refund:re", DUES, "USD"))
    grant = grant_of(session, membership, gym.spin)
    assert (grant.remaining, grant.shortfall, grant.reversed) == (0, 0, CLASSES)
    tell(session, Restored("in", NOW + timedelta(hours=1), "refund:re", DUES, "USD"))
    session.refresh(grant)
    assert (grant.remaining, grant.shortfall, grant.reversed) == (CLASSES - 3, 0, 0)
