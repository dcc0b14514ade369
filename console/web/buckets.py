"""The window Manage Session Buckets: which session items an offer has, and how many of them a member picks."""

from typing import ClassVar

from flask import redirect, request, url_for
from wtforms import BooleanField, RadioField
from wtforms.validators import DataRequired

from console.edits import Edit
from console.request import actor, database
from console.rows import row, the_offer
from console.web.access import Answer, Pages, Role
from console.web.fields import WholeNumber, chosen_id
from console.web.forms import EditForm, Form, pressed
from console.web.inventory import TYPES
from console.web.offer_page import bucket_of, named, page
from models.catalogue import offers
from models.catalogue.items import Item
from models.catalogue.tables import Offer
from models.staff import actions
from runtime.language import noted, say

pages = Pages("buckets", __name__, url_prefix="/<id:offer_id>/buckets")


class LimitsForm(EditForm):
    """How many session items a member picks."""

    own_names: ClassVar = {"min_buckets": "minimum", "max_buckets": "maximum"}

    minimum = WholeNumber(
        "Minimum Required Session Buckets",
        description="How many a member must pick at sign-up. It applies only with more than one session item.",
    )
    maximum = WholeNumber("Maximum Allowed Session Buckets", description="How many a member can pick at sign-up.")


class BucketForm(Form):
    """A session item to add."""

    own_names: ClassVar = {"item_id": "item"}

    # Not checked against the choices: an item that is gone from them is refused by the rule that says why.
    item = RadioField("Session item", [DataRequired(noted("Select an item."))], coerce=chosen_id, validate_choice=False)
    required = BooleanField("Required", description="A member who signs up must pick this item.")


@pages.form("", Role.MANAGER)
def manage(offer_id: int) -> Answer:
    """The limits, with the offer's session items below them.

    Each button of the window sends the limits too, and they are saved first. If they are
    refused, nothing else happens, and the window comes back with what was typed.
    """
    offer = the_offer(offer_id, lock=request.method == "POST")
    form, then = LimitsForm(minimum=offer.min_buckets, maximum=offer.max_buckets), request.form.get("then", "save")

    def save_limits() -> tuple[str, str]:
        edit = Edit(offer, "min_buckets", "max_buckets")
        offer.set_bucket_limits(form.minimum.data, form.maximum.data)
        text = say(
            "A member picks between {least} and {most} session items.", least=offer.min_buckets, most=offer.max_buckets
        )
        return (text if edit.log("set bucket limits", named(offer)) or then == "save" else ""), ""

    return _next(offer, then) if form.submitted(save_limits) else page(offer, "buckets", form=form)


def _next(offer: Offer, then: str) -> Answer:
    """What the button asks for, once the limits are saved: save, add, close, or remove-7, require-7, optional-7."""
    if then == "add":
        return redirect(url_for(".add", offer_id=offer.id))
    if then == "close":
        return redirect(url_for("offers.show", offer_id=offer.id))
    verb, _, text = then.partition("-")
    bucket = next((bucket for bucket in offer.buckets if bucket.id == chosen_id(text)), None)
    if verb == "remove" and bucket:
        return redirect(url_for(".remove", offer_id=offer.id, bucket_id=bucket.id))

    def require() -> str:
        bucket = bucket_of(offer, chosen_id(text))
        edit = Edit(bucket, "required")
        offer.set_required(bucket, verb == "require")
        edit.log("require session bucket", f"{bucket.item.name} of {named(offer)}")
        if bucket.required:
            return say("{item} is required at sign-up.", item=bucket.item.name)
        return say("{item} is optional at sign-up.", item=bucket.item.name)

    here = url_for(".manage", offer_id=offer.id)
    return pressed(require, here) if verb in ("remove", "require", "optional") else redirect(here)


@pages.form("/new", Role.MANAGER)
def add(offer_id: int) -> Answer:
    """Add a session item that the offer does not have yet."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    form = BucketForm()
    form.item.choices = {
        str(item.id): f"{item.name} ({say(TYPES[item.session_type or ''])})"
        for item in offers.addable_items(database(), offer)
    }

    def act() -> tuple[str, str]:
        item = row(Item, form.item.data, field="item_id")
        offer.add_bucket(item, required=form.required.data)
        subject = f"{item.name} to {named(offer)}{', required' if form.required.data else ''}"
        actions.log(database(), actor(), "add session bucket", subject)
        text = say("{item} is added. Set its sessions under each payment term.", item=item.name)
        return text, url_for(".manage", offer_id=offer.id)

    return form.submitted(act) or page(offer, "add_bucket", form=form)


@pages.form("/<id:bucket_id>/remove", Role.MANAGER)
def remove(offer_id: int, bucket_id: int) -> Answer:
    """Take a session item off the offer, once that is confirmed."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    bucket, form = bucket_of(offer, bucket_id), Form()
    name = bucket.item.name

    def act() -> tuple[str, str]:
        offer.remove_bucket(bucket)
        actions.log(database(), actor(), "remove session bucket", f"{name} from {named(offer)}")
        text = say("{item} is removed. Memberships keep what was agreed at sign-up.", item=name)
        return text, url_for(".manage", offer_id=offer.id)

    return form.submitted(act) or page(offer, "remove_bucket", form=form, bucket=bucket)
