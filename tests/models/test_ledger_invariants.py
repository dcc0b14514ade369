"""What holds after every step, in whatever order members, processors and the clock take theirs."""

from collections import defaultdict
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.audit import audit
from models.catalogue import Item
from models.entitlement import Terms, entitlement
from models.errors import NothingToReturn, TooFewSessions
from models.facts import Fact, Linked, Restored, Reversed
from models.redemption import give_back, redeem
from tests.models.gym import (
    CLASS_DAYS,
    CLASSES,
    DUES,
    NEVER,
    PAID_AT,
    TRAININGS,
    Gym,
    deliver,
    events,
    expire_all,
    fresh,
    lots,
    paid,
)

MODEST = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

_SUMS = text("""
    SELECT g.id, sum(e.quantity) AS remaining, sum(e.shortfall) AS shortfall, sum(e.reversed) AS reversed,
           coalesce(-sum(e.quantity) FILTER (WHERE e.kind = 'expiry'), 0) AS lapsed,
           coalesce(-sum(e.quantity) FILTER (WHERE e.kind IN ('redemption', 'return')), 0) AS used
    FROM credit_grants g JOIN ledger_entries e ON e.grant_id = g.id
    WHERE g.member_id = :member GROUP BY g.id
""")


class MemberOfAGym(RuleBasedStateMachine):
    """One member, whose dues are paid, refunded, disputed and restored while sessions are used, returned and lapse."""

    gym: Gym
    session: Session
    forgiving: bool

    payments = Bundle("payments")
    reversals = Bundle("reversals")
    redemptions = Bundle("redemptions")

    def __init__(self) -> None:
        super().__init__()
        self.now = PAID_AT
        self.endpoint = fresh("endpoint")
        club = self.gym.forgiving_club() if self.forgiving else self.gym.club
        self.membership = self.gym.join("sub", club=club, endpoint=self.endpoint)
        self.member = self.membership.member_id
        self.facts: defaultdict[str, list[Fact]] = defaultdict(list)

    def teardown(self) -> None:
        self.session.rollback()

    def tell(self, payment: str, *facts: Fact) -> None:
        self.facts[payment] += facts
        deliver(self.session, events(*facts, endpoint=self.endpoint), now=self.now)

    @rule(target=payments)
    def pay(self) -> str:
        payment = fresh("pay")
        self.tell(payment, paid(payment, "sub", at=self.now))
        return payment

    @rule(target=payments, amount=st.integers(1, DUES))
    def pay_after_its_refund(self, amount: int) -> str:
        payment = fresh("pay")
        self.tell(payment, Reversed(payment, self.now, f"refund of {payment}:re", amount, "USD"))
        self.tell(payment, paid(payment, "sub", at=self.now))
        return payment

    @rule(target=reversals, payment=payments, amount=st.integers(1, DUES), kind=st.sampled_from(["refund", "dispute"]))
    def reverse(self, payment: str, amount: int, kind: str) -> Reversed:
        cause = f"refund of {payment}:{fresh('re')}" if kind == "refund" else f"dispute:{fresh('dp')}"
        told = Reversed(payment, self.now, cause, amount, "USD")
        self.tell(payment, told)
        return told

    @rule(target=reversals, payment=payments)
    def reverse_all(self, payment: str) -> Reversed:
        told = Reversed(payment, self.now, f"dispute:{fresh('dp')}")
        self.tell(payment, told)
        return told

    @rule(payment=payments, amount=st.integers(1, DUES))
    def tell_running_total(self, payment: str, amount: int) -> None:
        self.tell(payment, Reversed(payment, self.now, f"refund of {payment}", amount, "USD", running_total=True))

    @rule(told=consumes(reversals))
    def restore(self, told: Reversed) -> None:
        self.tell(told.payment, Restored(told.payment, self.now, told.cause, told.amount_minor, told.currency))

    @rule(payment=payments)
    def pay_under_another_name_and_link(self, payment: str) -> None:
        other = fresh("pay")
        at = self.facts[payment][-1].occurred_at
        self.tell(payment, paid(other, "sub", at=max(at, self.now)))
        self.tell(payment, Linked(payment, self.now, other))

    def usable(self, item: Item) -> int:
        return sum(
            lot.remaining
            for lot in lots(self.session, self.membership, item)
            if lot.effective_at <= self.now and (lot.expires_at is None or self.now < lot.expires_at)
        )

    @rule(target=redemptions, quantity=st.none() | st.integers(1, 10), which=st.sampled_from(["spin", "training"]))
    def redeem(self, quantity: int | None, which: str) -> int | None:
        """So many, or all there are."""
        item = getattr(self.gym, which)
        usable = self.usable(item)
        quantity = quantity or usable or 1
        asked = partial(
            redeem,
            self.session,
            member_id=self.member,
            item_id=item.id,
            quantity=quantity,
            key=fresh("key"),
            now=self.now,
        )
        if quantity > usable:
            with pytest.raises(TooFewSessions):
                asked()
            return None
        return asked().redemption_id

    @rule(redemption=redemptions, quantity=st.none() | st.integers(1, 6))
    def give_back(self, redemption: int | None, quantity: int | None) -> None:
        if redemption is None:
            return
        left = self.session.scalar(
            text("SELECT -sum(e.quantity) FROM redemptions r JOIN ledger_entries e ON e.redemption_id = r.id"
                 " WHERE :id IN (r.id, r.undoes)"),
            {"id": redemption},
        )  # fmt: skip
        asked = partial(
            give_back, self.session, redemption_id=redemption, quantity=quantity, key=fresh("key"), now=self.now
        )
        if (quantity or 1) > left:
            with pytest.raises(NothingToReturn):
                asked()
            return
        answer = asked()
        assert sum(draw.quantity for draw in answer.draws) == (quantity or left)

    @rule(days=st.integers(1, 20))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule()
    def expire(self) -> None:
        expire_all(self.session, self.now)

    @invariant()
    def projections_are_the_sums_of_their_entries(self) -> None:
        sums = {row.id: row for row in self.session.execute(_SUMS, {"member": self.member})}
        for lot in lots(self.session, self.membership):
            entered = sums[lot.id]
            assert (lot.remaining, lot.shortfall, lot.reversed) == (
                entered.remaining,
                entered.shortfall,
                entered.reversed,
            )
            assert 0 <= lot.remaining <= lot.quantity
            assert not (lot.remaining and lot.shortfall), "sessions are there while used ones are owed"
            assert entered.used >= 0
            if self.forgiving:
                assert lot.shortfall == 0

    @invariant()
    def reversed_is_what_the_facts_say(self) -> None:
        terms = [
            Terms(self.gym.spin.id, CLASSES, CLASS_DAYS),
            Terms(self.gym.training.id, TRAININGS, NEVER),
        ]
        expected = {terms[0].item_id: 0, terms[1].item_id: 0}
        for facts in self.facts.values():
            for owed in entitlement(facts, terms):
                expected[owed.item_id] += owed.quantity - owed.reversed
        standing = dict.fromkeys(expected, 0)
        for lot in lots(self.session, self.membership):
            standing[lot.item_id] += lot.quantity - lot.reversed
        assert standing == expected

    @invariant()
    def the_audit_finds_nothing(self) -> None:
        assert list(audit(self.session)) == []


@pytest.mark.parametrize("forgiving", [False, True], ids=["repaid", "forgiven"])
def test_any_interleaving_keeps_the_invariants(gym: Gym, session: Session, forgiving: bool) -> None:
    class Machine(MemberOfAGym):
        pass

    Machine.gym, Machine.session, Machine.forgiving = gym, session, forgiving
    run_state_machine_as_test(Machine, settings=MODEST)
