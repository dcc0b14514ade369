"""Dues that failed make their memberships overdue until they are paid, in whatever order things arrive."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.members import overdue
from models.members.memberships import Membership, add_billing_reference
from models.payments import recorded, reviews
from models.payments.facts import DuesFailed, Fact, Linked, Paid, Replaced, Restored, Reversed
from models.payments.references import Payment
from models.statements import entry_wording
from tests.models.gym import BY, DUES, ENDPOINT, PAID_AT, Gym, deliver, events, fresh, grants_of, paid, tell
from tests.models.payments.sweeps import sweep_to_the_end

DAY = timedelta(days=1)
LATER = PAID_AT + 90 * DAY


def failed(payment: str, *references: str, after: int = 0, **more: object) -> DuesFailed:
    """A failed attempt, so many days after the day on which others pay."""
    return replace(DuesFailed(payment, PAID_AT + after * DAY, references, amount_minor=DUES, currency="USD"), **more)


def since(session: Session, membership: Membership) -> int | None:
    """Since how many days after that day the membership is overdue."""
    found = overdue.of_memberships(session, [membership.id])
    return (found[0].since - PAID_AT).days if found else None


def test_a_failure_makes_overdue_and_the_payment_of_that_bill_clears_it(gym: Gym, session: Session) -> None:
    membership, other = gym.join("sub"), gym.join("sub_2")
    tell(session, failed("in", "sub"), failed("in", "sub", after=3))
    assert since(session, membership) == 0
    assert since(session, other) is None
    tell(session, paid("in", "sub", at=PAID_AT + 5 * DAY), now=LATER)
    assert since(session, membership) is None
    assert sum(grant.remaining for grant in grants_of(session, membership)) > 0


def test_the_next_bill_pays_for_itself_only(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, failed("in_1", "sub"), failed("in_2", "sub", after=30))
    tell(session, paid("in_3", "sub", at=PAID_AT + 60 * DAY), now=LATER)
    assert since(session, membership) == 0
    tell(session, paid("in_1", "sub", at=PAID_AT + 61 * DAY), now=LATER)
    assert since(session, membership) == 30


def test_where_each_try_is_a_payment_any_later_one_of_the_reference_clears(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, failed("try_1", "sub", is_one_try=True), failed("try_2", "sub", after=2, is_one_try=True))
    tell(session, paid("before", "sub", at=PAID_AT - DAY))
    tell(session, paid("between", "other", at=PAID_AT + 9 * DAY), now=LATER)
    assert since(session, membership) == 0
    tell(session, paid("try_3", "sub", at=PAID_AT + DAY), now=LATER)
    assert since(session, membership) == 2
    tell(session, paid("try_4", "sub", at=PAID_AT + 4 * DAY), now=LATER)
    assert since(session, membership) is None
    tell(session, failed("try_5", "sub", after=30, is_one_try=True))
    assert since(session, membership) == 30


def test_a_void_bill_is_owed_no_more(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    void = failed("in", "sub", after=4, closed=True)
    tell(session, void)
    assert since(session, membership) is None
    tell(session, failed("in", "sub"))
    assert since(session, membership) is None


def test_a_payer_counts_only_without_anything_closer_and_only_for_the_dues(gym: Gym, session: Session) -> None:
    membership = gym.join("cus")
    tell(session, failed("in", "sub", payer=("cus",)))
    tell(session, failed("drink", payer=("cus",), amount_minor=300))
    assert since(session, membership) is None
    tell(session, failed("try", payer=("cus",), after=1, is_one_try=True))
    assert since(session, membership) == 1
    tell(session, Paid("next", PAID_AT + 2 * DAY, DUES, "USD", ("sub_9",), ("cus",)), now=LATER)
    assert since(session, membership) == 1, "that payment is of a subscription that is nobody's yet"
    add_billing_reference(session, membership, ENDPOINT, "sub_9", by=BY)
    sweep_to_the_end(session, LATER)
    assert since(session, membership) is None


def test_a_failure_after_the_money_was_there_makes_overdue_until_it_is_there_again(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    back = Reversed("pay", PAID_AT + 3 * DAY, "failure", DUES, "USD")
    tell(session, paid("pay", "sub"), back, failed("pay", "sub", after=3), now=LATER)
    assert since(session, membership) == 3
    tell(session, Restored("pay", PAID_AT + 5 * DAY, "failure", DUES, "USD"), now=LATER)
    assert since(session, membership) is None


def test_a_dispute_is_no_arrears(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    dispute = Reversed("in", PAID_AT + 3 * DAY, "dispute:dp_1", DUES, "USD")
    tell(session, failed("in", "sub"), paid("in", "sub", at=PAID_AT + DAY), dispute, now=LATER)
    assert since(session, membership) is None


def test_whoever_had_the_mandate_has_the_one_that_replaced_it(gym: Gym, session: Session) -> None:
    membership = gym.join("old")
    tell(session, Replaced("old", PAID_AT, "new"), failed("pay", "new", after=2))
    assert since(session, membership) == 2


def test_a_payment_that_only_failed_stays_quiet(gym: Gym, session: Session) -> None:
    gym.join("sub")
    assert tell(session, failed("in", "sub")) == {}
    payment = session.query(Payment).filter_by(reference="in").one()
    assert (payment.state, payment.problem, payment.membership_id) == ("heard_of", None, None)
    assert session.query(reviews.PaymentReview).count() == 0
    assert list(audit(session)) == []


def test_a_failure_of_a_held_payment_is_no_part_of_its_problem(gym: Gym, session: Session) -> None:
    gym.join("sub")
    tell(session, paid("in", "sub", currency="EUR"))
    assert tell(session, failed("in", "sub")) == {}


def test_facts_come_back_as_they_were_told(gym: Gym, session: Session) -> None:
    said = [
        failed("in", "sub", "man", payer=("cus",), is_one_try=True),
        DuesFailed("in", PAID_AT, payer=("cus",)), failed("in", "sub", after=1, closed=True),
    ]  # fmt: skip
    tell(session, *said)
    assert recorded.of_references(session, ENDPOINT, ["in"]) == said
    assert [entry_wording.fact_in_words("dues_failed", cause) for cause in (None, "closed")] == [
        "Could not be collected",
        "Owed no more",
    ]


TOLD: list[Fact] = [
    failed("in", "sub"), failed("ch", "sub", after=1), Linked("in", PAID_AT, "ch"),
    Paid("in", PAID_AT + 2 * DAY, DUES, "USD", ("sub",)), failed("try", "sub", is_one_try=True, after=3),
]  # fmt: skip


@pytest.mark.parametrize("without", [None, 3])
def test_every_order_of_facts_and_of_the_sign_up_ends_the_same(gym: Gym, session: Session, without: int | None) -> None:
    said = [fact for place, fact in enumerate(TOLD) if place != without]
    ends, given = set(), set()
    for order in list(permutations([*said, None]))[:: 7 if without is None else 2]:
        endpoint = fresh("endpoint")
        membership = gym.join(endpoint=endpoint)
        for fact in order:
            if fact is None:
                add_billing_reference(session, membership, endpoint, "sub", by=BY)
            else:
                deliver(session, events(fact, endpoint=endpoint), now=LATER)
        sweep_to_the_end(session, LATER)
        ends.add(since(session, membership))
        given.add(sum(grant.quantity - grant.reversed for grant in grants_of(session, membership)))
    assert ends == ({0} if without else {3})
    assert len(given) == 1
    assert list(audit(session)) == []
