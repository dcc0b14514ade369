"""The Offer Builder for programs: offers with their session buckets, by the rules of the console's pages.

A request's changes count together or not at all, and an offer on sale is judged by what they come to.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from console.api.catalogue import TAG, Offer, OfferPath, offer_shown
from console.api.fields import Body, Change, Id, Name, changed, field, whole
from console.api.gate import PREFIX, Made, act, change, remove
from console.api.payment_terms import TermBody, add_term, each_once
from console.api.problems import Fields, beside
from console.edits import Edit
from console.request import actor, database
from console.rows import row, the_offer
from models.catalogue import offers, tables
from models.catalogue.rules import MAX_BUCKETS
from models.catalogue.tables import OfferState
from models.errors import (
    ItemRetired,
    MaximumBelowMinimum,
    NameMissing,
    NameTaken,
    NotASessionItem,
    NotFound,
    OfferCannotBeBought,
    WrongState,
)
from models.staff import actions
from models.staff.accounts import Role

Limit = Annotated[int, Field(ge=0, le=MAX_BUCKETS), whole]

_OFFER: Fields = {NameMissing: "name", NameTaken: "name", MaximumBelowMinimum: "max_buckets"}
_STATE: Fields = {OfferCannotBeBought: "state", WrongState: "state"}
_BUCKET: Fields = dict.fromkeys((NotFound, NotASessionItem, ItemRetired), "item_id")


class BucketBody(Body):
    """A session item on an offer."""

    item_id: Id = field("The session item.", 1)
    required: bool = field("Whether it must be picked at sign-up.", False, default=False)


BucketList = Annotated[list[BucketBody], Field(max_length=MAX_BUCKETS)]


class OfferBody(Body):
    """A further offer, with all that it is made of."""

    name: Name = field("Its name; no other offer has it.", "Silver")
    min_buckets: Limit = field("Minimum required session buckets.", 0, default=0)
    max_buckets: Limit = field("Maximum allowed session buckets.", 1, default=1)
    buckets: BucketList = field("What can be picked.", [{"item_id": 1, "required": True}], default=[])
    payment_terms: Annotated[list[TermBody], Field(max_length=100)] = field("How it can be paid.", [], default=[])
    published: bool = field("Whether to put it on sale at once; else it is a draft.", True, default=False)


class OfferChange(Change):
    """What to change of an offer; the rest stays. Memberships keep what they bought."""

    name: Name = changed("Its name, for those who bought it too.", "Silver")
    min_buckets: Limit = changed("Minimum required session buckets.", 1)
    max_buckets: Limit = changed("Maximum allowed session buckets.", 2)
    buckets: BucketList = changed(
        "All that can be picked from now on. An item left out is taken off, with its bucket terms.",
        [{"item_id": 1, "required": True}],
    )  # fmt: skip
    state: Literal["published", "retired"] = changed("Puts it on sale, or takes it off.", "published")


@act("/offers", Offer, TAG, Role.MANAGER)
def create_offer(body: OfferBody) -> Made:
    """Make an offer with its session buckets and payment terms: a draft, or published at once."""
    with beside(_OFFER):
        offer = offers.create(database(), body.name)
        actions.log(database(), actor(), "create offer", _named(offer))
        _set_limits(offer, body.min_buckets, body.max_buckets)
    _set_buckets(offer, body.buckets)
    for place, wanted in enumerate(body.payment_terms):
        add_term(offer, wanted, f"#/payment_terms/{place}")
    if body.published:
        _turn(offer, offer.publish, "publish offer")
    database().flush()
    return Made(offer_shown(offer), f"{PREFIX}/offers/{offer.id}")


@change("/offers/<id:offer_id>", Offer, TAG, Role.MANAGER)
def change_offer(path: OfferPath, body: OfferChange) -> Offer:
    """Change an offer, publish or retire it."""
    offer, given = the_offer(path.offer_id, lock=True), body.given
    wanted = given.get("state", offer.state)
    if wanted == OfferState.RETIRED and offer.state != OfferState.RETIRED:
        _turn(offer, offer.retire, "retire offer")
    with beside(_OFFER), offers.changed_as_a_whole(offer):
        if "name" in given:
            edit = Edit(offer, "name")
            offers.rename(database(), offer, body.name)
            edit.log("rename offer", f"offer {offer.id}")
        limits = {"min_buckets": offer.min_buckets, "max_buckets": offer.max_buckets, **given}
        _set_limits(offer, limits["min_buckets"], limits["max_buckets"])
        if "buckets" in given:
            _set_buckets(offer, body.buckets)
    if wanted == OfferState.PUBLISHED and offer.state != OfferState.PUBLISHED:
        _turn(offer, offer.publish, "publish offer")
    database().flush()
    return offer_shown(offer)


@remove("/offers/<id:offer_id>", TAG, Role.MANAGER)
def delete_offer(path: OfferPath) -> None:
    """Delete a draft that nobody has bought."""
    offer = the_offer(path.offer_id, lock=True)
    actions.log(database(), actor(), "delete offer", _named(offer))
    offers.delete(database(), offer)


def _set_limits(offer: tables.Offer, minimum: int, maximum: int) -> None:
    edit = Edit(offer, "min_buckets", "max_buckets")
    offer.set_bucket_limits(minimum, maximum)
    edit.log("set bucket limits", _named(offer))


def _set_buckets(offer: tables.Offer, wanted: Sequence[BucketBody]) -> None:
    """Makes these the offer's session buckets, and no others; those that stay keep their bucket terms."""
    each_once((one.item_id for one in wanted), "#/buckets")
    held = {bucket.item_id: bucket for bucket in offer.buckets}
    for item_id in sorted(held.keys() - {one.item_id for one in wanted}):
        offer.remove_bucket(held[item_id])
        subject = f"{held[item_id].item.name} from {_named(offer)}"
        actions.log(database(), actor(), "remove session bucket", subject)
    for place, one in enumerate(wanted):
        if bucket := held.get(one.item_id):
            edit = Edit(bucket, "required")
            offer.set_required(bucket, one.required)
            edit.log("require session bucket", f"{bucket.item.name} of {_named(offer)}")
            continue
        with beside(_BUCKET, f"#/buckets/{place}"):
            item = row(tables.Item, "item", one.item_id)
            offer.add_bucket(item, required=one.required)
        subject = f"{item.name} to {_named(offer)}{', required' if one.required else ''}"
        actions.log(database(), actor(), "add session bucket", subject)
    database().flush()  # new buckets get their ids


def _turn(offer: tables.Offer, turn: Callable[[], None], verb: str) -> None:
    edit = Edit(offer, "state")
    with beside(_STATE):
        turn()
    edit.log(verb, _named(offer))


def _named(offer: tables.Offer) -> str:
    return f"offer {offer.id}, {offer.name}"
