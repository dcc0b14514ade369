"""Picking session items: at sign-up, and when a membership changes its plan."""

from collections.abc import Iterable
from hashlib import sha256
from typing import ClassVar

from sqlalchemy import select
from wtforms import HiddenField, SelectMultipleField

from console.request import database
from console.web.fields import chosen_id
from console.web.forms import Form
from models.catalogue import on_sale
from models.catalogue.items import Item
from models.catalogue.tables import PaymentTerm
from models.catalogue.terms import RULES
from models.errors import NotFound, TermsChanged


class PicksForm(Form):
    """A form with session items to tick: those of which the payment term gives sessions."""

    own_names: ClassVar = {"item_ids": "items", "payment_term_id": "term"}

    items = SelectMultipleField("Session items", coerce=chosen_id, validate_choice=False)
    shown = HiddenField()
    """A fingerprint of the terms, or of the preview, that the page showed."""

    def picked(self, term: PaymentTerm) -> list[Item]:
        """The ticked items, and the required ones, which a browser does not send. Raises NotFound."""
        wanted = {*self.items.data, *_required(term)}
        items = _items(wanted)
        for unknown in sorted(wanted - {item.id for item in items}):
            raise NotFound(field="item_ids", what="session item", name=unknown)
        return items

    def tick(self, term: PaymentTerm, item_ids: Iterable[int]) -> list[Item]:
        """Tick the required items and those of the ids that the term gives sessions of; the other items."""
        wanted, used = {*item_ids}, {bucket.item_id for bucket in term.used_buckets}
        self.items.data = sorted(wanted & used | _required(term))
        return _items(wanted - used)

    def show_terms(self, term: PaymentTerm) -> None:
        """Remember in the page what it shows of the term."""
        self.shown.data = fingerprint(_agreed(term))

    def check_terms(self, term: PaymentTerm) -> None:
        """Refuse terms that are not those that the page showed. Raises TermsChanged."""
        if self.shown.data != fingerprint(_agreed(term)):
            raise TermsChanged


def fingerprint(shown: object) -> str:
    """Of what a page showed, so that the form can tell whether it is still so."""
    return sha256(repr(shown).encode()).hexdigest()[:20]


def _agreed(term: PaymentTerm) -> object:
    """All that a person agrees to: price, interval, release, sessions, and the items to pick."""
    limits = (term.offer.min_buckets, term.offer.max_buckets)
    given = on_sale.given(term)
    items = sorted((bucket.item_id, bucket.required, *given[bucket.item_id][1:]) for bucket in term.used_buckets)
    return (term.id, term.currency, *(getattr(term, name) for name in RULES), limits, items)


def _required(term: PaymentTerm) -> set[int]:
    return {bucket.item_id for bucket in term.offer.buckets if bucket.required}


def _items(item_ids: Iterable[int]) -> list[Item]:
    return list(database().scalars(select(Item).where(Item.id.in_(item_ids)).order_by(Item.id)))
