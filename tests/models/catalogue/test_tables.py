"""What gyms can sell: each rule as the function says it, and as the database does."""

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.catalogue.items import Item
from models.catalogue.rules import MAX_BUCKETS, MAX_DAYS_TO_EXPIRE, MAX_QUANTITY
from models.catalogue.tables import BucketTerms, Offer, OfferState, PaymentTerm, SessionBucket
from models.errors import (
    DaysWithoutSessions,
    ItemAlreadyAdded,
    MaximumBelowMinimum,
    NegativeNumber,
    NotASessionItem,
    NumberTooLarge,
    OfferCannotBeBought,
    SppError,
    TermCannotBeBought,
    WrongState,
)
from tests.models.gym import NOW, Gym, add_term, fresh, session_item
from tests.models.gym import refused as undone


def offer_of(gym: Gym, *items: Item, required: int = 0, limits: tuple[int, int] = (0, 1), term: bool = True) -> Offer:
    """A draft with these items, the first of them required, and a term by which each payment gives 1 of each."""
    offer = Offer(name=fresh("Offer"), state="draft", min_buckets=limits[0], max_buckets=limits[1])
    for number, item in enumerate(items):
        offer.add_bucket(item, required=number < required)
    if term:
        monthly = PaymentTerm(name="Monthly", dues_minor=9000, currency="USD")
        add_term(offer, monthly, dict.fromkeys(offer.buckets, (1, 0)))
    gym.session.add(offer)
    return offer


def refused(session: Session, row: object, constraint: str) -> None:
    savepoint = session.begin_nested()
    session.add(row)
    with pytest.raises(IntegrityError, match=constraint):
        session.flush()
    savepoint.rollback()


def test_maximum_below_minimum_is_refused(gym: Gym, session: Session) -> None:
    with pytest.raises(MaximumBelowMinimum, match=r"\(1\) cannot be less than minimum required \(2\)"):
        gym.offer.set_bucket_limits(2, 1)
    assert (gym.offer.min_buckets, gym.offer.max_buckets) == (1, 2)
    refused(session, Offer(name="x", min_buckets=2, max_buckets=1), "ck_offers_max_not_below_min")


def test_a_negative_minimum_is_refused(gym: Gym, session: Session) -> None:
    with pytest.raises(NegativeNumber):
        gym.offer.set_bucket_limits(-1, 1)
    refused(session, Offer(name="x", min_buckets=-1, max_buckets=1), "ck_offers_min_not_negative")


@pytest.mark.parametrize("limits", [(0, 0), (0, 1), (1, 1), (2, 2)])
def test_equal_and_wider_limits_are_accepted(gym: Gym, session: Session, limits: tuple[int, int]) -> None:
    gym.offer.set_bucket_limits(*limits)
    session.flush()
    session.refresh(gym.offer)
    assert (gym.offer.min_buckets, gym.offer.max_buckets) == limits


def test_only_scheduler_buckets_become_session_buckets(gym: Gym, session: Session) -> None:
    with pytest.raises(NotASessionItem, match="'Towel' is not a scheduler bucket"):
        gym.offer.add_bucket(gym.towel)
    towel = gym.towel.id
    by_its_kind = SessionBucket(offer_id=gym.offer.id, item_id=towel, item_kind="other", required=False)
    refused(session, by_its_kind, "ck_session_buckets_scheduler_buckets_only")
    by_a_lie = SessionBucket(offer_id=gym.offer.id, item_id=towel, item_kind="scheduler_bucket", required=False)
    refused(session, by_a_lie, "fk_session_buckets_item_id_item_kind_items")


def test_an_item_is_added_once(gym: Gym, session: Session) -> None:
    with pytest.raises(ItemAlreadyAdded):
        gym.offer.add_bucket(gym.spin)
    again = SessionBucket(offer_id=gym.offer.id, item_id=gym.spin.id, required=False)
    refused(session, again, "uq_session_buckets_offer_id_item_id")


@pytest.mark.parametrize(
    ("kind", "session_type", "constraint"),
    [
        ("scheduler_bucket", None, "ck_items_session_type_of_scheduler_buckets"),
        ("other", "class", "ck_items_session_type_of_scheduler_buckets"),
        ("scheduler_bucket", "yoga", "ck_items_session_type"),
        ("thing", None, "ck_items_kind"),
    ],
)
def test_items_are_of_known_kinds(gym: Gym, kind: str, session_type: str | None, constraint: str) -> None:
    refused(gym.session, Item(name="x", kind=kind, session_type=session_type), constraint)


