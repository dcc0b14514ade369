"""Terms that change: a payment counts by those in force when it was paid, and what was settled stays."""

from datetime import date, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.catalogue.days import end_of
from models.catalogue.tables import PaymentTerm
from models.errors import (
    DateInPast,
    PickGivesNothing,
    PickNotOffered,
    ReasonMissing,
    TermCannotBeBought,
    TextTooLong,
    TooFewPicks,
    TooManyPicks,
    WrongCurrency,
)
from models.ledger.redemptions import redeem
from models.members.memberships import Membership, MembershipTerms, PinnedTerms
from models.payments.facts import Fact, Reversed
from models.payments.references import Payment
from models.staff.actions import Action
from tests.models.days import expires_at
from tests.models.gym import (
    BY,
    CLASS_DAYS,
    CLASSES,
    DUES,
    NOW,
    Gym,
    add_term,
    deliver,
    entries,
    events,
    fresh,
    grant_of,
    grants_of,
    paid,
    session_item,
    tell,
)
from tests.models.members.plans import (
    CHICAGO,
    DAY,
    FEWER,
    FEWER_DAYS,
    INSTANT,
    LATER,
    MOVED_AT,
    MOVED_ON,
    clean,
    edit,
    given,
    half_back,
    move,
    pay,
)
from tests.models.payments.sweeps import sweep_to_the_end

OLD = [NOW - 400 * DAY, NOW - INSTANT, NOW, MOVED_AT - INSTANT]
NEW = [MOVED_AT, MOVED_AT + 10 * DAY]


@pytest.mark.parametrize(
    ("at", "quantity", "days"),
    [*((at, CLASSES, CLASS_DAYS) for at in OLD), *((at, FEWER, FEWER_DAYS) for at in NEW)],
)
def test_a_payment_counts_by_the_terms_in_force_when_it_was_paid(
    gym: Gym, session: Session, member: Membership, at: datetime, quantity: int, days: int
) -> None:
    edit(gym, FEWER, FEWER_DAYS)
    move(gym, member)
    pay(gym, "in", at)
    grant = grant_of(session, member, gym.spin)
    assert (grant.quantity, grant.expires_at) == (quantity, expires_at(at, days, CHICAGO))
    assert {pinned.item_id: pinned.quantity for pinned in member.terms_at(at).pinned}[gym.spin.id] == quantity
    assert clean(session)


@pytest.mark.parametrize("at", OLD)
def test_what_was_settled_stays(gym: Gym, session: Session, member: Membership, at: datetime) -> None:
    pay(gym, "in", at)
    edit(gym, FEWER, FEWER_DAYS)
    move(gym, member)
    pay(gym, "in", at)
    tell(session, paid("in", "sub", at=MOVED_AT + DAY), now=LATER)
    grant = grant_of(session, member, gym.spin)
    assert (grant.quantity, grant.reversed, len(entries(session, grant))) == (CLASSES, 0, 1)
    assert clean(session)


def test_without_a_day_it_counts_from_now(gym: Gym, session: Session, member: Membership) -> None:
    edit(gym, FEWER, FEWER_DAYS)
    now = NOW + timedelta(hours=5)
    assert move(gym, member, since=None, now=now).since == now
    pay(gym, "before", now - INSTANT)
    pay(gym, "after", now)
    assert given(gym, member) == [CLASSES, FEWER]


def test_from_today_payments_of_today_count_by_it_too(gym: Gym, session: Session, member: Membership) -> None:
    """A processor bills a change before somebody enters it."""
    edit(gym, FEWER, FEWER_DAYS)
    now = NOW + 2 * DAY
    midnight = end_of((now - DAY).date(), CHICAGO)
    pay(gym, "yesterday", midnight - INSTANT)
    pay(gym, "today", midnight)
    assert move(gym, member, since=now.date(), now=now).since == midnight
    sweep_to_the_end(session, LATER)
    assert [one.quantity - one.reversed for one in grants_of(session, member, gym.spin)] == [CLASSES, FEWER]
    assert clean(session)


def test_moved_at_the_moment_of_the_sign_up_what_was_paid_before_it_keeps_its_terms(
    gym: Gym, session: Session, member: Membership
) -> None:
    edit(gym, FEWER, FEWER_DAYS)
    move(gym, member, since=NOW.date())
    pay(gym, "before", NOW - INSTANT)
    pay(gym, "after", NOW)
    assert given(gym, member) == [CLASSES, FEWER]
    assert [member.terms_at(at) for at in (NOW - INSTANT, NOW)] == member.versions


