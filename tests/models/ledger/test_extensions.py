"""Expiries put off by hand: later only, by the club's own days, and no processor undoes it; the expired comes back."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.clubs import Club
from models.catalogue.days import end_of
from models.catalogue.rules import MAX_DAYS_TO_EXPIRE
from models.database.engine import sessions
from models.errors import (
    DayOver,
    DayTooFar,
    NeverExpires,
    NotFound,
    NothingExpired,
    NotLater,
    ReasonMissing,
    TextTooLong,
)
from models.ledger import adjustments, expiry, expiry_undo
from models.ledger.burn_order import Draw
from models.ledger.expiry import Breaker
from models.ledger.redemptions import redeem
from models.ledger.tables import CreditGrant
from models.members.memberships import Membership
from models.members.signing_up import sign_up
from models.payments.facts import Restored, Reversed
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
    wait_until_blocked,
)
from tests.models.ledger.test_adjustments import acts, adjust, adjusted_grant, last_act, use

DAY = timedelta(days=1)
CHICAGO = "America/Chicago"
LAST_DAY = date(2024, 3, 31)
"""Of the classes paid for on the 1st."""


@pytest.fixture
def member(gym: Gym) -> Membership:
    """With one paid payment: 8 classes until midnight of the 31st, and 2 trainings for ever."""
    membership = gym.join("sub")
    tell(gym.session, paid("in", "sub"))
    return membership


def extend(session: Session, grant_id: int, last_day: date, **changed: Any) -> int:
    values: dict[str, Any] = {"reason": "had the flu", "by": BY, "now": NOW} | changed
    return adjustments.extend(session, grant_id, last_day=last_day, **values)


@pytest.mark.parametrize(
    "last_day", [date(2024, 4, 1), date(2024, 11, 2), date(2024, 11, 3), date(2025, 1, 1)], ids=str
)
def test_it_can_be_used_until_the_end_of_the_new_last_day(
    gym: Gym, session: Session, member: Membership, last_day: date
) -> None:
    spin = grant_of(session, member, gym.spin)
    extend(session, spin.id, last_day)
    expires = end_of(last_day, CHICAGO)
    assert (spin.expires_at, spin.remaining) == (expires, CLASSES)
    entry = entries(session, spin)[-1]
    assert (entry.kind, entry.quantity, entry.expires_at, entry.occurred_at) == ("extension", 0, expires, NOW)
    assert (entry.action_id, entry.note, entry.fact_id) == (last_act(session).id, "had the flu", None)
    assert expire_all(session, expires - timedelta(microseconds=1)) == 0
    assert expire_all(session, expires) == 1
    assert list(audit(session)) == []


def test_who_put_it_off_from_where_and_why_is_written_down(gym: Gym, session: Session, member: Membership) -> None:
    spin, before = grant_of(session, member, gym.spin), acts(session)
    extend(session, spin.id, date(2024, 4, 9), reason=" had the flu\n")
    act = last_act(session)
    assert acts(session) == before + 1
    assert (act.actor, act.origin, act.verb, act.member_id) == (*BY, "extend", member.member_id)
    assert (act.subject, act.reason) == (f"grant {spin.id}, to the end of 2024-04-09", "had the flu")
    assert statement.entries(session, member.member_id)[-1].actor == BY.name


@pytest.mark.parametrize(
    ("last_day", "changed", "error", "message"),
    [
        (LAST_DAY, {}, NotLater, "until Mar 31, 2024 already"),
        (LAST_DAY - DAY, {}, NotLater, "choose a later day"),
        (date.min, {}, NotLater, "choose a later day"),
        (LAST_DAY + DAY, {"now": end_of(LAST_DAY + DAY, CHICAGO)}, DayOver, "choose a later one"),
        (LAST_DAY + DAY, {"reason": " "}, ReasonMissing, "a note is required"),
        (LAST_DAY + DAY, {"reason": "x" * 1001}, TextTooLong, "at most 1000 characters"),
        (NOW.date() + timedelta(days=MAX_DAYS_TO_EXPIRE + 1), {}, DayTooFar, "Feb 6, 2124"),
        (date.max, {}, DayTooFar, "Dec 31, 9999"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    gym: Gym,
    session: Session,
    member: Membership,
    last_day: date,
    changed: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    spin, before = grant_of(session, member, gym.spin), acts(session)
    expires = spin.expires_at
    with pytest.raises(error, match=message):
        extend(session, spin.id, last_day, **changed)
    assert (grant_of(session, member, gym.spin).expires_at, acts(session)) == (expires, before)


def test_until_the_very_end_it_can_be_put_off(gym: Gym, session: Session, member: Membership) -> None:
    spin = grant_of(session, member, gym.spin)
    extend(session, spin.id, LAST_DAY + DAY, now=end_of(LAST_DAY, CHICAGO) - timedelta(microseconds=1))
    assert spin.expires_at == end_of(LAST_DAY + DAY, CHICAGO)


def test_what_never_expires_or_is_not_there_is_refused(gym: Gym, session: Session, member: Membership) -> None:
    training = grant_of(session, member, gym.training)
    with pytest.raises(NeverExpires, match=f"Grant {training.id} never expires"):
        extend(session, training.id, date(2024, 4, 9))
    with pytest.raises(NotFound, match="no grant 0"):
        extend(session, 0, date(2024, 4, 9))


def test_the_days_are_those_of_the_club_that_was_paid(gym: Gym, session: Session, member: Membership) -> None:
    """Though the member's newest membership is elsewhere; sessions given by hand go by that one."""
    island = Club(name="Island", time_zone="Pacific/Kiritimati", currency="USD")
    session.add(island)
    session.flush()
    sign_up(
        session, email=member.member.email, name="Ada", club=island, term=gym.term, picks=[gym.spin], by=BY, now=NOW
    )
    spin = grant_of(session, member, gym.spin)
    extend(session, spin.id, date(2024, 4, 9))
    assert spin.expires_at == end_of(date(2024, 4, 9), CHICAGO)
    adjust(gym, member, 1, last_day=date(2024, 4, 1))
    given = adjusted_grant(gym, member)
    extend(session, given.id, date(2024, 4, 9))
    assert given.expires_at == datetime(2024, 4, 9, 10, tzinfo=UTC)