@pytest.mark.parametrize(("quantity", "days"), [(5, 0), (1, 1), (MAX_QUANTITY, MAX_DAYS_TO_EXPIRE)])
def test_bucket_terms_that_make_sense_are_kept(gym: Gym, session: Session, quantity: int, days: int) -> None:
    gym.term.set_bucket(gym.offer.buckets[0], quantity=quantity, days_to_expire=days)
    session.flush()
    session.expire_all()
    kept = gym.term.bucket_terms[0]
    assert (kept.quantity, kept.days_to_expire, len(gym.term.bucket_terms)) == (quantity, days, 2)


def test_a_bucket_that_is_not_used_under_a_term_has_no_bucket_terms(gym: Gym, session: Session) -> None:
    spin, training = gym.offer.buckets
    gym.term.set_bucket(spin, quantity=0, days_to_expire=0)
    session.flush()
    session.expire_all()
    assert [entry.bucket for entry in gym.term.bucket_terms] == [training]
    gym.term.set_bucket(spin, quantity=0, days_to_expire=0)
    gym.term.set_bucket(spin, quantity=3, days_to_expire=0)
    gym.term.set_bucket(spin, quantity=0, days_to_expire=0)
    gym.term.set_bucket(spin, quantity=4, days_to_expire=7)
    session.flush()
    session.expire_all()
    kept = gym.term.bucket_terms[0]
    assert (kept.bucket, kept.quantity, kept.days_to_expire) == (spin, 4, 7)


@pytest.mark.parametrize(
    ("quantity", "days", "error", "constraint"),
    [
        (0, 30, DaysWithoutSessions, "quantity"),
        (-1, 0, NegativeNumber, "quantity"),
        (5, -1, NegativeNumber, "days_to_expire"),
        (MAX_QUANTITY + 1, 0, NumberTooLarge, "quantity"),
        (5, MAX_DAYS_TO_EXPIRE + 1, NumberTooLarge, "days_to_expire"),
    ],
)
def test_bucket_terms_without_sense_are_refused(
    gym: Gym, session: Session, quantity: int, days: int, error: type[SppError], constraint: str
) -> None:
    bucket = gym.offer.buckets[0]
    with pytest.raises(error):
        gym.term.set_bucket(bucket, quantity=quantity, days_to_expire=days)
    term = PaymentTerm(name="Weekly", dues_minor=1, currency="USD", offer_id=gym.offer.id)
    session.add(term)
    session.flush()
    ids = {"payment_term_id": term.id, "session_bucket_id": bucket.id, "offer_id": gym.offer.id}
    row = BucketTerms(**ids, quantity=quantity, days_to_expire=days)
    refused(session, row, f"ck_bucket_terms_{constraint}")


def test_a_term_and_a_bucket_of_different_offers_cannot_be_joined(gym: Gym, session: Session) -> None:
    other = offer_of(gym, session_item("Yoga"))
    session.flush()
    for offer in (gym.offer, other):
        ids = {"payment_term_id": gym.term.id, "session_bucket_id": other.buckets[0].id, "offer_id": offer.id}
        refused(session, BucketTerms(**ids, quantity=1, days_to_expire=0), "fk_bucket_terms_")
    gym.term.set_bucket(other.buckets[0], quantity=1, days_to_expire=0)
    with pytest.raises(IntegrityError, match="fk_bucket_terms_"):
        session.flush()


@pytest.mark.parametrize(
    ("items", "required", "limits", "term", "reason"),
    [
        (2, 0, (0, 2), False, "it has no payment term"),
        (3, 2, (0, 1), True, "it requires 2 session items but allows at most 1"),
        (1, 1, (0, 0), True, "it requires 1 session item but allows at most 0"),
        (2, 0, (3, 3), True, "it asks for at least 3 session items but has 2"),
        (0, 0, (1, 1), True, "it asks for at least 1 session item but has 0"),
        (1, 0, (0, 0), True, "it includes its one session item but allows at most 0"),
    ],
)
def test_an_offer_that_nobody_could_buy_is_not_published(
    gym: Gym, items: int, required: int, limits: tuple[int, int], term: bool, reason: str
) -> None:
    offer = offer_of(
        gym, *(session_item(fresh("Item")) for _ in range(items)), required=required, limits=limits, term=term
    )
    with pytest.raises(OfferCannotBeBought, match=reason):
        offer.publish()
    assert offer.state == OfferState.DRAFT


