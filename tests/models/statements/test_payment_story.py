"""What was told of payments, where they stand, what they gave."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from models.payments.facts import Linked, Restored, Reversed
from models.payments.references import Payment, PaymentState
from models.statements import paid_for, payment_story
from models.statements.payment_story import Gave, PaymentStory
from tests.models.gym import CLASSES, DUES, NOW, PAID_AT, TRAININGS, Gym, paid, tell


def of(session: Session, reference: str) -> PaymentStory:
    [found] = payment_story.page(session, payment_story.named(reference), limit=10).payments
    assert payment_story.story(session, found.root.id) == found
    return found


def test_a_paid_one_says_what_it_gave_and_to_whom(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    story = of(session, "in")
    assert (story.root.state, story.root.membership_id, story.member_id) == (
        "settled",
        membership.id,
        membership.member_id,
    )
    assert (story.paid, story.reversed_minor) == (paid("in", "sub"), 0)
    assert story.gave == [
        Gave(gym.spin.id, "Spin", CLASSES, 0, membership.id, 1),
        Gave(gym.training.id, "Training", TRAININGS, 0, membership.id, 1),
    ]


def test_money_that_went_back_is_summed_and_comes_again(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"), Reversed("in", NOW, "refund:1", 3000, "USD"))
    tell(session, Reversed("in", NOW, "refund:2", 1500, "USD"))
    assert of(session, "in").reversed_minor == 4500
    assert of(session, "in").gave[0] == Gave(gym.spin.id, "Spin", CLASSES, CLASSES // 2, membership.id, 1)
    tell(session, Restored("in", NOW + timedelta(hours=1), "refund:1"))
    assert of(session, "in").reversed_minor == 1500


def test_one_known_by_several_references_is_one(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    tell(session, paid("pi", "sub", at=PAID_AT - timedelta(hours=1)))
    tell(session, Linked("in", PAID_AT, "pi"))
    story = of(session, "in")
    assert of(session, "pi") == story
    assert (story.references, story.paid) == (["in", "pi"], paid("pi", "sub", at=PAID_AT - timedelta(hours=1)))
    # Each was credited before it turned out that they are one.
    assert story.gave[0] == Gave(gym.spin.id, "Spin", 2 * CLASSES, CLASSES, membership.id, 1)
    assert len(story.facts) == 3
    second = session.query(Payment).filter_by(reference="pi").one()
    assert payment_story.story(session, second.id) == story


def test_one_that_was_not_paid_yet_or_is_nobodys(gym: Gym, session: Session) -> None:
    tell(session, Reversed("in_early", NOW, "refund:1", 100, "USD"), paid("in_lost", "sub_lost", "cus_lost"))
    early, lost = of(session, "in_early"), of(session, "in_lost")
    assert (early.root.state, early.paid, early.reversed_minor, early.member_id) == ("heard_of", None, 0, None)
    assert (lost.root.state, lost.root.billing_references, lost.gave) == ("unmatched", ["sub_lost", "cus_lost"], [])


def test_one_in_another_currency_is_held_and_says_why(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub", currency="EUR"))
    story = of(session, "in")
    assert (story.root.state, story.member_id, story.gave) == ("held", membership.member_id, [])
    assert "paid in EUR" in (story.root.problem or "")


def test_pages_go_back_through_those_that_are_wanted(gym: Gym, session: Session) -> None:
    mine, others = gym.join("sub"), gym.join("other")
    tell(session, *(paid(f"in_{number}", "sub") for number in range(5)), paid("in_other", "other"), paid("in_lost"))
    tell(session, Linked("in_1", NOW, "pi_1"))
    of_mine = paid_for.of_member(session, mine.member_id)
    for limit in (1, 2, 5, 6):
        found: list[str] = []
        cursor: int | None = None
        while True:
            page = payment_story.page(session, of_mine, limit=limit, before=cursor)
            found += [story.references[0] for story in page.payments]
            if (cursor := page.older) is None:
                break
        assert found == [f"in_{number}" for number in reversed(range(5))]
    everything = payment_story.page(session, limit=10).payments
    assert {story.references[0] for story in everything} == {*found, "in_other", "in_lost"}
    unmatched = payment_story.page(session, Payment.state == PaymentState.UNMATCHED, limit=10).payments
    assert [story.references for story in unmatched] == [["in_lost"]]
    assert payment_story.page(session, paid_for.of_member(session, others.member_id), limit=1).older is None


@pytest.mark.parametrize("number", [0, 404])
def test_one_that_is_not_there(gym: Gym, session: Session, number: int) -> None:
    assert payment_story.story(session, number) is None
    assert payment_story.page(session, payment_story.named("nothing"), limit=10).payments == []


def test_a_refund_is_told_as_it_was_though_it_is_more_than_was_paid(gym: Gym, session: Session) -> None:
    gym.join("sub")
    tell(session, paid("in", "sub"), Reversed("in", NOW, "refund:1", DUES + 1, "USD"))
    assert of(session, "in").reversed_minor == DUES + 1
