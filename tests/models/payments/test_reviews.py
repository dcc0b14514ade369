"""The review: why a payment stands in it, how it is answered, and when it comes back; and what is no dues."""

from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.errors import CountChanged, NotFound, WrongState
from models.members.memberships import Membership
from models.payments import not_dues, reviewing, settlement
from models.payments.facts import Fact, Line, LineRefunded, Linked, Noted, Paid, Reversed
from models.payments.reviews import ReviewReason
from tests.models.gym import BY, CLASSES, DUES, ENDPOINT, NOW, PAID_AT, Gym, grants_of, paid, tell
from tests.models.payments.plans import join, plan
from tests.models.payments.sweeps import sweep_to_the_end

HALF = paid("in", "sub", amount=DUES // 2)
LOCKER = Line(("sub", "locker"), 1000, id="locker")


def reasons(session: Session) -> dict[str, list[str]]:
    """Payment -> its open reasons."""
    return {one.payment: [reason.value for reason, _ in one.reasons] for one in reviewing.page(session)}


def classes(gym: Gym, membership: Membership) -> int:
    return sum(grant.remaining for grant in grants_of(gym.session, membership, gym.spin))


def payment_id(session: Session) -> int:
    (only,) = reviewing.page(session)
    return only.payment_id


class TestReasons:
    @pytest.mark.parametrize(
        ("told", "given", "why"),
        [
            ([paid("in", "sub")], 8, []),
            ([HALF], 4, ["part"]),
            ([paid("in", "sub", amount=DUES + 1)], 8, ["more"]),
            ([Paid("in", PAID_AT, 1, "USD", ("sub",), covers=(PAID_AT, PAID_AT + timedelta(days=31)))], 8, ["less"]),
            ([Paid("in", PAID_AT, DUES, "USD", ("sub",), covers=(PAID_AT, PAID_AT))], 8, ["shape"]),
            ([Paid("in", PAID_AT, 1000, "USD", ("sub",), settled_minor=DUES)], 8, ["balance"]),
            ([paid("in", "other")], 0, ["unmatched"]),
            ([paid("in", "sub", currency="EUR")], 0, ["held"]),
            ([Paid("in", PAID_AT, DUES, "USD", payer=("sub",))], 8, []),
            ([Paid("in", PAID_AT, 100, "USD", payer=("sub",))], 0, ["payer_only"]),
            ([paid("in", "sub"), Noted("in", PAID_AT, "it says so")], 8, ["noted"]),
            ([paid("in", "other"), Noted("in", PAID_AT, "it says so")], 0, ["noted", "unmatched"]),
            ([Noted("in", PAID_AT, "it says so")], 0, []),
            ([paid("in", "sub"), Reversed("in", PAID_AT, "credit note:cn_1", DUES, "USD")], 0, ["outside"]),
        ],
        ids=lambda value: "-".join(value) if isinstance(value, list) and value and isinstance(value[0], str) else None,
    )
    def test_each_has_its_reason(
        self, gym: Gym, session: Session, told: list[Fact], given: int, why: list[str]
    ) -> None:
        membership = gym.join("sub")
        tell(session, *told)
        assert classes(gym, membership) == given
        assert reasons(session).get("in", []) == why
        assert list(audit(session)) == []

    @pytest.mark.parametrize("refund_first", [True, False])
    def test_events_that_contradict_each_other_are_looked_at_in_any_order(
        self, gym: Gym, session: Session, refund_first: bool
    ) -> None:
        membership = gym.join("sub")
        told: list[Fact] = [paid("in", "sub"), Reversed("in", PAID_AT, "refund of in:re", DUES, "EUR")]
        for one in reversed(told) if refund_first else told:
            tell(session, one)
        assert (classes(gym, membership), reasons(session)) == (CLASSES, {"in": ["noted"]})

    def test_a_membership_whose_plan_gives_no_sessions_is_nothing_to_look_at(self, gym: Gym, session: Session) -> None:
        join(gym, plan(gym, {}), "sub")
        tell(session, paid("in", "sub"))
        assert reasons(session) == {}

    def test_a_payment_that_gave_nothing_by_its_term_is_looked_at(self, gym: Gym, session: Session) -> None:
        membership = join(gym, plan(gym, {gym.spin: (8, 30)}, partial="none"), "sub")
        tell(session, HALF)
        assert (classes(gym, membership), reasons(session)) == (0, {"in": ["nothing", "part"]})

    def test_it_shows_what_was_credited(self, gym: Gym, session: Session) -> None:
        gym.join("sub")
        tell(session, HALF)
        (only,) = reviewing.page(session)
        assert {one.item: one.quantity for one in only.credited} == {"Spin": 4, "Training": 1}


class TestAnswers:
    def accept(self, session: Session) -> None:
        reviewing.accept(session, payment_id(session), reason="a friend of the house", by=BY)

    def test_what_was_accepted_stays_accepted_however_often_it_is_told(self, gym: Gym, session: Session) -> None:
        gym.join("sub")
        tell(session, HALF)
        self.accept(session)
        tell(session, HALF)
        assert reasons(session) == {}

    def test_it_comes_back_when_the_sentence_changes(self, gym: Gym, session: Session) -> None:
        gym.join("sub")
        tell(session, paid("in", "sub", amount=DUES + 1))
        self.accept(session)
        tell(session, paid("in", "sub", amount=DUES + 2, at=PAID_AT - timedelta(minutes=1)))
        assert reasons(session) == {"in": ["more", "noted"]}

    def test_it_comes_back_for_another_reason_alone(self, gym: Gym, session: Session) -> None:
        gym.join("sub")
        tell(session, HALF)
        self.accept(session)
        tell(session, Noted("in", PAID_AT, "it says so"))
        assert reasons(session) == {"in": ["noted"]}

    def test_a_reason_that_went_and_came_again_is_open_again(self, gym: Gym, session: Session) -> None:
        line = Line(("sub", "si"), DUES // 2)
        gym.join("sub")
        tell(session, Paid("in", PAID_AT, DUES // 2, "USD", ("sub",), lines=(line,)))
        self.accept(session)
        not_dues.mark(session, ENDPOINT, "si", reason="a towel", by=BY)
        sweep_to_the_end(session)
        assert reasons(session) == {}
        not_dues.unmark(session, ENDPOINT, "si", reason="no towel", by=BY)
        sweep_to_the_end(session)
        assert reasons(session) == {"in": ["part"]}

    def test_what_is_not_in_review_cannot_be_accepted(self, gym: Gym, session: Session) -> None:
        gym.join("sub")
        tell(session, HALF)
        (only,) = reviewing.page(session)
        self.accept(session)
        with pytest.raises(WrongState):
            reviewing.accept(session, only.payment_id, reason="again", by=BY)

    def test_all_of_a_kind_are_accepted_by_their_number(self, gym: Gym, session: Session) -> None:
        gym.join("sub")
        tell(session, *(paid(f"in_{n}", "sub", at=PAID_AT + n * timedelta(days=3), amount=DUES + 1) for n in range(3)))
        tell(session, Noted("in_0", PAID_AT, "it says so"))
        with pytest.raises(CountChanged):
            reviewing.accept_all(session, ReviewReason.MORE, expected=2, reason="a new price", by=BY)
        session.rollback()
        assert reviewing.accept_all(session, ReviewReason.MORE, expected=3, reason="a new price", by=BY) == 3
        assert reasons(session) == {"in_0": ["noted"]}


class TestNotDues:
    TOLD = Paid("in", PAID_AT, DUES + 1000, "USD", ("sub",), lines=(Line(("sub", "dues"), DUES, id="dues"), LOCKER))

    def test_a_mark_before_or_after_ends_the_same(self, gym: Gym, session: Session) -> None:
        """With it the dues are the dues; without it they are more."""
        membership = gym.join("sub")
        tell(session, self.TOLD)
        assert reasons(session) == {"in": ["more"]}
        not_dues.mark(session, ENDPOINT, "locker", reason="a locker", by=BY)
        sweep_to_the_end(session)
        assert (classes(gym, membership), reasons(session)) == (CLASSES, {})
        not_dues.unmark(session, ENDPOINT, "locker", reason="a mistake", by=BY)
        sweep_to_the_end(session)
        assert reasons(session) == {"in": ["more"]}

    def test_a_refund_of_a_marked_line_takes_no_sessions_and_is_looked_at(self, gym: Gym, session: Session) -> None:
        membership = gym.join("sub")
        not_dues.mark(session, ENDPOINT, "locker", reason="a locker", by=BY)
        tell(session, self.TOLD, Reversed("in", PAID_AT, "refund of in:re", 1000, "USD"))
        tell(session, LineRefunded("in", PAID_AT, "re", "locker", 1000, "USD"))
        assert (classes(gym, membership), reasons(session)) == (CLASSES, {"in": ["not_dues_refund"]})

    def test_what_was_credited_is_taken_back_when_all_of_it_is_marked(self, gym: Gym, session: Session) -> None:
        membership = gym.join("sub")
        tell(session, paid("in", "sub"))
        not_dues.mark(session, ENDPOINT, "sub", reason="lockers only", by=BY)
        sweep_to_the_end(session)
        assert (classes(gym, membership), reasons(session)) == (0, {})
        not_dues.unmark(session, ENDPOINT, "sub", reason="no", by=BY)
        sweep_to_the_end(session)
        assert classes(gym, membership) == CLASSES
        assert list(audit(session)) == []

    def test_a_mark_that_is_not_there_cannot_be_taken_back(self, session: Session) -> None:
        with pytest.raises(NotFound):
            not_dues.unmark(session, ENDPOINT, "locker", reason="a mistake", by=BY)


class TestFees:
    """A fee beside the dues of the same day is no part of dues."""

    FEE = paid("fee", "sub", amount=4900, at=PAID_AT + timedelta(hours=2))
    PARTS = tuple(Paid("in", PAID_AT, DUES // 2, "USD", ("sub",), part=part) for part in ("card", "gift card"))

    @pytest.mark.parametrize("order", list(permutations(range(3))))
    @pytest.mark.parametrize("at_once", [True, False])
    def test_in_any_order_even_where_the_dues_come_in_parts(
        self, gym: Gym, session: Session, order: tuple[int, ...], at_once: bool
    ) -> None:
        membership = gym.join("sub")
        told = [[self.FEE, *self.PARTS][number] for number in order]
        for group in [told] if at_once else [[one] for one in told]:
            tell(session, *group)
            sweep_to_the_end(session)
        assert classes(gym, membership) == CLASSES
        assert reasons(session) == {"fee": ["extra"]}
        assert list(audit(session)) == []

    def test_one_that_is_joined_to_another_before_it_is_judged_again_is_swept_once(
        self, gym: Gym, session: Session
    ) -> None:
        gym.join("sub")
        tell(session, Noted("intent", PAID_AT, "it says so"))
        tell(session, self.FEE)
        tell(session, Linked("fee", PAID_AT, "intent"))
        swept = [settlement.settle_matched(session, now=NOW, late_credit=timedelta(0)) for _ in range(3)]
        assert swept == [1, 0, 0]

    @pytest.mark.parametrize("fee_first", [True, False])
    def test_beside_discounted_dues_too(self, gym: Gym, session: Session, fee_first: bool) -> None:
        membership = gym.join("sub")
        dues = Paid("in", PAID_AT, DUES // 2, "USD", ("sub",), due_minor=DUES)
        for one in [self.FEE, dues] if fee_first else [dues, self.FEE]:
            tell(session, one)
        sweep_to_the_end(session)
        assert (classes(gym, membership), reasons(session)) == (CLASSES, {"fee": ["extra"]})

    def test_beside_what_turns_out_to_be_no_dues_it_is_a_part(self, gym: Gym, session: Session) -> None:
        membership = gym.join("sub")
        tell(session, Paid("in", PAID_AT, DUES, "USD", ("sub",), lines=(Line(("sub", "drinks"), DUES),)), self.FEE)
        not_dues.mark(session, ENDPOINT, "drinks", reason="drinks", by=BY)
        sweep_to_the_end(session)
        assert (classes(gym, membership), reasons(session)) == (5, {"fee": ["part"]})

    def test_two_days_later_it_is_a_part(self, gym: Gym, session: Session) -> None:
        gym.join("sub")
        tell(session, paid("in", "sub"), paid("fee", "sub", amount=4900, at=PAID_AT + timedelta(days=2)))
        sweep_to_the_end(session)
        assert reasons(session) == {"fee": ["part"]}

    @pytest.mark.parametrize("fee_first", [True, False])
    def test_beside_the_dues_of_a_household_too(self, gym: Gym, session: Session, fee_first: bool) -> None:
        _, ben = (join(gym, gym.term, "household", own) for own in ("ada", "ben"))
        told: list[Fact] = [paid("in", "household", amount=2 * DUES), paid("fee", "ben", amount=4900)]
        for one in reversed(told) if fee_first else told:
            tell(session, one)
        sweep_to_the_end(session)
        assert (classes(gym, ben), reasons(session)) == (CLASSES, {"fee": ["extra"]})
