"""Signing up under an idempotency key: however often it is sent, one membership."""

from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.catalogue.items import Item
from models.catalogue.tables import PaymentTerm
from models.database.engine import make_engine
from models.errors import KeyReused, TooFewPicks, WrongState
from models.members.memberships import Member, Membership, MembershipTerms
from models.members.signing_up import sign_up
from models.staff.actions import Action
from tests.models.gym import BY, NOW, Gym, add_term, session_item, together
from tests.models.members.test_signing_up import published

EMAIL = "bo@example.com"


def count(session: Session) -> list[int]:
    """Members, memberships, their terms, and acts."""
    tables = (Member, Membership, MembershipTerms, Action)
    return [session.scalars(select(func.count()).select_from(table)).one() for table in tables]


def buy(gym: Gym, **changed: Any) -> Membership:
    """Of the gym's offer, with both its items."""
    values: dict[str, Any] = {
        "email": EMAIL,
        "name": "Bo",
        "club": gym.club,
        "term": gym.term,
        "picks": [gym.spin, gym.training],
        "by": BY,
        "now": NOW,
        "key": "once",
    }
    return sign_up(gym.session, **values | changed)


def test_who_signed_whom_up_is_written_down(gym: Gym, session: Session) -> None:
    membership = buy(gym)
    act = session.scalars(select(Action)).one()
    assert (act.actor, act.origin, act.verb, act.member_id) == (*BY, "sign up", membership.member_id)
    assert act.subject == f"membership {membership.id}: Gold, Monthly"
    assert [version.since for version in membership.versions] == [NOW]


def test_the_same_key_gives_the_same_membership(gym: Gym, session: Session) -> None:
    first, before = buy(gym), count(session)
    assert buy(gym) is first
    assert buy(gym, email=" BO@Example.com", name="Bo B.", picks=[gym.training, gym.spin, gym.spin]) is first
    assert count(session) == before == [1, 1, 1, 1]


def test_without_a_key_or_under_another_it_is_a_further_membership(gym: Gym, session: Session) -> None:
    assert len({buy(gym, key=key).id for key in (None, None, "once", "twice")}) == 4
    assert count(session) == [1, 4, 4, 4]


def test_it_is_the_same_after_the_offer_has_changed(gym: Gym) -> None:
    first = buy(gym)
    gym.offer.retire()
    gym.term.retired_at = NOW
    assert buy(gym) is first
    with pytest.raises(WrongState):
        buy(gym, key="another")


def test_a_retired_term_cannot_be_bought(gym: Gym, session: Session) -> None:
    gym.term.retired_at = NOW
    with pytest.raises(WrongState, match="Payment term 'Monthly' is retired, so it cannot be bought"):
        buy(gym)
    assert count(session) == [0, 0, 0, 0]


@pytest.mark.parametrize("what", ["email", "club", "term", "fewer picks", "no picks", "other picks"])
def test_the_same_key_for_something_else_is_refused(gym: Gym, session: Session, what: str) -> None:
    yoga = session_item("Yoga")
    uptown = Club(name="Uptown", time_zone="America/Chicago", currency="USD")
    yearly = PaymentTerm(name="Yearly", dues_minor=90_000, currency="USD")
    add_term(gym.offer, yearly, dict.fromkeys(gym.offer.buckets, (1, 0)))
    gym.offer.add_bucket(yoga)
    session.add_all([uptown, yoga])
    session.flush()
    changed: dict[str, dict[str, Any]] = {
        "email": {"email": "eve@example.com"},
        "club": {"club": uptown},
        "term": {"term": yearly},
        "fewer picks": {"picks": [gym.spin]},
        "no picks": {"picks": []},
        "other picks": {"picks": [gym.spin, yoga]},
    }
    buy(gym)
    before = count(session)
    with pytest.raises(KeyReused, match="'once'"):
        buy(gym, **changed[what])
    assert count(session) == before


def test_one_pick_and_none_differ_where_there_is_a_choice(gym: Gym, session: Session) -> None:
    term = published(gym, [gym.spin, gym.training], (0, 2))
    buy(gym, term=term, picks=[gym.spin])
    with pytest.raises(KeyReused):
        buy(gym, term=term, picks=[])


@pytest.mark.parametrize("picked", [True, False])
def test_the_only_item_picked_or_not_is_the_same(gym: Gym, picked: bool) -> None:
    term = published(gym, [gym.spin], (1, 1))
    picks: list[list[Item]] = [[gym.spin], []]
    first = buy(gym, term=term, picks=picks[picked])
    assert buy(gym, term=term, picks=picks[not picked]) is first


def test_a_refused_try_does_not_use_up_its_key(gym: Gym, session: Session) -> None:
    with pytest.raises(TooFewPicks):
        buy(gym, picks=[])
    assert count(session) == [0, 0, 0, 0]
    assert buy(gym).idempotency_key == "once"


def join(session: Session, *, email: str, club: int, term: int, item: int) -> int:
    """The id of the membership that this key has made."""
    membership = sign_up(
        session,
        email=email,
        name="Bo",
        club=session.get_one(Club, club),
        term=session.get_one(PaymentTerm, term),
        picks=[session.get_one(Item, item)],
        by=BY,
        now=NOW,
        key="once",
    )
    return membership.id


def test_the_same_key_at_once_makes_one_membership(open_gym: Gym, database_url: str) -> None:
    one = partial(join, club=open_gym.club.id, term=open_gym.term.id, item=open_gym.spin.id)
    engine = make_engine(database_url, pool_size=8)
    made = together(engine, [partial(one, email=EMAIL)] * 8)
    engine.dispose()
    assert len(set(made)) == 1
    assert type(made[0]) is int
    assert count(open_gym.session) == [1, 1, 1, 1]


def test_the_same_key_for_several_people_at_once_signs_one_up(open_gym: Gym, database_url: str) -> None:
    one = partial(join, club=open_gym.club.id, term=open_gym.term.id, item=open_gym.spin.id)
    engine = make_engine(database_url, pool_size=6)
    answers = together(engine, [partial(one, email=f"{number}@example.com") for number in range(6)])
    engine.dispose()
    assert [type(answer) for answer in answers].count(KeyReused) == 5
    assert count(open_gym.session) == [1, 1, 1, 1]
