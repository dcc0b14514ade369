"""The page of one offer: what it shows, and the windows over it. What is done on it is in offers, buckets and terms."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from wtforms import IntegerField
from wtforms.validators import InputRequired

from console.web.access import database
from console.web.forms import Form
from console.web.inventory import TYPES
from models.catalogue import on_sale
from models.catalogue.tables import Offer, OfferState, PaymentTerm, SessionBucket
from models.errors import NotFound, SppError
from models.members.memberships import Membership
from models.wording import Given, price

STATES = {
    OfferState.DRAFT.value: "Draft",
    OfferState.PUBLISHED.value: "Published",
    OfferState.RETIRED.value: "Retired",
}
KINDS = {
    OfferState.DRAFT.value: "warning",
    OfferState.PUBLISHED.value: "success",
    OfferState.RETIRED.value: "secondary",
}
"""A state's badge."""
TYPE_A_NUMBER = "Type a whole number, such as 8."


@dataclass(frozen=True)
class TermCard:
    """A payment term as its card shows it."""

    term: PaymentTerm
    memberships: int
    price: str
    sentence: str
    given: Mapping[int, Given]
    """What each payment gives of each session item of the offer, by item id."""


class WholeNumber(IntegerField):  # type: ignore[misc]
    """A number that the rules judge. What is none is refused here, and stays in the field as it was typed."""

    def __init__(self, label: str, **more: Any) -> None:
        super().__init__(label, [InputRequired(TYPE_A_NUMBER)], **more, render_kw={"min": 0, "inputmode": "numeric"})

    def process_formdata(self, valuelist: list[str]) -> None:
        """Reads digits, with or without a minus."""
        if valuelist and valuelist[0].strip():
            if not re.fullmatch(r"-?[0-9]{1,9}", valuelist[0].strip()):
                raise ValueError(TYPE_A_NUMBER)
            self.data = int(valuelist[0])


def bucket_of(offer: Offer, bucket_id: int) -> SessionBucket:
    """The offer's bucket with that id. Raises NotFound."""
    for bucket in offer.buckets:
        if bucket.id == bucket_id:
            return bucket
    raise NotFound(what="session bucket", name=bucket_id)


def term_of(offer: Offer, term_id: int) -> PaymentTerm:
    """The offer's payment term with that id. Raises NotFound."""
    for term in offer.terms:
        if term.id == term_id:
            return term
    raise NotFound(what="payment term", name=term_id)


def memberships_by_term(offer: Offer) -> dict[int, int]:
    """How many memberships have bought each payment term."""
    term = Membership.payment_term_id
    counted = select(term, func.count()).where(Membership.offer_id == offer.id).group_by(term)
    return dict(database().execute(counted).all())


def page(offer: Offer, template: str = "offer", *, form: Form | None = None, **window: object) -> ResponseReturnValue:
    """The offer's page, perhaps with a window over it and its form; 422 where the form was refused."""
    sold = memberships_by_term(offer)
    cards = [
        TermCard(
            term,
            sold.get(term.id, 0),
            price(term.dues_minor, term.currency, term.interval, term.interval_count),
            on_sale.sentence(term),
            on_sale.given(term),
        )
        for term in offer.terms
    ]
    text = render_template(
        f"offers/{template}.html", offer=offer, cards=cards, memberships=sum(sold.values()), next_step=next_step(offer),
        states=STATES, kinds=KINDS, types=TYPES, form=form, unbuyable=_unbuyable(offer), **window,
    )  # fmt: skip
    return text, 422 if form and form.errors else 200


def _unbuyable(offer: Offer) -> SppError | None:
    """What is wrong with an offer that is on sale since before that was refused."""
    return offer.why_not_buyable if offer.state == OfferState.PUBLISHED else None


def next_step(offer: Offer) -> str | None:
    """What a draft needs next, for the person who builds it."""
    if offer.state != OfferState.DRAFT:
        return None
    if not offer.buckets and not offer.terms:
        return "Add the session items that members get with Manage Session Buckets, then a payment term."
    if not offer.terms:
        return "Add a payment term: what the dues are, and how often they fall due."
    if offer.buckets and not any(entry.quantity for term in offer.terms for entry in term.bucket_terms):
        return "Edit the payment terms, and say how many sessions each payment gives."
    return str(offer.why_not_buyable or "Publish the offer, so that members can sign up for it.")
