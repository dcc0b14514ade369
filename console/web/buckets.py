"""The window Manage Session Buckets: which session items an offer has, and how many of them a member picks."""

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, RadioField
from wtforms.validators import DataRequired

from console.edits import Edit
from console.rows import the_offer
from console.web.access import actor, database, done, needs
from console.web.forms import EditForm, Form
from console.web.inventory import TYPES
from console.web.offer_page import WholeNumber, bucket_of, page
from console.web.picks import number
from models.catalogue import offers
from models.catalogue.tables import Item, Offer, SessionBucket
from models.errors import (
    ItemAlreadyAdded,
    ItemRetired,
    MaximumBelowMinimum,
    NegativeNumber,
    NotASessionItem,
    NotFound,
    NumberTooLarge,
    SppError,
)
from models.staff import actions
from models.staff.accounts import Role

pages = Blueprint("buckets", __name__, url_prefix="/<id:offer_id>/buckets")


class LimitsForm(EditForm):
    """How many session items a member picks."""

    minimum = WholeNumber(
        "Minimum Required Session Buckets",
        description="How many a member must pick at sign-up. It applies only with more than one session item.",
    )
    maximum = WholeNumber("Maximum Allowed Session Buckets", description="How many a member can pick at sign-up.")


class BucketForm(Form):
    """A session item to add."""

    # Not checked against the choices: an item that is gone from them is refused by the rule that says why.
    item = RadioField("Session item", [DataRequired("Select an item.")], coerce=number, validate_choice=False)
    required = BooleanField("Required", description="A member who signs up must pick this item.")


@pages.route("", methods=["GET", "POST"])
@needs(Role.MANAGER)
def manage(offer_id: int) -> ResponseReturnValue:
    """The window: the limits, with the offer's session items below them.

    Whichever of its buttons is pressed sends the limits too. They are kept before anything else
    happens; if they are refused, nothing does, and the window comes back with what was typed.
    """
    offer = the_offer(offer_id, lock=request.method == "POST")
    form = LimitsForm(minimum=offer.min_buckets, maximum=offer.max_buckets)
    if form.validate_on_submit():
        edit, then = Edit(offer, "min_buckets", "max_buckets"), request.form.get("then", "save")
        with form.refusals({MaximumBelowMinimum: "maximum", NegativeNumber: "minimum", NumberTooLarge: "maximum"}):
            offer.set_bucket_limits(form.minimum.data, form.maximum.data)
            if edit.log("set bucket limits", _of(offer)) or then == "save":
                done(f"A member picks between {offer.min_buckets} and {offer.max_buckets} session items.")
        if not form.errors:
            return _then(offer, then)
    return page(offer, "buckets", form=form)


def _then(offer: Offer, then: str) -> ResponseReturnValue:
    """Does what the button said, now that the limits are kept: save, add, close, or remove-7, require-7, optional-7."""
    if then == "add":
        return redirect(url_for(".add", offer_id=offer.id))
    if then == "close":
        return redirect(url_for("offers.show", offer_id=offer.id))
    verb, _, bucket_id = then.partition("-")
    try:
        with database().begin_nested():
            if verb == "remove":
                bucket = bucket_of(offer, number(bucket_id))
                return redirect(url_for(".remove", offer_id=offer.id, bucket_id=bucket.id))
            if verb in ("require", "optional"):
                _require(offer, bucket_of(offer, number(bucket_id)), verb == "require")
    except SppError as error:
        flash(str(error), "danger")
    return _back(offer)


def _require(offer: Offer, bucket: SessionBucket, required: bool) -> None:
    edit = Edit(bucket, "required")
    offer.set_required(bucket, required)
    edit.log("require session bucket", f"{bucket.item.name} of {_of(offer)}")
    done(f"{bucket.item.name} is {'required' if required else 'optional'} at sign-up.")


@pages.route("/new", methods=["GET", "POST"])
@needs(Role.MANAGER)
def add(offer_id: int) -> ResponseReturnValue:
    """Adds a session item that the offer does not have yet."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    form = BucketForm()
    form.item.choices = {
        str(item.id): f"{item.name} ({TYPES[item.session_type or '']})"
        for item in offers.addable_items(database(), offer)
    }
    if form.validate_on_submit():
        beside = dict.fromkeys((ItemAlreadyAdded, ItemRetired, NotASessionItem, NotFound), "item")
        with form.refusals(beside):
            item = database().get(Item, form.item.data)
            if item is None:
                raise NotFound(what="item", name=form.item.data)
            offer.add_bucket(item, required=form.required.data)
            subject = f"{item.name} to {_of(offer)}{', required' if form.required.data else ''}"
            actions.log(database(), actor(), "add session bucket", subject)
        if not form.errors:
            done(f"{item.name} is added. Set its sessions under each payment term.")
            return _back(offer)
    return page(offer, "add_bucket", form=form)


@pages.route("/<id:bucket_id>/remove", methods=["GET", "POST"])
@needs(Role.MANAGER)
def remove(offer_id: int, bucket_id: int) -> ResponseReturnValue:
    """Takes a session item off the offer, once that is confirmed."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    bucket = bucket_of(offer, bucket_id)
    name = bucket.item.name
    form = Form()
    if form.validate_on_submit():
        with form.refusals():
            offer.remove_bucket(bucket)
            actions.log(database(), actor(), "remove session bucket", f"{name} from {_of(offer)}")
        if not form.errors:
            done(f"{name} is removed. Memberships keep what was agreed at sign-up.")
            return _back(offer)
    return page(offer, "remove_bucket", form=form, bucket=bucket)


def _of(offer: Offer) -> str:
    return f"offer {offer.id}, {offer.name}"


def _back(offer: Offer) -> ResponseReturnValue:
    return redirect(url_for(".manage", offer_id=offer.id))
