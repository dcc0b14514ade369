"""Until when sessions can be used whose money was away for a while: a returned payment that was collected again."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.days import end_of
from models.ledger.redemptions import redeem
from models.ledger.tables import CreditGrant
from models.members.memberships import Membership
from models.payments.facts import Fact, Restored, Reversed
from tests.models.gym import (
    BY,
    CLASSES,
    DUES,
    PAID_AT,
    Gym,
    deliver,
    entries,
    events,
    expire_all,
    fresh,
    grant_of,
    paid,
    tell,
)

DAY = timedelta(days=1)
CHICAGO = "America/Chicago"
PAID_ON = date(2024, 3, 1)
LAST_DAY = date(2024, 3, 31)
CAUSES = {"bank's retry": "failure:in", "failed refund": "refund:re", "won dispute": "dispute:dp"}


def after(days: float) -> datetime:
    return PAID_AT + days * DAY


def returned(day: float, cause: str = "failure:in", amount: int | None = None) -> Reversed:
    return Reversed("in", after(day), cause, amount, "USD" if amount else None)


def collected(day: float, cause: str = "failure:in", amount: int | None = None) -> Restored:
    return Restored("in", after(day), cause, amount, "USD" if amount else None)


def play(gym: Gym, *facts: Fact, late_credit: timedelta = timedelta(0)) -> Membership:
    """Each fact told when it happened, and what had expired by then written down before."""
    membership = gym.join("sub")
    for fact in facts:
        expire_all(gym.session, fact.occurred_at)
        tell(gym.session, fact, now=fact.occurred_at, late_credit=late_credit)
    assert list(audit(gym.session)) == []
    return membership


def days_left(grant: CreditGrant, day: float) -> int:
    """After the local day that is so long after the payment."""
    assert grant.expires_at is not None
    return (grant.expires_at - end_of(PAID_ON + timedelta(days=int(day)), CHICAGO)) // DAY


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_collected_again_after_its_expiry_it_has_the_days_that_were_left(
    gym: Gym, session: Session, cause: str
) -> None:
    membership = play(gym, paid("in", "sub"), returned(5, cause), collected(32, cause))
    grant = grant_of(session, membership, gym.spin)
    assert (grant.remaining, grant.reversed, days_left(grant, 32)) == (CLASSES, 0, 25)
    assert expire_all(session, after(40)) == 0
    grant = grant_of(session, membership, gym.spin)
    values = {"member_id": membership.member_id, "item_id": gym.spin.id, "quantity": CLASSES}
    assert redeem(session, **values, key=fresh("key"), by=BY, now=after(57)).draws == [(grant.id, CLASSES)]


def test_its_entries_say_why(gym: Gym, session: Session) -> None:
    membership = play(gym, paid("in", "sub"), returned(5), collected(32))
    told = entries(session, grant_of(session, membership, gym.spin))
    assert [entry.kind for entry in told] == ["grant", "clawback", "extension", "reinstatement"]
    extension, reinstatement = told[2:]
    assert extension.note == "days on which its money was away are not counted"
    assert (extension.fact_id, extension.occurred_at) == (reinstatement.fact_id, after(32))


def test_collected_again_before_its_expiry_it_has_the_days_that_were_left_too(gym: Gym, session: Session) -> None:
    membership = play(gym, paid("in", "sub"), returned(5), collected(12))
    assert days_left(grant_of(session, membership, gym.spin), 12) == 25


def test_on_the_same_day_nothing_is_lost_and_nothing_gained(gym: Gym, session: Session) -> None:
    membership = play(gym, paid("in", "sub"), returned(5), collected(5.1))
    grant = grant_of(session, membership, gym.spin)
    assert (grant.remaining, grant.expires_at) == (CLASSES, end_of(LAST_DAY, CHICAGO))


def test_returned_on_its_last_day_it_can_be_used_on_the_day_it_is_collected_again(gym: Gym, session: Session) -> None:
    membership = play(gym, paid("in", "sub"), returned(30), collected(40))
    assert days_left(grant_of(session, membership, gym.spin), 40) == 0


def test_returned_after_its_expiry_it_stays_expired(gym: Gym, session: Session) -> None:
    membership = play(gym, paid("in", "sub"), returned(35), collected(40))
    grant = grant_of(session, membership, gym.spin)
    assert (grant.remaining, grant.expires_at) == (0, end_of(LAST_DAY, CHICAGO))


def test_returned_twice_both_times_count(gym: Gym, session: Session) -> None:
    membership = play(gym, paid("in", "sub"), returned(5), collected(12), returned(20), collected(60))
    assert days_left(grant_of(session, membership, gym.spin), 60) == 30 - 5 - (20 - 12)


def test_what_stays_refunded_is_not_away(gym: Gym, session: Session) -> None:
    half = DUES // 2
    membership = play(gym, paid("in", "sub"), returned(2, "refund:re_1", half), returned(5), collected(32))
    grant = grant_of(session, membership, gym.spin)
    assert (grant.remaining, grant.reversed, days_left(grant, 32)) == (CLASSES // 2, CLASSES // 2, 25)


def test_a_part_that_comes_back_can_be_used_and_with_it_what_had_expired_beside_it(gym: Gym, session: Session) -> None:
    """A grant has one last day."""
    half = DUES // 2
    membership = play(gym, paid("in", "sub"), returned(5, "refund:re", half), collected(32, "refund:re", half))
    grant = grant_of(session, membership, gym.spin)
    assert (grant.remaining, grant.reversed, days_left(grant, 32)) == (CLASSES, 0, 25)
    assert [entry.kind for entry in entries(session, grant)][-1] == "expiry"


def test_what_never_expires_goes_on_never_expiring(gym: Gym, session: Session) -> None:
    membership = play(gym, paid("in", "sub"), returned(5), collected(32))
    grant = grant_of(session, membership, gym.training)
    assert (grant.remaining, grant.expires_at) == (2, None)


ORDERS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("at_once", [True, False])
def test_in_whatever_order_it_is_told(gym: Gym, session: Session, order: Sequence[int], at_once: bool) -> None:
    facts = [paid("in", "sub"), returned(5), collected(32)]
    membership, told = gym.join("sub"), [facts[number] for number in order]
    for group in [told] if at_once else [[fact] for fact in told]:
        expire_all(session, after(33))
        deliver(session, events(*group), now=after(33))
    grant = grant_of(session, membership, gym.spin)
    assert (grant.remaining, days_left(grant, 32)) == (CLASSES, 25)
    assert list(audit(session)) == []


def test_told_again_it_changes_nothing(gym: Gym, session: Session) -> None:
    membership = play(gym, paid("in", "sub"), returned(5), collected(32))
    grant = grant_of(session, membership, gym.spin)
    before = [entry.id for entry in entries(session, grant)]
    tell(session, paid("in", "sub"), returned(5), collected(32), now=after(33))
    assert [entry.id for entry in entries(session, grant)] == before


def test_where_we_hear_late_of_its_return_the_days_count_from_then(gym: Gym, session: Session) -> None:
    """The member was without them until we knew, as with sessions credited late."""
    membership = gym.join("sub")
    for fact, now in ((paid("in", "sub"), 0), (returned(5), 5), (collected(6), 40)):
        expire_all(session, after(now))
        tell(session, fact, now=after(now), late_credit=DAY)
    grant = grant_of(session, membership, gym.spin)
    assert (grant.remaining, days_left(grant, 40)) == (CLASSES, 25)


def test_what_we_hear_of_late_as_a_whole_takes_no_days(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"), late_credit=DAY)
    tell(session, returned(5), collected(12), now=after(20), late_credit=DAY)
    grant = grant_of(session, membership, gym.spin)
    assert (grant.remaining, grant.expires_at) == (CLASSES, end_of(LAST_DAY, CHICAGO))


def test_sessions_credited_late_lose_no_days_that_were_before(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"), returned(5), collected(12), now=after(20), late_credit=DAY)
    assert days_left(grant_of(session, membership, gym.spin), 20) == 30
