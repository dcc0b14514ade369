"""Offers and payment terms that can be bought at a club, and the sessions that they give now. Read only."""

from collections.abc import Collection, Sequence

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, selectinload

from models.catalogue import terms
from models.catalogue.clubs import Club
from models.catalogue.tables import BucketTerms, Offer, OfferState, PaymentTerm, SessionBucket
from models.wording import Given
from runtime.language import say

_PARTS = (
    selectinload(Offer.buckets).joinedload(SessionBucket.item),
    selectinload(Offer.terms).selectinload(PaymentTerm.bucket_terms).joinedload(BucketTerms.bucket),
)


def offers(session: Session, club: Club) -> Sequence[Offer]:
    """Published offers with a payment term on sale in the club's currency, by name, with all their parts loaded."""
    on_sale = exists().where(
        PaymentTerm.offer_id == Offer.id, PaymentTerm.retired_at.is_(None), PaymentTerm.currency == club.currency
    )
    query = select(Offer).where(Offer.state == OfferState.PUBLISHED, on_sale).options(*_PARTS)
    return session.scalars(query.order_by(Offer.name)).all()


def terms_at(offer: Offer, club: Club) -> list[PaymentTerm]:
    """The offer's payment terms that can be bought at the club."""
    return [term for term in offer.terms if term.retired_at is None and term.currency == club.currency]


def given(term: PaymentTerm) -> dict[int, Given]:
    """The sessions that each release gives of every session item that the offer has now, by item id."""
    known = {entry.bucket: entry for entry in term.bucket_terms}
    return {
        bucket.item_id: Given(bucket.item.name, known[bucket].quantity, known[bucket].days_to_expire)
        if bucket in known
        else Given(bucket.item.name, 0, 0)
        for bucket in term.offer.buckets
    }


def summary(term: PaymentTerm, item_ids: Collection[int] | None = None) -> str:
    """The payment term in plain words, as it stands now; with all session items of its offer, or these.

    Where a member cannot have all of them, it says how many.
    """
    parts = [part for item_id, part in given(term).items() if item_ids is None or item_id in item_ids]
    sentence = terms.summary(term, term.currency, parts)
    most, offered = term.offer.max_buckets, sum(part.quantity > 0 for part in parts)
    if item_ids is not None or len(term.offer.buckets) == 1 or most >= offered:
        return sentence
    return say("{said}; the member picks at most {most} of these.", said=sentence.removesuffix("."), most=most)
