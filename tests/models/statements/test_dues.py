"""A membership's payments as they are read: each once, the latest paid first, with what it gave."""

from datetime import timedelta

from sqlalchemy.orm import Session

from models.payments.facts import Linked, Reversed
from models.statements import dues
from models.statements.dues import Gave
from tests.models.gym import DUES, ENDPOINT, PAID_AT, Gym, paid, tell

DAY = timedelta(days=1)


def test_each_payment_says_what_it_gave(session: Session, gym: Gym) -> None:
    membership = gym.join("sub_1")
    tell(session, paid("in_1", "sub_1"))
    [payment] = dues.page(session, membership.id, limit=9).payments
    assert payment[1:6] == (ENDPOINT, "in_1", DUES, "USD", PAID_AT)
    assert (payment.state, payment.problem) == ("settled", None)
    assert payment.gave == [Gave("Spin", 8, 0), Gave("Training", 2, 0)]


def test_a_payment_known_by_two_references_is_one(session: Session, gym: Gym) -> None:
    membership = gym.join("sub_1")
    tell(session, paid("in_1", "sub_1", at=PAID_AT + DAY))
    tell(session, Linked("in_1", PAID_AT, "ch_1"), paid("ch_1", "sub_1"))
    [payment] = dues.page(session, membership.id, limit=9).payments
    assert (payment.reference, payment.paid_at) == ("ch_1", PAID_AT)
    assert payment.gave == [Gave("Spin", 8, 0), Gave("Training", 2, 0)]


def test_two_that_turn_out_to_be_one_say_what_both_gave(session: Session, gym: Gym) -> None:
    membership = gym.join("sub_1")
    tell(session, paid("in_1", "sub_1"), paid("ch_1", "sub_1", at=PAID_AT + DAY))
    tell(session, Linked("in_1", PAID_AT, "ch_1"))
    [payment] = dues.page(session, membership.id, limit=9).payments
    assert (payment.reference, payment.gave) == ("in_1", [Gave("Spin", 16, 8), Gave("Training", 4, 2)])


def test_what_was_reversed_is_told_beside_what_was_given(session: Session, gym: Gym) -> None:
    membership = gym.join("sub_1")
    tell(session, paid("in_1", "sub_1"), Reversed("in_1", PAID_AT + DAY, "refund of in_1:re_1", DUES, "USD"))
    [payment] = dues.page(session, membership.id, limit=9).payments
    assert payment.gave == [Gave("Spin", 8, 8), Gave("Training", 2, 2)]


def test_one_that_is_held_says_why(session: Session, gym: Gym) -> None:
    membership = gym.join("sub_1")
    tell(session, paid("in_1", "sub_1", currency="EUR"))
    [payment] = dues.page(session, membership.id, limit=9).payments
    assert (payment.state, payment.gave) == ("held", [])
    assert payment.problem


def test_the_latest_paid_come_first_page_by_page(session: Session, gym: Gym) -> None:
    membership = gym.join("sub_1")
    for number in (3, 1, 5, 2, 4):
        tell(session, paid(f"in_{number}", "sub_1", at=PAID_AT + number // 2 * DAY))
    seen, before = [], None
    for _ in range(3):
        page = dues.page(session, membership.id, limit=2, before=before)
        seen.append([payment.reference for payment in page.payments])
        before = page.older
    assert seen == [["in_4", "in_5"], ["in_2", "in_3"], ["in_1"]]
    assert before is None
