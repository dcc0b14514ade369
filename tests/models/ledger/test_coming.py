"""Tranches: each can be used, taken, extended and expires by its own day; money that goes back takes the last first."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.errors import TooFewSessions
from models.ledger import adjustments, expiry, expiry_undo
from models.ledger.adjustments import AdjustmentReason
from models.ledger.burn_order import Draw
from models.ledger.expiry import Breaker
from models.ledger.redemptions import redeem
from models.ledger.tables import CreditGrant
from models.members.memberships import Membership
from models.payments import settlement
from models.payments.facts import Paid, Restored, Reversed
from tests.models.gym import BY, CLASSES, DUES, Gym, entries, expire_all, fresh, grant_of, grants_of, paid, tell
from tests.models.yearly import FEB_28, MONTHS, PAID, yearly_member

DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)
MAR_5, MAR_10 = datetime(2023, 3, 5, 18, tzinfo=UTC), datetime(2023, 3, 10, 18, tzinfo=UTC)


@pytest.fixture
def member(gym: Gym) -> Membership:
    return yearly_member(gym)


@pytest.fixture(autouse=True)
def audited(gym: Gym, session: Session) -> Callable[[], None]:
    """Whatever a test did, everything adds up."""
    yield
    assert list(audit(session)) == []


def spins(gym: Gym, member: Membership) -> list[CreditGrant]:
    return grants_of(gym.session, member, gym.spin)


def use(gym: Gym, member: Membership, quantity: int, now: datetime) -> list[Draw]:
    wanted = {"member_id": member.member_id, "item_id": gym.spin.id, "quantity": quantity}
    return redeem(gym.session, **wanted, key=fresh("key"), by=BY, now=now).draws


def last_days(gym: Gym, member: Membership) -> list[date]:
    """In Chicago, by the time of the tranches."""
    return [(grant.expires_at - timedelta(hours=7)).date() for grant in spins(gym, member) if grant.expires_at]


def test_each_can_be_used_from_the_beginning_of_its_day(gym: Gym, member: Membership) -> None:
    first, second, *_ = spins(gym, member)
    with pytest.raises(TooFewSessions, match=r"9 Spin .* 8 usable \(88 coming, the next on Feb 28, 2023\): nothing"):
        use(gym, member, CLASSES + 1, FEB_28 - INSTANT)
    assert use(gym, member, CLASSES + 1, FEB_28) == [Draw(first.id, CLASSES), Draw(second.id, 1)]
    assert second.effective_at == FEB_28


def test_with_none_usable_the_refusal_says_from_when(gym: Gym, member: Membership) -> None:
    use(gym, member, CLASSES, PAID)
    with pytest.raises(TooFewSessions) as refused:
        use(gym, member, 1, PAID + DAY)
    coming = CLASSES * (MONTHS - 1)
    known = {"asked": 1, "item": "Spin", "usable": 0, "coming": coming, "usable_from": date(2023, 2, 28)}
    assert refused.value.details == known


def test_without_coming_ones_the_refusal_does_not_speak_of_them(gym: Gym) -> None:
    gym.term.interval, gym.term.release = "month", "at_once"
    other = gym.join("monthly")
    with pytest.raises(TooFewSessions, match="1 Spin session asked for, 0 usable: nothing was taken"):
        use(gym, other, 1, PAID)


def test_staff_take_usable_ones_only(gym: Gym, member: Membership, session: Session) -> None:
    def take(quantity: int) -> None:
        adjustments.adjust(
            session,
            member_id=member.member_id,
            item_id=gym.spin.id,
            quantity=-quantity,
            last_day=None,
            reason=AdjustmentReason.CORRECTION,
            note="for the test",
            alone_up_to=20,
            key=fresh("key"),
            by=BY,
            now=PAID + DAY,
        )

    with pytest.raises(TooFewSessions, match="88 coming"):
        take(CLASSES + 1)
    take(CLASSES)
    assert [grant.remaining for grant in spins(gym, member)] == [0] + [CLASSES] * 11


def test_each_expires_by_its_own_day(gym: Gym, member: Membership, session: Session) -> None:
    assert last_days(gym, member)[:3] == [date(2023, 3, 2), date(2023, 3, 30), date(2023, 4, 30)]
    assert expire_all(session, MAR_10) == 1
    assert [grant.remaining for grant in spins(gym, member)] == [0] + [CLASSES] * 11


def test_an_undone_run_leaves_the_coming_as_they_are(gym: Gym, member: Membership, session: Session) -> None:
    breaker = Breaker(100, 10)
    while expiry.step(session, as_of=MAR_10, breaker=breaker).more:
        pass
    [run] = expiry.page(session, limit=2).runs
    coming = [(grant.remaining, grant.expires_at) for grant in spins(gym, member)[1:]]
    expiry_undo.undo(session, run.id, last_day=date(2023, 3, 20), reason="a test", by=BY, now=MAR_10)
    while expiry_undo.step(session, now=MAR_10):
        pass
    first, *others = spins(gym, member)
    assert (first.remaining, last_days(gym, member)[0]) == (CLASSES, date(2023, 3, 20))
    assert [(grant.remaining, grant.expires_at) for grant in others] == coming


def test_a_coming_one_is_extended_from_its_own_last_day(gym: Gym, member: Membership, session: Session) -> None:
    before = last_days(gym, member)
    second = spins(gym, member)[1]
    adjustments.extend(session, second.id, last_day=date(2023, 4, 9), reason="a test", by=BY, now=PAID + DAY)
    assert last_days(gym, member) == [before[0], date(2023, 4, 9), *before[2:]]
    use(gym, member, CLASSES, PAID + DAY)
    with pytest.raises(TooFewSessions):
        use(gym, member, 1, FEB_28 - INSTANT)


def test_days_without_the_money_count_for_those_that_had_begun(gym: Gym, member: Membership, session: Session) -> None:
    """The second had begun, and staff had put its last day off by ten days; the third began later."""
    before = last_days(gym, member)
    second = spins(gym, member)[1]
    adjustments.extend(session, second.id, last_day=date(2023, 4, 9), reason="a test", by=BY, now=FEB_28)
    tell(session, Reversed("in", MAR_5, "dispute:dp"), now=MAR_5)
    tell(session, Restored("in", MAR_10, "dispute:dp"), now=MAR_10)
    assert last_days(gym, member) == [before[0], date(2023, 4, 14), *before[2:]]
    assert [grant.remaining for grant in spins(gym, member)[1:]] == [CLASSES] * 11


def test_money_that_goes_back_takes_the_last_first(gym: Gym, member: Membership, session: Session) -> None:
    use(gym, member, 3, PAID)
    part = DUES // MONTHS * 3 // 2
    tell(session, Reversed("in", MAR_5, "refund:re", part, "USD"), now=MAR_5)
    assert [grant.remaining for grant in spins(gym, member)] == [CLASSES - 3] + [CLASSES] * 9 + [CLASSES // 2, 0]
    tell(session, Restored("in", MAR_10, "refund:re"), now=MAR_10)
    assert [grant.remaining for grant in spins(gym, member)] == [CLASSES - 3] + [CLASSES] * 11


def test_what_was_used_is_repaid_by_the_first_tranche_of_the_next_payment(
    gym: Gym, member: Membership, session: Session
) -> None:
    use(gym, member, 3, PAID)
    tell(session, Reversed("in", MAR_5, "refund:re", DUES, "USD"), now=MAR_5)
    assert [(grant.remaining, grant.shortfall) for grant in spins(gym, member)] == [(0, 3)] + [(0, 0)] * 11
    tell(session, paid("again", "sub", at=MAR_10), now=MAR_10)
    assert [grant.remaining for grant in spins(gym, member)[12:]] == [CLASSES - 3] + [CLASSES] * 11
    assert sum(grant.shortfall for grant in spins(gym, member)) == 0


class TestEnlarged:
    """A payment of two parts, of which the second is told later."""

    @pytest.fixture(autouse=True)
    def by_the_month(self, gym: Gym) -> None:
        gym.term.interval, gym.term.release = "month", "at_once"
        gym.session.flush()

    @staticmethod
    def part(name: str, at: datetime) -> Paid:
        return Paid("in", at, DUES // 2, "USD", ("sub",), part=name)

    def test_its_last_day_is_that_of_the_earliest_part(self, gym: Gym, session: Session) -> None:
        member = gym.join("sub")
        tell(session, self.part("card", MAR_10), now=MAR_10)
        tell(session, self.part("voucher", MAR_5), now=MAR_10)
        spin = grant_of(session, member, gym.spin)
        assert (spin.first_quantity, spin.quantity, spin.remaining) == (CLASSES // 2, CLASSES, CLASSES)
        assert last_days(gym, member) == [date(2023, 4, 4)]

    def test_what_it_gives_later_repays_what_was_owed(self, gym: Gym, session: Session) -> None:
        """As if both had been told before the first one's money went back."""
        member = gym.join("sub")
        tell(session, self.part("card", MAR_5), now=MAR_5)
        use(gym, member, CLASSES // 2, MAR_5)
        tell(session, Reversed("in", MAR_5 + DAY, "refund:re", DUES // 2, "USD"), now=MAR_5 + DAY)
        assert grant_of(session, member, gym.spin).shortfall == CLASSES // 2
        tell(session, self.part("voucher", MAR_5), now=MAR_10)
        spin = grant_of(session, member, gym.spin)
        assert (spin.quantity, spin.remaining, spin.shortfall, spin.reversed) == (CLASSES, 0, 0, CLASSES // 2)
        assert sum(entry.quantity for entry in entries(session, spin)) == 0

    def test_a_payment_that_would_give_more_is_found_by_the_audit(self, gym: Gym, session: Session) -> None:
        gym.join("sub")
        tell(session, self.part("card", MAR_5), now=MAR_5)
        assert settlement.settle_matched(session, now=MAR_5, late_credit=timedelta(0)) == 1, "what may be a fee waits"
        with session.begin_nested() as undone:
            session.execute(text("SET LOCAL session_replication_role = replica"))
            session.execute(text("UPDATE payment_facts SET amount_minor = amount_minor * 2"))
            assert [one.what for one in audit(session)] == [
                f"payment {spin.payment_id}: its facts and the ledger differ; settling would change it"
                for spin in session.query(CreditGrant).limit(1)
            ]
            undone.rollback()
