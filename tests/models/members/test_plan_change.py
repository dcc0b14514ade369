"""Changing plans: another payment term, what a change means in words, and moving all of an offer at once."""

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.catalogue.items import Item
from models.catalogue.tables import Offer, PaymentTerm
from models.catalogue.terms import RULES
from models.errors import (
    CountChanged,
    DateInPast,
    NotChanged,
    NotFound,
    WrongCurrency,
    WrongState,
    YearWrong,
)
from models.members import plan_change
from models.members.memberships import Membership, add_billing_reference, held_by_term
from models.payments.references import Payment
from models.payments.settlement import settle_matched
from models.staff.actions import Action
from tests.models.gym import (
    BY,
    CLASS_DAYS,
    CLASSES,
    DUES,
    ENDPOINT,
    NOW,
    Gym,
    add_term,
    grants_of,
    paid,
    session_item,
    tell,
)
from tests.models.members.plans import DAY, INSTANT, LATER, MOVED_AT, MOVED_ON, clean, edit, given, move, pay


class TestAnotherPlan:
    """Another payment term, of the same offer or of another one."""

    @pytest.fixture
    def yearly(self, gym: Gym) -> PaymentTerm:
        """Of Silver: 12 classes a month and no trainings, for $1,188.00 a year."""
        offer = Offer(name="Silver", min_buckets=0, max_buckets=2)
        gym.session.add(offer)
        rules = {"interval": "year", "partial": "none", "release": "monthly"}
        term = PaymentTerm(name="Yearly", dues_minor=118_800, currency="USD", **rules)
        offer.terms.append(term)
        buckets = [offer.add_bucket(item) for item in (gym.spin, gym.training)]
        gym.session.flush()
        term.set_bucket(buckets[0], quantity=12, days_to_expire=30)
        offer.publish()
        gym.session.flush()
        return term

    def test_all_that_it_says_is_pinned(self, gym: Gym, member: Membership, yearly: PaymentTerm) -> None:
        made = move(gym, member, term=yearly, picks=[gym.spin])
        yearly.dues_minor, yearly.release = 1, "at_once"
        assert {name: getattr(made, name) for name in RULES} == {
            "dues_minor": 118_800, "interval": "year", "interval_count": 1, "partial": "none", "release": "monthly",
            "release_times": None, "frozen_dues": "nothing", "on_end": "keep", "on_end_days": None,
        }  # fmt: skip
        assert [(pin.item, pin.quantity) for pin in made.pinned] == [(gym.spin, 12)]

    def test_until_its_day_the_membership_has_the_old_plan(
        self, gym: Gym, session: Session, member: Membership, yearly: PaymentTerm
    ) -> None:
        move(gym, member, term=yearly, picks=[gym.spin])
        assert (member.plan_at(MOVED_AT - INSTANT), member.plan_at(MOVED_AT)) == (gym.term, yearly)
        assert held_by_term(session, MOVED_AT - INSTANT) == {gym.term.id: 1}
        assert held_by_term(session, MOVED_AT) == {yearly.id: 1}
        act = session.get_one(Action, member.versions[-1].action_id)
        assert act.subject == f"membership {member.id} from Gold, Monthly to Silver, Yearly, from 2024-03-15"

    def test_payments_count_by_the_plan_of_their_day(
        self, gym: Gym, session: Session, member: Membership, yearly: PaymentTerm
    ) -> None:
        move(gym, member, term=yearly, picks=[gym.spin])
        pay(gym, "before", MOVED_AT - INSTANT)
        tell(session, paid("after", "sub", at=MOVED_AT, amount=118_800), now=LATER)
        assert given(gym, member) == [CLASSES] + 12 * [12]
        assert clean(session)

    def test_a_planned_change_is_replaced_by_a_later_act_for_its_day(
        self, gym: Gym, session: Session, member: Membership, yearly: PaymentTerm
    ) -> None:
        move(gym, member, term=yearly, picks=[gym.spin])
        move(gym, member)
        assert member.plan_at(MOVED_AT) is gym.term
        pay(gym, "after", MOVED_AT)
        assert given(gym, member) == [CLASSES]
        assert [version.term for version in member.terms_over_time] == [gym.term]

    def test_a_planned_change_takes_over_later_and_can_be_withdrawn(
        self, gym: Gym, session: Session, member: Membership, yearly: PaymentTerm
    ) -> None:
        move(gym, member, term=yearly, picks=[gym.spin])
        edit(gym, 10, 30)
        values: dict[str, Any] = {"term": gym.term, "since": None, "picks": None, "now": NOW + DAY}
        said = plan_change.preview(member, **values).words
        assert said.endswith(" From Mar 15, 2024, the planned change to Silver, Yearly takes over.")
        move(gym, member, since=None, now=NOW + DAY)
        with pytest.raises(NotChanged):
            move(gym, member, since=None, now=NOW + DAY)
        assert [version.term.name for version in member.terms_over_time] == ["Monthly", "Monthly", "Yearly"]
        why: dict[str, Any] = {"reason": "no", "by": BY, "now": NOW}
        plan_change.withdraw(session, member, since=MOVED_ON, **why)
        pay(gym, "after", MOVED_AT)
        assert given(gym, member) == [10], "by the terms before it"
        assert [version.term.name for version in member.terms_over_time] == ["Monthly", "Monthly"]
        for over in (MOVED_ON, date(2024, 3, 1)):
            with pytest.raises(NotFound, match="no planned change"):
                plan_change.withdraw(session, member, since=over, **why)
        with pytest.raises(YearWrong) as caught:
            move(gym, member, term=yearly, since=date(9999, 12, 31))
        assert caught.value.field == "since"
        assert clean(session)

    def test_what_is_settled_and_was_paid_since_is_settled_again(
        self, gym: Gym, session: Session, member: Membership, yearly: PaymentTerm
    ) -> None:
        for payment, at in (("before", MOVED_AT - INSTANT), ("at", MOVED_AT), ("after", MOVED_AT + DAY)):
            pay(gym, payment, at)
        gym.join("other")
        tell(session, paid("elsewhere", "other", at=MOVED_AT + DAY), now=LATER)
        move(gym, member, term=yearly, picks=[gym.spin])
        again = select(Payment.reference).where(Payment.settle_again).order_by(Payment.id)
        assert session.scalars(again).all() == ["at", "after"]
        settle_matched(session, now=LATER, late_credit=timedelta(0))
        assert session.scalars(again).all() == []
        assert [grant.quantity for grant in grants_of(session, member, gym.training) if not grant.reversed] == [2]
        assert clean(session)

    def test_one_of_several_memberships_of_a_payment_changes(
        self, gym: Gym, session: Session, member: Membership, yearly: PaymentTerm
    ) -> None:
        child = gym.join()
        add_billing_reference(session, child, ENDPOINT, "sub", by=BY, shared=True)
        tell(session, paid("in", "sub", at=MOVED_AT, amount=2 * DUES), now=LATER)
        move(gym, child, term=yearly, picks=[gym.spin])
        assert session.scalars(select(Payment.reference).where(Payment.settle_again)).all() == ["in"]

    @pytest.mark.parametrize("off_sale", ["term", "offer"])
    def test_what_is_not_on_sale_is_only_gone_back_to(
        self, gym: Gym, member: Membership, yearly: PaymentTerm, off_sale: str
    ) -> None:
        other = PaymentTerm(name="Other", dues_minor=1, currency="USD")
        add_term(yearly.offer, other, {})
        if off_sale == "term":
            yearly.retire(NOW)
        else:
            yearly.offer.retire()
        with pytest.raises(WrongState, match="Payment term 'Yearly' of 'Silver' is not on sale") as refused:
            move(gym, member, term=yearly, picks=[gym.spin])
        assert refused.value.field == "payment_term_id"
        yearly.retired_at, yearly.offer.state = None, "published"
        move(gym, member, term=yearly, picks=[gym.spin])
        yearly.offer.retire()
        move(gym, member)
        assert move(gym, member, term=yearly, picks=[gym.spin]).term is yearly

    def test_picks_that_are_left_out_stay(self, gym: Gym, member: Membership, yearly: PaymentTerm) -> None:
        move(gym, member, picks=[gym.spin])
        assert [pin.item for pin in move(gym, member, term=yearly, picks=None).pinned] == [gym.spin]

    def test_another_currency_is_refused(self, gym: Gym, member: Membership, yearly: PaymentTerm) -> None:
        yearly.currency = "EUR"
        with pytest.raises(WrongCurrency):
            move(gym, member, term=yearly, picks=[gym.spin])


