"""The list of payments in review: what stands in it, in which order, and how it is answered."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.errors import CountChanged, ReasonMissing, WrongState
from models.members.memberships import add_billing_reference
from models.payments import reviewing, settlement
from models.payments.facts import Noted, Reversed
from models.payments.reviewing import InReview, Place
from models.payments.reviews import ReviewReason
from models.staff.actions import Action
from tests.models.gym import BY, CLASSES, NOW, PAID_AT, Gym, grants_of, paid, tell


def listed(session: Session, **wanted: object) -> list[str]:
    return [one.payment for one in reviewing.page(session, **wanted)]


def only(session: Session) -> InReview:
    (one,) = reviewing.page(session)
    return one


def test_each_payment_says_why_it_is_there_and_what_it_gave(session: Session, gym: Gym) -> None:
    membership = gym.join("sub_ada")
    tell(session, paid("in_part", "sub_ada", amount=4500), paid("in_full", "sub_ada", at=PAID_AT - timedelta(days=3)))
    one = only(session)
    assert (one.payment, one.amount_minor) == ("in_part", 4500)
    assert one.memberships == [(membership.id, membership.member_id, "Ada")]
    assert [reason for reason, _ in one.reasons] == [ReviewReason.PART]
    assert "$45.00 for 50% of what dues of $90.00 pay for" in one.reasons[0][1]
    assert [(given.item, given.quantity) for given in one.credited] == [("Spin", CLASSES // 2), ("Training", 1)]


def test_it_is_filtered_and_paged_by_when_each_came_to_stand_there(session: Session, gym: Gym) -> None:
    ada = gym.join("sub_ada")
    gym.join("sub_ben")
    tell(session, paid("in_1", "sub_ada", amount=900), paid("in_2", "sub_nobody"), paid("in_3", "sub_ben", amount=900))
    session.execute(text("UPDATE payment_reviews SET recorded_at = recorded_at - payment_id * interval '1 hour'"))
    assert listed(session) == ["in_3", "in_2", "in_1"]
    first = reviewing.page(session, limit=1)[0]
    assert listed(session, after=Place.read(str(first.place))) == ["in_2", "in_1"]
    assert listed(session, reason=ReviewReason.PART) == ["in_3", "in_1"]
    assert listed(session, member_id=ada.member_id) == ["in_1"]
    assert listed(session, endpoint="other") == []
    assert reviewing.counts(session) == (3, {ReviewReason.PART: 2, ReviewReason.UNMATCHED: 1})
    assert reviewing.counts(session, member_id=ada.member_id) == (1, {ReviewReason.PART: 1})


def test_a_payment_for_two_names_both_with_what_each_got_and_is_found_by_either(session: Session, gym: Gym) -> None:
    one, other = gym.join("sub_family"), gym.join()
    add_billing_reference(session, other, "stripe", "sub_family", by=BY, shared=True)
    tell(session, paid("in_1", "sub_family", amount=900))
    both = [one, other]
    assert only(session).memberships == [(each.id, each.member_id, "Ada") for each in both]
    assert only(session).credited == [
        (each.id, item.id, item.name, 1) for each in both for item in (gym.spin, gym.training)
    ]
    for membership in both:
        assert listed(session, member_id=membership.member_id) == ["in_1"]
        given = only(session).given(membership.member_id)
        assert [(gave.membership_id, gave.item) for gave in given] == [
            (membership.id, "Spin"), (membership.id, "Training"),
        ]  # fmt: skip


def test_what_was_taken_back_is_not_given(session: Session, gym: Gym) -> None:
    membership = gym.join("sub_ada")
    tell(session, paid("in_1", "sub_ada", amount=900), Reversed("in_1", NOW, "refund:re_1"))
    tell(session, Noted("in_1", NOW, "refunded by hand"))
    assert [gave.quantity for gave in only(session).credited] == [0, 0]
    assert only(session).given(membership.member_id) == []


def test_accepted_it_leaves_the_list_with_an_act_and_settles_all_the_same(session: Session, gym: Gym) -> None:
    tell(session, paid("in_lost", "sub_lost"))
    number = only(session).payment_id
    reviewing.accept(session, number, reason=" the cafe's ", by=BY)
    assert listed(session) == []
    act = session.scalars(select(Action).where(Action.verb == "accept payment")).one()
    assert (act.reason, act.subject) == ("the cafe's", f"payment {number}, in_lost on stripe")
    membership = gym.join("sub_lost")
    settlement.settle_matched(session, now=NOW, late_credit=NOW - NOW)
    assert [grant.quantity for grant in grants_of(session, membership, gym.spin)] == [CLASSES]


def test_an_answer_stands_until_its_sentence_changes(session: Session, gym: Gym) -> None:
    gym.join("sub_ada")
    tell(session, paid("in_1", "sub_ada", amount=900))
    reviewing.accept(session, only(session).payment_id, reason="ten days", by=BY)
    tell(session, paid("in_2", "sub_ada"))
    assert listed(session) == []
    tell(session, paid("in_1", "sub_ada", amount=1800, at=NOW.replace(year=2023)))
    assert listed(session) == ["in_1"]


def test_all_of_a_kind_are_accepted_if_they_are_as_many_as_were_seen(session: Session, gym: Gym) -> None:
    gym.join("sub_ada")
    tell(session, *(paid(f"in_{number}", "sub_ada", amount=900) for number in range(3)), paid("in_lost", "sub_lost"))
    with pytest.raises(CountChanged, match="There are 3 now, not the 2"), session.begin_nested():
        reviewing.accept_all(session, ReviewReason.PART, expected=2, reason="trial months", by=BY)
    assert len(listed(session)) == 4
    assert reviewing.accept_all(session, ReviewReason.PART, expected=3, reason="trial months", by=BY) == 3
    assert listed(session) == ["in_lost"]
    with pytest.raises(CountChanged), session.begin_nested():
        reviewing.accept_all(session, ReviewReason.UNMATCHED, expected=1, reason="x", by=BY, endpoint="other")


def test_what_is_refused(session: Session, gym: Gym) -> None:
    tell(session, paid("in_lost", "sub_lost"))
    number = only(session).payment_id
    with pytest.raises(ReasonMissing):
        reviewing.accept(session, number, reason=" ", by=BY)
    with pytest.raises(WrongState, match=r"Payment \d+ is not in review"):
        reviewing.accept(session, number + 1, reason="x", by=BY)
    assert listed(session) == ["in_lost"]
