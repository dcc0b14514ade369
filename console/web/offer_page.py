"""The page of one offer and the windows over it. The forms behind them are in offers, buckets and terms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from console.request import database, utc_now
from console.web import forms
from console.web.access import Answer
from console.web.inventory import TYPES
from models.catalogue import on_sale
from models.catalogue.tables import Offer, OfferState, PaymentTerm, SessionBucket
from models.catalogue.terms import PART_PAYMENTS
from models.errors import NotFound
from models.members.memberships import held_by_term
from models.wording import Given, price
from runtime.language import Texts, say

STATES: Texts = {
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


Part = TypeVar("Part", SessionBucket, PaymentTerm)


@dataclass(frozen=True)
class TermCard:
    """The contents of a payment term's card."""

    term: PaymentTerm
    memberships: int
    price: str
    summary: str
    part_payments: str
    given: Mapping[int, Given]
    """What each payment gives of each session item of the offer, by item id."""


def bucket_of(offer: Offer, bucket_id: int) -> SessionBucket:
    """The offer's session bucket with that id. Raises NotFound."""
    return _part(offer.buckets, "session bucket", bucket_id)


def term_of(offer: Offer, term_id: int) -> PaymentTerm:
    """The offer's payment term with that id. Raises NotFound."""
    return _part(offer.terms, "payment term", term_id)


def _part(parts: Sequence[Part], what: str, wanted: int) -> Part:
    for part in parts:
        if part.id == wanted:
            return part
    raise NotFound(what=what, name=wanted)


def named(offer: Offer) -> str:
    """The offer as the action log names it."""
    return f"offer {offer.id}, {offer.name}"


def page(offer: Offer, template: str = "offer", **window: object) -> Answer:
    """The offer's page, perhaps with a window over it and its form."""
    held = held_by_term(database(), utc_now())
    cards = [
        TermCard(
            term,
            held.get(term.id, 0),
            price(term.dues_minor, term.currency, term.interval, term.interval_count),
            on_sale.summary(term),
            PART_PAYMENTS[term.partial],
            on_sale.given(term),
        )
        for term in offer.terms
    ]
    return forms.page(
        f"offers/{template}.html",
        offer=offer,
        cards=cards,
        memberships=sum(card.memberships for card in cards),
        next_step=next_step(offer),
        states=STATES,
        kinds=KINDS,
        types=TYPES,
        unbuyable=offer.why_not_buyable if offer.state == OfferState.PUBLISHED else None,
        **window,
    )


def next_step(offer: Offer) -> str | None:
    """The next step for the person who builds a draft."""
    if offer.state != OfferState.DRAFT:
        return None
    if not offer.buckets and not offer.terms:
        return say("Add the session items that members get with Manage Session Buckets, then a payment term.")
    if not offer.terms:
        return say("Add a payment term: what the dues are, and how often they fall due.")
    if offer.buckets and not any(entry.quantity for term in offer.terms for entry in term.bucket_terms):
        return say("Edit the payment terms, and say how many sessions each payment gives.")
    return str(offer.why_not_buyable or say("Publish the offer, so that members can sign up for it."))