@pytest.mark.parametrize(
    ("items", "required", "limits"),
    [(0, 0, (0, 0)), (1, 0, (0, 1)), (1, 1, (1, 1)), (1, 0, (2, 2)), (3, 2, (2, 2)), (3, 0, (3, 3))],
)
def test_an_offer_that_somebody_can_buy_is_published(
    gym: Gym, items: int, required: int, limits: tuple[int, int]
) -> None:
    offer = offer_of(gym, *(session_item(fresh("Item")) for _ in range(items)), required=required, limits=limits)
    offer.publish()
    gym.session.flush()
    assert offer.state == OfferState.PUBLISHED


def test_an_offer_is_a_draft_then_published_then_retired_and_can_be_put_back_on_sale(gym: Gym) -> None:
    draft = offer_of(gym)
    with pytest.raises(WrongState, match="draft, so it cannot be retired"):
        draft.retire()
    draft.publish()
    with pytest.raises(WrongState, match="published, so it cannot be published"):
        draft.publish()
    draft.retire()
    with pytest.raises(WrongState, match="retired, so it cannot be retired"):
        draft.retire()
    draft.set_bucket_limits(1, 1)
    with pytest.raises(OfferCannotBeBought, match="asks for at least 1 session item but has 0"):
        draft.publish()
    draft.set_bucket_limits(0, 0)
    draft.publish()
    assert draft.state == OfferState.PUBLISHED
    refused(gym.session, Offer(name="x", state="hidden", min_buckets=0, max_buckets=1), "ck_offers_state")


@pytest.mark.parametrize(
    ("row", "constraint"),
    [
        (Club(name="x", time_zone="UTC", currency="usd"), "ck_clubs_currency"),
        (Club(name="x", time_zone="UTC", currency="USD", shortfall_policy="shrug"), "ck_clubs_shortfall_policy"),
        (Club(name="Downtown", time_zone="UTC", currency="USD"), "uq_clubs_name"),
    ],
)
def test_clubs_have_a_currency_a_policy_and_a_name_of_their_own(gym: Gym, row: Club, constraint: str) -> None:
    refused(gym.session, row, constraint)


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"dues_minor": -1}, "ck_payment_terms_dues_not_negative"),
        ({"currency": "dollars"[:3]}, "ck_payment_terms_currency"),
        ({"interval": "day"}, "ck_payment_terms_interval"),
        ({"interval_count": 0}, "ck_payment_terms_interval_count_positive"),
        ({"name": "Monthly"}, "uq_payment_terms_offer_id_name"),
    ],
)
def test_payment_terms_are_checked(gym: Gym, values: dict[str, object], constraint: str) -> None:
    term = PaymentTerm(**{"name": "Other", "dues_minor": 0, "currency": "USD", "offer_id": gym.offer.id} | values)
    refused(gym.session, term, constraint)


def test_an_offer_on_sale_stays_one_that_can_be_bought(gym: Gym, session: Session) -> None:
    items = [session_item(fresh("Item")), session_item(fresh("Item"))]
    offer = offer_of(gym, *items, required=1, limits=(1, 1))
    offer.publish()
    with undone(session, OfferCannotBeBought, "asks for at least 3"):
        offer.set_bucket_limits(3, 3)
    with undone(session, OfferCannotBeBought, "requires 2 session items but allows at most 1"):
        offer.add_bucket(session_item(fresh("Item")), required=True)
    offer.set_bucket_limits(0, 2)
    with undone(session, TermCannotBeBought, "under its payment term 'Monthly': it gives no sessions of Barre"):
        offer.add_bucket(session_item("Barre"), required=True)
    assert (offer.min_buckets, offer.max_buckets, len(offer.buckets)) == (0, 2, 2)


def test_more_session_buckets_than_anybody_needs_are_refused(gym: Gym) -> None:
    gym.offer.set_bucket_limits(0, MAX_BUCKETS)
    with pytest.raises(NumberTooLarge, match="Maximum allowed session buckets can be at most"):
        gym.offer.set_bucket_limits(0, MAX_BUCKETS + 1)
    assert gym.offer.max_buckets == MAX_BUCKETS


