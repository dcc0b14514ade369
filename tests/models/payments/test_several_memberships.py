"""One payment for several memberships: by its lines, by a shared reference, and what is placed later."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.clubs import Club
from models.members.memberships import Membership, add_billing_reference
from models.payments import reviewing, settlement
from models.payments.facts import Fact, Line, LineRefunded, Paid, Replaced, Reversed
from models.payments.references import Payment
from models.payments.reviews import ReviewReason
from tests.models.gym import (
    BY,
    CLASSES,
    DUES,
    ENDPOINT,
    NOW,
    PAID_AT,
    Gym,
    deliver,
    events,
    grants_of,
    paid,
    tell,
)
from tests.models.payments.plans import join
from tests.models.payments.sweeps import sweep_to_the_end

LINES = (Line(("family", "si_a"), DUES, id="a"), Line(("family", "si_b"), DUES, id="b"))
FAMILY = Paid("in", PAID_AT, 2 * DUES, "USD", ("family",), lines=LINES)


def sweep(session: Session) -> int:
    settled = settlement.settle_matched(session, now=NOW, late_credit=timedelta(0))
    session.commit()
    return settled


def classes(gym: Gym, *memberships: Membership) -> list[int]:
    """How many classes each of them can use."""
    return [sum(grant.remaining for grant in grants_of(gym.session, one, gym.spin)) for one in memberships]


def payment(session: Session, reference: str = "in") -> Payment:
    wanted = select(Payment).where(Payment.reference == reference)
    return session.scalars(wanted.execution_options(populate_existing=True)).one()


def in_review(session: Session) -> dict[str, set[ReviewReason]]:
    return {one.payment: {reason for reason, _ in one.reasons} for one in reviewing.page(session)}


def refund(amount: int, line: str = "", number: int = 1) -> list[Fact]:
    at = PAID_AT + timedelta(days=1)
    told: list[Fact] = [Reversed("in", at, f"refund of in:re_{number}", amount, "USD")]
    return [*told, LineRefunded("in", at, f"re_{number}", line, amount, "USD")] if line else told


class TestByLines:
    def test_each_gets_what_its_line_pays_for(self, gym: Gym, session: Session) -> None:
        ada, ben = gym.join("si_a"), gym.join("si_b")
        tell(session, FAMILY)
        assert classes(gym, ada, ben) == [CLASSES, CLASSES]
        assert in_review(session) == {}
        assert list(audit(session)) == []

    @pytest.mark.parametrize(
        ("told", "left"),
        [
            (refund(DUES), [4, 4]),
            (refund(DUES, "a"), [0, 8]),
            (refund(DUES, "b"), [8, 0]),
            (refund(DUES // 2, "a"), [4, 8]),
            ([*refund(DUES // 2, "a"), *refund(DUES, "", 2)], [0, 4]),
            (refund(2 * DUES), [0, 0]),
        ],
    )
    def test_a_refund_that_names_a_line_reaches_that_line_and_others_their_share(
        self, gym: Gym, session: Session, told: list[Fact], left: list[int]
    ) -> None:
        ada, ben = gym.join("si_a"), gym.join("si_b")
        tell(session, FAMILY)
        tell(session, *told)
        assert classes(gym, ada, ben) == left
        assert list(audit(session)) == []

    def test_a_part_that_nobody_has_waits_and_settles_when_it_is_linked(self, gym: Gym, session: Session) -> None:
        ada = gym.join("si_a")
        tell(session, FAMILY)
        assert classes(gym, ada) == [CLASSES]
        assert in_review(session) == {"in": {ReviewReason.UNPLACED}}
        assert sweep(session) == 0
        ben = gym.join("si_b")
        assert sweep(session) == 1
        assert classes(gym, ada, ben) == [CLASSES, CLASSES]
        assert in_review(session) == {}
        assert sweep(session) == 0

    def test_a_refund_before_the_part_is_linked_counts_for_it(self, gym: Gym, session: Session) -> None:
        ada = gym.join("si_a")
        tell(session, FAMILY, *refund(DUES, "b"))
        ben = gym.join("si_b")
        sweep(session)
        assert classes(gym, ada, ben) == [CLASSES, 0]
        assert list(audit(session)) == []

    def test_one_that_nobody_has_is_found_by_any_reference_of_its_lines(self, gym: Gym, session: Session) -> None:
        tell(session, FAMILY)
        assert in_review(session) == {"in": {ReviewReason.UNMATCHED}}
        ada = gym.join("si_a")
        assert sweep(session) == 1
        assert classes(gym, ada) == [CLASSES]

    def test_who_is_only_named_beside_is_not_who_it_was_paid_for(self, gym: Gym, session: Session) -> None:
        mother, ada = gym.join("cus"), gym.join("si_a")
        tell(session, Paid("in", PAID_AT, DUES, "USD", ("cus",), lines=(Line(("si_a",), DUES),)))
        tell(session, paid("in_2", "sub_unknown", "cus"))
        assert classes(gym, mother, ada) == [CLASSES, CLASSES]
        assert (payment(session).membership_id, payment(session, "in_2").membership_id) == (ada.id, mother.id)

    def test_the_currency_of_who_is_only_named_beside_does_not_hold_it(self, gym: Gym, session: Session) -> None:
        club = Club(name="Paris", time_zone="Europe/Paris", currency="EUR")
        ada, elsewhere = gym.join("sub"), gym.join("cus")
        session.add(club)
        session.flush()
        elsewhere.club, elsewhere.currency = club, "EUR"
        session.commit()
        tell(session, paid("in", "sub", "cus"))
        assert classes(gym, ada, elsewhere) == [CLASSES, 0]


class TestShared:
    def test_a_shared_reference_is_shared_equally(self, gym: Gym, session: Session) -> None:
        every = [join(gym, gym.term, "household") for _ in range(3)]
        tell(session, paid("in", "household", amount=3 * DUES))
        assert classes(gym, *every) == [CLASSES] * 3
        tell(session, *refund(DUES))
        assert classes(gym, *every) == [6, 6, 6], "each a third of the refund"
        assert in_review(session) == {}
        assert list(audit(session)) == []

    def test_who_shares_it_later_shares_later_payments(self, gym: Gym, session: Session) -> None:
        ada = gym.join("household")
        tell(session, paid("in", "household"))
        ben = join(gym, gym.term, "household")
        assert sweep(session) == 0
        tell(session, paid("in", "household"), paid("in_2", "household", amount=2 * DUES))
        assert classes(gym, ada, ben) == [2 * CLASSES, CLASSES]

    def test_halves_of_less_than_the_dues_are_parts_and_not_fees_of_each_other(
        self, gym: Gym, session: Session
    ) -> None:
        every = [join(gym, gym.term, "household") for _ in range(2)]
        tell(session, paid("in", "household", amount=DUES), paid("in_2", "household", amount=DUES))
        sweep_to_the_end(session)
        assert classes(gym, *every) == [CLASSES, CLASSES]
        assert in_review(session) == {"in": {ReviewReason.PART}, "in_2": {ReviewReason.PART}}


class TestReplaced:
    """A mandate that the processor replaced by another pays for the same membership."""

    REPLACED = (Replaced("md_1", PAID_AT, "md_2"), Replaced("md_2", PAID_AT, "md_3"))
    DUES = paid("in", "md_3")

    @pytest.mark.parametrize(
        "order",
        [
            [REPLACED[0], REPLACED[1], DUES, None],
            [None, DUES, REPLACED[1], REPLACED[0]],
            [DUES, REPLACED[0], None, REPLACED[1]],
            [REPLACED[1], DUES, REPLACED[0], None],
        ],
        ids=["joins last", "told backwards", "joins between", "joins last of all"],
    )
    def test_in_any_order(self, gym: Gym, session: Session, order: list[Fact | None]) -> None:
        membership = None
        for one in order:
            if one is None:
                membership = gym.join("md_1")
            else:
                tell(session, one)
            sweep(session)
        assert membership is not None
        assert classes(gym, membership) == [CLASSES]
        assert sweep(session) == 0
        assert in_review(session) == {}

    def test_one_that_goes_in_a_circle_ends(self, gym: Gym, session: Session) -> None:
        tell(session, *self.REPLACED, Replaced("md_3", PAID_AT, "md_1"), self.DUES)
        assert sweep(session) == 0
        gym.join("md_2")
        assert (sweep(session), sweep(session)) == (1, 0)

    def test_who_has_the_new_one_has_its_payments(self, gym: Gym, session: Session) -> None:
        old, new = gym.join("md_1"), gym.join("md_3")
        deliver(session, events(*self.REPLACED, self.DUES))
        assert classes(gym, old, new) == [0, CLASSES]


def test_a_reference_that_moves_moves_no_payment(gym: Gym, session: Session) -> None:
    ada = gym.join("sub")
    tell(session, paid("in", "sub"))
    ben = gym.join()
    add_billing_reference(session, ben, ENDPOINT, "sub", by=BY, shared=True)
    tell(session, paid("in", "sub"))
    assert classes(gym, ada, ben) == [CLASSES, 0]
