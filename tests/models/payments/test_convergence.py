"""The promise: whatever the order, grouping and number of tellings, a payment's events end in one ledger."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.days import end_of
from models.ledger.redemptions import redeem
from models.ledger.tables import CreditGrant
from models.members import overdue
from models.members.memberships import Membership
from models.payments.facts import DuesFailed, Fact, Linked, Paid, Restored, Reversed
from models.payments.money_back import payment_of
from tests.models.days import expires_at
from tests.models.gym import (
    BY,
    CLASS_DAYS,
    CLASSES,
    NEVER,
    NOW,
    PAID_AT,
    TRAININGS,
    Event,
    Gym,
    deliver,
    entries,
    events,
    expire_all,
    fresh,
    grant_of,
    grants_of,
    paid,
    tell,
)
from tests.models.payments.entitled import CLUBS_FEE, Owed, Terms, entitlement

CHICAGO = ZoneInfo("America/Chicago")
MODEST = settings(max_examples=20)
LATER = PAID_AT + timedelta(days=20)
BETWEEN = PAID_AT + timedelta(days=35)
"""When what was not away has expired, and what was away for long has not."""
AFTER_EXPIRY = PAID_AT + timedelta(days=50)

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Scenario:
    """What a processor says of one payment, in order; how it is split into events, and how these arrive."""

    facts: list[Fact]
    events: list[list[Fact]]
    arrival: list[list[int]]
    """Numbers of events; each inner list is one transaction."""
    now: datetime


days = st.integers(0, 12).map(lambda number: PAID_AT + timedelta(days=number))
amounts = st.sampled_from([1, 3000, 4500, 5000, 9000, 12000]) | st.integers(1, 9000)
known_by = st.sampled_from(["in", "pi", "ch"])


@st.composite
def causes(draw: st.DrawFn, cause: str) -> list[Fact]:
    """Money going back for one cause, and perhaps returning, and perhaps going back again."""
    amount = draw(st.none() | amounts)
    currency = None if amount is None else "USD"
    kinds = (Reversed, *draw(st.sampled_from([(), (Restored,), (Restored, Reversed)])))
    return [kind(draw(known_by), draw(days), cause, amount, currency) for kind in kinds]


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    facts: list[Fact] = [paid("in", "sub", "cus")]
    if draw(st.booleans()):
        facts.append(paid(draw(known_by), "sub", at=draw(days)))
    links = st.sampled_from([("in pi", "pi ch"), ("ch in", "in pi"), ("ch pi", "pi in"), ("in ch", "in pi", "pi ch")])
    for one, other in map(str.split, draw(links)):
        facts.append(Linked(one, draw(days), other))
    for number in range(draw(st.integers(0, 3))):
        facts += draw(causes(f"refund of ch:re_{number}"))
    total = 0
    for _ in range(draw(st.integers(0, 2))):
        total += draw(amounts)
        facts.append(Reversed("ch", draw(days), "refund of ch", total, "USD", running_total=True))
    for number in range(draw(st.integers(0, 2))):
        facts += draw(causes(f"dispute:dp_{number}"))

    for _ in range(draw(st.integers(0, 2))):
        facts.append(DuesFailed(draw(known_by), draw(days), ("sub", "cus")))

    told = split(draw, facts) + [[fact] for fact in draw(st.lists(st.sampled_from(facts), max_size=3))]
    order = draw(st.permutations(range(len(told))))
    again = draw(st.lists(st.sampled_from(order), max_size=3))
    return Scenario(facts, told, split(draw, [*order, *again]), draw(st.sampled_from([LATER, BETWEEN, AFTER_EXPIRY])))


def split(draw: st.DrawFn, things: list[Thing]) -> list[list[Thing]]:
    parts: list[list[Thing]] = []
    while things:
        size = draw(st.integers(1, 4))
        parts.append(things[:size])
        things = things[size:]
    return parts


def in_order(session: Session, scenario: Scenario, endpoint: str) -> None:
    for event in events(*scenario.facts, endpoint=endpoint):
        deliver(session, [event], now=scenario.now)
        session.commit()


def as_it_arrives(session: Session, scenario: Scenario, endpoint: str) -> None:
    told = [Event(fresh("evt"), facts, endpoint) for facts in scenario.events]
    for group in scenario.arrival:
        deliver(session, [told[number] for number in group], now=scenario.now)
        session.commit()


Shown = dict[int, tuple[int, int, int, int, datetime | None]]


def shown(session: Session, membership: Membership) -> Shown:
    """Per item: granted and reversed net of doubles, remaining, shortfall, and when the standing grant expires."""
    held: defaultdict[int, list[CreditGrant]] = defaultdict(list)
    for grant in grants_of(session, membership):
        held[grant.item_id].append(grant)
    result: Shown = {}
    for item_id, (standing, *doubles) in held.items():
        assert all(double.reversed == double.quantity for double in doubles), "a double still counts"
        result[item_id] = (
            standing.quantity,
            standing.reversed,
            sum(grant.remaining for grant in (standing, *doubles)),
            sum(grant.shortfall for grant in (standing, *doubles)),
            standing.expires_at,
        )
    return result


def last_usable_day(facts: list[Fact], owed: Owed) -> date:
    """Counted day by day after the base day: one that ends with money away which comes back does not count."""
    terms = [Terms(owed.item_id, owed.quantity, 0)]

    def is_away(day: date) -> bool:
        known = [fact for fact in facts if isinstance(fact, Paid) or fact.occurred_at.astimezone(CHICAGO).date() <= day]
        (then,) = entitlement(known, terms, CLUBS_FEE)
        return then.reversed > owed.reversed

    payment = payment_of(facts)
    assert payment is not None
    day, left = payment.occurred_at.astimezone(CHICAGO).date(), owed.days_to_expire
    while left:
        day += timedelta(days=1)
        left -= not is_away(day)
    return day


def expected(gym: Gym, scenario: Scenario) -> Shown:
    """What the facts as a set come to, counted without the database."""
    terms = [Terms(gym.spin.id, CLASSES, CLASS_DAYS), Terms(gym.training.id, TRAININGS, NEVER)]
    result: Shown = {}
    for owed in entitlement(scenario.facts, terms, CLUBS_FEE):
        expires = end_of(last_usable_day(scenario.facts, owed), "America/Chicago") if owed.days_to_expire else None
        expired = expires is not None and expires <= scenario.now
        remaining = 0 if expired else owed.quantity - owed.reversed
        result[owed.item_id] = (owed.quantity, owed.reversed, remaining, 0, expires)
    return result


def test_any_arrival_ends_in_the_ledger_of_in_order_arrival(open_gym: Gym) -> None:
    gym, session = open_gym, open_gym.session

    @MODEST
    @given(scenarios())
    def check(scenario: Scenario) -> None:
        results = []
        for play in (in_order, as_it_arrives):
            endpoint = fresh("endpoint")
            membership = gym.join("sub", "cus", endpoint=endpoint)
            play(session, scenario, endpoint)
            expire_all(session, scenario.now)
            results.append(shown(session, membership))
            assert overdue.of_memberships(session, [membership.id]) == []
        assert results[0] == expected(gym, scenario)
        assert results[1] == results[0]
        assert list(audit(session)) == []
        session.commit()

    check()


def test_any_arrival_after_sessions_were_used_ends_in_the_same_balance(open_gym: Gym) -> None:
    gym, session = open_gym, open_gym.session

    @MODEST
    @given(scenarios(), st.integers(1, CLASSES), st.booleans())
    def check(scenario: Scenario, used: int, forgiving: bool) -> None:
        results = []
        club = gym.forgiving_club() if forgiving else gym.club
        for play in (in_order, as_it_arrives):
            endpoint = fresh("endpoint")
            membership = gym.join("sub", "cus", endpoint=endpoint, club=club)
            deliver(session, events(paid("in", "sub", "cus"), endpoint=endpoint))
            redeem(
                session,
                member_id=membership.member_id,
                item_id=gym.spin.id,
                quantity=used,
                key=fresh("key"),
                by=BY,
                now=NOW,
            )
            session.commit()
            play(session, scenario, endpoint)
            expire_all(session, scenario.now)
            results.append(shown(session, membership))
        assert results[1] == results[0]
        assert list(audit(session)) == []
        session.commit()

    check()


def test_a_refund_before_its_payment_nets_at_once(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, Reversed("in", PAID_AT, "refund of in:re_1", 4500, "USD"))
    assert grants_of(session, membership) == []
    tell(session, paid("in", "sub"))
    grant = grant_of(session, membership, gym.spin)
    assert (grant.quantity, grant.reversed, grant.remaining) == (CLASSES, CLASSES // 2, CLASSES // 2)


def test_a_link_that_comes_last_brings_the_refund_to_its_payment(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, Reversed("ch", PAID_AT, "refund of ch:re_1", 9000, "USD"))
    tell(session, paid("in", "sub"))
    tell(session, Linked("pi", PAID_AT, "ch"))
    assert grant_of(session, membership, gym.spin).remaining == CLASSES
    tell(session, Linked("in", PAID_AT, "pi"))
    assert grant_of(session, membership, gym.spin).remaining == 0
    assert list(audit(session)) == []


def test_of_two_references_credited_before_they_were_linked_one_stands(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    tell(session, paid("pi", "sub"))
    assert sum(grant.remaining for grant in grants_of(session, membership, gym.spin)) == 2 * CLASSES
    tell(session, Linked("pi", PAID_AT, "in"))
    standing, double = grants_of(session, membership, gym.spin)
    assert (standing.reversed, standing.remaining) == (0, CLASSES)
    assert (double.reversed, double.remaining) == (CLASSES, 0)
    assert list(audit(session)) == []


def test_the_earliest_telling_counts_whenever_it_arrives(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub", at=PAID_AT + timedelta(days=5)), now=LATER)
    tell(session, paid("in", "sub", at=PAID_AT), now=LATER)
    expires = expires_at(PAID_AT, CLASS_DAYS, "America/Chicago")
    assert grant_of(session, membership, gym.spin).expires_at == expires


@pytest.mark.parametrize("tellings", [[0], [5, 0]], ids=["told once", "told earlier since"])
def test_a_setting_that_changes_moves_no_expiry_that_stands(gym: Gym, session: Session, tellings: list[int]) -> None:
    membership = gym.join("sub")
    for days_later in tellings:
        tell(session, paid("in", "sub", at=PAID_AT + timedelta(days=days_later)), now=LATER)
    tell(session, paid("in", "sub", at=PAID_AT), now=LATER, late_credit=timedelta(days=1))
    grant = grant_of(session, membership, gym.spin)
    assert grant.expires_at == expires_at(PAID_AT, CLASS_DAYS, "America/Chicago")
    assert len(entries(session, grant)) == len(tellings)


def test_a_refund_in_another_currency_has_the_same_effect_before_and_after_its_payment(
    gym: Gym, session: Session
) -> None:
    told: list[Fact] = [paid("in", "sub"), Reversed("in", PAID_AT, "refund of in:re_1", 4500, "EUR")]
    results = []
    for order in (told, told[::-1]):
        endpoint = fresh("endpoint")
        membership = gym.join("sub", endpoint=endpoint)
        for event in events(*order, endpoint=endpoint):
            deliver(session, [event])
        results.append(shown(session, membership))
    assert results[0] == results[1]
