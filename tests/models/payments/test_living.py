"""Freezes, closures and ends: which days do not count, what they let a payment give, and what can be used meanwhile."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.clubs import edit_club
from models.catalogue.days import last_day
from models.catalogue.offers import edit_term
from models.catalogue.terms import FrozenDues, Interval, OnEnd, Release
from models.errors import MembershipFrozen, TooFewSessions
from models.ledger.adjustments import extend
from models.ledger.redemptions import redeem
from models.members import closure_walk, life
from models.members.life import Done, LifeAct, Scope
from models.members.memberships import Membership
from models.payments import living
from models.payments.facts import Paid, Reversed
from models.statements.why_not import why_not
from tests.models.gym import BY, DUES, Gym, expire_all, fresh, grant_of, grants_of, tell
from tests.models.payments.sweeps import sweep_to_the_end

CHICAGO = "America/Chicago"
NO_DELAY = timedelta(0)


def january(day: int, month: int = 1, hour: int = 18) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


JAN_5, JAN_20, JAN_25 = january(5), january(20), january(25)


def day(number: int, month: int = 1) -> date:
    return date(2026, month, number)


def dues(name: str, at: datetime, amount: int = DUES, covers: tuple[datetime, datetime] | None = None) -> Paid:
    return Paid(name, at, amount, "USD", ("sub",), covers=covers)


def joined(gym: Gym, **terms: object) -> Membership:
    edit_term(gym.session, gym.term, **terms)
    return gym.join("sub")


def do(gym: Gym, act: Callable[[], Done], now: datetime) -> LifeAct:
    """The act, settled at once."""
    return living.apply(gym.session, act, now=now, late_credit=NO_DELAY).act


def freeze(gym: Gym, held: Membership, first: date, last: date | None, now: datetime = JAN_5) -> LifeAct:
    return do(gym, lambda: life.freeze(gym.session, held, first=first, last=last, reason="hurt", by=BY, now=now), now)


def end(gym: Gym, held: Membership, last: date, now: datetime = JAN_20) -> LifeAct:
    return do(gym, lambda: life.end(gym.session, held, last=last, reason="moves away", by=BY, now=now), now)


def undo(gym: Gym, act: LifeAct, now: datetime = JAN_25) -> LifeAct:
    return do(gym, lambda: life.undo(gym.session, act, reason="a mistake", by=BY, now=now), now)


def usable_to(gym: Gym, held: Membership) -> date | None:
    gym.session.expire_all()
    expires = grant_of(gym.session, held, gym.spin).expires_at
    return last_day(expires, CHICAGO) if expires else None


def clean(session: Session) -> bool:
    return list(audit(session)) == []


class TestFreeze:
    def test_its_days_do_not_count(self, gym: Gym) -> None:
        held = joined(gym)
        tell(gym.session, dues("in", january(1)), now=january(1))
        assert usable_to(gym, held) == day(31)
        freeze(gym, held, day(7), day(16))
        assert usable_to(gym, held) == day(10, 2)
        assert clean(gym.session)

    def test_days_of_two_freezes_count_once(self, gym: Gym) -> None:
        held = joined(gym)
        tell(gym.session, dues("in", january(1)), now=january(1))
        freeze(gym, held, day(7), day(16))
        freeze(gym, held, day(15), day(19))
        assert usable_to(gym, held) == day(13, 2)

    def test_a_freeze_that_matters_only_because_of_an_earlier_one(self, gym: Gym) -> None:
        held = joined(gym)
        tell(gym.session, dues("in", january(1)), now=january(1))
        freeze(gym, held, day(5, 2), day(9, 2))
        assert usable_to(gym, held) == day(31)
        freeze(gym, held, day(7), day(16))
        assert usable_to(gym, held) == day(15, 2)

    def test_a_payment_told_late_gets_the_same_day(self, gym: Gym) -> None:
        held = joined(gym)
        freeze(gym, held, day(7), day(16), now=january(7))
        tell(gym.session, dues("in", january(1)), now=january(9))
        assert usable_to(gym, held) == day(10, 2)

    def test_until_further_notice_nothing_expires_and_its_end_gives_the_days_back(self, gym: Gym) -> None:
        held = joined(gym)
        tell(gym.session, dues("in", january(1)), now=january(1))
        act = freeze(gym, held, day(7), None)
        assert usable_to(gym, held) is None
        expire_all(gym.session, january(1, 6))
        now = january(16)
        do(gym, lambda: life.change(gym.session, act, last=day(16), reason="well again", by=BY, now=now), now)
        assert usable_to(gym, held) == day(10, 2)
        assert clean(gym.session)

    def test_undone_it_never_was(self, gym: Gym) -> None:
        held = joined(gym)
        tell(gym.session, dues("in", january(1)), now=january(1))
        undo(gym, freeze(gym, held, day(7), day(16)))
        assert usable_to(gym, held) == day(31)
        assert [entry.undone for entry in life.in_force(gym.session, membership_id=held.id)] == []

    def test_recorded_late_it_brings_back_what_had_expired(self, gym: Gym) -> None:
        held = joined(gym)
        tell(gym.session, dues("in", january(1)), now=january(1))
        expire_all(gym.session, january(3, 2))
        assert grant_of(gym.session, held, gym.spin).remaining == 0
        freeze(gym, held, day(7), day(16), now=january(4, 2))
        gym.session.expire_all()
        assert grant_of(gym.session, held, gym.spin).remaining == 8
        assert clean(gym.session)

    def test_what_had_expired_before_it_stays_so(self, gym: Gym) -> None:
        held = joined(gym)
        tell(gym.session, dues("in", january(1)), now=january(1))
        expire_all(gym.session, january(3, 2))
        freeze(gym, held, day(1, 2), day(9, 2), now=january(10, 2))
        assert grant_of(gym.session, held, gym.spin).remaining == 0

    def test_only_its_own_membership_is_frozen(self, gym: Gym) -> None:
        held, other = joined(gym), gym.join("other")
        tell(gym.session, dues("in", january(1)), now=january(1))
        tell(gym.session, Paid("in2", january(1), DUES, "USD", ("other",)), now=january(1))
        freeze(gym, held, day(7), day(16))
        assert (usable_to(gym, held), usable_to(gym, other)) == (day(10, 2), day(31))

    def test_days_that_staff_gave_come_on_top(self, gym: Gym) -> None:
        held = joined(gym)
        tell(gym.session, dues("in", january(1)), now=january(1))
        spin = grant_of(gym.session, held, gym.spin)
        extend(gym.session, spin.id, last_day=day(3, 2), reason="asked", by=BY, now=january(2))
        act = freeze(gym, held, day(7), day(16))
        assert usable_to(gym, held) == day(13, 2)
        undo(gym, act)
        assert usable_to(gym, held) == day(3, 2)


class TestUseWhileFrozen:
    def test_it_is_refused_with_the_day(self, gym: Gym) -> None:
        held = joined(gym)
        tell(gym.session, dues("in", january(1)), now=january(1))
        freeze(gym, held, day(7), day(16))
        with pytest.raises(MembershipFrozen, match="until Jan 16, 2026"):
            check_in(gym, held, january(10))
        check_in(gym, held, january(17, hour=12))

    def test_a_club_may_allow_it(self, gym: Gym) -> None:
        held = joined(gym)
        tell(gym.session, dues("in", january(1)), now=january(1))
        freeze(gym, held, day(7), day(16))
        edit_club(gym.session, gym.club, use_while_frozen=True)
        gym.session.flush()
        check_in(gym, held, january(10))

    def test_with_too_few_anyway_it_says_so(self, gym: Gym) -> None:
        held = joined(gym)
        tell(gym.session, dues("in", january(1)), now=january(1))
        freeze(gym, held, day(7), day(16))
        with pytest.raises(TooFewSessions):
            check_in(gym, held, january(10), 9)


def check_in(gym: Gym, held: Membership, now: datetime, quantity: int = 1) -> None:
    redeem(
        gym.session, member_id=held.member_id, item_id=gym.spin.id, quantity=quantity, key=fresh("key"), by=BY, now=now
    )


class TestDuesWhileFrozen:
    @pytest.mark.parametrize(
        ("rule", "amount", "gives", "state", "reasons"),
        [
            ("nothing", 1500, 0, "freeze_fee", set()),
            ("nothing", DUES, 0, "settled", {"frozen"}),
            ("part", DUES // 2, 4, "settled", {"part"}),
            ("part", DUES, 8, "settled", set()),
            ("full", DUES, 8, "settled", set()),
        ],
    )
    def test_they_give_what_the_term_says(
        self, gym: Gym, rule: str, amount: int, gives: int, state: str, reasons: set[str]
    ) -> None:
        held = joined(gym, frozen_dues=FrozenDues(rule))
        freeze(gym, held, day(1), day(31))
        tell(gym.session, dues("in", january(10), amount), now=january(10))
        assert sum(grant.quantity for grant in grants_of(gym.session, held, gym.spin)) == gives
        assert outcome(gym.session, "in") == (state, reasons)

    def test_a_freeze_recorded_later_takes_the_sessions_back_and_its_undoing_gives_them_again(self, gym: Gym) -> None:
        held = joined(gym)
        tell(gym.session, dues("in", january(10), 1500, covers=(january(10), january(10, 2))), now=january(10))
        assert left(gym, held) == 8
        act = freeze(gym, held, day(7), day(16), now=january(12))
        assert (left(gym, held), outcome(gym.session, "in")) == (0, ("freeze_fee", set()))
        undo(gym, act)
        assert left(gym, held) == 8
        assert clean(gym.session)


def left(gym: Gym, held: Membership) -> int:
    gym.session.expire_all()
    return sum(grant.remaining for grant in grants_of(gym.session, held, gym.spin))


def outcome(session: Session, reference: str) -> tuple[str, set[str]]:
    state = session.scalars(text("SELECT state FROM payments WHERE reference = :name"), {"name": reference}).one()
    found = text(
        "SELECT r.reason FROM payment_reviews r JOIN payments p ON p.id = r.payment_id WHERE reference = :name"
    )
    return state, set(session.scalars(found, {"name": reference}))


class TestClosure:
    def test_days_of_its_scope_do_not_count_and_undoing_it_restores_every_day(self, gym: Gym) -> None:
        people = [gym.join(f"sub_{number}") for number in range(3)]
        for number, _ in enumerate(people):
            tell(gym.session, Paid(f"in_{number}", january(1), DUES, "USD", (f"sub_{number}",)), now=january(1))
        before = days_of(gym, people)
        done = close(gym, Scope.CLASS, day(10), day(12))
        assert living.reach(gym.session, done.act, january(5)).members == 3
        assert closure_walk.waiting(gym.session) == 3
        sweep_to_the_end(gym.session, january(6))
        assert [usable_to(gym, held) for held in people] == [day(3, 2)] * 3
        assert [training for _, training in days_of(gym, people)] == [training for _, training in before]
        undo(gym, done.act)
        sweep_to_the_end(gym.session, january(6))
        assert days_of(gym, people) == before
        assert clean(gym.session)

    def test_a_payment_told_late_and_a_freeze_across_it_count_each_day_once(self, gym: Gym) -> None:
        held = joined(gym)
        close(gym, Scope.ALL, day(10), day(12))
        freeze(gym, held, day(12), day(14))
        tell(gym.session, dues("in", january(1)), now=january(20))
        assert usable_to(gym, held) == day(5, 2)


def close(gym: Gym, scope: Scope, first: date, last: date) -> Done:
    return life.close(
        gym.session, gym.club, scope=scope, first=first, last=last, reason="holidays", by=BY, now=january(5)
    )


def days_of(gym: Gym, people: Sequence[Membership]) -> list[tuple[datetime | None, datetime | None]]:
    gym.session.expire_all()
    return [
        (grant_of(gym.session, held, gym.spin).expires_at, grant_of(gym.session, held, gym.training).expires_at)
        for held in people
    ]


class TestEnd:
    @pytest.mark.parametrize(
        ("rule", "days", "last"),
        [
            ("keep", None, day(14, 2)),
            ("last_day", None, day(31)),
            ("days", 7, day(7, 2)),
            ("days", 30, day(14, 2)),
        ],
    )
    def test_unused_sessions_go_by_the_terms(self, gym: Gym, rule: str, days: int | None, last: date) -> None:
        held = joined(gym, on_end=OnEnd(rule), on_end_days=days)
        tell(gym.session, dues("in", january(15)), now=january(15))
        act = end(gym, held, day(31))
        assert usable_to(gym, held) == last
        undo(gym, act)
        assert usable_to(gym, held) == day(14, 2)
        assert clean(gym.session)

    def test_what_is_paid_for_a_time_after_it_gives_nothing_and_stands_in_review(self, gym: Gym) -> None:
        held = joined(gym)
        act = end(gym, held, day(31))
        tell(gym.session, dues("late", january(3, 2), covers=(january(1), january(31))), now=january(3, 2))
        tell(gym.session, dues("feb", january(3, 2), covers=(january(1, 2), january(1, 3))), now=january(3, 2))
        assert outcome(gym.session, "late") == ("settled", set())
        assert outcome(gym.session, "feb") == ("settled", {"ended"})
        assert left(gym, held) == 8
        undo(gym, act, january(4, 2))
        assert (left(gym, held), outcome(gym.session, "feb")) == (16, ("settled", set()))

    def test_what_is_paid_before_it_for_a_time_after_it_gives_nothing_either(self, gym: Gym) -> None:
        held = joined(gym)
        end(gym, held, day(31))
        tell(gym.session, dues("feb", january(31), covers=(january(5, 2), january(5, 3))), now=january(31))
        assert (left(gym, held), outcome(gym.session, "feb")) == (0, ("settled", {"ended"}))

    def test_what_comes_after_it_can_never_be_used_even_where_unused_sessions_stay(self, gym: Gym) -> None:
        held = joined(gym, interval=Interval.YEAR, release=Release.MONTHLY, on_end=OnEnd.KEEP)
        tell(gym.session, dues("year", january(1)), now=january(1))
        act = end(gym, held, day(10, 2))
        assert [one.remaining for one in grants_of(gym.session, held, gym.spin)] == [8, 8, *[0] * 10]
        tell(gym.session, Reversed("year", january(15), "refund:half", DUES // 2), now=JAN_20)
        assert left(gym, held) == 16, "the last tranches go first, and these are gone"
        assert clean(gym.session)
        undo(gym, act)
        assert [one.remaining for one in grants_of(gym.session, held, gym.spin)] == [*[8] * 6, *[0] * 6]
        assert clean(gym.session)

    def test_an_end_in_the_past_takes_what_was_credited_since(self, gym: Gym) -> None:
        held = joined(gym)
        tell(gym.session, dues("feb", january(3, 2)), now=january(3, 2))
        end(gym, held, day(31), now=january(5, 2))
        assert (left(gym, held), outcome(gym.session, "feb")) == (0, ("settled", {"ended"}))
        assert clean(gym.session)


def test_a_preview_says_what_moves_and_changes_nothing(gym: Gym) -> None:
    held = joined(gym)
    tell(gym.session, dues("in", january(1)), now=january(1))

    def act() -> Done:
        return life.freeze(gym.session, held, first=day(7), last=day(16), reason="hurt", by=BY, now=january(5))

    moved = living.preview(gym.session, act, now=january(5), late_credit=NO_DELAY).moved
    assert "8 Spin sessions: usable until Feb 10, 2026 instead of Jan 31, 2026" in [one.words for one in moved]
    assert usable_to(gym, held) == day(31)
    assert life.in_force(gym.session, membership_id=held.id) == []


def test_a_preview_says_what_a_payment_gives_no_more_and_which_used_sessions_are_owed(gym: Gym) -> None:
    held = joined(gym)
    tell(gym.session, dues("in", january(5)), now=january(5))
    values = {"member_id": held.member_id, "item_id": gym.spin.id, "key": "a", "by": BY}
    redeem(gym.session, **values, quantity=8, now=january(5, hour=19))

    def act() -> Done:
        return life.freeze(gym.session, held, first=day(4), last=day(9), reason="hurt", by=BY, now=january(6))

    def words() -> list[str]:
        moved = living.preview(gym.session, act, now=january(6), late_credit=NO_DELAY).moved
        return [one.words for one in moved if one.item == "Spin"]

    gives = "the payment of Jan 5, 2026 gives 0 instead of 8"
    assert words() == [f"0 Spin sessions: {gives}, 8 used ones are owed: the next sessions repay them"]
    gym.session.rollback()


def test_why_not_names_the_freeze_and_the_way_out(gym: Gym) -> None:
    held = joined(gym)
    tell(gym.session, dues("in", january(1)), now=january(1))
    freeze(gym, held, day(7), day(16))
    asked = {"member_id": held.member_id, "item_id": gym.spin.id}
    why = why_not(gym.session, **asked, now=january(10))
    assert why is not None
    assert (why.reason, why.day) == ("frozen", day(16))
    assert why.sentence == "8 Spin sessions cannot be used: the membership is frozen until Jan 16, 2026."
    assert why_not(gym.session, **asked, now=january(17, hour=12)) is None
