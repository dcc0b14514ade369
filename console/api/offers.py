"""The Offer Builder for programs: offers with their session buckets, by the rules of the console's pages.

The changes of a request take effect together or not at all. An offer on sale is judged by their result.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from console.api.catalogue import TAG, Offer
from console.api.fields import Body, Change, Id, Name, field, whole
from console.api.gate import act, change, remove
from console.api.payment_terms import TermBody, add_term, each_once
from console.api.problems import within
from console.edits import Edit, edited, log, named
from console.request import database
from console.rows import row
from models.catalogue import items, offers, tables
from models.catalogue.rules import MAX_BUCKETS
from models.catalogue.tables import OfferState
from models.staff.accounts import Role

Limit = Annotated[int, Field(ge=0, le=MAX_BUCKETS), whole]


class BucketBody(Body):
    """A session item on an offer."""

    item_id: Id = field("The session item.", 1)
    required: bool = field("Whether it must be picked at sign-up.", False, default=False)


class OfferFields(Body):
    """The fields of an offer that can be set and changed."""

    name: Name = field("Its name; no other offer has it.", "Silver")
    min_buckets: Limit = field("Minimum required session buckets.", 0, default=0)
    max_buckets: Limit = field("Maximum allowed session buckets.", 1, default=1)
    buckets: Annotated[list[BucketBody], Field(max_length=MAX_BUCKETS)] = field(
        "All items that can be picked. An item left out of a change is taken off, with its bucket terms.",
        [{"item_id": 1, "required": True}],
        default=[],
    )


class OfferBody(OfferFields):
    """A new offer with its session buckets and payment terms."""

    payment_terms: Annotated[list[TermBody], Field(max_length=100)] = field("The ways to pay for it.", [], default=[])
    published: bool = field("Whether to put it on sale at once; else it is a draft.", True, default=False)


class OfferChange(OfferFields, Change):
    """The fields of an offer to change; the others stay. Memberships keep their terms, and show a new name."""

    state: Literal["published", "retired"] = field("Puts it on sale, or takes it off.", "published")


@act("/offers", TAG, "/offers/{id}", Role.MANAGER)
def create_offer(body: OfferBody) -> Offer:
    """Make an offer with its session buckets and payment terms: a draft, or published at once."""
    offer = offers.create(database(), body.name)
    log("create offer", named(offer))
    _set_limits(offer, body.min_buckets, body.max_buckets)
    _set_buckets(offer, body.buckets)
    for place, wanted in enumerate(body.payment_terms):
        with within(f"payment_terms/{place}", TermBody):
            add_term(offer, wanted)
    if body.published:
        with within("published"):
            _set_state(offer, offer.publish, "publish offer")
    database().flush()
    return Offer.shown(offer)


@change("/offers/<id:offer_id>", TAG, Role.MANAGER)
def change_offer(offer: tables.Offer, body: OfferChange) -> Offer:
    """Change an offer, publish or retire it."""
    given = body.given
    wanted = given.get("state", offer.state)
    if wanted == OfferState.RETIRED and offer.state != OfferState.RETIRED:
        with within("state"):
            _set_state(offer, offer.retire, "retire offer")
    with offer.stays_buyable():
        if "name" in given:
            with edited(offer, "rename offer", "name"):
                offers.rename(database(), offer, body.name)
        _set_limits(offer, given.get("min_buckets", offer.min_buckets), given.get("max_buckets", offer.max_buckets))
        if "buckets" in given:
            _set_buckets(offer, body.buckets)
    if wanted == OfferState.PUBLISHED and offer.state != OfferState.PUBLISHED:
        with within("state"):
            _set_state(offer, offer.publish, "publish offer")
    database().flush()
    return Offer.shown(offer)


@remove("/offers/<id:offer_id>", TAG, Role.MANAGER)
def delete_offer(offer: tables.Offer) -> None:
    """Delete a draft that nobody has bought."""
    log("delete offer", named(offer))
    offers.delete(database(), offer)


def _set_limits(offer: tables.Offer, minimum: int, maximum: int) -> None:
    with edited(offer, "set bucket limits", "min_buckets", "max_buckets"):
        offer.set_bucket_limits(minimum, maximum)


def _set_buckets(offer: tables.Offer, wanted: Sequence[BucketBody]) -> None:
    """Make these the offer's session buckets, and no others; those that stay keep their bucket terms."""
    each_once((one.item_id for one in wanted), "buckets")
    held = {bucket.item_id: bucket for bucket in offer.buckets}
    for item_id in sorted(held.keys() - {one.item_id for one in wanted}):
        offer.remove_bucket(held[item_id])
        log("remove session bucket", f"{held[item_id].item.name} from {named(offer)}")
    for place, one in enumerate(wanted):
        if bucket := held.get(one.item_id):
            edit = Edit(bucket, "required")
            offer.set_required(bucket, one.required)
            edit.log("require session bucket", f"{bucket.item.name} of {named(offer)}")
            continue
        with within(f"buckets/{place}", BucketBody):
            item = row(items.Item, one.item_id)
            offer.add_bucket(item, required=one.required)
        log("add session bucket", f"{item.name} to {named(offer)}{', required' if one.required else ''}")
    database().flush()  # new buckets get their ids


def _set_state(offer: tables.Offer, act: Callable[[], None], verb: str) -> None:
    with edited(offer, verb, "state"):
        act()
