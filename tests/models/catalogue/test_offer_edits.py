"""An offer is changed by those who build it, and one on sale stays one that somebody can buy."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.catalogue import offers
from models.catalogue.tables import BucketTerms, Offer, PaymentTerm
from models.errors import ItemRetired, OfferCannotBeBought, WrongState
from models.members.memberships import Membership
from tests.models.gym import NOW, Gym, add_term, refused, session_item


def pinned_items(membership: Membership) -> set[int]:
    return {pin.item_id for pin in membership.versions[0].pinned}


def test_a_retired_item_stays_where_it_is_and_is_added_nowhere(gym: Gym, session: Session) -> None:
    gym.spin.retire(NOW)
    with pytest.raises(WrongState, match="Item 'Spin' is retired, so it cannot be retired again"):
        gym.spin.retire(NOW)
    draft = offers.create(session, "Silver")
    with pytest.raises(ItemRetired, match="'Spin' is retired: bring it back"):
        draft.add_bucket(gym.spin)
    assert pinned_items(gym.join()) == {gym.spin.id, gym.training.id}
    gym.spin.bring_back()
    with pytest.raises(WrongState, match="Item 'Spin' is not retired"):
        gym.spin.bring_back()
    draft.add_bucket(gym.spin)
    session.flush()
    assert [bucket.item for bucket in draft.buckets] == [gym.spin]


def test_a_removed_bucket_takes_its_bucket_terms_along_and_leaves_memberships(gym: Gym, session: Session) -> None:
    before = gym.join()
    gym.offer.set_bucket_limits(0, 2)
    gym.offer.remove_bucket(gym.offer.buckets[0])
    session.flush()
    session.expire_all()
    assert [bucket.item for bucket in gym.offer.buckets] == [gym.training]
    assert [entry.bucket.item for entry in gym.term.bucket_terms] == [gym.training]
    assert session.scalar(select(func.count()).select_from(BucketTerms)) == 1
    assert pinned_items(before) == {gym.spin.id, gym.training.id}
    gym.offer.add_bucket(gym.spin)
    session.flush()
    session.expire_all()
    assert [entry.bucket.item for entry in gym.term.bucket_terms] == [gym.training]


def test_what_an_offer_on_sale_needs_cannot_be_taken_off(gym: Gym, session: Session) -> None:
    boxing = session_item("Boxing")
    session.add(boxing)
    third = gym.offer.add_bucket(boxing)
    gym.term.set_bucket(third, quantity=1, days_to_expire=0)
    gym.offer.set_required(third, True)
    gym.offer.set_bucket_limits(3, 3)
    with refused(session, OfferCannotBeBought, "asks for at least 3 session items but has 2"):
        gym.offer.remove_bucket(third)
    gym.offer.set_bucket_limits(0, 1)
    with refused(session, OfferCannotBeBought, "requires 2 session items but allows at most 1"):
        gym.offer.set_required(gym.offer.buckets[0], True)
    gym.offer.set_required(third, True)  # as it is already
    gym.offer.set_required(third, False)
    gym.offer.set_required(gym.offer.buckets[0], True)
    assert [bucket.required for bucket in gym.offer.buckets] == [True, False, False]


def test_a_draft_is_changed_freely(gym: Gym, session: Session) -> None:
    draft = offers.copy(session, gym.offer, "Silver")
    draft.set_bucket_limits(2, 2)
    for bucket in [*draft.buckets]:
        draft.set_required(bucket, True)
        draft.remove_bucket(bucket)
    draft.terms[0].retire(NOW)
    draft.remove_term(draft.terms[0])
    session.flush()
    assert (draft.buckets, draft.terms) == ([], [])


def only_one_on_sale(session: Session, offer: Offer, term: PaymentTerm) -> None:
    for act in (lambda: term.retire(NOW), lambda: offer.remove_term(term)):
        with refused(session, OfferCannotBeBought, "it has no payment term on sale"):
            act()
    assert offer.terms_on_sale == [term]


def test_the_last_payment_term_stays_on_sale_while_the_offer_is(gym: Gym, session: Session) -> None:
    only_one_on_sale(session, gym.offer, gym.term)
    other = PaymentTerm(name="Weekly", dues_minor=2000, currency="USD", interval="week")
    add_term(gym.offer, other, {gym.offer.buckets[0]: (2, 0)})
    gym.term.retire(NOW)
    with pytest.raises(WrongState, match="Payment term 'Monthly' is retired, so it cannot be retired again"):
        gym.term.retire(NOW)
    only_one_on_sale(session, gym.offer, other)
    gym.term.bring_back()
    with pytest.raises(WrongState, match="Payment term 'Monthly' is not retired"):
        gym.term.bring_back()
    other.retire(NOW)
    gym.offer.remove_term(other)
    gym.offer.retire()
    gym.term.retire(NOW)
    with pytest.raises(OfferCannotBeBought, match="it has no payment term on sale"):
        gym.offer.publish()


def test_several_changes_are_judged_by_what_they_come_to(gym: Gym, session: Session) -> None:
    boxing = session_item("Boxing")
    session.add(boxing)
    with gym.offer.stays_buyable():
        third = gym.offer.add_bucket(boxing, required=True)
        gym.offer.set_bucket_limits(3, 3)
        gym.term.set_bucket(third, quantity=1, days_to_expire=0)
    assert gym.offer.why_not_buyable is None
    with refused(session, OfferCannotBeBought, "at least 3 session items but has 2"), gym.offer.stays_buyable():
        gym.offer.remove_bucket(third)
        gym.term.set_bucket(gym.offer.buckets[0], quantity=1, days_to_expire=0)
    with refused(session, OfferCannotBeBought, "it gives no sessions of Boxing"):
        gym.term.set_bucket(third, quantity=0, days_to_expire=0)
    assert len(gym.offer.buckets) == 3


def test_a_retired_payment_term_cannot_be_bought(gym: Gym) -> None:
    gym.offer.terms.append(PaymentTerm(name="Weekly", dues_minor=2000, currency="USD", interval="week"))
    gym.term.retire(NOW)
    with pytest.raises(WrongState, match="Payment term 'Monthly' is retired, so it cannot be bought"):
        gym.join()
