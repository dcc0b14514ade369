"""Tranches: one payment's sessions that become usable bit by bit, each with days of its own."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.days import end_of
from models.errors import TooFewSessions
from models.ledger.redemptions import redeem
from models.ledger.tables import CreditGrant
from models.members.memberships import Membership
from models.payments.facts import Linked, Paid, Restored, Reversed
from tests.models.days import expires_at
from tests.models.gym import BY, PAID_AT, Gym, entries, expire_all, fresh, grants_of, tell
from tests.models.payments.plans import join, plan

CHICAGO = "America/Chicago"
DUES = 108_000
FEBRUARY_1 = datetime(2024, 2, 1, 15, tzinfo=UTC)
BEGINS = (datetime(2024, 3, 1, 6, tzinfo=UTC), datetime(2025, 3, 1, 6, tzinfo=UTC))


@pytest.fixture
def member(gym: Gym) -> Membership:
    return join(gym, plan(gym, {gym.spin: (8, 30)}, dues=DUES, interval="year", release="monthly"), "sub")


def paid(at: datetime = PAID_AT) -> Paid:
    return Paid("in", at, DUES, "USD", ("sub",), covers=BEGINS)


def refund(amount: int, number: int = 1) -> Reversed:
    return Reversed("in", PAID_AT + timedelta(days=1), f"refund of in:re_{number}", amount, "USD")


def left(session: Session, member: Membership) -> list[int]:
    """What is left of each standing tranche, the first usable one first."""
    return [one.remaining for one in sorted(grants_of(session, member), key=lambda one: one.tranche) if one.quantity]


def test_a_year_makes_twelve_grants_at_once_each_with_its_own_days(
    gym: Gym, session: Session, member: Membership
) -> None:
    tell(session, paid())
    grants = grants_of(session, member)
    firsts = [date(2024 + month // 12, month % 12 + 1, 1) for month in range(2, 14)]
    assert [one.tranche for one in grants] == [0, *(int(f"{day:%Y%m%d}") for day in firsts[1:])]
    starts = [PAID_AT, *(end_of(day - timedelta(days=1), CHICAGO) for day in firsts[1:])]
    assert [one.effective_at for one in grants] == starts
    assert [one.expires_at for one in grants] == [expires_at(start, 30, CHICAGO) for start in starts]
    assert list(audit(session)) == []


def test_what_is_coming_cannot_be_used(gym: Gym, session: Session, member: Membership) -> None:
    tell(session, paid())
    use = {"member_id": member.member_id, "item_id": gym.spin.id, "by": BY}
    with pytest.raises(TooFewSessions):
        redeem(session, **use, quantity=9, key=fresh("key"), now=PAID_AT + timedelta(days=29))
    april = end_of(date(2024, 3, 31), CHICAGO)
    with pytest.raises(TooFewSessions):
        redeem(session, **use, quantity=9, key=fresh("key"), now=april - timedelta(seconds=1))
    assert redeem(session, **use, quantity=8, key=fresh("key"), now=april + timedelta(days=5)).draws


def test_what_is_coming_does_not_expire_before_it_begins(session: Session, member: Membership) -> None:
    tell(session, paid())
    expire_all(session, PAID_AT + timedelta(days=40))
    assert left(session, member) == [0, *[8] * 11]


def test_only_the_first_tranche_is_credited_late(session: Session, member: Membership) -> None:
    now = PAID_AT + timedelta(days=75)
    tell(session, paid(), now=now, late_credit=timedelta(days=1))
    first, second, *_ = grants_of(session, member)
    assert first.expires_at == expires_at(now, 30, CHICAGO)
    assert second.expires_at == expires_at(second.effective_at, 30, CHICAGO)


@pytest.mark.parametrize(
    ("amount", "kept"),
    [
        (DUES // 12 - 1, [*[8] * 11, 1]),
        (DUES // 12, [*[8] * 11, 0]),
        (DUES // 2, [*[8] * 6, *[0] * 6]),
        (DUES * 95 // 96, [1, *[0] * 11]),
        (DUES, [0] * 12),
    ],
)
def test_a_refund_takes_the_last_tranches_first(
    session: Session, member: Membership, amount: int, kept: list[int]
) -> None:
    tell(session, paid())
    tell(session, refund(amount))
    assert left(session, member) == kept
    assert list(audit(session)) == []


def test_what_comes_back_comes_back_to_the_first_of_those_taken(session: Session, member: Membership) -> None:
    tell(session, paid(), refund(DUES // 2, 1), refund(DUES // 4, 2))
    assert left(session, member) == [*[8] * 3, *[0] * 9]
    tell(session, Restored("in", PAID_AT + timedelta(days=2), "refund of in:re_1", DUES // 2, "USD"))
    assert left(session, member) == [*[8] * 9, *[0] * 3]
    assert list(audit(session)) == []


def test_three_months_told_again_are_three_grants(gym: Gym, session: Session) -> None:
    member = join(gym, plan(gym, {gym.spin: (8, 30)}), "sub")
    march_to_june = (BEGINS[0], datetime(2024, 6, 1, 5, tzinfo=UTC))
    for _ in range(2):
        tell(session, Paid("in", PAID_AT, 27_000, "USD", ("sub",), covers=march_to_june))
    assert [one.quantity for one in grants_of(session, member)] == [8, 8, 8]


def test_an_earlier_telling_moves_no_session_twice(session: Session, member: Membership) -> None:
    """Told to be paid in April first, so March and April have begun; then in March: April is still to come."""
    tell(session, paid(at=PAID_AT + timedelta(days=35)))
    assert left(session, member) == [16, *[8] * 10]
    tell(session, paid())
    assert [one for one in left(session, member) if one] == [8] * 12
    assert list(audit(session)) == []


class TestLarger:
    """A grant that turns out to be of more sessions than when it was made."""

    HALF = Paid("in", PAID_AT, DUES // 24, "USD", ("sub",), part="gift card")
    REST = Paid("in", PAID_AT, DUES // 24, "USD", ("sub",), part="card")

    @pytest.fixture
    def member(self, gym: Gym) -> Membership:
        return join(gym, plan(gym, {gym.spin: (8, 30)}), "sub")

    def grant(self, session: Session, member: Membership) -> CreditGrant:
        (only,) = grants_of(session, member)
        return only

    def test_it_has_one_grant_with_an_entry_for_each_part(self, session: Session, member: Membership) -> None:
        for told in (self.HALF, self.REST, self.HALF):
            tell(session, told)
        grant = self.grant(session, member)
        assert (grant.quantity, grant.remaining) == (8, 8)
        assert [(one.kind, one.quantity) for one in entries(session, grant)] == [("grant", 4), ("grant", 4)]
        first_quantity = session.scalar(
            text("SELECT first_quantity FROM credit_grants WHERE id = :id"), {"id": grant.id}
        )
        assert first_quantity == 4
        assert list(audit(session)) == []

    def test_after_a_refund_the_refund_is_of_the_whole(self, session: Session, member: Membership) -> None:
        half_back = Reversed("in", PAID_AT, "refund of in:re", DUES // 24, "USD")
        tell(session, self.HALF)
        tell(session, half_back)
        assert self.grant(session, member).remaining == 0
        tell(session, self.REST)
        grant = self.grant(session, member)
        assert (grant.quantity, grant.reversed, grant.remaining) == (8, 4, 4)
        assert list(audit(session)) == []

    def test_after_it_expired_the_rest_expires_too(self, session: Session, member: Membership) -> None:
        tell(session, self.HALF)
        expire_all(session, PAID_AT + timedelta(days=40))
        tell(session, self.REST, now=PAID_AT + timedelta(days=40))
        expire_all(session, PAID_AT + timedelta(days=40))
        grant = self.grant(session, member)
        assert (grant.quantity, grant.remaining) == (8, 0)
        assert list(audit(session)) == []

    def test_two_parts_joined_by_a_link_are_one_grant(self, session: Session, member: Membership) -> None:
        tell(session, self.HALF, Paid("pi", PAID_AT, DUES // 24, "USD", ("sub",), part="card"))
        tell(session, Linked("in", PAID_AT, "pi"))
        assert [one.quantity - one.reversed for one in grants_of(session, member)] == [8, 0]
        assert list(audit(session)) == []
