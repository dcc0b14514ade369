"""Several charges for one period: both stand before staff, whatever order they came in, until one is taken back."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from models.members.memberships import add_billing_reference
from models.payments import reviewing, several
from models.payments.facts import Paid, Reversed
from models.payments.reviews import ReviewReason
from tests.models.gym import BY, DUES, ENDPOINT, NOW, PAID_AT, Gym, paid, tell

MONTH = (PAID_AT, PAID_AT + timedelta(days=31))
SINCE = NOW - timedelta(days=40)


def covering(payment: str, start: datetime, end: datetime, at: datetime = PAID_AT) -> Paid:
    return Paid(payment, at, DUES, "USD", ("sub",), covers=(start, end))


def compared(session: Session) -> dict[str, str]:
    """By payment, the sentence of each that stands in review for another charge."""
    several.compare(session, since=SINCE, now=NOW)
    return {
        one.payment: what
        for one in reviewing.page(session, reason=ReviewReason.SEVERAL)
        for reason, what in one.reasons
        if reason == ReviewReason.SEVERAL
    }


def test_two_charges_for_one_month(gym: Gym, session: Session) -> None:
    gym.join("sub")
    tell(session, covering("in_1", *MONTH))
    assert compared(session) == {}
    tell(session, covering("in_2", *MONTH, at=PAID_AT + timedelta(days=9)), now=NOW + timedelta(days=9))
    assert compared(session) == {
        "in_1": "another charge for the same period: $90.00 of Mar 10, in_2",
        "in_2": "another charge for the same period: $90.00 of Mar 1, in_1",
    }


def test_two_months_are_no_double_charge(gym: Gym, session: Session) -> None:
    gym.join("sub")
    tell(session, covering("in_1", *MONTH), covering("in_2", MONTH[1], MONTH[1] + timedelta(days=30)))
    assert compared(session) == {}


def test_without_periods_the_day_decides(gym: Gym, session: Session) -> None:
    gym.join("sub")
    tell(session, paid("in_1", "sub"), paid("in_2", "sub", at=PAID_AT - timedelta(days=2)))
    assert compared(session) == {}
    tell(session, paid("in_3", "sub", at=PAID_AT + timedelta(minutes=9)))
    assert set(compared(session)) == {"in_1", "in_3"}


def test_another_members_charge_is_none_of_theirs(gym: Gym, session: Session) -> None:
    gym.join("sub")
    gym.join("other")
    tell(session, paid("in_1", "sub"), paid("in_2", "other"))
    assert compared(session) == {}


def test_each_membership_of_a_payment_counts(gym: Gym, session: Session) -> None:
    gym.join("family")
    ben = gym.join("sub_ben")
    add_billing_reference(session, ben, ENDPOINT, "family", by=BY, shared=True)
    tell(session, paid("in_family", "family", amount=2 * DUES), paid("in_ben", "sub_ben"))
    assert compared(session) == {
        "in_family": "another charge for the same period: $90.00 of Mar 1, in_ben",
        "in_ben": "another charge for the same period: $180.00 of Mar 1, in_family",
    }


def test_two_payments_for_the_same_family_name_each_other_once(gym: Gym, session: Session) -> None:
    gym.join("family")
    add_billing_reference(session, gym.join(), ENDPOINT, "family", by=BY, shared=True)
    tell(session, paid("in_1", "family", amount=2 * DUES), paid("in_2", "family", amount=2 * DUES))
    assert compared(session)["in_1"] == "another charge for the same period: $180.00 of Mar 1, in_2"


def test_it_is_over_when_one_is_taken_back_and_an_answer_stands_until_then(gym: Gym, session: Session) -> None:
    gym.join("sub")
    tell(session, paid("in_1", "sub"), paid("in_2", "sub"))
    assert set(compared(session)) == {"in_1", "in_2"}
    first = reviewing.page(session)[0]
    reviewing.accept(session, first.payment_id, reason="Two months were paid at once.", by=BY)
    tell(session, Reversed("in_9", NOW, "refund:re_9"))
    assert len(compared(session)) == 1
    tell(session, Reversed("in_2", NOW, "refund:re_1"))
    assert compared(session) == {}