class TestInWords:
    def words(self, gym: Gym, member: Membership, picks: list[Item], since: date | None = MOVED_ON) -> str:
        return plan_change.preview(member, term=gym.term, since=since, picks=picks, now=NOW).words

    def test_what_is_more_less_new_and_gone(self, gym: Gym, session: Session, member: Membership) -> None:
        yoga = session_item("Yoga")
        session.add(yoga)
        gym.term.set_bucket(gym.offer.add_bucket(yoga), quantity=5, days_to_expire=0)
        edit(gym, 12, CLASS_DAYS)
        gym.term.dues_minor = 14_900
        session.flush()
        assert self.words(gym, member, [gym.spin, yoga]) == (
            "From Mar 15, 2024, each $149.00 monthly payment gives 12 Spin sessions (30 days) instead of 8, 5 Yoga "
            "sessions (never expiring) instead of none, and no Training sessions instead of 2; payments made before "
            "then keep 8 Spin sessions and 2 Training sessions. Dues are $149.00 every month instead of $90.00 every "
            "month."
        )

    def test_what_stays_and_what_lasts_longer(self, gym: Gym, member: Membership) -> None:
        edit(gym, CLASSES, 45)
        assert self.words(gym, member, [gym.spin, gym.training], since=None) == (
            "From now on, each $90.00 monthly payment gives 8 Spin sessions (45 days) instead of 8 (30 days), and 2 "
            "Training sessions (never expiring) as now; payments made before now keep 8 Spin sessions and 2 Training "
            "sessions."
        )


