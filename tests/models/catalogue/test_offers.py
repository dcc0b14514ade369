"""The Offer Builder's acts: offers made, copied and deleted, payment terms, and all session numbers at once."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.catalogue import offers, on_sale
from models.catalogue.items import Item
from models.catalogue.offers import MAX_DUES_MINOR, MAX_INTERVAL_COUNT
from models.catalogue.tables import BucketTerms, Offer, OfferState, PaymentTerm, SessionBucket
from models.catalogue.terms import Interval, Partial, Release
from models.errors import (
    DaysWithoutSessions,
    IntervalTooLong,
    NameMissing,
    NameTaken,
    NegativeNumber,
    NotPositive,
    NotReleased,
    NumberTooLarge,
    OfferCannotBeBought,
    OfferInUse,
    ReleaseTimesMissing,
    SessionsRefused,
    SppError,
    TermCannotBeBought,
    TermInUse,
    TextTooLong,
    WrongCurrencyCode,
    WrongState,
)
from models.members.memberships import Membership
from models.members.plan_change import change_plan
from tests.models.gym import BY, CLASS_DAYS, CLASSES, DUES, NOW, TRAININGS, Gym, refused, session_item

GIVEN: dict[str, Any] = {
    "name": "Weekly",
    "dues_minor": 2000,
    "currency": "USD",
    "interval": Interval.WEEK,
    "interval_count": 2,
}


AT_ONCE = {
    "partial": "proportional", "release": "at_once", "release_times": None, "frozen_dues": "nothing", "on_end": "keep",
    "on_end_days": None, "payment_link": None,
}  # fmt: skip
"""The rules of a payment term of which nothing else was said."""


@pytest.fixture
def gym(gym: Gym) -> Gym:
    """Nothing has to be picked, so that a payment term can be on sale before it gives anything."""
    gym.offer.set_bucket_limits(0, 2)
    return gym


def kept(session: Session, term: PaymentTerm) -> dict[str, Any]:
    session.expire_all()
    return {name: getattr(term, name) for name in offers.COLUMNS}


def numbers(term: PaymentTerm) -> dict[str, tuple[int, int]]:
    return {entry.bucket.item.name: (entry.quantity, entry.days_to_expire) for entry in term.bucket_terms}


def added(gym: Gym, fields: dict[str, Any], sessions: dict[SessionBucket, tuple[int, int]]) -> PaymentTerm:
    with gym.offer.stays_buyable():
        term = offers.add_term(gym.session, gym.offer, **fields)
        offers.set_buckets(term, sessions)
    return term


def test_an_offer_begins_as_an_empty_draft(session: Session) -> None:
    offer = offers.create(session, " Silver ")
    session.expire_all()
    assert (offer.name, offer.state, offer.min_buckets, offer.max_buckets) == ("Silver", "draft", 0, 1)
    assert (offer.buckets, offer.terms) == ([], [])


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("", NameMissing, "A name is required"),
        ("x" * 201, TextTooLong, "at most 200"),
        ("Gold", NameTaken, "There is already an offer 'Gold': choose another name"),
    ],
)
def test_an_offer_is_named_once(gym: Gym, session: Session, name: str, error: type[SppError], message: str) -> None:
    draft = offers.create(session, "Silver")
    for act in (offers.create, lambda session, name: offers.copy(session, gym.offer, name)):
        with pytest.raises(error, match=message):
            act(session, name)
    with pytest.raises(error, match=message):
        offers.rename(session, draft, name)
    assert session.scalars(select(Offer.name).order_by(Offer.name)).all() == ["Gold", "Silver"]
    offers.rename(session, draft, "Silver")
    offers.rename(session, draft, "Platinum")
    session.expire_all()
    assert draft.name == "Platinum"


def test_a_copy_is_a_draft_of_the_same_but_for_what_is_retired(gym: Gym, session: Session) -> None:
    boxing = session_item("Boxing")
    session.add(boxing)
    gym.offer.add_bucket(boxing)
    gym.offer.set_required(gym.offer.buckets[1], True)
    sessions = {gym.offer.buckets[1]: (1, 0)}
    gone = added(gym, GIVEN, sessions)
    monthly_release = {"partial": Partial.NONE, "release": Release.TIMES, "release_times": 6}
    added(gym, GIVEN | {"name": "Yearly", "interval": Interval.YEAR} | monthly_release, sessions)
    offers.set_buckets(gym.term, {gym.offer.buckets[2]: (3, 7)})
    boxing.retire(NOW)
    gone.retire(NOW)
    copied = offers.copy(session, gym.offer, "Gold 2")
    session.expire_all()
    assert (copied.name, copied.state, copied.min_buckets, copied.max_buckets) == ("Gold 2", "draft", 0, 2)
    assert [(bucket.item, bucket.required) for bucket in copied.buckets] == [(gym.spin, False), (gym.training, True)]
    monthly, yearly = copied.terms
    assert kept(session, monthly) == {
        "name": "Monthly",
        "dues_minor": DUES,
        "currency": "USD",
        "interval": "month",
        "interval_count": 1,
        **AT_ONCE,
    }
    assert kept(session, yearly) == GIVEN | AT_ONCE | {"name": "Yearly", "interval": "year"} | monthly_release
    assert numbers(monthly) == {"Spin": (CLASSES, CLASS_DAYS), "Training": (TRAININGS, 0)}
    assert numbers(yearly) == {"Training": (1, 0)}
    offers.set_buckets(monthly, {copied.buckets[0]: (0, 0)})
    session.flush()
    session.expire_all()
    assert numbers(gym.term) == {"Spin": (CLASSES, CLASS_DAYS), "Training": (TRAININGS, 0), "Boxing": (3, 7)}
    assert (len(gym.offer.buckets), len(gym.offer.terms), gym.offer.state) == (3, 3, OfferState.PUBLISHED)


def test_only_a_draft_is_deleted(gym: Gym, session: Session) -> None:
    draft = offers.copy(session, gym.offer, "Gold 2")
    offers.delete(session, draft)
    assert session.scalars(select(Offer.name)).all() == ["Gold"]
    assert session.scalar(select(func.count()).select_from(BucketTerms)) == 2
    for state in ("published", "retired"):
        with pytest.raises(
            WrongState, match=rf"Offer 'Gold' is {state}, so it cannot be deleted: only a draft can be\."
        ):
            offers.delete(session, gym.offer)
        gym.offer.state = OfferState.RETIRED.value
    assert session.scalars(select(Offer.name)).all() == ["Gold"]


def test_a_draft_that_a_membership_refers_to_is_not_deleted(gym: Gym, session: Session) -> None:
    gym.join()
    gym.offer.state = OfferState.DRAFT.value
    with pytest.raises(OfferInUse, match="'Gold' was bought by 1 membership: it can be retired, but not deleted"):
        offers.delete(session, gym.offer)
    session.expire_all()
    assert (len(gym.offer.terms), len(gym.offer.buckets), len(gym.term.bucket_terms)) == (1, 2, 2)


def test_session_items_that_are_not_retired_and_not_added_can_be_added_by_name(gym: Gym, session: Session) -> None:
    session.add_all([session_item("aerobics"), session_item("Boxing"), session_item("Old")])
    session.flush()
    session.scalars(select(Item).where(Item.name == "Old")).one().retire(NOW)
    assert [item.name for item in offers.addable_items(session, gym.offer)] == ["aerobics", "Boxing"]
    draft = offers.create(session, "Silver")
    assert [item.name for item in offers.addable_items(session, draft)] == ["aerobics", "Boxing", "Spin", "Training"]
    draft.add_bucket(gym.spin)
    assert [item.name for item in offers.addable_items(session, draft)] == ["aerobics", "Boxing", "Training"]


def test_a_payment_term_is_added_and_changed(gym: Gym, session: Session) -> None:
    term = offers.add_term(session, gym.offer, **GIVEN | {"name": " Weekly ", "currency": "usd"})
    assert kept(session, term) == GIVEN | AT_ONCE
    assert gym.offer.terms == [gym.term, term]
    assert term.bucket_terms == []
    changed: dict[str, Any] = {
        "name": "Yearly",
        "dues_minor": 0,
        "currency": "JPY",
        "interval": Interval.YEAR,
        "interval_count": 1,
    }
    offers.edit_term(session, term, **changed)
    assert kept(session, term) == changed | AT_ONCE
    offers.edit_term(session, term, release=Release.MONTHLY, partial=Partial.FULL)
    offers.edit_term(session, term, dues_minor=5)
    rules = {"release": "monthly", "partial": "full", "release_times": None}
    assert kept(session, term) == changed | AT_ONCE | {"dues_minor": 5} | rules, "what is not named stays"


def test_what_is_paid_once_has_no_count(gym: Gym, session: Session) -> None:
    term = offers.add_term(session, gym.offer, **GIVEN | {"interval": Interval.ONCE, "interval_count": 0})
    assert kept(session, term)["interval_count"] == 1


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"name": "\n"}, NameMissing, "A name is required"),
        ({"name": "x" * 201}, TextTooLong, "at most 200"),
        ({"name": "Monthly"}, NameTaken, "There is already a payment term of 'Gold' named 'Monthly': choose another"),
        ({"dues_minor": -1}, NegativeNumber, r"Dues cannot be negative \(it is -\$0\.01\)"),
        ({"dues_minor": MAX_DUES_MINOR + 1}, NumberTooLarge, r"Dues can be at most \$10,000,000,000\.00"),
        ({"currency": "dollars"}, WrongCurrencyCode, "'dollars' is not a currency"),
        ({"interval_count": 0}, NotPositive, r"between dues must be 1 or more \(it is 0\)"),
        ({"interval_count": MAX_INTERVAL_COUNT + 1}, IntervalTooLong, "every 120 weeks at most"),
        (
            {"release": Release.MONTHLY},
            NotReleased,
            "monthly only of dues for more than a month",
        ),
        ({"release": Release.TIMES}, ReleaseTimesMissing, r"2 to 60 \(it is not set\)"),
    ],
)
def test_a_payment_term_that_makes_no_sense_is_refused(
    gym: Gym, session: Session, changed: dict[str, Any], error: type[SppError], message: str
) -> None:
    with pytest.raises(error, match=message):
        offers.add_term(session, gym.offer, **GIVEN | changed)
    assert gym.offer.terms == [gym.term]
    term = offers.add_term(session, gym.offer, **GIVEN)
    with pytest.raises(error, match=message):
        offers.edit_term(session, term, **GIVEN | changed)
    assert kept(session, term) == GIVEN | AT_ONCE


def test_two_offers_can_have_terms_of_one_name(gym: Gym, session: Session) -> None:
    draft = offers.create(session, "Silver")
    assert offers.add_term(session, draft, **GIVEN | {"name": "Monthly"}).name == gym.term.name


def test_a_payment_term_that_somebody_bought_is_not_deleted(gym: Gym, session: Session) -> None:
    weekly = offers.add_term(session, gym.offer, **GIVEN)
    offers.set_buckets(weekly, {gym.offer.buckets[0]: (1, 0)})
    gym.join()
    with pytest.raises(TermInUse, match="'Monthly' was bought by 1 membership: retire it instead"):
        offers.delete_term(session, gym.term)
    assert gym.offer.terms == [gym.term, weekly]
    assert numbers(gym.term) == {"Spin": (CLASSES, CLASS_DAYS), "Training": (TRAININGS, 0)}
    offers.delete_term(session, weekly)
    session.expire_all()
    assert gym.offer.terms == [gym.term]
    assert session.scalar(select(func.count()).select_from(BucketTerms)) == 2


def test_the_only_payment_term_on_sale_is_not_deleted(gym: Gym, session: Session) -> None:
    with refused(session, OfferCannotBeBought, "no payment term on sale"):
        offers.delete_term(session, gym.term)
    gym.offer.retire()
    offers.delete_term(session, gym.term)
    session.expire_all()
    assert gym.offer.terms == []


def test_an_edited_payment_term_leaves_memberships_as_they_are(gym: Gym, session: Session) -> None:
    membership: Membership = gym.join()
    offers.edit_term(session, gym.term, **GIVEN)
    session.expire_all()
    assert (membership.versions[0].dues_minor, membership.currency) == (DUES, "USD")


def test_all_session_numbers_are_set_at_once(gym: Gym, session: Session) -> None:
    spin, training = gym.offer.buckets
    offers.set_buckets(gym.term, {spin: (0, 0), training: (5, 14)})
    session.flush()
    session.expire_all()
    assert numbers(gym.term) == {"Training": (5, 14)}
    assert on_sale.summary(gym.term) == "Each $90.00 monthly payment gives 5 Training sessions (14 days)."


def test_of_session_numbers_every_error_is_told_and_nothing_is_set(gym: Gym, session: Session) -> None:
    spin, training = gym.offer.buckets
    boxing = session_item("Boxing")
    session.add(boxing)
    third = gym.offer.add_bucket(boxing)
    with pytest.raises(SessionsRefused, match=r"^Nothing was saved\. Session quantity cannot be negative") as refused:
        offers.set_buckets(gym.term, {third: (9, 9), spin: (-1, 99999), training: (0, 30)})
    assert {key: type(error) for key, error in refused.value.refused.items()} == {
        (spin, "quantity"): NegativeNumber,
        (spin, "days_to_expire"): NumberTooLarge,
        (training, "days_to_expire"): DaysWithoutSessions,
    }
    session.flush()
    session.expire_all()
    assert numbers(gym.term) == {"Spin": (CLASSES, CLASS_DAYS), "Training": (TRAININGS, 0)}


def test_the_sentence_says_that_not_all_items_can_be_picked(gym: Gym, session: Session) -> None:
    gym.offer.set_bucket_limits(0, 1)
    assert on_sale.summary(gym.term) == (
        "Each $90.00 monthly payment gives 8 Spin sessions (30 days) and 2 Training sessions (never expiring); "
        "the member picks at most 1 of these."
    )
    assert "picks" not in on_sale.summary(gym.term, [gym.spin.id])


def test_a_payment_term_and_its_sessions_are_judged_together(gym: Gym, session: Session) -> None:
    gym.offer.set_bucket_limits(1, 2)
    spin, training = gym.offer.buckets
    with refused(session, TermCannotBeBought, "'Weekly'"):
        offers.add_term(session, gym.offer, **GIVEN)
    term = added(gym, GIVEN, {spin: (2, 7), training: (0, 0)})
    session.expire_all()
    assert numbers(term) == {"Spin": (2, 7)}
    offers.edit_term(session, term, **GIVEN | {"dues_minor": 2500})
    offers.set_buckets(term, {spin: (0, 0), training: (1, 0)})
    session.flush()
    session.expire_all()
    assert (term.dues_minor, numbers(term)) == (2500, {"Training": (1, 0)})


def test_terms_that_memberships_changed_to_are_bought(gym: Gym, session: Session) -> None:
    membership: Membership = gym.join()
    weekly = added(gym, GIVEN, {gym.offer.buckets[0]: (1, 0)})
    since, picks = NOW.date() + timedelta(days=9), [gym.spin]
    change_plan(session, membership, term=weekly, since=since, picks=picks, reason="asked", by=BY, now=NOW)
    for term in (weekly, gym.term):
        with pytest.raises(TermInUse, match="was bought by 1 membership: retire it instead"):
            offers.delete_term(session, term)
