"""Claims: a membership's code gives it a billing reference, whatever came first."""

import re
from datetime import datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from models.database.engine import sessions
from models.members import awaiting, overdue
from models.members.memberships import BillingReference, Membership, add_billing_reference
from models.members.reference_moves import give_up
from models.payments import settlement
from models.payments.facts import Claimed, DuesFailed, Fact, Paid, Reversed
from models.payments.reviews import PaymentReview
from models.staff.actions import BY_THE_PROVIDER, Action
from tests.models.gym import BY, CLASSES, DUES, NOW, PAID_AT, Gym, deliver, events, fresh, grants_of, paid, tell

HOUR = timedelta(hours=1)


def claim(reference: str, membership: Membership, at: datetime = PAID_AT) -> Claimed:
    return Claimed(reference, at, membership.code)


def by_link(reference: str, membership: Membership, amount: int | None = DUES, currency: str = "USD") -> Claimed:
    return Claimed(reference, PAID_AT, membership.code, True, amount, currency if amount else None)


def sweep(session: Session) -> None:
    while settlement.settle_matched(session, now=NOW, late_credit=timedelta(0)):
        pass
    session.commit()


def references(membership: Membership) -> list[str]:
    of = select(BillingReference.reference).filter_by(membership_id=membership.id).order_by(BillingReference.reference)
    return list(membership_session(membership).scalars(of))


def membership_session(membership: Membership) -> Session:
    session = Session.object_session(membership)
    assert session is not None
    return session


def classes(gym: Gym, membership: Membership) -> list[tuple[int, int]]:
    gym.session.expire_all()
    return [(grant.quantity, grant.reversed) for grant in grants_of(gym.session, membership, gym.spin)]


def reviewed(session: Session) -> dict[str, str]:
    return dict(session.execute(select(PaymentReview.reason, PaymentReview.what).filter_by(reason="claim")).all())


class TestTheCode:
    def test_is_random_and_has_the_form_that_every_field_takes(self, gym: Gym) -> None:
        codes = {gym.join().code for _ in range(20)}
        assert len(codes) == 20
        assert all(re.fullmatch("m_[a-z2-7]{16}", code) for code in codes)
        assert len({letter for code in codes for letter in code[2:]}) > 25, "all letters come up"


