"""One payment told in ways that cannot all be true: what counts, whatever came first, and that staff are told."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.members.memberships import add_billing_reference
from models.payments import settlement
from models.payments.contradictions import contradictions
from models.payments.facts import Fact, Linked, Paid, Restored, Reversed
from models.payments.references import Payment
from tests.models.gym import BY, CLASSES, DUES, NOW, PAID_AT, Gym, deliver, events, fresh, grant_of, paid, store

DAY = timedelta(days=1)
REAL, LARGER = 10_000, 99_900


def refund(amount: int | None, number: int = 1, currency: str = "USD") -> Reversed:
    return Reversed("in", PAID_AT + DAY, f"refund of in:re_{number}", amount, currency if amount else None)


def said(*facts: Fact) -> list[str]:
    """The contradictions in words; the same in every order."""
    (only,) = {tuple(one.what for one in contradictions(order)) for order in permutations(facts)}
    return list(only)


TWO_AMOUNTS = "paid $999.00 by one event, but $100.00 by another"


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ([paid("in", "sub", amount=REAL), paid("in", "sub", amount=LARGER)], TWO_AMOUNTS),
        (
            [paid("in", "sub"), paid("in", "sub", currency="EUR", at=PAID_AT + DAY)],
            "paid $90.00 by one event, but €90.00 by another",
        ),
        (
            [paid("in", "sub_a", "cus"), paid("in", "sub_b", "cus", at=PAID_AT + DAY)],
            "paid for sub_a by one event, but for sub_b by another",
        ),
        ([paid("in", "sub"), refund(15_000)], "$150.00 was refunded, but only $90.00 was paid"),
        ([paid("in", "sub"), refund(5000), refund(5000, 2)], "$100.00 was refunded, but only $90.00 was paid"),
        (
            [paid("in", "sub"), refund(4500, currency="EUR")],
            "paid in USD, but reversed in another currency: that reversal has no effect",
        ),
    ],
)
def test_what_cannot_all_be_true_is_said_with_both_figures(facts: Sequence[Fact], what: str) -> None:
    assert said(*facts) == [what]


@pytest.mark.parametrize(
    "facts",
    [
        [paid("in", "sub")],
        [paid("in", "sub"), paid("in", "sub", at=PAID_AT + DAY)],
        [paid("in", "sub", "cus"), paid("in", "cus", at=PAID_AT + DAY)],
        [paid("in", "sub"), paid("in", at=PAID_AT + DAY)],
        [paid("in", "sub"), refund(DUES)],
        [paid("in", "sub"), refund(None), refund(DUES, 1)],
        [paid("in", "sub"), refund(DUES), Reversed("in", PAID_AT + DAY, "dispute:dp", DUES, "USD")],
        [paid("in", "sub"), refund(DUES), Restored("in", PAID_AT + 2 * DAY, "refund of in:re_1"), refund(DUES, 2)],
        [refund(DUES), Linked("in", PAID_AT, "pi")],
    ],
)
def test_what_can_all_be_true_is_no_contradiction(facts: Sequence[Fact]) -> None:
    assert said(*facts) == []


Play = Callable[[Gym, Sequence[Fact]], str]


def one_by_one(gym: Gym, facts: Sequence[Fact]) -> str:
    endpoint = fresh("endpoint")
    for event in events(*facts, endpoint=endpoint):
        deliver(gym.session, [event])
    return endpoint


def at_once(gym: Gym, facts: Sequence[Fact]) -> str:
    endpoint = fresh("endpoint")
    deliver(gym.session, events(*facts, endpoint=endpoint))
    return endpoint


PAID_TWICE = [paid("in", "sub", amount=REAL), paid("in", "sub", amount=LARGER)]


@pytest.mark.parametrize("play", [one_by_one, at_once])
@pytest.mark.parametrize(
    ("back", "left"),
    [(None, CLASSES), (refund(REAL), 0), (refund(LARGER), 0), (refund(REAL // 2), CLASSES // 2), (refund(None), 0)],
    ids=["nothing back", "all of the less", "all of the more", "half of the less", "all"],
)
def test_a_refund_of_all_that_one_telling_says_takes_all(
    gym: Gym, session: Session, play: Play, back: Fact | None, left: int
) -> None:
    """In whatever order; and it stands on the payment."""
    for facts in permutations([*PAID_TWICE, *([back] if back else [])]):
        membership = gym.join()
        endpoint = play(gym, facts)
        add_billing_reference(session, membership, endpoint, "sub", by=BY)
        settlement.settle_matched(session, now=NOW, late_credit=timedelta(0))
        assert grant_of(session, membership, gym.spin).remaining == left
        row = session.scalars(select(Payment).where(Payment.endpoint == endpoint)).one()
        assert (row.state, (row.problem or "").startswith(TWO_AMOUNTS)) == ("settled", True)
    assert list(audit(session)) == []


def test_a_refund_in_the_other_currency_that_was_told_takes_its_share(gym: Gym, session: Session) -> None:
    """The payment is USD 90.00 or EUR 80.00: half of either is half of it."""
    facts: list[Fact] = [paid("in", "sub"), paid("in", "sub", amount=8000, currency="EUR", at=PAID_AT + DAY)]
    for order in permutations([*facts, refund(4000, currency="EUR")]):
        endpoint = fresh("endpoint")
        membership = gym.join("sub", endpoint=endpoint)
        deliver(session, events(*order, endpoint=endpoint))
        assert grant_of(session, membership, gym.spin).remaining == CLASSES // 2


def test_the_event_that_contradicts_stands_before_staff_matched_or_not(gym: Gym, session: Session) -> None:
    gym.join("sub")
    for references in (("sub",), ("nobody's",)):
        payment = fresh("in")
        first, second = (Paid(payment, PAID_AT, amount, "USD", references) for amount in (LARGER, REAL))
        assert deliver(session, events(first)) == {}
        told = store(session, events(second))
        problems = settlement.take_in(session, told, now=NOW, late_credit=DAY)
        assert problems == {told[0].event_id: TWO_AMOUNTS}


def test_refunds_beyond_what_was_paid_take_all_and_stand_before_staff(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    deliver(session, events(paid("in", "sub")))
    told = store(session, events(refund(15_000)))
    problems = settlement.take_in(session, told, now=NOW, late_credit=DAY)
    assert problems == {told[0].event_id: "$150.00 was refunded, but only $90.00 was paid"}
    assert grant_of(session, membership, gym.spin).remaining == 0
    assert list(audit(session)) == []
