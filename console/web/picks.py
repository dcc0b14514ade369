"""Picking session items: at sign-up, and when a membership moves to its offer's current terms."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from wtforms import SelectMultipleField

from console.web.access import database
from console.web.forms import Form
from models.catalogue import Item, Offer
from models.errors import PickNotOffered, PicksMissing, SppError, TooFewPicks, TooManyPicks

_MAX_ID = 2**63 - 1

PICK_ERRORS: Mapping[type[SppError], str] = {
    PickNotOffered: "items", PicksMissing: "items", TooFewPicks: "items", TooManyPicks: "items",
}  # fmt: skip


def number(text: str) -> int:
    """An id that a form sends; 0, which nothing has, for what could be none."""
    plain = text.isascii() and text.isdigit() and len(text) < 20
    return int(text) if plain and int(text) <= _MAX_ID else 0


class PicksForm(Form):
    """A form with session items to tick. Which may be picked together, the offer's rules say."""

    items = SelectMultipleField("Session items", coerce=number, validate_choice=False)

    def picked(self, offer: Offer) -> list[Item]:
        """The items that are ticked, and those that the offer requires, which a browser does not send."""
        wanted = {*self.items.data, *required(offer)}
        return list(database().scalars(select(Item).where(Item.id.in_(wanted)).order_by(Item.id)))

    def tick(self, offer: Offer, item_ids: Iterable[int]) -> None:
        """Ticks those of the items that the offer has, and the required ones."""
        on_offer = {bucket.item_id for bucket in offer.buckets}
        self.items.data = sorted((on_offer & {*item_ids}) | required(offer))


def required(offer: Offer) -> set[int]:
    """The ids of the items that everybody picks."""
    return {bucket.item_id for bucket in offer.buckets if bucket.required}