class TestMoves:
    """All memberships of an offer to its current terms."""

    def moved(self, gym: Gym, **changed: Any) -> plan_change.Moves:
        values: dict[str, Any] = {"since": MOVED_ON, "reason": "new season", "by": BY, "now": NOW} | changed
        if "expected" not in values:
            found = plan_change.moves(gym.session, gym.offer.terms, since=values["since"], now=NOW)
            values["expected"] = len(found.changes)
        return plan_change.move_all(gym.session, gym.offer.terms, **values)

    def test_those_that_differ_are_moved_with_their_picks(self, gym: Gym, session: Session) -> None:
        first, second = gym.join(), gym.join()
        move(gym, second, picks=[gym.spin], since=NOW.date())
        edit(gym, 12, CLASS_DAYS)
        current = gym.join()
        found = self.moved(gym)
        assert [change.membership for change in found.changes] == [first, second]
        assert found.left_out == []
        session.expire_all()
        assert [
            [(pin.item.name, pin.quantity) for pin in membership.terms_at(MOVED_AT).pinned]
            for membership in (first, second, current)
        ] == [[("Spin", 12), ("Training", 2)], [("Spin", 12)], [("Spin", 12), ("Training", 2)]]
        acts = session.scalars(select(Action).where(Action.reason == "new season")).all()
        assert [act.member_id for act in acts] == [first.member_id, second.member_id]
        assert self.moved(gym).changes == [], "once is enough"

    def test_another_number_than_was_confirmed_is_refused(self, gym: Gym) -> None:
        member = gym.join()
        edit(gym, 12, CLASS_DAYS)
        with pytest.raises(CountChanged, match="There are 1 now, not the 2 that you confirmed"):
            self.moved(gym, expected=2)
        assert len(member.versions) == 1

    @pytest.mark.parametrize(
        "rule", [{"dues_minor": 1}, {"partial": "full"}, {"interval": "year"}, {"release": "times", "release_times": 4}]
    )
    def test_every_rule_of_the_terms_is_a_difference(self, gym: Gym, rule: dict[str, Any]) -> None:
        gym.join()
        for name, value in rule.items():
            setattr(gym.term, name, value)
        assert len(self.moved(gym).changes) == 1

    def test_those_whose_picks_are_not_offered_are_left_out(self, gym: Gym, session: Session) -> None:
        both, spin = gym.join(), gym.join()
        move(gym, spin, picks=[gym.spin], since=NOW.date())
        gym.term.set_bucket(gym.offer.buckets[1], quantity=0, days_to_expire=0)
        edit(gym, 12, CLASS_DAYS)
        found = self.moved(gym)
        assert [change.membership for change in found.changes] == [spin]
        [(membership, why)] = found.left_out
        assert (membership, str(why).startswith("The payment term 'Monthly' gives no sessions of 'Training'")) == (
            both,
            True,
        )
        session.expire_all()
        assert len(both.versions) == 1

    def test_only_those_that_have_the_plan_on_that_day(self, gym: Gym, session: Session) -> None:
        left, weekly = gym.join(), PaymentTerm(name="Weekly", dues_minor=1, currency="USD", interval="week")
        add_term(gym.offer, weekly, {gym.offer.buckets[0]: (1, 0)})
        session.flush()
        move(gym, left, term=weekly, picks=[gym.spin])
        edit(gym, 12, CLASS_DAYS)
        assert self.moved(gym).changes == []
        before = self.moved(gym, since=MOVED_ON - timedelta(days=1))
        assert [change.membership for change in before.changes] == [left]
        assert left.plan_at(MOVED_AT) is weekly, "what is planned for later stays"

    def test_a_day_that_is_over_is_refused(self, gym: Gym) -> None:
        gym.join()
        with pytest.raises(DateInPast):
            self.moved(gym, since=date(2024, 2, 29))

    def test_payments_made_since_are_settled_again(self, gym: Gym, session: Session) -> None:
        gym.join("sub")
        pay(gym, "in", MOVED_AT + DAY)
        edit(gym, 12, CLASS_DAYS)
        self.moved(gym)
        assert session.scalars(select(Payment.settle_again)).all() == [True]