def test_a_lot_is_used_by_its_new_expiry(gym: Gym, session: Session, member: Membership) -> None:
    tell(session, paid("two", "sub", at=PAID_AT + timedelta(minutes=10)))
    adjust(gym, member, 1, last_day=date(2024, 4, 5))
    one, two, given = grants_of(session, member, gym.spin)
    assert use(gym, member, 1).draws == [Draw(one.id, 1)]
    extend(session, one.id, date(2024, 4, 9))
    assert use(gym, member, CLASSES + 2).draws == [Draw(two.id, CLASSES), Draw(given.id, 1), Draw(one.id, 1)]


def test_it_can_be_put_off_again(gym: Gym, session: Session, member: Membership) -> None:
    spin = grant_of(session, member, gym.spin)
    for last_day in (date(2024, 4, 5), date(2024, 4, 9)):
        extend(session, spin.id, last_day)
    assert spin.expires_at == end_of(date(2024, 4, 9), CHICAGO)
    with pytest.raises(NotLater, match="until Apr 9, 2024"):
        extend(session, spin.id, date(2024, 4, 7))


def test_of_two_at_once_the_second_sees_what_the_first_did(open_gym: Gym, engine: Engine) -> None:
    session = open_gym.session
    member = open_gym.join("sub")
    tell(session, paid("in", "sub"))
    spin = grant_of(session, member, open_gym.spin)
    session.commit()

    def less() -> None:
        with sessions(engine).begin() as other:
            stale = other.get_one(CreditGrant, spin.id)
            assert stale.expires_at == end_of(LAST_DAY, CHICAGO)
            with pytest.raises(NotLater, match="until Apr 9, 2024 already"):
                extend(other, stale.id, date(2024, 4, 5))

    extend(session, spin.id, date(2024, 4, 9))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(less)
        wait_until_blocked(engine, waiting.done)
        session.commit()
        waiting.result()
    assert grant_of(session, member, open_gym.spin).expires_at == end_of(date(2024, 4, 9), CHICAGO)


