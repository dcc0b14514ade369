"""What holds after every step, in whatever order members, staff, processors and the clock take theirs."""

from collections import Counter, defaultdict
from datetime import date, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.days import end_of, last_day
from models.catalogue.items import Item
from models.errors import DayOver, NeverExpires, NothingExpired, NothingToReturn, NotLater, TooFewSessions
from models.ledger import adjustments
from models.ledger.adjustments import AdjustmentReason
from models.ledger.redemptions import give_back, redeem
from models.payments.facts import Fact, Linked, Restored, Reversed
from models.payments.references import Payment
from models.staff.actions import Actor
from tests.models.gym import (
    BY,
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
    grants_of,
    paid,
)
from tests.models.payments.entitled import CLUBS_FEE, Terms, entitlement
from tests.models.payments.test_convergence import last_usable_day
from tests.models.yearly import MONTHS, by_the_year

MODEST = settings(max_examples=10, stateful_step_count=25)
FEW = settings(MODEST, max_examples=5)

_SUMS = text("""
    SELECT g.id, sum(e.quantity) AS remaining, sum(e.shortfall) AS shortfall, sum(e.reversed) AS reversed,
           coalesce(-sum(e.quantity) FILTER (WHERE e.kind = 'expiry'), 0) AS expired,
           coalesce(-sum(e.quantity) FILTER (WHERE e.kind IN ('redemption', 'return')), 0) AS used
    FROM credit_grants g JOIN ledger_entries e ON e.grant_id = g.id
    WHERE g.member_id = :member GROUP BY g.id
""")

_ADJUSTED = text("""
    SELECT g.item_id, sum(e.quantity)
    FROM ledger_entries e JOIN credit_grants g ON g.id = e.grant_id
    WHERE e.kind = 'adjustment' AND g.member_id = :member GROUP BY g.item_id
""")

SECOND_PERSON = Actor("ben@example.com", "192.0.2.8")