class TestAnyOrder:
    @pytest.mark.parametrize("order", list(permutations(range(3))))
    def test_of_claim_payment_and_refund_gives_one_credit(self, gym: Gym, order: tuple[int, ...]) -> None:
        membership = gym.join()
        facts: list[Fact] = [
            claim("sub_1", membership),
            paid("in_1", "sub_1"),
            Reversed("in_1", PAID_AT + HOUR, "refund:re_1", DUES // 2, "USD"),
        ]
        for place in order:
            tell(gym.session, facts[place])
        assert classes(gym, membership) == [(CLASSES, CLASSES // 2)]
        assert references(membership) == ["sub_1"]
        sweep(gym.session)
        assert classes(gym, membership) == [(CLASSES, CLASSES // 2)]

    @settings(max_examples=25)
    @given(data=st.data())
    def test_and_any_grouping_of_two_members_facts_ends_the_same(self, open_gym: Gym, data: st.DataObject) -> None:
        gym = open_gym
        one, two = gym.join(), gym.join()
        mark = fresh("mark")
        sub, other, customer = f"sub_{mark}", f"other_{mark}", f"cus_{mark}"
        facts: list[Fact] = [
            by_link(sub, one, data.draw(st.sampled_from([None, DUES, 100]))),
            paid(f"in_{mark}", sub),
            claim(customer, two),
            Paid(f"of_{mark}", PAID_AT, DUES, "USD", (other,), (customer,)),
            Reversed(f"of_{mark}", PAID_AT + HOUR, "refund:re", DUES, "USD"),
            by_link(f"stranger_{mark}", two),
        ]
        order = data.draw(st.permutations([*facts, *facts]))
        while order:
            many = data.draw(st.integers(1, 6))
            deliver(gym.session, events(*order[:many]), now=NOW)
            gym.session.commit()
            del order[:many]
        sweep(gym.session)
        assert references(one) == [sub]
        assert sorted(references(two)) == sorted([customer, other])
        assert (classes(gym, one), classes(gym, two)) == ([(CLASSES, 0)], [(CLASSES, CLASSES)])


class TestACode:
    def test_gives_a_reference_before_any_payment_and_says_who_did(self, gym: Gym) -> None:
        membership = gym.join()
        tell(gym.session, claim("sub_1", membership))
        assert references(membership) == ["sub_1"]
        act = gym.session.scalars(select(Action).order_by(Action.id.desc())).first()
        assert act
        assert (act.actor, act.verb) == (BY_THE_PROVIDER.name, "add billing reference")
        assert act.subject == f"sub_1 on stripe to membership {membership.id}, by its code"
        assert act.member_id == membership.member_id

    def test_makes_failed_first_dues_overdue(self, gym: Gym) -> None:
        membership = gym.join()
        tell(gym.session, claim("sub_1", membership), DuesFailed("in_1", PAID_AT, ("sub_1",), (), DUES, "USD"))
        assert [one.membership_id for one in overdue.of_memberships(gym.session, [membership.id])] == [membership.id]

    @pytest.mark.parametrize("claims_first", [True, False])
    def test_gives_the_earlier_of_two_subscriptions_and_leaves_the_other_to_staff(
        self, gym: Gym, claims_first: bool
    ) -> None:
        membership = gym.join()
        claims = [claim("sub_2", membership, PAID_AT + HOUR), claim("sub_1", membership)]
        payments = [paid("in_2", "sub_2"), paid("in_1", "sub_1")]
        for facts in (claims, payments) if claims_first else (payments, claims):
            deliver(gym.session, events(*facts), now=NOW)
        assert references(membership) == ["sub_1"]
        assert classes(gym, membership) == [(CLASSES, 0)]
        assert reviewed(gym.session) == {
            "claim": f"it came with the code of membership {membership.id}, to which that code has given sub_1 on "
            "stripe already"
        }
        add_billing_reference(gym.session, membership, "stripe", "sub_2", by=BY)
        sweep(gym.session)
        assert classes(gym, membership) == [(CLASSES, 0)] * 2
        assert not reviewed(gym.session)

    def test_takes_nothing_away(self, gym: Gym) -> None:
        one, two = gym.join("sub_1"), gym.join()
        tell(gym.session, claim("sub_1", two), paid("in_1", "sub_1"))
        assert (references(one), references(two)) == (["sub_1"], [])
        assert (classes(gym, one), classes(gym, two)) == ([(CLASSES, 0)], [])

    def test_gives_the_next_reference_where_another_membership_has_the_first(self, gym: Gym) -> None:
        one, two = gym.join("sub_1"), gym.join()
        tell(gym.session, claim("sub_1", two), claim("sub_2", two, PAID_AT + HOUR))
        assert (references(one), references(two)) == (["sub_1"], ["sub_2"])

    def test_gives_back_nothing_that_staff_took_away(self, gym: Gym) -> None:
        membership = gym.join()
        tell(gym.session, claim("sub_1", membership))
        give_up(gym.session, membership, "stripe", "sub_1", reason="wrong person", by=BY)
        tell(gym.session, claim("sub_1", membership), paid("in_1", "sub_1"))
        assert references(membership) == []
        assert "staff took" in reviewed(gym.session)["claim"]

    def test_that_no_membership_has_is_for_staff(self, gym: Gym) -> None:
        tell(gym.session, Claimed("sub_1", PAID_AT, "m_2222222222222222"), paid("in_1", "sub_1"))
        assert reviewed(gym.session)["claim"] == "it came with the code m_2222222222222222, which no membership has"


class TestALinkThatAnyoneCouldEdit:
    def test_counts_for_the_first_payment_of_the_dues(self, gym: Gym) -> None:
        membership = gym.join()
        tell(gym.session, by_link("sub_1", membership))
        assert references(membership) == [], "nothing was paid yet"
        tell(gym.session, paid("in_1", "sub_1"))
        assert classes(gym, membership) == [(CLASSES, 0)]

    @pytest.mark.parametrize(
        ("amount", "currency", "why"),
        [
            (DUES - 1, "USD", r"its dues are \$90.00, and what was due is \$89.99"),
            (DUES, "EUR", r"its dues are \$90.00, and what was due is €90.00"),
        ],
    )
    def test_claims_nothing_with_another_amount(self, gym: Gym, amount: int, currency: str, why: str) -> None:
        membership = gym.join()
        tell(gym.session, by_link("sub_1", membership, amount, currency))
        tell(gym.session, paid("in_1", "sub_1", amount=amount, currency=currency))
        assert (references(membership), classes(gym, membership)) == ([], [])
        assert re.search(why, reviewed(gym.session)["claim"])

    def test_claims_nothing_for_a_membership_that_has_paid(self, gym: Gym) -> None:
        membership = gym.join("sub_1")
        tell(gym.session, paid("in_1", "sub_1"))
        tell(gym.session, paid("in_2", "sub_2"), by_link("sub_2", membership))
        assert references(membership) == ["sub_1"]
        assert "does not await its first payment" in reviewed(gym.session)["claim"]


class TestAwaiting:
    def test_ends_with_the_first_payment(self, gym: Gym) -> None:
        waits, pays = gym.join(), gym.join("sub_1")
        tell(gym.session, paid("in_1", "sub_1"))
        assert awaiting.of(gym.session, [waits.id, pays.id]).keys() == {waits.id}
        later = datetime.now(NOW.tzinfo) + timedelta(days=15)
        listed = awaiting.page(gym.session, now=later)
        assert [one.membership_id for one in listed] == [waits.id]
        assert awaiting.count(gym.session, now=later) == 1
        assert not awaiting.page(gym.session, now=datetime.now(NOW.tzinfo) + timedelta(days=13))


def test_a_claim_and_its_payment_that_are_recorded_at_one_moment_are_settled_by_the_sweep(
    engine: Engine, open_gym: Gym
) -> None:
    gym = open_gym
    membership = gym.join()
    gym.session.commit()
    with sessions(engine)() as one, sessions(engine)() as other:
        deliver(one, events(paid("in_1", "sub_1")))
        deliver(other, events(by_link("sub_1", membership)))
        other.commit()
        one.commit()
    assert classes(gym, membership) == []
    sweep(gym.session)
    assert classes(gym, membership) == [(CLASSES, 0)]


def test_a_test_members_code_takes_no_live_payment(gym: Gym) -> None:
    """It stands in review with the reason; a payment of a test endpoint is given its membership."""
    member = gym.join()
    member.member.is_test = True
    gym.session.info["test_endpoints"] = ["sandbox"]
    tell(gym.session, paid("in_1", "sub_1"), claim("sub_1", member))
    assert references(member) == []
    why = (
        f"it came with the code of membership {member.id}, which is a test member's, and stripe is not a test endpoint"
    )
    assert reviewed(gym.session) == {"claim": why}
    gym.session.info["test_endpoints"] = ["stripe"]
    tell(gym.session, paid("in_2", "sub_2"), claim("sub_2", member))
    assert references(member) == ["sub_2"]
    assert classes(gym, member) == [(CLASSES, 0)]