@pytest.mark.parametrize("late_credit", [timedelta(0), DAY])
def test_an_earlier_telling_of_the_payment_does_not_undo_it(
    gym: Gym, session: Session, member: Membership, late_credit: timedelta
) -> None:
    spin = grant_of(session, member, gym.spin)
    extend(session, spin.id, date(2024, 4, 9))
    told = len(entries(session, spin))
    for days in (2, 4):
        tell(session, paid("in", "sub", at=PAID_AT - days * DAY), late_credit=late_credit)
    assert grant_of(session, member, gym.spin).expires_at == end_of(date(2024, 4, 9), CHICAGO)
    assert len(entries(session, spin)) == told


def test_what_an_earlier_telling_has_dated_can_be_put_off(gym: Gym, session: Session, member: Membership) -> None:
    tell(session, paid("in", "sub", at=PAID_AT - 2 * DAY))
    spin = grant_of(session, member, gym.spin)
    assert spin.expires_at == end_of(LAST_DAY - 2 * DAY, CHICAGO)
    extend(session, spin.id, date(2024, 4, 9))
    tell(session, paid("in", "sub", at=PAID_AT - 3 * DAY))
    assert grant_of(session, member, gym.spin).expires_at == end_of(date(2024, 4, 9), CHICAGO)


def test_a_refund_takes_sessions_of_an_extended_grant(gym: Gym, session: Session, member: Membership) -> None:
    spin = grant_of(session, member, gym.spin)
    extend(session, spin.id, date(2024, 4, 9))
    tell(session, Reversed("in", PAID_AT, "dispute:dp", DUES, "USD"), now=end_of(LAST_DAY, CHICAGO) + DAY)
    assert [entry.kind for entry in entries(session, spin)] == ["grant", "extension", "clawback"]
    assert grant_of(session, member, gym.spin).remaining == 0


NEXT_WEEK = LAST_DAY + 7 * DAY
OVER = end_of(LAST_DAY, CHICAGO) + timedelta(hours=12)
"""When the classes have expired."""


def kinds(session: Session, grant: CreditGrant) -> list[tuple[str, int]]:
    return [(entry.kind, entry.quantity) for entry in entries(session, grant)]


def test_expired_sessions_come_back_by_counter_entries(gym: Gym, session: Session, member: Membership) -> None:
    use(gym, member, 3)
    expire_all(session, OVER)
    spin, before = grant_of(session, member, gym.spin), acts(session)
    assert extend(session, spin.id, NEXT_WEEK, now=OVER) == CLASSES - 3
    assert (spin.remaining, spin.expires_at) == (CLASSES - 3, end_of(NEXT_WEEK, CHICAGO))
    *_, back, extension = entries(session, spin)
    assert kinds(session, spin)[2:] == [("expiry", 3 - CLASSES), ("expiry", CLASSES - 3), ("extension", 0)]
    assert (back.action_id, back.note, back.occurred_at) == (last_act(session).id, "had the flu", OVER)
    assert (extension.action_id, extension.expires_at) == (back.action_id, spin.expires_at)
    assert acts(session) == before + 1
    assert use_at(gym, member, CLASSES - 3, OVER)
    assert list(audit(session)) == []


def use_at(gym: Gym, member: Membership, quantity: int, now: datetime) -> list[Draw]:
    values = {"member_id": member.member_id, "item_id": gym.spin.id, "quantity": quantity}
    return redeem(gym.session, **values, key=fresh("key"), by=BY, now=now).draws