class MemberOfAGym(RuleBasedStateMachine):
    """One member, whose dues are paid, refunded, disputed and restored while sessions are used, returned and expire.

    Staff give and take some by hand, and put expiries off.
    """

    gym: Gym
    session: Session
    forgiving: bool
    tranches = 1
    """In so many a payment gives its sessions, one a month."""

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
        self.by_hand: Counter[int] = Counter()
        self.extended: set[int] = set()

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
            grant.remaining
            for grant in grants_of(self.session, self.membership, item)
            if grant.effective_at <= self.now and (grant.expires_at is None or self.now < grant.expires_at)
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
            by=BY,
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
            text(
                "SELECT -sum(e.quantity) FROM redemptions r JOIN ledger_entries e ON e.redemption_id = r.id"
                " WHERE :id IN (r.id, r.undoes)"
            ),
            {"id": redemption},
        )
        asked = partial(
            give_back, self.session, redemption_id=redemption, quantity=quantity, key=fresh("key"), by=BY, now=self.now
        )
        if (quantity or 1) > left:
            with pytest.raises(NothingToReturn):
                asked()
            return
        answer = asked()
        assert sum(draw.quantity for draw in answer.draws) == (quantity or left)

    @rule(
        quantity=st.integers(-10, 12).filter(bool),
        which=st.sampled_from(["spin", "training"]),
        days=st.none() | st.integers(0, 30),
    )
    def adjust(self, quantity: int, which: str, days: int | None) -> None:
        """At once, or where it is more than 4, later or never."""
        item = getattr(self.gym, which)
        asked = partial(
            adjustments.adjust,
            self.session,
            member_id=self.member,
            item_id=item.id,
            quantity=quantity,
            last_day=None if days is None else self.today + timedelta(days=days),
            reason=AdjustmentReason.OTHER,
            note="by hand",
            alone_up_to=4,
            key=fresh("key"),
            by=BY,
            now=self.now,
        )
        if quantity < -self.usable(item):
            with pytest.raises(TooFewSessions):
                asked()
        elif asked().approved:
            self.by_hand[item.id] += quantity

    @rule(approve=st.booleans(), which=st.integers(0, 5))
    def decide(self, approve: bool, which: int) -> None:
        """One of those that wait; what has become impossible goes on waiting."""
        waiting = adjustments.waiting(self.session, self.member)
        if not waiting:
            return
        adjustment = waiting[which % len(waiting)]
        asked = partial(
            adjustments.decide, self.session, adjustment.id, approve=approve, by=SECOND_PERSON, now=self.now
        )
        if approve and adjustment.expires_at and adjustment.expires_at <= self.now:
            with pytest.raises(DayOver):
                asked()
        elif approve and -adjustment.quantity > self.usable(adjustment.item):
            with pytest.raises(TooFewSessions):
                asked()
        else:
            asked()
            self.by_hand[adjustment.item_id] += adjustment.quantity if approve else 0

    @rule(days=st.integers(0, 40), which=st.integers(0, 20))
    def extend(self, days: int, which: int) -> None:
        """Any grant by so many days, expired or not, where that is possible."""
        grants = grants_of(self.session, self.membership)
        if not grants:
            return
        grant = grants[which % len(grants)]
        until = last_day(grant.expires_at, self.gym.club.time_zone) if grant.expires_at else self.today
        asked = partial(
            adjustments.extend,
            self.session,
            grant.id,
            last_day=until + timedelta(days=days),
            reason="ill",
            by=BY,
            now=self.now,
        )
        if grant.expires_at is None:
            with pytest.raises(NeverExpires):
                asked()
        elif not days:
            with pytest.raises(NotLater):
                asked()
        elif end_of(until + timedelta(days=days), self.gym.club.time_zone) <= self.now:
            with pytest.raises(DayOver):
                asked()
        else:
            try:
                asked()
            except NothingExpired:
                assert grant.expires_at <= self.now
                assert grant.remaining == 0
                return
            self.extended.add(grant.id)
            assert grant.expires_at == end_of(until + timedelta(days=days), self.gym.club.time_zone)

    @property
    def today(self) -> date:
        return self.now.astimezone(ZoneInfo(self.gym.club.time_zone)).date()

    @rule(days=st.integers(1, 20))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule()
    def expire(self) -> None:
        expire_all(self.session, self.now)

    @invariant()
    def projections_are_the_sums_of_their_entries(self) -> None:
        sums = {row.id: row for row in self.session.execute(_SUMS, {"member": self.member})}
        for grant in grants_of(self.session, self.membership):
            entered = sums[grant.id]
            assert (grant.remaining, grant.shortfall, grant.reversed) == (
                entered.remaining,
                entered.shortfall,
                entered.reversed,
            )
            assert 0 <= grant.remaining <= grant.quantity
            assert not (grant.remaining and grant.shortfall), "sessions are there while used ones are owed"
            assert entered.used >= 0
            if self.forgiving:
                assert grant.shortfall == 0

    @invariant()
    def reversed_is_what_the_facts_say(self) -> None:
        terms = [
            Terms(self.gym.spin.id, CLASSES * self.tranches, CLASS_DAYS),
            Terms(self.gym.training.id, TRAININGS * self.tranches, NEVER),
        ]
        expected = {terms[0].item_id: 0, terms[1].item_id: 0}
        for facts in self.facts.values():
            for owed in entitlement(facts, terms, CLUBS_FEE):
                expected[owed.item_id] += owed.quantity - owed.reversed
        standing = dict.fromkeys(expected, 0)
        for grant in grants_of(self.session, self.membership):
            if grant.payment_id:
                standing[grant.item_id] += grant.quantity - grant.reversed
        assert standing == expected

    @invariant()
    def days_are_what_the_facts_say(self) -> None:
        names = {row.id: row.reference for row in self.session.scalars(select(Payment))}
        for grant in grants_of(self.session, self.membership, self.gym.spin):
            facts = self.facts.get(names.get(grant.payment_id or 0, ""))
            if facts and grant.id not in self.extended and self.tranches == 1:
                (owed,) = entitlement(facts, [Terms(self.gym.spin.id, CLASSES, CLASS_DAYS)], CLUBS_FEE)
                assert grant.expires_at == end_of(last_usable_day(facts, owed), self.gym.club.time_zone)

    @invariant()
    def adjusted_is_what_was_applied(self) -> None:
        adjusted = self.session.execute(_ADJUSTED, {"member": self.member})
        assert {item: quantity for item, quantity in adjusted if quantity} == {
            item: quantity for item, quantity in self.by_hand.items() if quantity
        }

    @invariant()
    def the_audit_finds_nothing(self) -> None:
        assert list(audit(self.session)) == []


@pytest.mark.parametrize("tranches", [1, MONTHS])
@pytest.mark.parametrize("forgiving", [False, True], ids=["repaid", "forgiven"])
def test_any_interleaving_keeps_the_invariants(gym: Gym, session: Session, forgiving: bool, tranches: int) -> None:
    class Machine(MemberOfAGym):
        pass

    if tranches > 1:
        by_the_year(gym)
    Machine.tranches = tranches
    Machine.gym, Machine.session, Machine.forgiving = gym, session, forgiving
    run_state_machine_as_test(Machine, settings=MODEST if tranches == 1 else FEW)
