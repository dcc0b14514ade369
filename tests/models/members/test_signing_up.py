"""Signing up: which picks an offer takes, who the member is, and terms that stay as they were."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.catalogue.items import Item
from models.catalogue.tables import Offer, PaymentTerm
from models.errors import (
    InvalidEmail,
    NameMissing,
    PickGivesNothing,
    PickNotOffered,
    PicksMissing,
    ReferenceTaken,
    ReferenceUnusable,
    TermCannotBeBought,
    TooFewPicks,
    TooManyPicks,
    WrongCurrency,
    WrongState,
)
from models.members.lookup import find_member
from models.members.memberships import Member, Membership, add_billing_reference
from models.members.signing_up import sign_up
from models.staff.actions import Action
from tests.models.gym import (
    BY,
    CLASSES,
    NOW,
    TRAININGS,
    Gym,
    add_term,
    fresh,
    grant_of,
    grants_of,
    paid,
    session_item,
    tell,
)


@pytest.fixture
def menu(gym: Gym) -> list[Item]:
    items = [session_item(name) for name in ("Boxing", "Yoga", "Pilates", "Barre")]
    gym.session.add_all(items)
    return items


def published(gym: Gym, items: list[Item], limits: tuple[int, int], required: int = 0) -> PaymentTerm:
    """The one term of an offer with these items, the first of them required; 1 session each."""
    offer = Offer(name=fresh("Offer"), state="draft", min_buckets=0, max_buckets=1)
    offer.set_bucket_limits(*limits)
    term = PaymentTerm(name="Monthly", dues_minor=100, currency="USD")
    offer.terms.append(term)
    gym.session.add(offer)
    for number, item in enumerate(items):
        bucket = offer.add_bucket(item, required=number < required)
        term.set_bucket(bucket, quantity=1, days_to_expire=0)
    offer.publish()
    gym.session.flush()
    return term


def buy(gym: Gym, term: PaymentTerm, *picks: Item, email: str | None = None) -> Membership:
    email = fresh("m") + "@example.com" if email is None else email
    return sign_up(gym.session, email=email, name="Bo", club=gym.club, term=term, picks=picks, by=BY, now=NOW)


def pinned(membership: Membership) -> dict[int, tuple[int, int]]:
    return {terms.item_id: (terms.quantity, terms.days_to_expire) for terms in membership.versions[0].pinned}


def test_the_picks_are_what_is_pinned(gym: Gym, menu: list[Item]) -> None:
    membership = buy(gym, published(gym, menu, (0, 2)), menu[1], menu[3])
    assert pinned(membership) == {menu[1].id: (1, 0), menu[3].id: (1, 0)}
    assert (membership.versions[0].dues_minor, membership.currency) == (100, "USD")


def test_required_items_must_be_picked(gym: Gym, menu: list[Item]) -> None:
    term = published(gym, menu, (0, 3), required=2)
    with pytest.raises(PicksMissing, match="requires Yoga: pick it too"):
        buy(gym, term, menu[0], menu[2])
    with pytest.raises(PicksMissing, match="requires Boxing and Yoga"):
        buy(gym, term)
    assert len(buy(gym, term, menu[0], menu[1]).versions[0].pinned) == 2


def test_picks_number_from_minimum_to_maximum(gym: Gym, menu: list[Item]) -> None:
    term = published(gym, menu, (2, 3))
    with pytest.raises(TooFewPicks, match="at least 2 session items; 1 picked"):
        buy(gym, term, menu[0])
    with pytest.raises(TooFewPicks):
        buy(gym, term, menu[0], menu[0])
    with pytest.raises(TooManyPicks, match="at most 3 session items; 4 picked"):
        buy(gym, term, *menu)
    assert [len(buy(gym, term, *menu[:number]).versions[0].pinned) for number in (2, 3)] == [2, 3]


def test_the_minimum_does_not_apply_to_a_single_bucket_which_is_just_included(gym: Gym, menu: list[Item]) -> None:
    term = published(gym, menu[:1], (1, 1))
    for picks in ([], menu[:1], menu[:1] * 2):
        assert pinned(buy(gym, term, *picks)) == {menu[0].id: (1, 0)}


def test_an_offer_without_session_items_pins_nothing(gym: Gym) -> None:
    assert buy(gym, published(gym, [], (0, 0))).versions[0].pinned == []


@pytest.mark.parametrize("offered", [1, 3])
def test_a_pick_that_is_not_on_the_offer_is_refused(gym: Gym, menu: list[Item], offered: int) -> None:
    with pytest.raises(PickNotOffered, match=r"'Barre' is not a session item of .* it has Boxing"):
        buy(gym, published(gym, menu[:offered], (0, 1)), menu[3])


class TestPicksThatGiveNothing:
    """An item of which the payment term gives no sessions cannot be picked under it."""

    @pytest.fixture
    def term(self, gym: Gym, menu: list[Item]) -> PaymentTerm:
        """Of an offer of which 1 or 2 items are picked; it gives sessions of Boxing and Yoga, none of the others."""
        term = published(gym, menu, (1, 2))
        term.set_buckets(dict.fromkeys(term.offer.buckets[2:], (0, 0)))
        return term

    def test_such_a_pick_is_refused_beside_others_too(self, gym: Gym, menu: list[Item], term: PaymentTerm) -> None:
        refusal = f"'{term.name}' gives no sessions of 'Pilates': leave it out, or choose another payment term"
        for picks in (menu[2:3], [menu[0], menu[2]]):
            with pytest.raises(PickGivesNothing, match=refusal):
                buy(gym, term, *picks)
        assert pinned(buy(gym, term, *menu[:2])) == {menu[0].id: (1, 0), menu[1].id: (1, 0)}

    def test_it_never_counts_toward_the_minimum(self, gym: Gym, menu: list[Item], term: PaymentTerm) -> None:
        with pytest.raises(TooFewPicks, match="at least 1 session items; 0 picked"):
            buy(gym, term)
        with pytest.raises(PickGivesNothing):
            buy(gym, term, menu[3])

    def test_under_another_term_it_can_be_picked(self, gym: Gym, menu: list[Item], term: PaymentTerm) -> None:
        other = PaymentTerm(name="Yearly", dues_minor=900, currency="USD")
        add_term(term.offer, other, {term.offer.buckets[2]: (12, 365)})
        gym.session.flush()
        assert pinned(buy(gym, other, menu[2])) == {menu[2].id: (12, 365)}
        with pytest.raises(PickGivesNothing, match="'Yearly' gives no sessions of 'Boxing'"):
            buy(gym, other, menu[0])

    def test_a_single_item_is_included_under_the_terms_that_use_it_and_under_no_other(
        self, gym: Gym, menu: list[Item]
    ) -> None:
        term = published(gym, menu[:1], (1, 1))
        dues_only = PaymentTerm(name="Dues only", dues_minor=50, currency="USD")
        term.offer.add_term(dues_only)
        gym.session.flush()
        assert pinned(buy(gym, term)) == {menu[0].id: (1, 0)}
        assert pinned(buy(gym, dues_only)) == {}
        with pytest.raises(PickGivesNothing):
            buy(gym, dues_only, menu[0])

    def test_a_term_of_dues_alone_is_bought_without_picks(self, gym: Gym, menu: list[Item]) -> None:
        term = published(gym, menu, (0, 2))
        dues_only = PaymentTerm(name="Dues only", dues_minor=50, currency="USD")
        term.offer.add_term(dues_only)
        gym.session.flush()
        assert pinned(buy(gym, dues_only)) == {}
        with pytest.raises(PickGivesNothing):
            buy(gym, dues_only, menu[0])

    def test_a_term_under_which_the_minimum_cannot_be_met_is_not_bought(
        self, gym: Gym, menu: list[Item], term: PaymentTerm
    ) -> None:
        """As an offer can be on sale since before this was a rule."""
        term.bucket_terms.clear()
        gym.session.flush()
        with pytest.raises(TermCannotBeBought, match="it gives sessions of 0 session items, but at least 1 must be"):
            buy(gym, term)


def test_only_published_offers_can_be_bought(gym: Gym, menu: list[Item]) -> None:
    gym.offer.retire()
    with pytest.raises(WrongState, match="'Gold' is retired, so it cannot be bought"):
        buy(gym, gym.term, gym.spin)
    draft = Offer(name="Draft", state="draft", min_buckets=0, max_buckets=0)
    draft.terms.append(PaymentTerm(name="Monthly", dues_minor=1, currency="USD"))
    with pytest.raises(WrongState, match="'Draft' is draft"):
        buy(gym, draft.terms[0])


def test_a_term_in_another_currency_than_the_clubs_is_refused(gym: Gym, session: Session) -> None:
    club = Club(name="Berlin", time_zone="Europe/Berlin", currency="EUR")
    session.add(club)
    with pytest.raises(WrongCurrency, match="term is in USD, the club 'Berlin' in EUR"):
        sign_up(session, email="a@example.com", name="A", club=club, term=gym.term, picks=[gym.spin], by=BY, now=NOW)


@pytest.mark.parametrize("email", ["", " ", "a", "@", "a@", "@b", "a@b@c", "a b@c.d", "a@b c", "a\t@b.c", "a@b\nc"])
def test_what_is_no_address_is_refused(gym: Gym, session: Session, email: str) -> None:
    with pytest.raises(InvalidEmail):
        buy(gym, gym.term, gym.spin, email=email)
    session.add(Member(email=email, name="A"))
    with pytest.raises(IntegrityError, match="ck_members_email"):
        session.flush()


def test_a_known_address_in_any_case_gains_a_further_membership(gym: Gym, session: Session) -> None:
    first = buy(gym, gym.term, gym.spin, email="Ada@Example.com")
    second = buy(gym, gym.term, gym.training, email=" ADA@example.COM ")
    assert first.id != second.id
    assert first.member_id == second.member_id
    assert session.scalar(select(func.count()).select_from(Member)) == 1
    member = find_member(session, "aDa@eXample.com")
    assert member is not None
    assert (member.email, len(member.memberships)) == ("Ada@Example.com", 2)
    assert find_member(session, "eve@example.com") is None


@pytest.mark.parametrize("email", ["ÉVA@example.com", "ΟΔΟΣ@example.gr", "İpek@example.com"])
def test_addresses_in_any_script_are_known_by_their_case_too(gym: Gym, email: str) -> None:
    first, second = buy(gym, gym.term, gym.spin, email=email), buy(gym, gym.term, gym.spin, email=email)
    assert first.member_id == second.member_id


def test_an_edited_offer_changes_new_sign_ups_only(gym: Gym, session: Session) -> None:
    before = gym.join("before")
    for bucket in gym.offer.buckets:
        gym.term.set_bucket(bucket, quantity=99, days_to_expire=1)
    gym.term.dues_minor = 1
    after = gym.join("after")
    session.commit()
    session.expire_all()
    assert pinned(before) == {gym.spin.id: (CLASSES, 30), gym.training.id: (TRAININGS, 0)}
    assert (before.versions[0].dues_minor, after.versions[0].dues_minor) == (9000, 1)
    assert pinned(after)[gym.spin.id] == (99, 1)
    tell(session, paid("one", "before"), paid("two", "after"))
    assert [grant.quantity for grant in grants_of(session, before)] == [CLASSES, TRAININGS]
    assert grant_of(session, before, gym.training).expires_at is None
    assert [grant.quantity for grant in grants_of(session, after)] == [99, 99]


def test_a_billing_reference_belongs_to_one_membership_of_an_endpoint(gym: Gym, session: Session) -> None:
    one, other = gym.join("sub"), gym.join()
    with pytest.raises(ReferenceTaken, match=f"'sub' on endpoint 'stripe' already belongs to membership {one.id}\\."):
        add_billing_reference(session, other, "stripe", "sub", by=BY)
    add_billing_reference(session, other, "elsewhere", "sub", by=BY)
    add_billing_reference(session, one, "stripe", "sub", by=BY)
    session.expire_all()
    assert [(row.endpoint, row.reference) for row in one.billing] == [("stripe", "sub")]
    assert [(row.endpoint, row.reference) for row in other.billing] == [("elsewhere", "sub")]


def test_who_added_a_billing_reference_is_written_down_once(gym: Gym, session: Session) -> None:
    one, other = gym.join(), gym.join()
    for _ in range(2):
        add_billing_reference(session, one, "stripe", "sub", by=BY)
    with pytest.raises(ReferenceTaken):
        add_billing_reference(session, other, "stripe", "sub", by=BY)
    act = session.scalars(select(Action).where(Action.verb == "add billing reference")).one()
    assert (act.actor, act.origin, act.member_id) == (*BY, one.member_id)
    assert act.subject == f"sub on stripe to membership {one.id}"


@pytest.mark.parametrize("reference", ["sub_1\u200b", "sub 1", "sub_\N{GRINNING FACE}", ""])
def test_a_billing_reference_that_no_processor_can_name_is_refused(gym: Gym, reference: str) -> None:
    membership = buy(gym, published(gym, [session_item("Boxing")], (0, 1)))
    with pytest.raises(ReferenceUnusable):
        add_billing_reference(gym.session, membership, "stripe", reference, by=BY)
    assert membership.billing == []


def test_a_member_needs_a_name_that_can_be_seen(gym: Gym) -> None:
    term = published(gym, [session_item("Boxing")], (0, 1))
    with pytest.raises(NameMissing):
        sign_up(
            gym.session, email="x@example.com", name="\u200b\u202e", club=gym.club, term=term, picks=[], by=BY, now=NOW
        )