def test_what_has_expired_by_the_clock_alone_comes_back_too(gym: Gym, session: Session, member: Membership) -> None:
    spin = grant_of(session, member, gym.spin)
    assert extend(session, spin.id, NEXT_WEEK, now=OVER) == 0
    assert (spin.remaining, spin.expires_at) == (CLASSES, end_of(NEXT_WEEK, CHICAGO))
    assert expire_all(session, OVER) == 0
    assert list(audit(session)) == []


def test_it_can_expire_and_come_back_again(gym: Gym, session: Session, member: Membership) -> None:
    spin = grant_of(session, member, gym.spin)
    for last_day in (NEXT_WEEK, NEXT_WEEK + 7 * DAY):
        expire_all(session, over := end_of(last_day - 7 * DAY, CHICAGO))
        assert extend(session, spin.id, last_day, now=over) == CLASSES
    assert spin.remaining == CLASSES
    assert list(audit(session)) == []


def test_where_nothing_of_it_has_expired_nothing_comes_back(gym: Gym, session: Session, member: Membership) -> None:
    use(gym, member, CLASSES)
    spin, before = grant_of(session, member, gym.spin), acts(session)
    with pytest.raises(NothingExpired, match=f"Grant {spin.id} has no expired sessions"):
        extend(session, spin.id, NEXT_WEEK, now=OVER)
    assert (kinds(session, spin), acts(session)) == ([("grant", CLASSES), ("redemption", -CLASSES)], before)


@pytest.mark.parametrize("refunded_first", [True, False])
@pytest.mark.parametrize("percent", [50, 100])
def test_what_was_refunded_does_not_come_back(
    gym: Gym, session: Session, member: Membership, percent: int, refunded_first: bool
) -> None:
    """Whether the refund was told before the extension or after it."""
    spin = grant_of(session, member, gym.spin)
    use(gym, member, 1)
    expire_all(session, OVER)
    refund = Reversed("in", OVER, "refund:re", DUES * percent // 100, "USD")
    if refunded_first:
        tell(session, refund, now=OVER)
    if percent == 100 and refunded_first:
        with pytest.raises(NothingExpired):
            extend(session, spin.id, NEXT_WEEK, now=OVER)
    else:
        extend(session, spin.id, NEXT_WEEK, now=OVER)
    if not refunded_first:
        tell(session, refund, now=OVER)
    taken = CLASSES * percent // 100
    grant = grant_of(session, member, gym.spin)
    assert (grant.remaining, grant.reversed) == (max(0, CLASSES - 1 - taken), taken)
    assert list(audit(session)) == []


def test_undoing_its_expiry_run_gives_nothing_twice(gym: Gym, session: Session, member: Membership) -> None:
    gym_wide = Breaker(grants_from=1000, times=5)
    while expiry.step(session, as_of=OVER, breaker=gym_wide).more:
        pass
    (run,) = expiry.page(session, limit=2).runs
    spin = grant_of(session, member, gym.spin)
    assert spin.remaining == 0
    extend(session, spin.id, NEXT_WEEK, now=OVER)
    expiry_undo.undo(session, run.id, last_day=None, reason="by mistake", by=BY, now=OVER)
    while expiry_undo.step(session, now=OVER):
        pass
    assert (grant_of(session, member, gym.spin).remaining, run.undone_sessions) == (CLASSES, 0)
    assert list(audit(session)) == []


def test_days_that_a_person_gave_come_on_top_of_days_of_money_away(
    gym: Gym, session: Session, member: Membership
) -> None:
    spin = grant_of(session, member, gym.spin)
    extend(session, spin.id, LAST_DAY + 5 * DAY)
    tell(session, Reversed("in", PAID_AT + 10 * DAY, "failure:in"), now=PAID_AT + 10 * DAY)
    tell(session, Restored("in", PAID_AT + 50 * DAY, "failure:in"), now=PAID_AT + 50 * DAY)
    assert grant_of(session, member, gym.spin).expires_at == end_of(LAST_DAY + 45 * DAY, CHICAGO)
    assert grant_of(session, member, gym.spin).remaining == CLASSES
