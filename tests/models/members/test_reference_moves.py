"""Billing references that are moved or removed: what was matched stays, what waits and what comes goes elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.errors import NotFound, ReasonMissing, SameMembership
from models.members.memberships import Membership, add_billing_reference, owners
from models.members.reference_moves import give_up, preview, waiting
from models.payments import settlement
from models.payments.facts import Line, Restored, Reversed
from models.staff.actions import Action
from tests.models.gym import BY, DUES, ENDPOINT, NOW, PAID_AT, Gym, grants_of, paid, refused, tell, together

LATER = NOW + timedelta(days=2)


def giving(gym: Gym, membership: Membership, reference: str, into: Membership | None = None) -> str:
    return give_up(gym.session, membership, ENDPOINT, reference, into=into, reason="another contract", by=BY)


def given(gym: Gym, *memberships: Membership) -> list[list[int]]:
    """The sessions of classes that each has, less what was reversed."""
    return [[one.quantity - one.reversed for one in grants_of(gym.session, each, gym.spin)] for each in memberships]


def again(session: Session) -> None:
    """Settle every payment once more, as a refund or a change of rules would."""
    session.execute(text("UPDATE payments SET settle_again = true WHERE id = root_id"))
    settlement.settle_matched(session, now=LATER, late_credit=timedelta(0))


def test_waiting_counts_those_of_that_endpoint_and_reference(session: Session, gym: Gym) -> None:
    tell(session, paid("in_1", "sub_1", "cus_1"), paid("in_2", "sub_1"), paid("in_3", "sub_2"))
    assert [waiting(session, ENDPOINT, reference) for reference in ("sub_1", "cus_1", "sub_9")] == [2, 1, 0]
    assert waiting(session, "other", "sub_1") == 0
    gym.join("sub_1")
    tell(session, paid("in_4", "sub_1"))
    assert waiting(session, ENDPOINT, "sub_2") == 1


def test_moved_the_next_payment_counts_for_the_other(gym: Gym) -> None:
    one, other = gym.join("sub"), gym.join()
    tell(gym.session, paid("in_1", "sub"))
    words = preview(gym.session, one, ENDPOINT, "sub", other)
    assert words == (
        f"Payments to come with it count for membership {other.id}. "
        f"1 payment that it has matched stays with membership {one.id}."
    )
    assert giving(gym, one, "sub", other) == words
    assert ([*one.billing], [item.reference for item in other.billing]) == ([], ["sub"])
    tell(gym.session, paid("in_2", "sub", at=PAID_AT + timedelta(hours=1)))
    again(gym.session)
    assert given(gym, one, other) == [[8], [8]]
    tell(gym.session, Reversed("in_1", LATER, "re", DUES, "USD"), now=LATER)
    assert given(gym, one, other) == [[0], [8]]
    assert list(audit(gym.session)) == []


def test_removed_the_next_payment_waits(gym: Gym) -> None:
    one = gym.join("sub")
    tell(gym.session, paid("in_1", "sub"), paid("in_0", "sub"))
    words = giving(gym, one, "sub")
    assert words == (
        "Payments to come with it wait in review until a membership has it. "
        f"2 payments that it has matched stay with membership {one.id}."
    )
    tell(gym.session, paid("in_2", "sub"))
    again(gym.session)
    assert given(gym, one) == [[8, 8]]
    assert waiting(gym.session, ENDPOINT, "sub") == 1
    add_billing_reference(gym.session, one, ENDPOINT, "sub", by=BY)
    settlement.settle_matched(gym.session, now=LATER, late_credit=timedelta(0))
    assert given(gym, one) == [[8, 8, 8]]
    assert "3 payments that it has matched" in giving(gym, one, "sub")


def test_what_was_shared_stays_divided(gym: Gym) -> None:
    one, other, third = gym.join("sub"), gym.join(), gym.join()
    add_billing_reference(gym.session, other, ENDPOINT, "sub", by=BY, shared=True)
    tell(gym.session, paid("in_1", "sub"))
    assert given(gym, one, other) == [[4], [4]]
    words = giving(gym, one, "sub", third)
    assert words.startswith(
        f"Payments to come with it are divided equally between memberships {other.id} and {third.id}"
    )
    again(gym.session)
    assert given(gym, one, other, third) == [[4], [4], []]
    tell(gym.session, paid("in_2", "sub"))
    assert given(gym, one, other, third) == [[4], [4, 4], [4]]
    assert "count for membership" in giving(gym, third, "sub", other)
    assert owners(gym.session, ENDPOINT, "sub") == [other.id]


@pytest.mark.parametrize("removed", [0, 1])
def test_the_lines_of_a_bill_for_two_stay_where_they_are(gym: Gym, removed: int) -> None:
    pair = [gym.join("sub_a"), gym.join("sub_b")]
    lines = tuple(Line((name,), DUES, None, 1, False, name) for name in ("sub_a", "sub_b"))
    bill = replace(paid("in_1", "cus_1", amount=2 * DUES), lines=lines)
    tell(gym.session, bill)
    assert given(gym, *pair) == [[8], [8]]
    other = gym.join()
    giving(gym, pair[removed], "sub_ab"[:4] + "ab"[removed], other)
    again(gym.session)
    assert given(gym, *pair, other) == [[8], [8], []]
    tell(gym.session, Reversed("in_1", LATER, "re", DUES, "USD"), Restored("in_1", LATER, "re", DUES, "USD"), now=LATER)
    assert given(gym, *pair, other) == [[8], [8], []]
    assert gym.session.scalar(text("SELECT count(*) FROM payment_reviews WHERE reason = 'unplaced'")) == 0


def test_the_payer_is_a_reference_too(gym: Gym) -> None:
    one = gym.join("cus_1")
    tell(gym.session, replace(paid("in_1"), payer=("cus_1",)))
    assert "1 payment that it has matched stays" in giving(gym, one, "cus_1")
    assert "It has matched no payment yet." in preview(gym.session, gym.join("cus_2"), ENDPOINT, "cus_2")


def test_what_waits_is_matched_by_the_one_that_gets_it(gym: Gym) -> None:
    """A payment of which a line is unplaced waits, while the reference of the rest is moved."""
    one, other = gym.join("sub_a"), gym.join()
    lines = tuple(Line((name,), DUES, None, 1, False, name) for name in ("sub_a", "sub_b"))
    tell(gym.session, replace(paid("in_1", "cus_1", amount=2 * DUES), lines=lines))
    add_billing_reference(gym.session, one, ENDPOINT, "sub_b", by=BY)
    words = giving(gym, one, "sub_b", other)
    assert words.endswith("1 payment that waits for it will be matched.")
    settlement.settle_matched(gym.session, now=LATER, late_credit=timedelta(0))
    assert given(gym, one, other) == [[8], [8]]


def test_both_members_have_it_in_the_log(gym: Gym) -> None:
    one, other = gym.join("sub_1", "sub_2"), gym.join()
    giving(gym, one, "sub_1", other)
    giving(gym, one, "sub_2")
    moved = f"sub_1 on {ENDPOINT} from membership {one.id} to membership {other.id}"
    wanted = select(Action).where(Action.verb.in_(["move billing reference", "remove billing reference"]))
    assert [(act.verb, act.subject, act.member_id) for act in gym.session.scalars(wanted.order_by(Action.id))] == [
        ("move billing reference", moved, one.member_id),
        ("move billing reference", moved, other.member_id),
        ("remove billing reference", f"sub_2 on {ENDPOINT} from membership {one.id}", one.member_id),
    ]


def test_what_cannot_be_given_up(gym: Gym) -> None:
    one, other = gym.join("sub"), gym.join()
    with refused(gym.session, NotFound, f"billing reference of membership {other.id}"):
        giving(gym, other, "sub", one)
    with refused(gym.session, SameMembership, f"Membership {one.id} has the reference"):
        giving(gym, one, "sub", one)
    with refused(gym.session, ReasonMissing, "Say why"):
        give_up(gym.session, one, ENDPOINT, "sub", reason="", by=BY)
    assert owners(gym.session, ENDPOINT, "sub") == [one.id]


def test_of_two_who_move_it_at_once_one_is_refused(open_gym: Gym, engine: Engine) -> None:
    one, *others = (open_gym.join(*names) for names in (["sub"], [], []))
    open_gym.session.commit()

    def move(into: int) -> Callable[[Session], str]:
        return lambda session: give_up(
            session, session.get_one(Membership, one.id), ENDPOINT, "sub", into=session.get_one(Membership, into),
            reason="both", by=BY,
        )  # fmt: skip

    done = together(engine, [move(other.id) for other in others])
    assert sorted(type(one).__name__ for one in done) == ["NotFound", "str"]
    assert len(owners(open_gym.session, ENDPOINT, "sub")) == 1
