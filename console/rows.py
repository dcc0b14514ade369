"""Rows that a request names by their ids."""

from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from console.request import database
from models.catalogue.tables import BucketTerms, Offer, PaymentTerm, SessionBucket
from models.database.base import Base
from models.errors import NotFound

Row = TypeVar("Row", bound=Base)


def noun(table: type[Base]) -> str:
    """What a row of the table is called: `payment term`."""
    return str(table.__tablename__).removesuffix("s").replace("_", " ")


def row(table: type[Row], wanted: int, *, lock: bool = False, field: str | None = None) -> Row:
    """The row with that id, locked against other edits with `lock`.

    Raises NotFound for the field that holds the id: `item_id`, unless it is named.
    """
    found = database().get(table, wanted, with_for_update=lock or None)
    if found is None or getattr(found, "withdrawn_at", None):  # a membership whose import was undone is shown nowhere
        what = noun(table)
        raise NotFound(field=field or f"{what.replace(' ', '_')}_id", what=what, name=wanted)
    return found


def the_offer(offer_id: int, *, lock: bool = False) -> Offer:
    """The offer with its parts, locked against other edits with `lock`. Raises NotFound."""
    query = select(Offer).where(Offer.id == offer_id)
    if lock:
        # First the lock, then what it protects. Sign-ups need not wait for it.
        database().execute(query.with_for_update(key_share=True))
    parts = (
        selectinload(Offer.buckets).joinedload(SessionBucket.item),
        selectinload(Offer.terms)
        .selectinload(PaymentTerm.bucket_terms)
        .joinedload(BucketTerms.bucket)
        .joinedload(SessionBucket.item),
    )
    offer = database().scalar(query.options(*parts).execution_options(populate_existing=True))
    if offer is None:
        raise NotFound(what="offer", name=offer_id)
    return offer


def the_term(term_id: int) -> PaymentTerm:
    """The payment term, with its offer locked against other edits. Raises NotFound."""
    offer = the_offer(row(PaymentTerm, term_id).offer_id, lock=True)
    found = next((term for term in offer.terms if term.id == term_id), None)
    if found is None:  # deleted while this request waited for the lock
        raise NotFound(what="payment term", name=term_id)
    return found
