"""Picking session items: at sign-up, and when a membership moves to its offer's current terms."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from wtforms import SelectMultipleField

from console.web.access import database
from console.web.forms import Form
from models.catalogue.tables import Item, PaymentTerm
from models.errors import PickGivesNothing, PickNotOffered, PicksMissing, SppError, TooFewPicks, TooManyPicks

_MAX_ID = 2**63 - 1

PICK_ERRORS: Mapping[type[SppError], str] = {
    PickGivesNothing: "items", PickNotOffered: "items", PicksMissing: "items", TooFewPicks: "items",
    TooManyPicks: "items",
}  # fmt: skip


def number(text: str) -> int:
    """An id that a form sends; 0, which nothing has, for what could be none."""
    plain = text.isascii() and text.isdigit() and len(text) < 20
    return int(text) if plain and int(text) <= _MAX_ID else 0


class PicksForm(Form):
    """A form with session items to tick: those of which the payment term gives sessions."""

    items = SelectMultipleField("Session items", coerce=number, validate_choice=False)

    def picked(self, term: PaymentTerm) -> list[Item]:
        """The items that are ticked, and those that the offer requires, which a browser does not send."""
        return _items({*self.items.data, *_required(term)})

    def tick(self, term: PaymentTerm, item_ids: Iterable[int]) -> list[Item]:
        """Ticks those of the items that can be picked under the term, and the required ones; the items left out."""
        wanted, used = {*item_ids}, {bucket.item_id for bucket in term.used_buckets}
        self.items.data = sorted(wanted & used | _required(term))
        return _items(wanted - used)


def _required(term: PaymentTerm) -> set[int]:
    return {bucket.item_id for bucket in term.offer.buckets if bucket.required}


def _items(item_ids: Iterable[int]) -> list[Item]:
    return list(database().scalars(select(Item).where(Item.id.in_(item_ids)).order_by(Item.id)))