class TestUnderEachTerm:
    """A required item and the minimum can be met under every payment term on sale."""

    @pytest.fixture
    def offer(self, gym: Gym) -> Offer:
        """A draft: of two items at least one is picked, under Monthly, and under Yearly, which gives none yet."""
        draft = offer_of(gym, session_item("Barre"), session_item("Yoga"), limits=(1, 2))
        draft.add_term(PaymentTerm(name="Yearly", dues_minor=90_000, currency="USD"))
        gym.session.flush()
        return draft

    def test_an_offer_whose_minimum_cannot_be_met_is_not_published(self, offer: Offer) -> None:
        reason = "'Yearly': it gives sessions of 0 session items, but at least 1 must be picked; set more session"
        with pytest.raises(TermCannotBeBought, match=reason):
            offer.publish()
        assert offer.state == OfferState.DRAFT
        offer.terms[1].set_bucket(offer.buckets[1], quantity=12, days_to_expire=0)
        offer.publish()

    def test_an_offer_whose_required_item_gives_nothing_is_not_published(self, offer: Offer) -> None:
        offer.set_bucket_limits(0, 2)
        offer.publish()
        offer.retire()
        for bucket in offer.buckets:
            offer.set_required(bucket, True)
        with pytest.raises(TermCannotBeBought, match="'Yearly': it gives no sessions of Barre and Yoga, required at"):
            offer.publish()
        offer.terms[1].retire(NOW)
        offer.publish()

    def test_what_would_make_it_so_later_is_refused(self, gym: Gym, offer: Offer) -> None:
        monthly, yearly = offer.terms
        barre, yoga = offer.buckets
        yearly.set_bucket(barre, quantity=12, days_to_expire=0)
        offer.publish()
        offer.add_bucket(session_item("Boxing"))
        for act in (
            lambda: offer.set_bucket_limits(2, 2),
            lambda: offer.set_required(yoga, True),
            lambda: offer.remove_bucket(barre),
            lambda: offer.add_bucket(session_item("Aqua"), required=True),
            lambda: offer.add_term(PaymentTerm(name="Weekly", dues_minor=1, currency="USD")),
            lambda: yearly.set_bucket(barre, quantity=0, days_to_expire=0),
            lambda: monthly.set_buckets(dict.fromkeys(offer.buckets, (0, 0))),
        ):
            with undone(gym.session, TermCannotBeBought, "To change several things, retire the offer first"):
                act()
        assert [len(term.bucket_terms) for term in offer.terms] == [2, 1]
        assert (offer.min_buckets, len(offer.buckets)) == (1, 3)

    def test_numbers_that_belong_together_are_judged_together(self, offer: Offer) -> None:
        _, yearly = offer.terms
        barre, yoga = offer.buckets
        yearly.set_bucket(barre, quantity=12, days_to_expire=0)
        offer.publish()
        yearly.set_buckets({barre: (0, 0), yoga: (12, 0)})
        assert yearly.used_buckets == [yoga]

    def test_a_retired_term_may_give_nothing_until_it_is_brought_back(self, gym: Gym, offer: Offer) -> None:
        _, yearly = offer.terms
        yearly.retire(NOW)
        offer.publish()
        with undone(gym.session, TermCannotBeBought, "'Yearly'"):
            yearly.bring_back()
        assert yearly.retired_at == NOW
        yearly.set_bucket(offer.buckets[0], quantity=12, days_to_expire=0)
        yearly.bring_back()

    def test_one_on_sale_since_before_the_rule_can_be_mended_step_by_step(self, offer: Offer) -> None:
        offer.state = OfferState.PUBLISHED.value
        offer.set_bucket_limits(2, 2)
        assert "'Yearly'" in str(offer.why_not_buyable)
        for bucket in offer.buckets:
            offer.terms[1].set_bucket(bucket, quantity=12, days_to_expire=0)
        assert offer.why_not_buyable is None
        with pytest.raises(TermCannotBeBought):
            offer.terms[1].set_bucket(offer.buckets[0], quantity=0, days_to_expire=0)

    def test_a_term_of_dues_alone_is_on_sale_where_nothing_must_be_picked(self, offer: Offer) -> None:
        offer.set_bucket_limits(0, 2)
        offer.publish()
        assert offer.terms[1].used_buckets == []


def test_bucket_terms_of_no_sessions_are_none(gym: Gym, session: Session) -> None:
    gym.term.set_bucket(gym.offer.buckets[0], quantity=0, days_to_expire=0)
    session.flush()
    ids = {"payment_term_id": gym.term.id, "session_bucket_id": gym.offer.buckets[0].id, "offer_id": gym.offer.id}
    refused(session, BucketTerms(**ids, quantity=0, days_to_expire=0), "ck_bucket_terms_quantity")