def test_of_two_moves_on_one_day_the_later_entered_counts(gym: Gym, session: Session, member: Membership) -> None:
    for quantity in (FEWER, 6):
        edit(gym, quantity, FEWER_DAYS)
        move(gym, member)
    pay(gym, "before", MOVED_AT - INSTANT)
    pay(gym, "after", MOVED_AT)
    assert given(gym, member) == [CLASSES, 6]
    assert member.terms_at(MOVED_AT) is member.versions[-1]


def test_moves_count_by_their_days_in_whatever_order_they_are_entered(gym: Gym, member: Membership) -> None:
    for quantity, since in ((6, MOVED_ON + 5 * DAY), (FEWER, MOVED_ON)):
        edit(gym, quantity, FEWER_DAYS)
        move(gym, member, since=since)
    for number, days in enumerate((-1, 0, 4, 5)):
        pay(gym, f"in_{number}", MOVED_AT + days * DAY)
    assert given(gym, member) == [CLASSES, FEWER, FEWER, 6]
    assert [terms.since for terms in member.versions] == [NOW, MOVED_AT, MOVED_AT + 5 * DAY]


def test_the_terms_say_what_they_were_moved_to_by_whom_and_why(gym: Gym, session: Session, member: Membership) -> None:
    gym.term.dues_minor = 5000
    edit(gym, FEWER, FEWER_DAYS)
    before = session.scalars(select(func.count()).select_from(Action)).one()
    moved = move(gym, member, reason=" asked for it ")
    act = session.get_one(Action, moved.action_id)
    assert session.scalar(select(func.count()).select_from(Action)) == before + 1
    assert (act.actor, act.origin, act.verb, act.member_id) == (*BY, "change plan", member.member_id)
    assert act.subject == f"membership {member.id} to the current terms of Gold, Monthly, from 2024-03-15"
    assert act.reason == "asked for it"
    first, second = member.versions
    assert (first.action_id, first.since, first.dues_minor) == (None, NOW, DUES)
    assert (second, second.since, second.dues_minor) == (moved, MOVED_AT, 5000)
    assert [(pinned.item.name, pinned.quantity, pinned.days_to_expire) for pinned in moved.pinned] == [
        ("Spin", FEWER, FEWER_DAYS),
        ("Training", 2, 0),
    ]


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"reason": " \n"}, ReasonMissing, "a note is required"),
        ({"reason": "x" * 1001}, TextTooLong, "at most 1000"),
        ({"since": date(2024, 2, 29)}, DateInPast, "Feb 29, 2024 is over"),
        ({"since": date.min}, DateInPast, "is over"),
        ({"picks": []}, TooFewPicks, "at least 1"),
        ({"picks": ["towel"]}, PickNotOffered, "'Towel' is not a session item of 'Gold'; it has Spin, Training, Yoga"),
        ({"picks": ["spin", "barre"]}, PickGivesNothing, "'Monthly' gives no sessions of 'Barre'"),
        ({"picks": ["barre"]}, PickGivesNothing, "leave it out, or choose another payment term"),
        ({"picks": ["spin", "training", "yoga"]}, TooManyPicks, "at most 2"),
        ({"currency": "EUR"}, WrongCurrency, "term is in EUR"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    gym: Gym, session: Session, member: Membership, changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    yoga, barre = session_item("Yoga"), session_item("Barre")
    session.add_all([yoga, barre])
    gym.term.set_bucket(gym.offer.add_bucket(yoga), quantity=1, days_to_expire=0)
    gym.offer.add_bucket(barre)
    items = {"barre": barre, "spin": gym.spin, "training": gym.training, "towel": gym.towel, "yoga": yoga}
    gym.term.currency = changed.pop("currency", "USD")
    session.flush()
    if "picks" in changed:
        changed = changed | {"picks": [items[name] for name in changed["picks"]]}
    before = session.scalars(select(func.count()).select_from(Action)).one()
    with pytest.raises(error, match=message):
        move(gym, member, **changed)
    session.expire_all()
    assert len(member.versions) == 1
    assert session.scalar(select(func.count()).select_from(Action)) == before


@pytest.mark.parametrize(
    ("zone", "now", "today"),
    [
        (CHICAGO, "2024-03-02T05:59Z", date(2024, 3, 1)),
        (CHICAGO, "2024-03-02T06:00Z", date(2024, 3, 2)),
        ("Pacific/Kiritimati", "2024-03-01T10:00Z", date(2024, 3, 2)),
        ("Pacific/Honolulu", "2024-03-02T09:59Z", date(2024, 3, 1)),
    ],
)
def test_a_day_is_over_by_the_clubs_clock(gym: Gym, session: Session, zone: str, now: str, today: date) -> None:
    club = Club(name="Elsewhere", time_zone=zone, currency="USD")
    session.add(club)
    session.flush()
    member = gym.join(club=club)
    moment = datetime.fromisoformat(now)
    with pytest.raises(DateInPast):
        move(gym, member, since=today - DAY, now=moment)
    edit(gym, FEWER, FEWER_DAYS)
    assert move(gym, member, since=today, now=moment).since == max(NOW, end_of(today - DAY, zone))
    edit(gym, FEWER + 1, FEWER_DAYS)
    assert move(gym, member, since=today + DAY, now=moment).since == end_of(today, zone)


@pytest.mark.parametrize(
    ("at", "quantity"), [(NOW, CLASSES), (MOVED_AT, FEWER)], ids=["paid before the move", "paid after it"]
)
def test_a_refund_goes_by_the_terms_of_its_payment(
    gym: Gym, session: Session, member: Membership, at: datetime, quantity: int
) -> None:
    edit(gym, FEWER, FEWER_DAYS)
    move(gym, member)
    pay(gym, "in", at)
    tell(session, half_back("in"), now=at)
    grant = grant_of(session, member, gym.spin)
    assert (grant.reversed, grant.remaining) == (quantity // 2, quantity // 2)
    tell(session, Reversed("in", LATER, "dispute:dp", DUES, "USD"), now=at)
    assert (grant_of(session, member, gym.spin).reversed, grant_of(session, member, gym.spin).remaining) == (
        quantity,
        0,
    )
    assert clean(session)


def test_other_items_can_be_picked(gym: Gym, session: Session, member: Membership) -> None:
    move(gym, member, picks=[gym.training])
    pay(gym, "before", NOW)
    pay(gym, "after", MOVED_AT)
    assert (given(gym, member), given(gym, member, gym.training)) == ([CLASSES], [2, 2])
    tell(session, half_back("before"), half_back("after"), now=LATER)
    assert [grant.reversed for grant in grants_of(session, member)] == [CLASSES // 2, 1, 1]
    assert clean(session)


def test_terms_that_give_nothing_any_more_can_be_moved_to_where_nothing_must_be_picked(
    gym: Gym, session: Session, member: Membership
) -> None:
    gym.offer.set_bucket_limits(0, 2)
    gym.term.set_buckets(dict.fromkeys(gym.offer.buckets, (0, 0)))
    session.flush()
    with pytest.raises(PickGivesNothing):
        move(gym, member, picks=[gym.spin])
    assert move(gym, member, picks=[]).pinned == []
    pay(gym, "after", MOVED_AT)
    assert grants_of(session, member) == []
    assert clean(session)


def test_a_retired_term_by_which_nothing_can_be_picked_is_not_moved_to(gym: Gym, member: Membership) -> None:
    add_term(
        gym.offer, PaymentTerm(name="Yearly", dues_minor=1, currency="USD"), dict.fromkeys(gym.offer.buckets, (1, 0))
    )
    gym.term.retire(NOW)
    gym.term.set_buckets(dict.fromkeys(gym.offer.buckets, (0, 0)))
    with pytest.raises(
        TermCannotBeBought, match="under its payment term 'Monthly': it gives sessions of 0 session items"
    ):
        move(gym, member, picks=[])
    assert len(member.versions) == 1


def test_an_item_that_was_pinned_without_sessions_stays_and_gives_none(
    gym: Gym, session: Session, member: Membership
) -> None:
    """As memberships have it that were signed up when such an item could be picked."""
    pins = [PinnedTerms(item_id=gym.spin.id, quantity=0, days_to_expire=0)]
    rules = {"dues_minor": DUES, "interval": "month", "interval_count": 1}
    member.versions.append(MembershipTerms(since=MOVED_AT, term=gym.term, **rules, pinned=pins))
    session.flush()
    session.refresh(member, ["versions"])
    pay(gym, "after", MOVED_AT)
    assert grants_of(session, member) == []
    assert session.scalars(select(Payment.state)).one() == "settled"
    assert clean(session)


class TestToldEarlierAcrossAMove:
    """The earliest telling of a payment counts, and so may other terms: a grant becomes smaller or larger."""

    def test_to_terms_that_give_fewer(self, gym: Gym, session: Session, member: Membership) -> None:
        edit(gym, 12, 30)
        move(gym, member)
        pay(gym, "in", MOVED_AT + DAY)
        redeem(
            session, member_id=member.member_id, item_id=gym.spin.id, quantity=10, key=fresh("key"), by=BY, now=LATER
        )
        pay(gym, "in", MOVED_AT - DAY)
        grant = grant_of(session, member, gym.spin)
        assert (grant.quantity, grant.reversed, grant.remaining, grant.shortfall) == (12, 12 - CLASSES, 0, 2)
        assert clean(session)
        tell(session, half_back("in"), now=LATER)
        assert grant_of(session, member, gym.spin).reversed == 12 - CLASSES // 2
        assert clean(session)

    def test_to_terms_that_give_more(self, gym: Gym, session: Session, member: Membership) -> None:
        edit(gym, FEWER, FEWER_DAYS)
        move(gym, member)
        pay(gym, "in", MOVED_AT + DAY)
        pay(gym, "in", MOVED_AT - DAY)
        grant = grant_of(session, member, gym.spin)
        assert (grant.first_quantity, grant.quantity, grant.reversed) == (FEWER, CLASSES, 0)
        assert grant.expires_at == expires_at(MOVED_AT - DAY, CLASS_DAYS, CHICAGO)
        assert clean(session)
        tell(session, half_back("in"), now=LATER)
        assert grant_of(session, member, gym.spin).reversed == CLASSES // 2
        tell(session, Reversed("in", LATER, "dispute:dp", DUES, "USD"), now=LATER)
        assert grant_of(session, member, gym.spin).reversed == CLASSES
        assert clean(session)

    def test_to_terms_of_other_items(self, gym: Gym, session: Session, member: Membership) -> None:
        move(gym, member, picks=[gym.spin])
        pay(gym, "in", MOVED_AT + DAY)
        assert given(gym, member, gym.training) == []
        pay(gym, "in", MOVED_AT - DAY)
        assert given(gym, member, gym.training) == [2]

    def test_from_terms_of_other_items(self, gym: Gym, session: Session, member: Membership) -> None:
        yoga = session_item("Yoga")
        session.add(yoga)
        gym.term.set_bucket(gym.offer.add_bucket(yoga), quantity=5, days_to_expire=0)
        session.flush()
        move(gym, member, picks=[yoga])
        pay(gym, "in", MOVED_AT + DAY)
        pay(gym, "in", MOVED_AT - DAY)
        shown = {grant.item_id: (grant.quantity, grant.reversed) for grant in grants_of(session, member)}
        assert shown == {yoga.id: (5, 5), gym.spin.id: (CLASSES, 0), gym.training.id: (2, 0)}
        assert clean(session)


def shown(session: Session, member: Membership) -> list[tuple[object, ...]]:
    return sorted(
        (grant.item_id, grant.effective_at, grant.quantity, grant.reversed, grant.remaining, grant.expires_at)
        for grant in grants_of(session, member)
        if grant.expires_at
    )


def test_any_order_of_what_is_told_ends_in_the_same_ledger(gym: Gym, session: Session) -> None:
    """Of one payment clearly before the move and one clearly after it, whenever the move is entered before that day."""
    facts: list[Fact] = [
        paid("old", "sub", at=NOW),
        half_back("old"),
        paid("new", "sub", at=MOVED_AT + DAY),
        half_back("new"),
    ]
    results = []
    for order in permutations(facts):
        for moved_before in (0, 1, 2):
            if any(fact.payment == "new" for fact in order[:moved_before]):
                continue
            endpoint = fresh("endpoint")
            member = gym.join("sub", endpoint=endpoint)
            edit(gym, FEWER, FEWER_DAYS)
            for place, fact in enumerate(order):
                if place == moved_before:
                    move(gym, member)
                deliver(session, events(fact, endpoint=endpoint), now=LATER)
            edit(gym, CLASSES, CLASS_DAYS)
            results.append(shown(session, member))
    assert len(results) == 24 + 12 + 4
    assert results == [results[0]] * len(results)
    assert [(row[2], row[3]) for row in results[0]] == [(CLASSES, CLASSES // 2), (FEWER, FEWER // 2)]
    assert clean(session)
